/* The store of answers on real files: hits, followers, leaders that leave, restarts, races; and
 * budgets, which stand in the same file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/answers.h"
#include "lib/enrich/budget.h"

struct play {
    char folder[64];
    char path[96];
    struct loop *loop;
    struct answers *answers;
    struct answers_client *client;
};

struct asker {
    struct waiter waiter; /* first */
    struct loop *loop;
    int answered, leads;
    char text[64];
};

static void on_told(struct waiter *w, enum answers_news news, const struct answer *answer)
{
    struct asker *a = (struct asker *)w;
    if (news == NEWS_LEADS) {
        a->leads++;
    } else {
        a->answered++;
        snprintf(a->text, sizeof a->text, "%.*s", (int)answer->text.n, answer->text.p);
    }
    loop_stop(a->loop);
}

static const struct answers_options options = {.on = true, .memory_bytes = 1 << 20};

static void start(struct play *p)
{
    struct error err;
    p->loop = loop_new();
    if (answers_open(&options, p->path, false, &p->answers, &err) != ST_OK)
        fail_msg("%s", err.text);
    p->client = answers_client_open(p->answers, p->loop);
}

static void stop(struct play *p)
{
    answers_client_close(p->client);
    answers_close(p->answers);
    loop_free(p->loop);
}

static int setup(void **state)
{
    struct play *p = mem_zalloc(sizeof *p);
    snprintf(p->folder, sizeof p->folder, "/tmp/sluice-answersXXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->path, sizeof p->path, "%s/answers", p->folder);
    start(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct play *p = *state;
    static const char *const ends[] = {"", "-wal", "-shm"};
    stop(p);
    for (int i = 0; i < 3; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", p->path, ends[i]);
        unlink(path);
    }
    rmdir(p->folder);
    mem_free(p);
    return 0;
}

static void ask(struct play *p, struct asker *a, int number)
{
    char text[32];
    int n = snprintf(text, sizeof text, "question %d", number);
    const struct span part = span_make(text, (size_t)n);
    memset(a, 0, sizeof *a);
    question_make(&part, 1, &a->waiter.question);
    a->waiter.told = on_told;
    a->loop = p->loop;
}

static void wait_until(struct play *p, const int *flag)
{
    int64_t deadline = clock_mono_ms() + 10000;
    while (*flag == 0 && clock_mono_ms() < deadline)
        loop_run(p->loop);
    assert_int_equal(*flag, 1);
}

static void an_answer_is_bought_once_and_survives_a_restart(void **state)
{
    struct play *p = *state;
    struct asker first, second, third;
    const struct answer *hit;
    ask(p, &first, 1);
    ask(p, &second, 1);
    assert_int_equal(answers_find(p->client, &first.waiter, &hit), FOUND_LEADS);
    assert_int_equal(answers_find(p->client, &second.waiter, &hit), FOUND_JOINED);
    answers_settle(p->client, &first.waiter, &(struct answer){.text = SPAN_LIT("{}"), .at_ms = 1},
                   true);
    wait_until(p, &first.answered);
    wait_until(p, &second.answered);
    assert_string_equal(second.text, "{}");
    ask(p, &third, 1);
    assert_int_equal(answers_find(p->client, &third.waiter, &hit), FOUND_HIT);
    stop(p);
    start(p);
    ask(p, &third, 1);
    assert_int_equal(answers_find(p->client, &third.waiter, &hit), FOUND_HIT);
    assert_true(span_is(hit->text, "{}"));
}

static void when_the_leader_leaves_one_follower_leads(void **state)
{
    struct play *p = *state;
    struct asker a, b, c;
    const struct answer *hit;
    ask(p, &a, 2);
    ask(p, &b, 2);
    ask(p, &c, 2);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    assert_int_equal(answers_find(p->client, &b.waiter, &hit), FOUND_JOINED);
    assert_int_equal(answers_find(p->client, &c.waiter, &hit), FOUND_JOINED);
    answers_leave(p->client, &a.waiter);
    wait_until(p, &b.leads);
    assert_int_equal(c.leads, 0);
    answers_leave(p->client, &c.waiter);
    answers_leave(p->client, &b.waiter);
    ask(p, &a, 2);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    answers_leave(p->client, &a.waiter);
}

static void a_refusal_is_remembered_but_not_for_a_redriven_post(void **state)
{
    struct play *p = *state;
    struct asker a;
    const struct answer *hit;
    ask(p, &a, 3);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    answers_settle(p->client, &a.waiter,
                   &(struct answer){.reason = REASON_llm_schema, .text = SPAN_LIT("no")}, true);
    wait_until(p, &a.answered);
    ask(p, &a, 3);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_HIT);
    assert_int_equal(hit->reason, REASON_llm_schema);
    ask(p, &a, 3);
    a.waiter.ignore_refusal = true;
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    answers_settle(p->client, &a.waiter, &(struct answer){.text = SPAN_LIT("[1]")}, true);
    wait_until(p, &a.answered);
    stop(p);
    start(p);
    ask(p, &a, 3);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_HIT);
    assert_true(span_is(hit->text, "[1]"));
}

static void a_verdict_that_is_not_kept_reaches_those_who_wait_and_nobody_later(void **state)
{
    struct play *p = *state;
    struct asker a, b;
    const struct answer *hit;
    ask(p, &a, 4);
    ask(p, &b, 4);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    assert_int_equal(answers_find(p->client, &b.waiter, &hit), FOUND_JOINED);
    answers_settle(p->client, &a.waiter,
                   &(struct answer){.reason = REASON_attempts_exhausted, .text = SPAN_LIT("x")},
                   false);
    wait_until(p, &a.answered);
    wait_until(p, &b.answered);
    ask(p, &a, 4);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    answers_leave(p->client, &a.waiter);
}

static void the_same_question_of_two_processes_is_counted_as_a_race(void **state)
{
    struct play *p = *state;
    struct play other = {.loop = NULL};
    struct asker a, b;
    struct answers_counts counts;
    const struct answer *hit;
    memcpy(other.path, p->path, sizeof other.path);
    start(&other);
    ask(p, &a, 5);
    ask(&other, &b, 5);
    assert_int_equal(answers_find(p->client, &a.waiter, &hit), FOUND_LEADS);
    assert_int_equal(answers_find(other.client, &b.waiter, &hit), FOUND_LEADS);
    answers_settle(p->client, &a.waiter, &(struct answer){.text = SPAN_LIT("1")}, true);
    wait_until(p, &a.answered);
    answers_settle(other.client, &b.waiter, &(struct answer){.text = SPAN_LIT("2")}, true);
    wait_until(&other, &b.answered);
    answers_count(other.answers, &counts);
    assert_int_equal(counts.races, 1);
    stop(&other);
}

/* --- budget --- */

static void a_cap_is_kept_across_restarts_and_a_crash_overstates(void **state)
{
    struct play *p = *state;
    const struct budget_options opt = {.day_usd = 1};
    struct budget *b = NULL, *leaked = NULL;
    struct error err;
    struct hold hold;
    int64_t wait_ms = 0, now_ms = 1000000000000, spent = 0;
    const int64_t call = 3000000; /* $0.003 */
    assert_int_equal(budget_open(&opt, p->path, 1, NULL, NULL, &b, &err), ST_OK);
    for (; spent < 500000000; spent += call) {
        assert_int_equal(budget_reserve(b, call, now_ms, &hold, &wait_ms, &err), ST_OK);
        budget_settle(b, &hold, call, now_ms);
    }
    budget_close(b);
    /* A process that dies: its block stays spent. */
    assert_int_equal(budget_open(&opt, p->path, 1, NULL, NULL, &leaked, &err), ST_OK);
    assert_int_equal(budget_reserve(leaked, 1, now_ms, &hold, &wait_ms, &err), ST_OK);
    assert_int_equal(budget_open(&opt, p->path, 1, NULL, NULL, &b, &err), ST_OK);
    enum status st;
    while ((st = budget_reserve(b, call, now_ms, &hold, &wait_ms, &err)) == ST_OK)
        spent += call;
    assert_int_equal(st, ST_AGAIN);
    assert_true(wait_ms > 0 && wait_ms <= 86400001);
    assert_true(spent <= 1000000000 - 10000000);
    assert_true(spent >= 1000000000 - 10000000 - 2 * call);
    assert_int_equal(budget_reserve(b, call, now_ms + 86400000, &hold, &wait_ms, &err), ST_OK);
    budget_close(b);
    budget_close(leaked);
}

static void what_was_reserved_and_not_spent_may_be_spent(void **state)
{
    (void)state;
    const struct budget_options opt = {.run_usd = 0.01};
    struct budget *b = NULL;
    struct error err;
    struct hold hold;
    int64_t wait_ms = 0;
    assert_int_equal(budget_open(&opt, NULL, 1, NULL, NULL, &b, &err), ST_OK);
    for (int i = 0; i < 110; i++) {
        assert_int_equal(budget_reserve(b, 9000000, 0, &hold, &wait_ms, &err), ST_OK);
        budget_settle(b, &hold, 9000, 0);
    }
    budget_settle(b, &(struct hold){.nano = 0}, 1000000, 0);
    assert_int_equal(budget_reserve(b, 9000000, 0, &hold, &wait_ms, &err), ST_AGAIN);
    assert_int_equal(wait_ms, -1);
    budget_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_bought_once_and_survives_a_restart, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(when_the_leader_leaves_one_follower_leads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_refusal_is_remembered_but_not_for_a_redriven_post, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            a_verdict_that_is_not_kept_reaches_those_who_wait_and_nobody_later, setup, teardown),
        cmocka_unit_test_setup_teardown(the_same_question_of_two_processes_is_counted_as_a_race,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(a_cap_is_kept_across_restarts_and_a_crash_overstates, setup,
                                        teardown),
        cmocka_unit_test(what_was_reserved_and_not_spent_may_be_spent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The enricher contract: see enricher_contract.h. */
#include "tests/contract/enricher_contract.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/json/post.h"

enum { MANY = 2000, FEW = 6, WAIT_MS = 20000, HOSTILE_KB_MAX = 96 << 10 };

static const struct enricher_fixture *fixture;
static const struct hostile_fixture *hostile;

struct play {
    struct enrich_options opt;
    struct engine *engine;
    struct loop *loop;
    struct enricher *enricher;
    struct loop_timer *limit;
    int answered, wanted;
    bool timed_out;
};

static void on_limit(void *arg)
{
    struct play *p = arg;
    p->timed_out = true;
    loop_stop(p->loop);
}

static int play_setup(void **state)
{
    struct play *p = mem_zalloc(sizeof *p);
    struct error err;
    enrich_defaults(&p->opt);
    fixture->setup(&p->opt);
    p->engine = engine_make(&p->opt, NULL, NULL);
    p->loop = loop_new();
    p->limit = loop_timer_new(p->loop, on_limit, p);
    assert_int_equal(enricher_open(p->engine, p->loop, &p->enricher, &err), ST_OK);
    *state = p;
    return 0;
}

static int play_teardown(void **state)
{
    struct play *p = *state;
    enricher_close(p->enricher);
    loop_timer_free(p->limit);
    loop_free(p->loop);
    engine_end(p->engine);
    mem_free(p);
    if (fixture->teardown != NULL)
        fixture->teardown();
    return 0;
}

struct asked {
    struct ask ask;
    struct play *play;
    char value[96], text[64];
    int told;
};

static void on_done(struct ask *ask)
{
    struct asked *q = ask->arg;
    q->told++;
    if (++q->play->answered == q->play->wanted)
        loop_stop(q->play->loop);
}

static void prepare(struct play *p, struct asked *q, int number)
{
    int n = snprintf(q->text, sizeof q->text, "post number %d about coffee", number);
    snprintf(q->value, sizeof q->value, "{\"id\":%d,\"text\":\"%s\"}", number, q->text);
    q->play = p;
    q->ask.value = span_of(q->value);
    q->ask.id = SPAN_LIT("1");
    q->ask.text = span_make(q->text, (size_t)n);
    q->ask.done = on_done;
    q->ask.arg = q;
}

/* Submits; an answer that comes at once counts like one that comes later. */
static void submit(struct play *p, struct asked *q)
{
    enum status st = enricher_submit(p->enricher, &q->ask);
    assert_true(st == ST_OK || st == ST_AGAIN || st == ST_REJECT ||
                (st == ST_FATAL && hostile != NULL && hostile->stops));
    if (st == ST_AGAIN)
        return;
    assert_int_equal(q->ask.status, st);
    q->told++;
    p->answered++;
}

static void wait_for(struct play *p, int wanted)
{
    p->wanted = wanted;
    loop_timer_start(p->limit, WAIT_MS);
    if (p->answered < wanted)
        loop_run(p->loop);
    loop_timer_stop(p->limit);
    assert_false(p->timed_out);
    assert_int_equal(p->answered, wanted);
}

static void check_answer(const struct asked *q)
{
    struct error err;
    struct post_limits limits = {.max_bytes = 1 << 20, .max_depth = 64};
    assert_int_equal(q->told, 1);
    if (q->ask.status == ST_REJECT) {
        assert_non_null(q->ask.err);
        assert_int_not_equal(q->ask.err->reason, REASON_NONE);
        return;
    }
    assert_int_equal(q->ask.status, ST_OK);
    assert_int_equal(json_check(buf_span(&q->ask.answer), &limits, &err), ST_OK);
}

static void every_ask_is_answered_once_with_valid_json(void **state)
{
    struct play *p = *state;
    struct asked *qs = mem_array(MANY, sizeof *qs);
    for (int i = 0; i < MANY; i++) {
        prepare(p, &qs[i], i);
        submit(p, &qs[i]);
    }
    wait_for(p, MANY);
    for (int i = 0; i < MANY; i++) {
        check_answer(&qs[i]);
        ask_fini(&qs[i].ask);
    }
    mem_free(qs);
}

static void equal_posts_get_equal_answers_in_any_order(void **state)
{
    struct play *p = *state;
    struct asked *qs = mem_array(200, sizeof *qs);
    for (int i = 0; i < 200; i++) {
        prepare(p, &qs[i], i < 100 ? i : 199 - i);
        submit(p, &qs[i]);
    }
    wait_for(p, 200);
    for (int i = 0; i < 100; i++) {
        const struct ask *a = &qs[i].ask, *b = &qs[199 - i].ask;
        assert_int_equal(a->status, b->status);
        if (a->status == ST_OK)
            assert_true(span_equal(buf_span(&a->answer), buf_span(&b->answer)));
    }
    for (int i = 0; i < 200; i++)
        ask_fini(&qs[i].ask);
    mem_free(qs);
}

static void an_empty_text_and_one_of_a_mebibyte_are_answered(void **state)
{
    struct play *p = *state;
    struct asked small, large;
    enum { MIB = 1 << 20 };
    char *text = mem_alloc(MIB);
    memset(text, 'x', MIB);
    memset(&small, 0, sizeof small);
    memset(&large, 0, sizeof large);
    prepare(p, &small, 1);
    prepare(p, &large, 2);
    small.ask.text = SPAN_LIT("");
    large.ask.text = span_make(text, MIB);
    submit(p, &small);
    submit(p, &large);
    wait_for(p, 2);
    check_answer(&small);
    check_answer(&large);
    ask_fini(&small.ask);
    ask_fini(&large.ask);
    mem_free(text);
}

static void a_cancelled_ask_is_never_told_and_may_be_used_again(void **state)
{
    struct play *p = *state;
    struct asked *qs = mem_array(100, sizeof *qs);
    int left = 0;
    for (int i = 0; i < 100; i++) {
        prepare(p, &qs[i], i);
        submit(p, &qs[i]);
    }
    for (int i = 0; i < 100; i++) {
        if (qs[i].told == 0 && i % 2 == 0)
            enricher_cancel(p->enricher, &qs[i].ask);
        else
            left++;
    }
    wait_for(p, left);
    for (int i = 0; i < 100; i += 2) {
        if (qs[i].told == 0)
            submit(p, &qs[i]);
    }
    wait_for(p, 100);
    for (int i = 0; i < 100; i++) {
        check_answer(&qs[i]);
        ask_fini(&qs[i].ask);
    }
    mem_free(qs);
}

static void cancelling_an_ask_that_has_ended_harms_no_other(void **state)
{
    struct play *p = *state;
    struct asked first, second;
    memset(&first, 0, sizeof first);
    memset(&second, 0, sizeof second);
    prepare(p, &first, 1);
    prepare(p, &second, 2);
    submit(p, &first);
    wait_for(p, 1);
    submit(p, &second);
    enricher_cancel(p->enricher, &first.ask);
    wait_for(p, 2);
    check_answer(&first);
    check_answer(&second);
    ask_fini(&first.ask);
    ask_fini(&second.ask);
}

static void closing_with_asks_in_flight_tells_nobody(void **state)
{
    struct play *p = *state;
    struct asked *qs = mem_array(100, sizeof *qs);
    for (int i = 0; i < 100; i++) {
        prepare(p, &qs[i], i);
        submit(p, &qs[i]);
    }
    int before = p->answered;
    enricher_close(p->enricher);
    p->enricher = NULL;
    assert_int_equal(p->answered, before);
    for (int i = 0; i < 100; i++)
        ask_fini(&qs[i].ask);
    mem_free(qs);
}

static void it_has_a_name(void **state)
{
    struct play *p = *state;
    assert_true(strlen(enricher_name(p->enricher)) > 0);
}

int enricher_contract_run(const struct enricher_fixture *f)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_ask_is_answered_once_with_valid_json, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(equal_posts_get_equal_answers_in_any_order, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(an_empty_text_and_one_of_a_mebibyte_are_answered,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(a_cancelled_ask_is_never_told_and_may_be_used_again,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(cancelling_an_ask_that_has_ended_harms_no_other, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(closing_with_asks_in_flight_tells_nobody, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(it_has_a_name, play_setup, play_teardown),
    };
    fixture = f;
    return cmocka_run_group_tests_name(f->name, tests, NULL, NULL);
}

/* --- answerers that misbehave --- */

static void check_hostile(const struct asked *q)
{
    if (q->ask.status != ST_FATAL) {
        check_answer(q);
        assert_true(q->ask.status == ST_REJECT || !hostile->refuses);
        return;
    }
    assert_int_equal(q->told, 1);
    assert_true(hostile->stops);
    assert_true(q->ask.err->text[0] != '\0');
}

static void each_ask_ends_once_and_in_time(void **state)
{
    struct play *p = *state;
    struct asked *qs = mem_array(FEW, sizeof *qs);
    for (int i = 0; i < FEW; i++) {
        prepare(p, &qs[i], i);
        submit(p, &qs[i]);
    }
    wait_for(p, FEW);
    for (int i = 0; i < FEW; i++) {
        check_hostile(&qs[i]);
        ask_fini(&qs[i].ask);
    }
    mem_free(qs);
}

static void it_takes_no_more_memory_than_a_reply_may(void **state)
{
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    each_ask_ends_once_and_in_time(state);
    getrusage(RUSAGE_SELF, &after);
    if (after.ru_maxrss - before.ru_maxrss > HOSTILE_KB_MAX)
        fail_msg("%ld kB more than before", after.ru_maxrss - before.ru_maxrss);
}

int enricher_hostile_run(const struct hostile_fixture *f)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_takes_no_more_memory_than_a_reply_may, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(closing_with_asks_in_flight_tells_nobody, play_setup,
                                        play_teardown),
    };
    fixture = &f->base;
    hostile = f;
    int failed = cmocka_run_group_tests_name(f->base.name, tests, NULL, NULL);
    hostile = NULL;
    return failed;
}

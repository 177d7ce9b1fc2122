/* Caps under a clock of the test's: they are never passed, hours and days begin anew, several
 * processes share what stands in the file, and a crash overstates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/enrich/budget.h"

enum { CENT = 10000000, HOUR_MS = 3600 * 1000 };
static const int64_t noon_ms = 1800000000000 / HOUR_MS * HOUR_MS;

struct play {
    char folder[32], file[64];
    int told;
    char words[256];
};

static void on_warn(void *arg, const char *text)
{
    struct play *p = arg;
    p->told++;
    snprintf(p->words, sizeof p->words, "%s", text);
}

static int setup(void **state)
{
    struct play *p = calloc(1, sizeof *p);
    assert_non_null(p);
    snprintf(p->folder, sizeof p->folder, "/tmp/budget-XXXXXX");
    assert_non_null(mkdtemp(p->folder));
    snprintf(p->file, sizeof p->file, "%s/answers", p->folder);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    struct play *p = *state;
    static const char *const ends[] = {"", "-wal", "-shm"};
    for (int i = 0; i < 3; i++) {
        char name[80];
        snprintf(name, sizeof name, "%s%s", p->file, ends[i]);
        unlink(name);
    }
    rmdir(p->folder);
    free(p);
    return 0;
}

static struct budget *opened(struct play *p, double run, double hour, double day, const char *path,
                             int64_t share)
{
    struct budget_options opt = {.run_usd = run, .hour_usd = hour, .day_usd = day};
    struct budget *b = NULL;
    struct error err;
    if (budget_open(&opt, path, share, on_warn, p, &b, &err) != ST_OK)
        fail_msg("%s", err.text);
    return b;
}

/* How many cents can be had, one after the other, each spent at once. */
static int64_t cents(struct budget *b, int64_t now_ms, int64_t *ret_wait_ms)
{
    struct hold hold;
    struct error err;
    int64_t n = 0;
    while (budget_reserve(b, CENT, now_ms, &hold, ret_wait_ms, &err) == ST_OK) {
        budget_settle(b, &hold, CENT, now_ms);
        n++;
    }
    return n;
}

static void a_cap_of_the_run_is_told_at_80_percent_and_never_passed(void **state)
{
    struct play *p = *state;
    struct budget *b = opened(p, 1, 0, 0, NULL, 1);
    struct hold hold;
    struct error err;
    int64_t wait_ms = 0;
    for (int i = 0; i < 79; i++) {
        assert_int_equal(budget_reserve(b, CENT, noon_ms, &hold, &wait_ms, &err), ST_OK);
        budget_settle(b, &hold, CENT, noon_ms);
    }
    assert_int_equal(p->told, 0);
    assert_int_equal(cents(b, noon_ms, &wait_ms), 21);
    assert_int_equal(wait_ms, -1); /* a run has no next one */
    assert_int_equal(p->told, 2);  /* 80 %, and spent: once each */
    assert_non_null(strstr(p->words, "budget-run"));
    assert_int_equal(cents(b, noon_ms, &wait_ms), 0);
    assert_int_equal(p->told, 2);
    budget_close(b);
}

/* The question that is asked now is counted: its cost may be spent a moment later. */
static void the_warning_names_the_amount_that_makes_the_80_percent(void **state)
{
    struct play *p = *state;
    struct budget *b = opened(p, 0.05, 0, 0, NULL, 1);
    struct hold hold;
    struct error err;
    int64_t wait_ms = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(budget_reserve(b, CENT, noon_ms, &hold, &wait_ms, &err), ST_OK);
        budget_settle(b, &hold, CENT, noon_ms);
    }
    assert_int_equal(p->told, 0);
    assert_int_equal(budget_reserve(b, CENT, noon_ms, &hold, &wait_ms, &err), ST_OK);
    assert_string_equal(p->words, "budget-run: 80 % is spent, or held for questions in flight "
                                  "($0.0400 of $0.0500)");
    budget_settle(b, &hold, CENT / 2, noon_ms);
    assert_int_equal(budget_reserve(b, 2 * CENT, noon_ms, &hold, &wait_ms, &err), ST_AGAIN);
    assert_string_equal(p->words, "budget-run: too little is left for the next question of "
                                  "this run; under --budget-action pause posts wait for a "
                                  "new start with more ($0.0350 of $0.0500)");
    budget_close(b);
}

static void what_was_reserved_and_not_spent_can_be_spent(void **state)
{
    struct play *p = *state;
    struct budget *b = opened(p, 1, 0, 0, NULL, 1);
    struct hold holds[100], more;
    struct error err;
    int64_t wait_ms;
    for (int i = 0; i < 100; i++)
        assert_int_equal(budget_reserve(b, CENT, noon_ms, &holds[i], &wait_ms, &err), ST_OK);
    assert_int_equal(budget_reserve(b, 1, noon_ms, &more, &wait_ms, &err), ST_AGAIN);
    for (int i = 0; i < 100; i++)
        budget_settle(b, &holds[i], CENT / 2, noon_ms);
    assert_int_equal(cents(b, noon_ms, &wait_ms), 50);
    budget_close(b);
}

static void hours_and_days_begin_anew(void **state)
{
    struct play *p = *state;
    struct budget *b = opened(p, 0, 0.10, 0.25, p->file, 1);
    int64_t wait_ms, midnight_ms = noon_ms / (24 * (int64_t)HOUR_MS) * (24 * (int64_t)HOUR_MS);
    assert_int_equal(cents(b, midnight_ms, &wait_ms), 10);
    assert_int_equal(wait_ms, HOUR_MS + 1);
    assert_int_equal(cents(b, midnight_ms + HOUR_MS, &wait_ms), 10);
    assert_int_equal(cents(b, midnight_ms + 2 * HOUR_MS, &wait_ms), 5);
    assert_int_equal(wait_ms, 22 * HOUR_MS + 1);
    assert_int_equal(cents(b, midnight_ms + 24 * (int64_t)HOUR_MS, &wait_ms), 10);
    budget_close(b);
}

static void a_call_that_ends_in_the_next_hour_gives_nothing_back_to_it(void **state)
{
    struct play *p = *state;
    struct budget *b = opened(p, 0, 0.10, 0, p->file, 1);
    struct hold hold;
    struct error err;
    int64_t wait_ms;
    assert_int_equal(budget_reserve(b, 5 * CENT, noon_ms, &hold, &wait_ms, &err), ST_OK);
    budget_settle(b, &hold, 0, noon_ms + HOUR_MS);
    assert_int_equal(cents(b, noon_ms + HOUR_MS, &wait_ms), 10);
    budget_close(b);
}

static void processes_share_what_stands_in_the_file(void **state)
{
    struct play *p = *state;
    struct rng rng;
    rng_seed(&rng, 3);
    struct budget *b[3];
    for (int i = 0; i < 3; i++)
        b[i] = opened(p, 0, 1, 0, p->file, 1);
    int64_t spent = 0, wait_ms;
    for (int i = 0; i < 3000; i++) {
        struct hold hold;
        struct error err;
        struct budget *who = b[rng_next(&rng) % 3];
        int64_t most = (int64_t)(rng_double(&rng) * CENT),
                used = (int64_t)(rng_double(&rng) * (double)most);
        if (budget_reserve(who, most, noon_ms, &hold, &wait_ms, &err) != ST_OK)
            continue;
        budget_settle(who, &hold, used, noon_ms);
        spent += used;
        assert_true(spent <= 100 * (int64_t)CENT);
    }
    assert_true(spent >= 90 * (int64_t)CENT); /* blocks of 1 % are not left lying about */
    for (int i = 0; i < 3; i++)
        budget_close(b[i]);
}

/* Nothing is given back by a process that dies: what it had taken counts as spent. */
static void a_crash_overstates_by_a_block_at_most(void **state)
{
    struct play *p = *state;
    struct budget *dead = opened(p, 0, 1, 0, p->file, 1);
    struct hold hold;
    struct error err;
    int64_t wait_ms;
    for (int i = 0; i < 40; i++) {
        assert_int_equal(budget_reserve(dead, CENT / 4, noon_ms, &hold, &wait_ms, &err), ST_OK);
        budget_settle(dead, &hold, CENT / 4, noon_ms);
    }
    assert_int_equal(budget_reserve(dead, CENT / 4, noon_ms, &hold, &wait_ms, &err), ST_OK);
    struct budget *next = opened(p, 0, 1, 0, p->file, 1); /* while the first has closed nothing */
    int64_t left = cents(next, noon_ms, &wait_ms);
    assert_true(left == 89 || left == 90);
    budget_close(next);
    budget_close(dead);
}

static void a_cap_divided_by_processes_is_a_part(void **state)
{
    struct play *p = *state;
    struct budget *b = opened(p, 0, 1, 0, NULL, 4);
    int64_t wait_ms;
    assert_int_equal(cents(b, noon_ms, &wait_ms), 25);
    budget_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_cap_of_the_run_is_told_at_80_percent_and_never_passed,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(the_warning_names_the_amount_that_makes_the_80_percent,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_was_reserved_and_not_spent_can_be_spent, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(hours_and_days_begin_anew, setup, teardown),
        cmocka_unit_test_setup_teardown(a_call_that_ends_in_the_next_hour_gives_nothing_back_to_it,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(processes_share_what_stands_in_the_file, setup, teardown),
        cmocka_unit_test_setup_teardown(a_crash_overstates_by_a_block_at_most, setup, teardown),
        cmocka_unit_test_setup_teardown(a_cap_divided_by_processes_is_a_part, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

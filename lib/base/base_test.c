/* The small things everything rests on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/arena.h"
#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/hist.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/runner.h"
#include "lib/base/utf8.h"

static void an_error_too_long_is_cut_with_dots(void **state)
{
    (void)state;
    struct error err;
    char *text = mem_alloc(1001);
    memset(text, 'x', 1000);
    text[1000] = '\0';
    assert_int_equal(error_set(&err, ST_FATAL, ERR_IO, "%s", text), ST_FATAL);
    assert_int_equal(strlen(err.text), sizeof err.text - 1);
    assert_string_equal(err.text + sizeof err.text - 4, "...");
    error_set(&err, ST_FATAL, ERR_IO, "no space");
    error_prefix(&err, "writing %s", "a.db");
    assert_string_equal(err.text, "writing a.db: no space");
    mem_free(text);
}

static void every_reason_word_is_found_again(void **state)
{
    (void)state;
    for (int r = 1; r < REASON_COUNT; r++)
        assert_int_equal(reason_find(reason_word((enum reason)r)), r);
    assert_int_equal(reason_find("nonsense"), REASON_NONE);
}

static void a_buf_stops_at_its_maximum(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 300);
    for (int i = 0; i < 300; i++)
        buf_add_char(&b, 'a');
    assert_false(b.full);
    buf_add_char(&b, 'b');
    assert_true(b.full);
    assert_int_equal(b.n, 300);
    buf_fini(&b);
}

static void json_text_is_escaped_and_mended(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_json(&b, span_make("a\"\\\n\x01\xff\xe2\x82\xac", 9));
    assert_string_equal(buf_str(&b), "a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xe2\x82\xac");
    buf_fini(&b);
}

static void utf8_refuses_what_rfc_3629_refuses(void **state)
{
    (void)state;
    assert_true(utf8_valid("\xf0\x9f\x98\x80", 4));
    assert_false(utf8_valid("\xed\xa0\x80", 3));     /* surrogate */
    assert_false(utf8_valid("\xc0\xaf", 2));         /* overlong */
    assert_false(utf8_valid("\xf4\x90\x80\x80", 4)); /* above U+10FFFF */
    assert_false(utf8_valid("\xe2\x82", 2));         /* cut */
}

static void an_arena_gives_and_forgets(void **state)
{
    (void)state;
    struct arena a = {0};
    for (int i = 1; i < 1000; i++)
        memset(arena_alloc(&a, (size_t)i * 7), i, (size_t)i * 7);
    struct span s = arena_copy(&a, SPAN_LIT("hello"));
    assert_true(span_is(s, "hello"));
    assert_null(arena_copy(&a, SPAN_NULL).p);
    arena_reset(&a);
    assert_int_equal(a.used, 0);
    arena_fini(&a);
}

static void a_histogram_is_within_a_sixteenth(void **state)
{
    (void)state;
    struct hist *h = mem_zalloc(sizeof *h);
    for (int i = 1; i <= 100000; i++)
        hist_add(h, i);
    double p50 = hist_quantile(h, 0.5), p99 = hist_quantile(h, 0.99);
    assert_true(p50 > 50000 * 0.94 && p50 < 50000 * 1.07);
    assert_true(p99 > 99000 * 0.94 && p99 < 99000 * 1.07);
    assert_int_equal(hist_count_below(h, 0), 0);
    mem_free(h);
}

static void backoff_stays_between_base_and_cap(void **state)
{
    (void)state;
    struct backoff b;
    backoff_init(&b, 10, 1000, 42);
    for (int i = 0; i < 1000; i++) {
        int64_t wait = backoff_next(&b);
        assert_in_range(wait, 10, 1000);
    }
}

struct counted_job {
    struct job job;
    struct loop *loop;
    int *order, *next, number, worked;
};

static void count_work(struct job *job)
{
    struct counted_job *j = (struct counted_job *)job;
    j->worked++;
}

static void count_done(struct job *job)
{
    struct counted_job *j = (struct counted_job *)job;
    j->order[(*j->next)++] = j->number;
    if (*j->next == 10)
        loop_stop(j->loop);
}

static void a_runner_works_in_order_and_reports_on_the_loop(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct runner *runner = runner_start(loop, "test");
    struct counted_job jobs[10];
    int order[10], next = 0;
    for (int i = 0; i < 10; i++) {
        jobs[i] = (struct counted_job){.job = {.work = count_work, .done = count_done},
                                       .loop = loop,
                                       .order = order,
                                       .next = &next,
                                       .number = i};
        runner_submit(runner, &jobs[i].job);
    }
    assert_true(runner_busy(runner));
    loop_run(loop);
    assert_false(runner_busy(runner));
    for (int i = 0; i < 10; i++) {
        assert_int_equal(order[i], i);
        assert_int_equal(jobs[i].worked, 1);
    }
    runner_stop(runner);
    loop_free(loop);
}

static void nothing(void *arg)
{
    (void)arg;
}

static void a_loop_that_was_stopped_but_not_run_is_freed_all_the_same(void **state)
{
    (void)state;
    struct loop *loop = loop_new();
    struct loop_bell *bell = loop_bell_new(loop, nothing, NULL);
    loop_stop(loop);
    loop_bell_free(bell);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_too_long_is_cut_with_dots),
        cmocka_unit_test(every_reason_word_is_found_again),
        cmocka_unit_test(a_buf_stops_at_its_maximum),
        cmocka_unit_test(json_text_is_escaped_and_mended),
        cmocka_unit_test(utf8_refuses_what_rfc_3629_refuses),
        cmocka_unit_test(an_arena_gives_and_forgets),
        cmocka_unit_test(a_histogram_is_within_a_sixteenth),
        cmocka_unit_test(backoff_stays_between_base_and_cap),
        cmocka_unit_test(a_runner_works_in_order_and_reports_on_the_loop),
        cmocka_unit_test(a_loop_that_was_stopped_but_not_run_is_freed_all_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The sliding minute against a model that remembers every call, with random schedules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/enrich/limits.h"
#include "lib/enrich/minute.h"

enum { MINUTE_US = 60 * 1000 * 1000, RUNNING = 50 };

struct call_log {
    int64_t begin_us, end_us, used;
};

/* The most that a server could count in any minute that ends at a call's end. */
static int64_t most_in_a_minute(const struct call_log *log, int n)
{
    int64_t most = 0;
    for (int i = 0; i < n; i += 7) {
        int64_t from = log[i].end_us - MINUTE_US, sum = 0;
        for (int k = 0; k < n; k++)
            if (log[k].end_us > from && log[k].begin_us <= log[i].end_us)
                sum += log[k].used;
        most = sum > most ? sum : most;
    }
    return most;
}

static void no_sliding_minute_holds_more_than_the_limit(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        enum { LIMIT = 60000, N = 3000 };
        struct call_log *log = mem_array(N, sizeof *log);
        struct {
            int64_t reserved;
            int at;
        } running[RUNNING] = {0};
        struct minute m;
        struct rng rng;
        int64_t now = 0, wait_ms;
        int n = 0;
        rng_seed(&rng, seed);
        minute_init(&m, LIMIT, now);
        while (n < N) {
            now += (int64_t)(rng_double(&rng) * 20000);
            int slot = (int)(rng_double(&rng) * RUNNING);
            if (running[slot].reserved > 0) {
                struct call_log *c = &log[running[slot].at];
                c->end_us = now;
                c->used = (int64_t)(rng_double(&rng) * (double)running[slot].reserved);
                minute_settle(&m, running[slot].reserved, c->used, now);
                running[slot].reserved = 0;
            } else {
                int64_t want = 50 + (int64_t)(rng_double(&rng) * 400);
                if (minute_take(&m, want, now, &wait_ms)) {
                    running[slot].reserved = want;
                    running[slot].at = n;
                    log[n] = (struct call_log){.begin_us = now, .end_us = now + MINUTE_US};
                    n++;
                } else {
                    assert_true(wait_ms > 0);
                }
            }
            assert_true(minute_sum(&m, now) <= LIMIT);
        }
        assert_true(most_in_a_minute(log, n) <= LIMIT);
        mem_free(log);
    }
}

static void the_whole_limit_can_be_used_minute_after_minute(void **state)
{
    (void)state;
    struct minute m;
    int64_t wait_ms = 0, used_after_warm_up = 0;
    enum { LIMIT = 12000, N = 100 };
    minute_init(&m, LIMIT, 0);
    for (int64_t now = 0; now < 250LL * 1000 * 1000; now += 5000) {
        while (minute_take(&m, N, now, &wait_ms)) {
            minute_settle(&m, N, N, now);
            if (now >= 10LL * 1000 * 1000 && now < 190LL * 1000 * 1000)
                used_after_warm_up += N;
        }
    }
    assert_true(used_after_warm_up <= 3 * LIMIT + LIMIT / 60);
    assert_true(used_after_warm_up >= 3 * LIMIT * 95 / 100);
}

static void one_that_is_larger_than_the_limit_runs_alone(void **state)
{
    (void)state;
    struct minute m;
    int64_t wait_ms = 0;
    minute_init(&m, 100, 0);
    assert_true(minute_take(&m, 500, 1000, &wait_ms));
    assert_false(minute_take(&m, 1, 2000, &wait_ms));
    minute_settle(&m, 500, 500, 3000);
    assert_false(minute_take(&m, 1, 4000, &wait_ms));
    assert_true(minute_take(&m, 1, 400LL * MINUTE_US, &wait_ms));
}

static void headers_about_limits_are_read_in_all_their_forms(void **state)
{
    (void)state;
    struct http_limits l = LIMITS_UNKNOWN;
    limits_read_header(&l, SPAN_LIT("Retry-After: 7\r\n"), 0);
    assert_int_equal(l.retry_after_ms, 7000);
    limits_read_header(&l, SPAN_LIT("retry-after: Thu, 01 Jan 1970 00:01:00 GMT\r\n"), 50000);
    assert_int_equal(l.retry_after_ms, 10000);
    limits_read_header(&l, SPAN_LIT("retry-after-ms: 250\r\n"), 0);
    assert_int_equal(l.retry_after_ms, 250);
    limits_read_header(&l, SPAN_LIT("X-RateLimit-Remaining-Tokens: 149984\r\n"), 0);
    assert_int_equal(l.remaining_tokens, 149984);
    limits_read_header(&l, SPAN_LIT("x-ratelimit-reset-requests: 6m0s\r\n"), 0);
    assert_int_equal(l.reset_requests_ms, 360000);
    limits_read_header(&l, SPAN_LIT("x-ratelimit-reset-tokens: 120ms\r\n"), 0);
    assert_int_equal(l.reset_tokens_ms, 120);
    limits_read_header(&l, SPAN_LIT("retry-after: soon, please\r\n"), 0);
    assert_int_equal(l.retry_after_ms, 250); /* as it was */
    limits_read_header(&l, SPAN_LIT("retry-after:\r\n"), 0);
    limits_read_header(&l, SPAN_LIT("retry-after"), 0);
    assert_int_equal(l.retry_after_ms, 250);
    assert_int_equal(limits_read_duration("99999h"), 3600000);
    assert_int_equal(limits_read_duration("-1"), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_sliding_minute_holds_more_than_the_limit),
        cmocka_unit_test(the_whole_limit_can_be_used_minute_after_minute),
        cmocka_unit_test(one_that_is_larger_than_the_limit_runs_alone),
        cmocka_unit_test(headers_about_limits_are_read_in_all_their_forms),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

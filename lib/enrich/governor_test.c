/* The governor under a simulated clock: an endpoint with scripted latency, limits and failures, any
 * number of posts that want to be asked about, and a model that remembers every call. Nothing here
 * waits; a seed makes a schedule. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/enrich/governor.h"

enum { SECOND = 1000 * 1000, MINUTE = 60 * SECOND, RUNNING_MAX = 4096, LOG_MAX = 400000 };

struct running {
    struct permit permit;
    int64_t begin_us, end_us, body, in, out;
    enum call_outcome outcome;
    struct http_limits limits;
};

struct ended {
    int64_t begin_us, end_us, tokens;
};

struct world {
    struct governor *g;
    struct governor_options opt;
    struct rng rng;
    int64_t now_us;
    struct running *running;
    int n;
    struct ended *log;
    int64_t logged;
    int64_t asked, served, failed, refused_by_server; /* calls begun; OK; failed; 429 */
    int64_t not_before_us;                            /* what the server asked for */
    bool rung;
    int most;
    /* The endpoint, as it is now. */
    int64_t latency_us, per_token_us;
    int capacity; /* above so many at a time, latency grows in proportion; 0: any */
    double error_rate;
    int64_t server_limit; /* tokens in its own sliding minute; 0: none */
    double size;          /* of posts */
    bool silent;          /* no usage in replies */
};

static void on_ring(void *arg)
{
    ((struct world *)arg)->rung = true;
}

static struct world *world_new(const struct governor_options *opt, int64_t max_tokens,
                               uint64_t seed)
{
    struct world *w = mem_zalloc(sizeof *w);
    w->opt = *opt;
    rng_seed(&w->rng, seed);
    w->now_us = 1000 * (int64_t)SECOND;
    w->running = mem_array(RUNNING_MAX, sizeof *w->running);
    w->log = mem_array(LOG_MAX, sizeof *w->log);
    w->latency_us = 50000;
    w->size = 1;
    w->g = governor_new(opt, max_tokens, seed);
    governor_listen(w->g, on_ring, w);
    return w;
}

static void world_free(struct world *w)
{
    governor_unlisten(w->g, w);
    governor_free(w->g);
    mem_free(w->running);
    mem_free(w->log);
    mem_free(w);
}

static double lot(struct world *w)
{
    return rng_double(&w->rng);
}

/* --- the endpoint --- */

/* Tokens that a server counts now: of calls that it accepted within the last minute. */
static int64_t counted_by_server(const struct world *w)
{
    int64_t sum = 0;
    for (int i = 0; i < w->n; i++)
        if (w->running[i].outcome == CALL_OK && w->running[i].begin_us > w->now_us - MINUTE)
            sum += w->running[i].in + w->running[i].out;
    for (int64_t i = w->logged - 1; i >= 0 && w->log[i].end_us > w->now_us - MINUTE; i--)
        if (w->log[i].begin_us > w->now_us - MINUTE)
            sum += w->log[i].tokens;
    return sum;
}

static void serve(struct world *w, struct running *r)
{
    r->in = (int64_t)((250 + 60 * lot(w)) * w->size);
    r->out = 15 + (int64_t)(20 * lot(w));
    r->body = 4 * r->in + (int64_t)(20 * lot(w));
    r->outcome = CALL_OK;
    r->limits = (struct http_limits){-1, -1, -1, -1, -1};
    int64_t latency_us = w->latency_us + w->per_token_us * r->out;
    if (w->capacity > 0 && w->n > w->capacity)
        latency_us = latency_us * w->n / w->capacity;
    r->end_us = w->now_us + latency_us + (int64_t)(0.1 * lot(w) * (double)latency_us);
    if (lot(w) < w->error_rate) {
        r->outcome = CALL_FAILED;
        r->in = r->out = 0;
    } else if (w->server_limit > 0 && counted_by_server(w) + r->in + r->out > w->server_limit) {
        r->outcome = CALL_LIMITED;
        r->end_us = w->now_us + 2000;
        r->limits.retry_after_ms = 500;
    }
}

/* --- what must hold at every moment --- */

static int64_t used_or_running(const struct world *w)
{
    int64_t sum = 0;
    for (int i = 0; i < w->n; i++)
        sum += w->running[i].in + w->running[i].out;
    for (int64_t i = w->logged - 1; i >= 0 && w->log[i].end_us > w->now_us - MINUTE; i--)
        sum += w->log[i].tokens;
    return sum;
}

static void check_bounds(struct world *w)
{
    struct governor_view view;
    governor_view(w->g, w->now_us, &view);
    assert_int_equal(view.in_flight, w->n);
    assert_true(view.limit >= w->opt.concurrency_min && view.limit <= w->opt.concurrency_max);
    assert_true(w->n <= w->opt.concurrency_max);
    if (w->opt.tokens_per_minute > 0 && used_or_running(w) > w->opt.tokens_per_minute)
        fail_msg("%lld tokens in a minute of %lld", (long long)used_or_running(w),
                 (long long)w->opt.tokens_per_minute);
}

/* --- time --- */

static bool begin(struct world *w, int64_t *ret_wait_ms)
{
    struct running *r = &w->running[w->n];
    serve(w, r);
    enum governor_word word = governor_enter(w->g, r->body, w->now_us, &r->permit, ret_wait_ms);
    if (word != MAY_CALL)
        return false;
    assert_true(w->now_us >= w->not_before_us);
    r->begin_us = w->now_us;
    w->n++;
    w->most = w->n > w->most ? w->n : w->most;
    w->asked++;
    return true;
}

static void end(struct world *w, int i)
{
    struct running r = w->running[i];
    struct usage u = {.outcome = r.outcome,
                      .body_bytes = r.body,
                      .tokens_in = r.outcome == CALL_OK && !w->silent ? r.in : -1,
                      .tokens_out = r.outcome == CALL_OK && !w->silent ? r.out : -1,
                      .latency_us = r.end_us - r.begin_us,
                      .limits = r.limits};
    w->running[i] = w->running[--w->n];
    if (r.outcome == CALL_OK) {
        assert_true(w->logged < LOG_MAX);
        w->log[w->logged++] = (struct ended){r.begin_us, r.end_us, r.in + r.out};
        w->served++;
    }
    w->failed += r.outcome == CALL_FAILED;
    w->refused_by_server += r.outcome == CALL_LIMITED;
    governor_leave(w->g, &r.permit, &u, w->now_us);
    if (r.limits.retry_after_ms > 0)
        w->not_before_us = w->now_us + r.limits.retry_after_ms * 1000;
}

static int next_end(const struct world *w)
{
    int next = -1;
    for (int i = 0; i < w->n; i++)
        if (next < 0 || w->running[i].end_us < w->running[next].end_us)
            next = i;
    return next;
}

/* Until then there is always a post that waits. As paid.c does: enter as often as one may, then
 * again when told to or when rung. No longer than STALL_US without a call in flight or begun. */
static void run_until(struct world *w, int64_t until_us, int64_t stall_us)
{
    int64_t since_us = w->now_us;
    while (w->now_us < until_us) {
        int64_t wait_ms = -1;
        w->rung = false;
        while (begin(w, &wait_ms))
            since_us = w->now_us;
        int next = next_end(w);
        assert_true(wait_ms >= 0 || next >= 0); /* else nothing would ever wake it */
        int64_t wake_us = wait_ms >= 0 ? w->now_us + wait_ms * 1000 : INT64_MAX;
        bool ends = next >= 0 && w->running[next].end_us <= wake_us;
        int64_t to_us = ends ? w->running[next].end_us : wake_us;
        if (to_us > until_us) {
            w->now_us = until_us;
            return;
        }
        w->now_us = to_us;
        if (ends)
            end(w, next);
        check_bounds(w);
        if (w->n > 0)
            since_us = w->now_us;
        if (w->now_us - since_us > stall_us)
            fail_msg("nothing was asked for %lld ms", (long long)(w->now_us - since_us) / 1000);
    }
}

static void finish_all(struct world *w)
{
    while (w->n > 0) {
        int next = next_end(w);
        w->now_us = w->running[next].end_us;
        end(w, next);
    }
}

static int64_t tokens_between(const struct world *w, int64_t from_us, int64_t to_us)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < w->logged; i++)
        if (w->log[i].end_us > from_us && w->log[i].end_us <= to_us)
            sum += w->log[i].tokens;
    return sum;
}

static struct governor_options options(int64_t most)
{
    return (struct governor_options){.concurrency_min = 1,
                                     .concurrency_max = most,
                                     .replicas = 1,
                                     .timeout_ms = 60000,
                                     .attempts = 5};
}

/* --- sentences --- */

/* Several latencies and limits: what is used over three minutes after ten seconds is 95 to 100 %,
 * no sliding minute is above (check_bounds), and a server that enforces the same limit never says
 * no. What runs is reserved beside what ended within the minute, so that calls of T seconds leave
 * at most about 60 / (60 + 1.3 T) of the limit: 92 % at 4 s. */
static void a_limit_of_tokens_is_used_up_and_never_passed(void **state)
{
    (void)state;
    static const struct {
        int64_t limit, latency_us;
        double least;
    } cases[] = {{60000, 50000, 0.95},
                 {600000, 50000, 0.95},
                 {600000, 1000000, 0.95},
                 {600000, 4000000, 0.90},
                 {2000000, 300000, 0.95}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct governor_options opt = options(512);
        opt.tokens_per_minute = cases[i].limit;
        struct world *w = world_new(&opt, 512, 7 + i);
        w->latency_us = cases[i].latency_us;
        w->server_limit = cases[i].limit;
        run_until(w, w->now_us + 10 * SECOND, 5 * SECOND);
        int64_t from_us = w->now_us;
        run_until(w, from_us + 3 * MINUTE, 5 * SECOND);
        double share =
            (double)tokens_between(w, from_us, w->now_us) / (3.0 * (double)cases[i].limit);
        if (share < cases[i].least || share > 1.0)
            fail_msg("limit %lld, latency %lld ms: %.1f %% used", (long long)cases[i].limit,
                     (long long)cases[i].latency_us / 1000, 100 * share);
        assert_int_equal(w->refused_by_server, 0);
        world_free(w);
    }
}

static void change_weather(struct world *w)
{
    w->latency_us = (int64_t)(5000 + lot(w) * lot(w) * 3 * SECOND);
    w->per_token_us = lot(w) < 0.3 ? (int64_t)(20000 * lot(w)) : 0;
    w->capacity = lot(w) < 0.3 ? 1 + (int)(100 * lot(w)) : 0;
    w->error_rate = lot(w) < 0.4 ? lot(w) * lot(w) : 0;
    w->size = 0.2 + 2 * lot(w);
    w->silent = lot(w) < 0.2;
}

/* Every post that waits is asked about in the end, and nothing stays reserved. */
static void random_schedules_keep_all_bounds_and_starve_nobody(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct governor_options opt = options(64);
        struct world *w = world_new(&opt, 64, seed);
        for (int k = 0; k < 30; k++) {
            change_weather(w);
            run_until(w, w->now_us + (int64_t)(20 * lot(w) * SECOND), 70 * SECOND);
        }
        w->error_rate = 0;
        int64_t before = w->served;
        run_until(w, w->now_us + 60 * SECOND, 70 * SECOND);
        assert_true(w->served > before);
        finish_all(w);
        struct governor_view view;
        governor_view(w->g, w->now_us + 61 * SECOND, &view);
        assert_int_equal(view.in_flight, 0);
        assert_int_equal(view.used_tokens, 0);
        assert_int_equal(view.used_requests, 0);
        world_free(w);
    }
}

static void random_limits_hold_in_every_sliding_minute(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct governor_options opt = options(256);
        opt.tokens_per_minute = 20000 + (int64_t)(seed * 71317 % 500000);
        struct world *w = world_new(&opt, 64, seed);
        w->server_limit = opt.tokens_per_minute;
        for (int k = 0; k < 10; k++) {
            double size = w->size; /* requests grow and shrink; tokens per byte stay */
            change_weather(w);
            w->size = size;
            w->silent = false;
            run_until(w, w->now_us + (int64_t)(20 * lot(w) * SECOND), 70 * SECOND);
        }
        assert_int_equal(w->refused_by_server, 0);
        finish_all(w);
        struct governor_view view;
        governor_view(w->g, w->now_us + 61 * SECOND, &view);
        assert_int_equal(view.used_tokens, 0);
        world_free(w);
    }
}

static void requests_of_a_minute_hold_and_are_spread(void **state)
{
    (void)state;
    struct governor_options opt = options(512);
    opt.requests_per_minute = 600;
    struct world *w = world_new(&opt, 64, 3);
    int64_t from_us = w->now_us;
    for (int s = 1; s <= 180; s++) {
        int64_t before = w->asked;
        run_until(w, from_us + (int64_t)s * SECOND, 5 * SECOND);
        assert_true(w->asked - before <= 2 * 10 + 1); /* 10 a second, and the bucket once */
        int64_t last_minute = 0;
        for (int64_t i = w->logged - 1; i >= 0 && w->log[i].end_us > w->now_us - MINUTE; i--)
            last_minute++;
        assert_true(last_minute + w->n <= 600);
    }
    assert_true(w->served >= 3 * 570); /* 95 % */
    world_free(w);
}

static void replicas_share_a_limit(void **state)
{
    (void)state;
    struct governor_options opt = options(512);
    opt.tokens_per_minute = 600000;
    opt.replicas = 4;
    struct world *w = world_new(&opt, 512, 5);
    run_until(w, w->now_us + 10 * SECOND, 5 * SECOND);
    int64_t from_us = w->now_us;
    run_until(w, from_us + MINUTE, 5 * SECOND);
    int64_t used = tokens_between(w, from_us, w->now_us);
    assert_true(used <= 150000 && used >= 135000);
    world_free(w);
}

static void without_usage_a_call_counts_what_it_reserved(void **state)
{
    (void)state;
    struct governor_options opt = options(512);
    opt.tokens_per_minute = 100000;
    struct governor *g = governor_new(&opt, 100, 1);
    struct permit permit;
    struct governor_view view;
    int64_t now = SECOND, wait_ms;
    assert_int_equal(governor_enter(g, 1000, now, &permit, &wait_ms), MAY_CALL);
    assert_true(permit.tokens >= 1000 + 100); /* a token has at least a byte */
    struct usage u = {.outcome = CALL_OK, .body_bytes = 1000, .tokens_in = -1, .tokens_out = -1};
    u.limits = (struct http_limits){-1, -1, -1, -1, -1};
    governor_leave(g, &permit, &u, now);
    governor_view(g, now, &view);
    assert_int_equal(view.used_tokens, permit.tokens);
    /* A time-out too; what was refused, or never arrived, used nothing. */
    static const struct {
        enum call_outcome outcome;
        bool counts;
    } cases[] = {{CALL_TIMEOUT, true}, {CALL_UNREACHABLE, false}, {CALL_LIMITED, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        now += 120 * (int64_t)SECOND;
        assert_int_equal(governor_enter(g, 1000, now, &permit, &wait_ms), MAY_CALL);
        u.outcome = cases[i].outcome;
        governor_leave(g, &permit, &u, now);
        governor_view(g, now, &view);
        assert_int_equal(view.used_tokens, cases[i].counts ? permit.tokens : 0);
    }
    governor_free(g);
}

static void retry_after_and_what_is_left_are_obeyed(void **state)
{
    (void)state;
    struct governor_options opt = options(16);
    struct governor *g = governor_new(&opt, 100, 1);
    struct permit permit, other;
    int64_t now = SECOND, wait_ms;
    struct usage u = {.outcome = CALL_LIMITED, .limits = {-1, -1, -1, -1, 7000}};
    assert_int_equal(governor_enter(g, 10, now, &permit, &wait_ms), MAY_CALL);
    governor_leave(g, &permit, &u, now);
    assert_int_equal(governor_enter(g, 10, now + 6999 * 1000, &other, &wait_ms), MUST_WAIT);
    assert_int_equal(governor_enter(g, 10, now + 7000 * 1000, &permit, &wait_ms), MAY_CALL);
    /* The last request of the server's minute. */
    now += 7000 * 1000;
    u = (struct usage){.outcome = CALL_OK,
                       .tokens_in = 5,
                       .tokens_out = 5,
                       .body_bytes = 10,
                       .limits = {.remaining_requests = 0,
                                  .remaining_tokens = -1,
                                  .reset_requests_ms = 3000,
                                  .reset_tokens_ms = -1,
                                  .retry_after_ms = -1}};
    governor_leave(g, &permit, &u, now);
    assert_int_equal(governor_enter(g, 10, now + 2999 * 1000, &other, &wait_ms), MUST_WAIT);
    assert_int_equal(governor_enter(g, 10, now + 3000 * 1000, &permit, &wait_ms), MAY_CALL);
    /* Hardly any tokens left: it waits for them. */
    now += 3000 * 1000;
    u.limits = (struct http_limits){.remaining_requests = 100,
                                    .remaining_tokens = 3,
                                    .reset_requests_ms = -1,
                                    .reset_tokens_ms = 400,
                                    .retry_after_ms = -1};
    governor_leave(g, &permit, &u, now);
    assert_int_equal(governor_enter(g, 10, now + 399 * 1000, &other, &wait_ms), MUST_WAIT);
    assert_int_equal(governor_enter(g, 10, now + 400 * 1000, &permit, &wait_ms), MAY_CALL);
    governor_free(g);
}

static void a_breaker_opens_lets_one_through_and_closes(void **state)
{
    (void)state;
    struct governor_options opt = options(64);
    struct world *w = world_new(&opt, 64, 11);
    run_until(w, w->now_us + 10 * SECOND, SECOND);
    w->error_rate = 1;
    run_until(w, w->now_us + 2 * SECOND, 40 * SECOND);
    struct governor_view view;
    governor_view(w->g, w->now_us, &view);
    assert_true(view.broken);
    assert_true(w->n <= 1);
    int64_t asked = w->asked;
    run_until(w, w->now_us + 60 * SECOND, 40 * SECOND);
    assert_true(w->asked > asked && w->asked - asked < 60); /* probes, further and further apart */
    w->error_rate = 0;
    run_until(w, w->now_us + 40 * SECOND, 40 * SECOND);
    governor_view(w->g, w->now_us, &view);
    assert_false(view.broken);
    assert_true(w->most <= 64);
    asked = w->served;
    run_until(w, w->now_us + 5 * SECOND, SECOND);
    assert_true(w->served - asked > 500); /* at its old pace again */
    world_free(w);
}

static void no_credit_opens_the_breaker_at_once_and_is_told_once(void **state)
{
    (void)state;
    struct governor_options opt = options(8);
    struct governor *g = governor_new(&opt, 64, 3);
    struct permit first, second, probe;
    /* What such a reply says about waiting must not keep the next endpoint from being tried. */
    struct usage poor = {.outcome = CALL_NO_CREDIT, .limits = {0, 0, 60000, 60000, 60000}};
    struct usage good = {.outcome = CALL_OK, .limits = {-1, -1, -1, -1, -1}};
    int64_t now = SECOND, wait_ms = -1;
    assert_int_equal(governor_enter(g, 10, now, &first, &wait_ms), MAY_CALL);
    assert_int_equal(governor_enter(g, 10, now, &second, &wait_ms), MAY_CALL);
    assert_int_equal(governor_leave(g, &first, &poor, now), GOVERNOR_OPENED);
    assert_int_equal(governor_leave(g, &second, &poor, now), GOVERNOR_SAME);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(governor_enter(g, 10, now, &probe, &wait_ms), IS_BROKEN);
        assert_in_range(wait_ms, 1, 30001);
        now += wait_ms * 1000;
        assert_int_equal(governor_enter(g, 10, now, &probe, &wait_ms), MAY_CALL);
        assert_true(probe.probe);
        assert_int_equal(governor_leave(g, &probe, &poor, now), GOVERNOR_SAME);
    }
    assert_int_equal(governor_enter(g, 10, now, &probe, &wait_ms), IS_BROKEN);
    now += wait_ms * 1000;
    assert_int_equal(governor_enter(g, 10, now, &probe, &wait_ms), MAY_CALL);
    assert_int_equal(governor_leave(g, &probe, &good, now), GOVERNOR_CLOSED);
    assert_int_equal(governor_enter(g, 10, now, &first, &wait_ms), MAY_CALL);
    assert_int_equal(governor_leave(g, &first, &good, now), GOVERNOR_SAME);
    governor_free(g);
}

/* From 50 ms to 2 s and back: it goes down within ten seconds and up again, and fails nothing. */
static void concurrency_follows_an_endpoint_that_slows_down(void **state)
{
    (void)state;
    struct governor_options opt = options(256);
    struct world *w = world_new(&opt, 64, 13);
    struct governor_view fast, slow, back;
    w->capacity = 300;
    run_until(w, w->now_us + 20 * SECOND, SECOND);
    governor_view(w->g, w->now_us, &fast);
    assert_true(fast.limit >= 200);
    w->latency_us = 2 * SECOND;
    run_until(w, w->now_us + 10 * SECOND, 10 * SECOND);
    governor_view(w->g, w->now_us, &slow);
    if (slow.limit > fast.limit / 2)
        fail_msg("slow: %lld, fast: %lld", (long long)slow.limit, (long long)fast.limit);
    w->latency_us = 50000;
    run_until(w, w->now_us + 10 * SECOND, 10 * SECOND);
    governor_view(w->g, w->now_us, &back);
    if (back.limit < fast.limit * 3 / 4)
        fail_msg("back: %lld, fast: %lld", (long long)back.limit, (long long)fast.limit);
    assert_int_equal(w->failed, 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_limit_of_tokens_is_used_up_and_never_passed),
        cmocka_unit_test(random_schedules_keep_all_bounds_and_starve_nobody),
        cmocka_unit_test(random_limits_hold_in_every_sliding_minute),
        cmocka_unit_test(requests_of_a_minute_hold_and_are_spread),
        cmocka_unit_test(replicas_share_a_limit),
        cmocka_unit_test(without_usage_a_call_counts_what_it_reserved),
        cmocka_unit_test(retry_after_and_what_is_left_are_obeyed),
        cmocka_unit_test(a_breaker_opens_lets_one_through_and_closes),
        cmocka_unit_test(no_credit_opens_the_breaker_at_once_and_is_told_once),
        cmocka_unit_test(concurrency_follows_an_endpoint_that_slows_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

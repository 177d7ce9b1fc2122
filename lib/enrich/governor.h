/* When a call to an endpoint may begin: one governor for an endpoint and process, asked by all
 * workers.
 *
 *  - concurrency adapts by itself: more by one a round while all is well (twice as many until the
 *    first trouble), fewer on 429, failures, and when the time for a token grows well above what
 *    it was ("additive increase, multiplicative decrease", Chiu and Jain 1989);
 *  - requests and tokens a minute: reservations of running calls + what calls that ended within
 *    the last 60 s used stay at or below the limit, in every sliding minute; a small bucket
 *    (GCRA) spreads them evenly;
 *  - Retry-After and x-ratelimit-* of replies are obeyed;
 *  - a breaker opens when calls fail in a row, or at once when the account has no credit left,
 *    lets one call through now and then, and closes when that goes well.
 *
 * Threads: any thread; one short lock for each endpoint. */
#ifndef SLUICE_ENRICH_GOVERNOR_H
#define SLUICE_ENRICH_GOVERNOR_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/enrich/provider.h"

struct governor;

/* What a call was allowed to use, kept by the caller between enter and leave. */
struct permit {
    int64_t tokens; /* reserved */
    int64_t started_us;
    uint32_t round;
    bool probe;
};

/* How it went. */
struct usage {
    enum call_outcome outcome;
    int64_t body_bytes;
    int64_t tokens_in, tokens_out; /* -1: not told: the reservation stands */
    int64_t latency_us;
    struct http_limits limits;
};

struct governor_view { /* for metrics and tests */
    int64_t in_flight, limit;
    int64_t used_tokens, used_requests; /* in the window, reservations among them */
    bool broken;
    uint64_t limited, failed; /* calls that ended so */
};

/* `max_tokens` of an answer, 0: not limited. Limits are divided by opt->replicas. */
struct governor *governor_new(const struct governor_options *opt, int64_t max_tokens,
                              uint64_t seed);
void governor_free(struct governor *g);

enum governor_word { MAY_CALL, MUST_WAIT, IS_BROKEN };

/* MAY_CALL: *ret is the permit; a leave is owed. MUST_WAIT, IS_BROKEN: not before *ret_wait_ms
 * (-1: when a call ends). now_us is clock_mono_ns() / 1000. */
enum governor_word governor_enter(struct governor *g, int64_t body_bytes, int64_t now_us,
                                  struct permit *ret, int64_t *ret_wait_ms);

/* What became of the breaker by this call: each opening and closing is told once. */
enum governor_change { GOVERNOR_SAME, GOVERNOR_OPENED, GOVERNOR_CLOSED };
enum governor_change governor_leave(struct governor *g, const struct permit *permit,
                                    const struct usage *usage, int64_t now_us);

/* The call was given up; what it would have used is not known: the reservation stands. */
void governor_abandon(struct governor *g, const struct permit *permit, int64_t now_us);

/* Whether a call ever went well. */
bool governor_trusts(struct governor *g);

/* Called, on the thread of whoever left, when a call may begin that had to wait. At most
 * GOVERNOR_BELLS listeners. */
enum { GOVERNOR_BELLS = 64 };
void governor_listen(struct governor *g, void (*fn)(void *arg), void *arg);
void governor_unlisten(struct governor *g, void *arg);

void governor_view(struct governor *g, int64_t now_us, struct governor_view *ret);

#endif

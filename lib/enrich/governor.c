/* Latency is judged per token where tokens are told, over rounds of as many calls as may run at a
 * time: one slow answer says nothing, a slow round does. What is normal is the best round of the
 * last two half-minutes, so that a change that stays becomes normal in the end.
 *
 * The estimate of a call's tokens is learnt: the largest share of tokens per byte of request, and
 * the largest answer, seen lately, with a margin; before the first reply, a token per byte. */
#include "lib/enrich/governor.h"

#include <assert.h>
#include <pthread.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/enrich/minute.h"

enum {
    START_LIMIT = 16,
    BREAK_AFTER = 8,         /* failures in a row */
    EPOCH_US = 15 * 1000000, /* how long the best round counts, at least; at most twice that */
    ROUND_MAX_US = 1000000,  /* a round ends after this even when few calls have */
    ENOUGH_CALLS = 4,        /* for a judgement */
    OPEN_BASE_MS = 500,
    OPEN_CAP_MS = 30000,
    TOKENS_FIXED = 16, /* an answer's time does not begin at zero tokens */
};

struct round {
    uint32_t number;
    int64_t since_us;
    int64_t calls, latency_us, tokens;
    bool full; /* the limit was reached in it: only then more is of use */
};

struct governor {
    pthread_mutex_t lock;
    struct governor_options opt;
    int64_t max_tokens;
    struct minute tokens, requests;
    int64_t in_flight;
    double limit;
    bool ramping; /* no trouble yet: double */
    struct round round;
    uint32_t cut_round; /* the round in which the limit was cut last */
    double best[2];     /* us a token, of this half-minute and the one before; 0: none */
    int64_t epoch_us;
    double in_share, out_max; /* learnt: tokens per byte, tokens of an answer; 0: nothing yet */
    int64_t closed_until_us;  /* the server said so */
    int failures;             /* in a row */
    bool broken, probing, trusted;
    int64_t probe_at_us;
    struct backoff backoff;
    uint64_t limited, failed;
    struct {
        void (*fn)(void *arg);
        void *arg;
    } bells[GOVERNOR_BELLS];
    int bell_count;
    bool hungry; /* somebody had to wait for a call to end */
};

static double clamp(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

struct governor *governor_new(const struct governor_options *opt, int64_t max_tokens, uint64_t seed)
{
    struct governor *g = mem_zalloc(sizeof *g);
    pthread_mutex_init(&g->lock, NULL);
    g->opt = *opt;
    g->max_tokens = max_tokens;
    /* 1 % below, for what was estimated too low */
    int64_t tokens = opt->tokens_per_minute / opt->replicas;
    minute_init(&g->tokens, tokens - tokens / 100, 0);
    minute_init(&g->requests, opt->requests_per_minute / opt->replicas, 0);
    if (opt->requests_per_minute > 0 && g->requests.limit == 0)
        g->requests.limit = 1;
    g->limit = clamp(START_LIMIT, (double)opt->concurrency_min, (double)opt->concurrency_max);
    g->ramping = true;
    backoff_init(&g->backoff, OPEN_BASE_MS, OPEN_CAP_MS, seed);
    return g;
}

void governor_free(struct governor *g)
{
    if (g == NULL)
        return;
    pthread_mutex_destroy(&g->lock);
    mem_free(g);
}

/* --- enter --- */

static int64_t estimate(const struct governor *g, int64_t bytes)
{
    double in = g->in_share == 0 ? (double)bytes + 64 : (double)bytes * g->in_share + 8;
    double out = g->out_max > 0 ? g->out_max : g->max_tokens > 0 ? (double)g->max_tokens : 1024;
    if (g->max_tokens > 0 && out > (double)g->max_tokens)
        out = (double)g->max_tokens;
    return (int64_t)(in + out);
}

static int64_t ms_until(int64_t at_us, int64_t now_us)
{
    return at_us <= now_us ? 1 : (at_us - now_us) / 1000 + 1;
}

static enum governor_word enter(struct governor *g, int64_t bytes, int64_t now_us,
                                struct permit *ret, int64_t *ret_wait_ms)
{
    bool probe = g->broken;
    if (g->broken && (g->probing || now_us < g->probe_at_us)) {
        *ret_wait_ms = g->probing ? -1 : ms_until(g->probe_at_us, now_us);
        g->hungry = true;
        return IS_BROKEN;
    }
    if (now_us < g->closed_until_us) {
        *ret_wait_ms = ms_until(g->closed_until_us, now_us);
        return MUST_WAIT;
    }
    if ((double)g->in_flight + 1 > g->limit && g->in_flight > 0) {
        *ret_wait_ms = -1;
        g->hungry = g->round.full = true;
        return MUST_WAIT;
    }
    int64_t tokens = estimate(g, bytes);
    if (!minute_take(&g->tokens, tokens, now_us, ret_wait_ms))
        return MUST_WAIT;
    if (!minute_take(&g->requests, 1, now_us, ret_wait_ms)) {
        minute_settle(&g->tokens, tokens, 0, now_us);
        return MUST_WAIT;
    }
    g->in_flight++;
    g->probing = probe;
    *ret = (struct permit){
        .tokens = tokens, .started_us = now_us, .round = g->round.number, .probe = probe};
    return MAY_CALL;
}

enum governor_word governor_enter(struct governor *g, int64_t body_bytes, int64_t now_us,
                                  struct permit *ret, int64_t *ret_wait_ms)
{
    pthread_mutex_lock(&g->lock);
    enum governor_word word = enter(g, body_bytes, now_us, ret, ret_wait_ms);
    pthread_mutex_unlock(&g->lock);
    return word;
}

/* --- concurrency --- */

/* Once for what is in flight: calls that began before the last cut say nothing new. */
static void cut(struct governor *g, const struct permit *permit, double factor, int64_t now_us)
{
    if ((int32_t)(permit->round - g->cut_round) < 0)
        return;
    double from = (double)g->in_flight + 1 < g->limit ? (double)g->in_flight + 1 : g->limit;
    g->limit = clamp(from * factor, (double)g->opt.concurrency_min, g->limit);
    g->ramping = false;
    g->round = (struct round){.number = g->round.number + 1, .since_us = now_us};
    g->cut_round = g->round.number;
}

static void judge_round(struct governor *g, const struct permit *permit, int64_t now_us)
{
    struct round *r = &g->round;
    double pace = (double)r->latency_us / (double)r->tokens;
    double normal = g->best[0] == 0           ? g->best[1]
                    : g->best[1] == 0         ? g->best[0]
                    : g->best[0] < g->best[1] ? g->best[0]
                                              : g->best[1];
    if (now_us - g->epoch_us > EPOCH_US) {
        g->best[1] = g->best[0];
        g->best[0] = 0;
        g->epoch_us = now_us;
    }
    if (g->best[0] == 0 || pace < g->best[0])
        g->best[0] = pace;
    if (normal > 0 && pace > 3 * normal) {
        cut(g, permit, 0.6, now_us);
        return;
    }
    if (normal > 0 && pace > 2 * normal)
        g->ramping = false; /* near the end of what is easy: slowly from here */
    else if (r->full)
        g->limit = clamp(g->ramping ? g->limit * 2 : g->limit + 1 + g->limit / 16, 1,
                         (double)g->opt.concurrency_max);
    *r = (struct round){.number = r->number + 1, .since_us = now_us};
}

static void went_well(struct governor *g, const struct permit *permit, const struct usage *u,
                      int64_t now_us)
{
    struct round *r = &g->round;
    g->failures = 0;
    g->trusted = true;
    if (g->broken) {
        g->broken = false;
        g->ramping = true;
        backoff_reset(&g->backoff);
    }
    r->calls++;
    r->latency_us += u->latency_us;
    r->tokens += TOKENS_FIXED + (u->tokens_out > 0 ? u->tokens_out : 0);
    bool over = r->calls >= (int64_t)g->limit || now_us - r->since_us > ROUND_MAX_US;
    if (over && r->calls >= ENOUGH_CALLS)
        judge_round(g, permit, now_us);
}

/* --- trouble --- */

static void close_until(struct governor *g, int64_t wait_ms, int64_t now_us)
{
    int64_t until = now_us + wait_ms * 1000;
    if (until > g->closed_until_us)
        g->closed_until_us = until;
}

static void was_limited(struct governor *g, const struct permit *permit, const struct usage *u,
                        int64_t now_us)
{
    g->limited++;
    g->failures = 0;
    if (permit->probe)
        g->broken = false; /* it answers */
    cut(g, permit, 0.5, now_us);
    close_until(
        g, u->limits.retry_after_ms >= 0 ? u->limits.retry_after_ms : backoff_next(&g->backoff),
        now_us);
}

static void went_wrong(struct governor *g, const struct permit *permit, const struct usage *u,
                       int64_t now_us)
{
    g->failed++;
    g->failures++;
    cut(g, permit, 0.7, now_us);
    bool no_credit = u->outcome == CALL_NO_CREDIT;
    if (u->limits.retry_after_ms > 0 && !no_credit)
        close_until(g, u->limits.retry_after_ms, now_us);
    if (permit->probe || (!g->broken && (no_credit || g->failures >= BREAK_AFTER))) {
        g->broken = true;
        g->probe_at_us = now_us + backoff_next(&g->backoff) * 1000;
    }
}

/* What is left at the server, whoever used it. */
static void obey(struct governor *g, const struct http_limits *l, int64_t tokens, int64_t now_us)
{
    if (l->remaining_requests == 0 && l->reset_requests_ms > 0)
        close_until(g, l->reset_requests_ms, now_us);
    if (l->remaining_tokens >= 0 && l->remaining_tokens < tokens && l->reset_tokens_ms > 0)
        close_until(g, l->reset_tokens_ms < 1000 ? l->reset_tokens_ms : 1000, now_us);
}

/* --- leave --- */

static void learn(struct governor *g, const struct usage *u)
{
    if (u->tokens_in < 0 || u->body_bytes <= 0)
        return;
    double share = 1.1 * (double)u->tokens_in / (double)u->body_bytes;
    double out = 1.25 * (double)u->tokens_out + 4;
    g->in_share = share > g->in_share ? share : g->in_share * 0.999 + share * 0.001;
    g->out_max = out > g->out_max ? out : g->out_max * 0.999 + out * 0.001;
}

static int64_t used_tokens(const struct permit *permit, const struct usage *u)
{
    if (u->outcome == CALL_UNREACHABLE || u->outcome == CALL_LIMITED ||
        u->outcome == CALL_NO_CREDIT)
        return 0;
    if (u->tokens_in < 0)
        return permit->tokens;
    return u->tokens_in + (u->tokens_out > 0 ? u->tokens_out : 0);
}

static void ring(struct governor *g)
{
    if (!g->hungry)
        return;
    g->hungry = false;
    for (int i = 0; i < g->bell_count; i++)
        g->bells[i].fn(g->bells[i].arg);
}

enum governor_change governor_leave(struct governor *g, const struct permit *permit,
                                    const struct usage *u, int64_t now_us)
{
    pthread_mutex_lock(&g->lock);
    bool was_broken = g->broken;
    g->in_flight--;
    if (permit->probe)
        g->probing = false;
    minute_settle(&g->tokens, permit->tokens, used_tokens(permit, u), now_us);
    minute_settle(&g->requests, 1, u->outcome == CALL_UNREACHABLE ? 0 : 1, now_us);
    learn(g, u);
    if (u->outcome != CALL_NO_CREDIT)
        obey(g, &u->limits, permit->tokens, now_us);
    switch (u->outcome) {
    case CALL_OK:
    case CALL_REFUSED:
        went_well(g, permit, u, now_us);
        break;
    case CALL_LIMITED:
        was_limited(g, permit, u, now_us);
        break;
    default:
        went_wrong(g, permit, u, now_us);
    }
    enum governor_change change = g->broken == was_broken ? GOVERNOR_SAME
                                  : g->broken             ? GOVERNOR_OPENED
                                                          : GOVERNOR_CLOSED;
    ring(g);
    pthread_mutex_unlock(&g->lock);
    return change;
}

void governor_abandon(struct governor *g, const struct permit *permit, int64_t now_us)
{
    pthread_mutex_lock(&g->lock);
    g->in_flight--;
    if (permit->probe)
        g->probing = false;
    minute_settle(&g->tokens, permit->tokens, permit->tokens, now_us);
    minute_settle(&g->requests, 1, 1, now_us);
    ring(g);
    pthread_mutex_unlock(&g->lock);
}

/* --- others --- */

bool governor_trusts(struct governor *g)
{
    pthread_mutex_lock(&g->lock);
    bool trusted = g->trusted;
    pthread_mutex_unlock(&g->lock);
    return trusted;
}

void governor_listen(struct governor *g, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&g->lock);
    assert(g->bell_count < GOVERNOR_BELLS);
    g->bells[g->bell_count].fn = fn;
    g->bells[g->bell_count++].arg = arg;
    pthread_mutex_unlock(&g->lock);
}

void governor_unlisten(struct governor *g, void *arg)
{
    pthread_mutex_lock(&g->lock);
    for (int i = 0; i < g->bell_count; i++)
        if (g->bells[i].arg == arg)
            g->bells[i--] = g->bells[--g->bell_count];
    pthread_mutex_unlock(&g->lock);
}

void governor_view(struct governor *g, int64_t now_us, struct governor_view *ret)
{
    pthread_mutex_lock(&g->lock);
    *ret = (struct governor_view){.in_flight = g->in_flight,
                                  .limit = (int64_t)g->limit,
                                  .used_tokens = minute_sum(&g->tokens, now_us),
                                  .used_requests = minute_sum(&g->requests, now_us),
                                  .broken = g->broken,
                                  .limited = g->limited,
                                  .failed = g->failed};
    pthread_mutex_unlock(&g->lock);
}

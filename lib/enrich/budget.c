/* Amounts are whole $ / 10^9, so that sums are exact. */
#include "lib/enrich/budget.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/enrich/answers_file.h"

enum { RUN, HOUR, DAY, HOUR_MS = 3600000, BLOCKS = 100, WARN_PERCENT = 80 };
static const char *const names[BUDGET_SCOPES] = {"run", "hour", "day"};
static const int64_t lengths_ms[BUDGET_SCOPES] = {0, HOUR_MS, 24 * (int64_t)HOUR_MS};

struct scope {
    int64_t cap;    /* 0: none */
    int64_t block;  /* taken from the file at a time */
    int64_t left;   /* of the blocks taken */
    int64_t taken;  /* spent by all, blocks among it, as of the last look at the file */
    int64_t period; /* number since 1970 */
    bool warned, told_spent;
};

struct budget {
    pthread_mutex_t lock;
    struct scope scopes[BUDGET_SCOPES];
    struct answers_file *file;
    void (*warn)(void *arg, const char *text);
    void *arg;
};

static void period_name(int scope, int64_t period, char *out, size_t size)
{
    time_t at = (time_t)(period * lengths_ms[scope] / 1000);
    struct tm tm;
    gmtime_r(&at, &tm);
    char when[32];
    strftime(when, sizeof when, scope == HOUR ? "%Y-%m-%dT%HZ" : "%Y-%m-%d", &tm);
    snprintf(out, size, "%s %s", names[scope], when);
}

/* --- blocks --- */

/* Take `n` more from the cap. ST_AGAIN: not that much is left. */
static enum status draw(struct budget *b, int scope, int64_t n, struct error *err)
{
    struct scope *s = &b->scopes[scope];
    if (b->file == NULL || scope == RUN) {
        if (s->taken + n > s->cap)
            return ST_AGAIN;
        s->taken += n;
        return ST_OK;
    }
    char name[64];
    period_name(scope, s->period, name, sizeof name);
    return answers_file_spend(b->file, name, n, s->cap, &s->taken, err);
}

static void give_back(struct budget *b, int scope)
{
    struct scope *s = &b->scopes[scope];
    struct error ignored; /* then it stays spent: overstated */
    if (s->left > 0 && draw(b, scope, -s->left, &ignored) == ST_OK)
        s->left = 0;
}

static void enter_period(struct budget *b, int scope, int64_t now_ms)
{
    struct scope *s = &b->scopes[scope];
    int64_t period = lengths_ms[scope] == 0 ? 0 : now_ms / lengths_ms[scope];
    if (period == s->period)
        return;
    give_back(b, scope);
    s->period = period;
    s->left = s->taken = 0;
    s->warned = s->told_spent = false;
}

static void say(struct budget *b, int scope, int64_t used, const char *what)
{
    const struct scope *s = &b->scopes[scope];
    char text[200];
    snprintf(text, sizeof text, "budget-%s: %s ($%.4f of $%.4f)", names[scope], what,
             (double)used / 1e9, (double)s->cap / 1e9);
    if (b->warn != NULL)
        b->warn(b->arg, text);
}

/* A block, or just what is missing when the cap has no whole block left. */
static enum status ensure(struct budget *b, int scope, int64_t nano, struct error *err)
{
    struct scope *s = &b->scopes[scope];
    if (s->left >= nano)
        return ST_OK;
    int64_t missing = nano - s->left, n = missing > s->block ? missing : s->block;
    enum status st = draw(b, scope, n, err);
    if (st == ST_AGAIN && n > missing)
        st = draw(b, scope, n = missing, err);
    if (st == ST_OK)
        s->left += n;
    int64_t used = s->taken - s->left; /* or held by questions in flight */
    if (st == ST_OK && !s->warned && used + nano >= s->cap / 100 * WARN_PERCENT) {
        s->warned = true;
        say(b, scope, used + nano, "80 % is spent, or held for questions in flight");
    }
    if (st == ST_AGAIN && !s->told_spent) {
        s->told_spent = true;
        say(b, scope, used,
            scope == RUN ? "too little is left for the next question of this run; under "
                           "--budget-action pause posts wait for a new start with more"
                         : "too little is left for the next question");
    }
    return st;
}

/* --- use --- */

bool budget_on(const struct budget *b)
{
    return b->scopes[RUN].cap > 0 || b->scopes[HOUR].cap > 0 || b->scopes[DAY].cap > 0;
}

static enum status reserve(struct budget *b, int64_t nano, int64_t now_ms, struct hold *ret,
                           int64_t *ret_wait_ms, struct error *err)
{
    *ret = (struct hold){.nano = nano};
    for (int i = 0; i < BUDGET_SCOPES; i++) {
        struct scope *s = &b->scopes[i];
        if (s->cap == 0)
            continue;
        enter_period(b, i, now_ms);
        enum status st = ensure(b, i, nano, err);
        if (st == ST_AGAIN)
            *ret_wait_ms = lengths_ms[i] == 0 ? -1 : (s->period + 1) * lengths_ms[i] - now_ms + 1;
        if (st != ST_OK)
            return st;
        ret->period[i] = s->period;
    }
    for (int i = 0; i < BUDGET_SCOPES; i++)
        if (b->scopes[i].cap > 0)
            b->scopes[i].left -= nano;
    return ST_OK;
}

enum status budget_reserve(struct budget *b, int64_t nano, int64_t now_ms, struct hold *ret,
                           int64_t *ret_wait_ms, struct error *err)
{
    if (!budget_on(b)) {
        *ret = (struct hold){.nano = nano};
        return ST_OK;
    }
    pthread_mutex_lock(&b->lock);
    enum status st = reserve(b, nano, now_ms, ret, ret_wait_ms, err);
    pthread_mutex_unlock(&b->lock);
    return st;
}

void budget_settle(struct budget *b, const struct hold *hold, int64_t spent_nano, int64_t now_ms)
{
    if (!budget_on(b))
        return;
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < BUDGET_SCOPES; i++) {
        struct scope *s = &b->scopes[i];
        if (s->cap == 0)
            continue;
        enter_period(b, i, now_ms);
        if (hold->period[i] == s->period)
            s->left += hold->nano - spent_nano;
    }
    pthread_mutex_unlock(&b->lock);
}

/* --- open and close --- */

enum status budget_open(const struct budget_options *opt, const char *path, int64_t share,
                        void (*warn)(void *arg, const char *text), void *arg, struct budget **ret,
                        struct error *err)
{
    struct budget *b = mem_zalloc(sizeof *b);
    const double caps[BUDGET_SCOPES] = {opt->run_usd, opt->hour_usd, opt->day_usd};
    pthread_mutex_init(&b->lock, NULL);
    b->warn = warn;
    b->arg = arg;
    for (int i = 0; i < BUDGET_SCOPES; i++) {
        b->scopes[i].cap = (int64_t)(caps[i] * 1e9 / (double)share);
        if (caps[i] > 0 && b->scopes[i].cap == 0)
            b->scopes[i].cap = 1;
        b->scopes[i].block = b->scopes[i].cap / BLOCKS;
    }
    enum status st = ST_OK;
    if (path != NULL && (b->scopes[HOUR].cap > 0 || b->scopes[DAY].cap > 0))
        st = answers_file_open(path, true, &b->file, err);
    if (st == ST_OK)
        *ret = b;
    else
        budget_close(b);
    return st;
}

void budget_close(struct budget *b)
{
    if (b == NULL)
        return;
    for (int i = 0; i < BUDGET_SCOPES; i++)
        if (b->scopes[i].cap > 0)
            give_back(b, i);
    answers_file_close(b->file);
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

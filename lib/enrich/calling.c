/* Calls: one layer of retries for everything that is paid.
 *
 * What does not count as an attempt of a post: that its endpoint could not be reached, that it
 * said "later" or "pay first", and calls that only tried whether an endpoint is back. So a post
 * outlives any outage, and only what fails by itself ends as attempts_exhausted. */
#include <stdio.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/enrich/purchase.h"

enum { SLEEP_BASE_MS = 100, SLEEP_CAP_MS = 20000, EXTRA_BYTES = 64, MODEL_BYTES = 12 };
enum { WAITING_MIN = 64 };

static int64_t now_us(void)
{
    return clock_mono_ns() / 1000;
}

static void count(atomic_uint_fast64_t *counter, int64_t n)
{
    atomic_fetch_add_explicit(counter, (uint64_t)n, memory_order_relaxed);
}

/* --- lists --- */

static void append(struct purchase_list *list, struct purchase *b)
{
    b->next = NULL;
    b->prev = list->last;
    *(list->last != NULL ? &list->last->next : &list->first) = b;
    list->last = b;
    list->n++;
}

static void prepend(struct purchase_list *list, struct purchase *b)
{
    b->prev = NULL;
    b->next = list->first;
    *(list->first != NULL ? &list->first->prev : &list->last) = b;
    list->first = b;
    list->n++;
}

static void take_out(struct purchase_list *list, struct purchase *b)
{
    *(b->prev != NULL ? &b->prev->next : &list->first) = b->next;
    *(b->next != NULL ? &b->next->prev : &list->last) = b->prev;
    list->n--;
}

/* What waits is memory that is cold again when its turn comes, and has looked for its answer too
 * long ago. Room comes in pieces, so that whoever fills it does not do so one by one. */
size_t paid_room(const struct paid *p)
{
    size_t bound = (size_t)p->link->opt.governor.concurrency_max / 4;
    if (bound < WAITING_MIN)
        bound = WAITING_MIN;
    return p->ready.n > bound - bound / 4 ? 0 : bound - p->ready.n;
}

void paid_unqueue(struct paid *p, struct purchase *b)
{
    if (b->state == PURCHASE_READY)
        take_out(&p->ready, b);
    else if (b->state == PURCHASE_SLEEPS)
        take_out(&p->sleepers, b);
    else
        return;
    b->state = PURCHASE_FREE;
}

void paid_shut(struct purchase *b)
{
    b->paid->open -= b->open;
    b->open = false;
}

void paid_enqueue(struct paid *p, struct purchase *b, bool first)
{
    paid_shut(b);
    b->state = PURCHASE_READY;
    if (first)
        prepend(&p->ready, b);
    else
        append(&p->ready, b);
    if (first || p->ready.first == b) /* else somebody before it waits already */
        paid_pump(p);
}

static void sleep_for(struct paid *p, struct purchase *b, int64_t ms)
{
    paid_shut(b);
    b->due_us = now_us() + ms * 1000;
    b->state = PURCHASE_SLEEPS;
    append(&p->sleepers, b);
    paid_wake_at(p, b->due_us);
}

/* --- money --- */

/* The most that this call can cost: a token has at least a byte. Before the body comes, by
 * endpoint,
 * {"model":"…", */
static int64_t dearest_nano(const struct paid *p, const struct purchase *b, int endpoint)
{
    if (p->link->opt.kind == KIND_MOCK)
        return (int64_t)(p->link->opt.mock.cost_usd * 1e9 + 0.5);
    size_t model = MODEL_BYTES + strlen(p->ops->model(p->ctx, endpoint));
    return price_nano(&p->link->endpoints[endpoint].price,
                      (int64_t)(b->body.n + model) + EXTRA_BYTES, p->link->opt.llm.max_tokens);
}

static int64_t cost_of(const struct paid *p, const struct purchase *b)
{
    const struct call *call = &b->call;
    if (call->outcome != CALL_OK && call->outcome != CALL_REFUSED)
        return call->bought ? b->hold.nano : 0;
    if (call->cost_nano >= 0)
        return call->cost_nano;
    if (call->tokens_in < 0)
        return call->bought ? b->hold.nano : 0;
    return price_nano(&p->link->endpoints[call->endpoint].price, call->tokens_in,
                      call->tokens_out < 0 ? 0 : call->tokens_out);
}

enum money { MONEY_HELD, MONEY_NEXT, MONEY_WAIT, MONEY_GONE };

static enum money hold_money(struct paid *p, struct purchase *b, int endpoint, int64_t *ret_wait_ms)
{
    struct error err;
    if (p->submitting && p->engine->cfg.opt->budget.action != BUDGET_PAUSE &&
        budget_on(p->engine->budget)) {
        *ret_wait_ms = 0; /* may end the ask, which must not happen inside submit */
        return MONEY_WAIT;
    }
    enum status st = budget_reserve(p->engine->budget, dearest_nano(p, b, endpoint),
                                    clock_wall_ms(), &b->hold, ret_wait_ms, &err);
    if (st == ST_OK)
        return MONEY_HELD;
    if (st == ST_FATAL && !p->submitting) {
        paid_die(p, &err);
        return MONEY_GONE;
    }
    if (st == ST_FATAL)
        *ret_wait_ms = 0;
    switch (p->engine->cfg.opt->budget.action) {
    case BUDGET_CHEAPER:
        return MONEY_NEXT;
    case BUDGET_PASS:
        paid_unqueue(p, b);
        paid_pass(b);
        return MONEY_GONE;
    case BUDGET_DEAD_LETTER:
        paid_unqueue(p, b);
        paid_settle(b, REASON_budget, SPAN_LIT("the budget is spent"), false);
        return MONEY_GONE;
    default:
        return MONEY_WAIT;
    }
}

/* --- begin --- */

static void start(struct paid *p, struct purchase *b, int endpoint)
{
    const struct governor_options *opt = &p->link->opt.governor;
    take_out(&p->ready, b);
    b->state = PURCHASE_CALLS;
    b->open = true;
    p->open++;
    b->attempts++;
    call_reset(&b->call);
    b->call.body = buf_span(&b->body);
    b->call.endpoint = endpoint;
    b->call.trusted = governor_trusts(p->link->endpoints[endpoint].governor);
    b->call.timeout_ms = opt->timeout_ms;
    if (b->deadline_us > 0) {
        int64_t left_ms = (b->deadline_us - now_us()) / 1000;
        if (left_ms < b->call.timeout_ms)
            b->call.timeout_ms = left_ms < 1 ? 1 : left_ms;
    }
    b->call.done = paid_on_call;
    b->call.arg = b;
    count(&p->engine->counts.calls, 1);
    p->ops->start(p->ctx, &b->call);
}

static void no_later(int64_t *wait_ms, int64_t candidate)
{
    if (candidate >= 0 && (*wait_ms < 0 || candidate < *wait_ms))
        *wait_ms = candidate;
}

/* The first endpoint that may be called, in order of preference: the next one only while one is
 * broken, or too dear. False: not now, *ret_wait_ms says when to try again (-1: when rung). */
static bool try_start(struct paid *p, struct purchase *b, int64_t *ret_wait_ms)
{
    *ret_wait_ms = -1;
    if (p->open >= p->link->opt.governor.concurrency_max)
        return false; /* a kill costs no more than that; the next one that is stored rings */
    if (paid_known(b))
        return true;
    for (int i = b->endpoint; i < p->link->endpoint_count; i++) {
        int64_t wait_ms = -1;
        enum money money = hold_money(p, b, i, &wait_ms);
        if (money == MONEY_GONE)
            return true;
        if (money == MONEY_NEXT || money == MONEY_WAIT)
            no_later(ret_wait_ms, wait_ms < 0 ? 1000 : wait_ms);
        if (money == MONEY_WAIT)
            return false;
        if (money == MONEY_NEXT)
            continue;
        enum governor_word word = governor_enter(p->link->endpoints[i].governor, (int64_t)b->body.n,
                                                 now_us(), &b->permit, &wait_ms);
        if (word == MAY_CALL) {
            start(p, b, i);
            return true;
        }
        budget_settle(p->engine->budget, &b->hold, 0, clock_wall_ms());
        no_later(ret_wait_ms, wait_ms);
        if (word == MUST_WAIT)
            return false;
    }
    return false;
}

void paid_pump(struct paid *p)
{
    while (p->ready.first != NULL && !p->dead) {
        int64_t wait_ms = -1;
        if (!try_start(p, p->ready.first, &wait_ms)) {
            if (wait_ms >= 0)
                paid_wake_at(p, now_us() + wait_ms * 1000);
            return;
        }
    }
}

/* --- time --- */

void paid_wake_at(struct paid *p, int64_t at_us)
{
    if (p->timer_us != 0 && p->timer_us <= at_us)
        return;
    int64_t left_us = at_us - now_us();
    p->timer_us = at_us < 1 ? 1 : at_us;
    loop_timer_start(p->timer, left_us <= 0 ? 0 : (left_us + 999) / 1000);
}

static void expire(struct purchase *b)
{
    struct paid *p = b->paid;
    char text[128];
    int n = snprintf(text, sizeof text, "no answer within %lld ms (--llm-deadline)",
                     (long long)p->link->opt.governor.deadline_ms);
    /* Followers may have time left: one of them leads. */
    if (p->client != NULL)
        answers_leave(p->client, &b->waiter);
    paid_reject(b, REASON_deadline, span_make(text, (size_t)n));
}

static void expire_all(struct paid *p, int64_t now)
{
    struct purchase *next;
    for (struct purchase *b = p->all; b != NULL; b = next) {
        next = b->next_all;
        if (b->deadline_us == 0 || b->state == PURCHASE_CALLS || b->state == PURCHASE_STORES)
            continue; /* a call has the deadline as its time-out */
        if (b->deadline_us > now) {
            paid_wake_at(p, b->deadline_us);
            continue;
        }
        paid_unqueue(p, b);
        expire(b);
    }
}

static void wake_sleepers(struct paid *p, int64_t now)
{
    struct purchase *next;
    for (struct purchase *b = p->sleepers.first; b != NULL; b = next) {
        next = b->next;
        if (b->due_us > now) {
            paid_wake_at(p, b->due_us);
            continue;
        }
        take_out(&p->sleepers, b);
        b->state = PURCHASE_READY;
        prepend(&p->ready, b);
    }
}

void paid_on_timer(void *arg)
{
    struct paid *p = arg;
    int64_t now = now_us();
    p->timer_us = 0;
    if (p->link->opt.governor.deadline_ms > 0)
        expire_all(p, now);
    wake_sleepers(p, now);
    paid_pump(p);
}

/* --- end --- */

/* Nobody waits for this one any more; a follower of another loop may lead. */
static bool drop_orphan(struct purchase *b)
{
    if (b->ask != NULL)
        return false;
    answers_leave(b->paid->client, &b->waiter);
    paid_drop(b);
    return true;
}

static void again(struct paid *p, struct purchase *b)
{
    if (drop_orphan(b))
        return;
    if (b->deadline_us > 0 && now_us() >= b->deadline_us)
        expire(b);
    else
        paid_enqueue(p, b, true);
}

static void failed(struct paid *p, struct purchase *b)
{
    if (drop_orphan(b))
        return;
    if (b->permit.probe) {
        again(p, b);
        return;
    }
    if (b->deadline_us > 0 && now_us() >= b->deadline_us) {
        expire(b);
        return;
    }
    if (++b->failures < (int)p->link->opt.governor.attempts) {
        if (b->failures == 1)
            backoff_init(&b->backoff, SLEEP_BASE_MS, SLEEP_CAP_MS, p->seed++);
        sleep_for(p, b, backoff_next(&b->backoff));
        return;
    }
    char text[400];
    int n = snprintf(text, sizeof text, "%d calls failed, the last one: %.300s", b->failures,
                     b->call.err.text);
    paid_settle(b, REASON_attempts_exhausted, span_make(text, (size_t)n), false);
}

/* Once: the question again, with what was wrong. */
static bool repair(struct paid *p, struct purchase *b, const struct error *err)
{
    if (b->repaired || p->ops->repair == NULL)
        return false;
    struct buf body = {.max = b->body.max};
    bool can =
        p->ops->repair(p->ctx, buf_span(&b->body), buf_span(&b->call.content), err->text, &body);
    if (!can) {
        buf_fini(&body);
        return false;
    }
    buf_fini(&b->body);
    b->body = body;
    b->repaired = true;
    count(&p->engine->counts.repairs, 1);
    paid_enqueue(p, b, true);
    return true;
}

static void answered(struct paid *p, struct purchase *b)
{
    struct buf out = {0};
    struct error err;
    count(&p->engine->counts.ok, 1);
    enum status st = verdict_read(p->link, &b->call, &out, &err);
    if (st == ST_OK)
        paid_settle(b, REASON_NONE, buf_span(&out), true);
    else if (count(&p->engine->counts.invalid, 1), !repair(p, b, &err))
        paid_settle(b, err.reason, span_of(err.text), true);
    buf_fini(&out);
}

/* While an endpoint is left alone, a person should know why posts wait. */
static void tell_change(struct paid *p, const struct call *call, enum governor_change change)
{
    bool more = call->endpoint + 1 < p->link->endpoint_count;
    if (change == GOVERNOR_OPENED)
        engine_warn(p->engine, "%s; %s, and it is tried again now and then", call->err.text,
                    more ? "the next endpoint is used meanwhile" : "posts wait");
    else if (change == GOVERNOR_CLOSED)
        engine_warn(p->engine, "endpoint %d (%s) answers again", call->endpoint + 1,
                    p->ops->model(p->ctx, call->endpoint));
}

static void account(struct paid *p, struct purchase *b)
{
    const struct call *call = &b->call;
    struct engine_counts *c = &p->engine->counts;
    struct usage usage = {.outcome = call->outcome,
                          .body_bytes = (int64_t)b->body.n,
                          .tokens_in = call->tokens_in,
                          .tokens_out = call->tokens_out,
                          .latency_us = call->latency_us,
                          .limits = call->limits};
    int64_t cost = cost_of(p, b);
    budget_settle(p->engine->budget, &b->hold, cost, clock_wall_ms());
    b->cost_nano += cost;
    b->tokens_in += call->tokens_in > 0 ? call->tokens_in : 0;
    b->tokens_out += call->tokens_out > 0 ? call->tokens_out : 0;
    count(&c->cost_nano, cost);
    count(&c->tokens_in, call->tokens_in > 0 ? call->tokens_in : 0);
    count(&c->tokens_out, call->tokens_out > 0 ? call->tokens_out : 0);
    enum governor_change change =
        governor_leave(p->link->endpoints[call->endpoint].governor, &b->permit, &usage, now_us());
    tell_change(p, call, change);
}

void paid_on_call(struct call *call)
{
    struct purchase *b = call->arg;
    struct paid *p = b->paid;
    struct engine_counts *c = &p->engine->counts;
    b->state = PURCHASE_FREE;
    if (call->outcome != CALL_OK)
        p->trouble = call->err;
    account(p, b);
    switch (call->outcome) {
    case CALL_OK:
        answered(p, b);
        break;
    case CALL_REFUSED:
        paid_settle(b, call->err.reason, span_of(call->err.text), true);
        break;
    case CALL_LIMITED:
        count(&c->limited, 1);
        again(p, b);
        break;
    case CALL_NO_CREDIT:
        count(&c->no_credit, 1);
        again(p, b);
        break;
    case CALL_UNREACHABLE:
        count(&c->unreachable, 1);
        again(p, b);
        break;
    case CALL_FATAL:
        b->state = PURCHASE_READY;
        prepend(&p->ready, b);
        paid_die(p, &call->err);
        break;
    default:
        count(&c->failed, 1);
        failed(p, b);
    }
    paid_pump(p);
}

void paid_abandon_call(struct paid *p, struct purchase *b)
{
    p->ops->cancel(p->ctx, &b->call);
    b->state = PURCHASE_FREE;
    budget_settle(p->engine->budget, &b->hold, b->hold.nano, clock_wall_ms());
    governor_abandon(p->link->endpoints[b->call.endpoint].governor, &b->permit, now_us());
    count(&p->engine->counts.abandoned, 1);
}

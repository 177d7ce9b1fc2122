/* Questions: see paid.h. A purchase is the memory of one question on its way; an ask points to its
 * purchase by ask->owner. */
#include "lib/enrich/paid.h"

#include <assert.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/purchase.h"

enum { BODY_MAX = 16 << 20, KEEP_BYTES = 16 << 10 };

void call_reset(struct call *call)
{
    buf_reset(&call->content, KEEP_BYTES);
    call->truncated = call->bought = false;
    call->tokens_in = call->tokens_out = call->cost_nano = -1;
    call->latency_us = 0;
    call->limits.remaining_requests = call->limits.remaining_tokens = -1;
    call->limits.reset_requests_ms = call->limits.reset_tokens_ms = -1;
    call->limits.retry_after_ms = -1;
    call->err.text[0] = '\0';
    call->err.reason = REASON_NONE;
}

/* --- purchases --- */

static void on_told(struct waiter *w, enum answers_news news, const struct answer *answer);

static struct purchase *purchase_take(struct paid *p, struct ask *ask)
{
    struct purchase *b = p->free;
    if (b == NULL) {
        b = mem_zalloc(sizeof *b);
        buf_init(&b->body, BODY_MAX);
        b->waiter.told = on_told;
        b->paid = p;
    } else {
        p->free = b->next;
    }
    b->prev_all = NULL;
    b->next_all = p->all;
    if (p->all != NULL)
        p->all->prev_all = b;
    p->all = b;
    buf_reset(&b->body, KEEP_BYTES);
    b->ask = ask;
    b->state = PURCHASE_FREE;
    b->attempts = b->failures = b->endpoint = 0;
    b->repaired = b->leads = b->known = false;
    b->tokens_in = b->tokens_out = b->cost_nano = 0;
    b->deadline_us = 0;
    ask->owner = b;
    return b;
}

static void purchase_give_back(struct purchase *b)
{
    struct paid *p = b->paid;
    paid_shut(b);
    *(b->prev_all != NULL ? &b->prev_all->next_all : &p->all) = b->next_all;
    if (b->next_all != NULL)
        b->next_all->prev_all = b->prev_all;
    if (b->ask != NULL)
        b->ask->owner = NULL;
    b->ask = NULL;
    b->state = PURCHASE_FREE;
    b->next = p->free;
    p->free = b;
}

/* --- answers --- */

/* What the answer says, as the ask's result. Returns its status. */
static enum status fill(struct ask *ask, const struct answer *answer)
{
    if (answer->reason != REASON_NONE) {
        ask->status = error_reject(ask_error(ask), answer->reason, "%.*s", (int)answer->text.n,
                                   answer->text.p);
        return ask->status;
    }
    buf_reset(&ask->answer, 0);
    buf_add_span(&ask->answer, answer->text);
    ask->status = ST_OK;
    return ST_OK;
}

static void clear_cost(struct ask *ask, enum ask_cache cache)
{
    ask->cache = cache;
    ask->tokens_in = ask->tokens_out = 0;
    ask->cost_usd = 0;
    ask->attempts = 0;
    ask->passed = false;
}

/* The ask gets what this purchase caused, and is told. The purchase is over. */
static void deliver(struct purchase *b, const struct answer *answer)
{
    struct ask *ask = b->ask;
    if (ask != NULL) {
        clear_cost(ask, b->known ? CACHE_HIT : b->leads ? CACHE_MISS : CACHE_COALESCED);
        ask->tokens_in = b->tokens_in;
        ask->tokens_out = b->tokens_out;
        ask->cost_usd = (double)b->cost_nano / 1e9;
        ask->attempts = b->attempts;
        fill(ask, answer);
    }
    struct paid *p = b->paid;
    purchase_give_back(b);
    if (ask != NULL)
        ask->done(ask);
    if (p->ready.first != NULL)
        paid_wake_at(p, clock_mono_ns() / 1000);
}

void paid_settle(struct purchase *b, enum reason reason, struct span text, bool keep)
{
    struct paid *p = b->paid;
    struct answer answer = {.reason = reason,
                            .text = text,
                            .tokens_in = b->tokens_in,
                            .tokens_out = b->tokens_out,
                            .cost_nano = b->cost_nano,
                            .attempts = b->attempts,
                            .at_ms = clock_wall_ms()};
    if (keep && p->engine->recorder != NULL)
        recorder_add(p->engine->recorder, &b->waiter.question, &answer, p->ops->model(p->ctx, 0));
    if (reason != REASON_NONE)
        atomic_fetch_add_explicit(&p->engine->counts.refused, 1, memory_order_relaxed);
    if (p->client == NULL) {
        deliver(b, &answer);
        return;
    }
    b->state = PURCHASE_STORES;
    answers_settle(p->client, &b->waiter, &answer, keep);
}

void paid_reject(struct purchase *b, enum reason reason, struct span text)
{
    deliver(b, &(struct answer){.reason = reason, .text = text});
}

void paid_drop(struct purchase *b)
{
    purchase_give_back(b);
}

void paid_pass(struct purchase *b)
{
    struct paid *p = b->paid;
    struct ask *ask = b->ask;
    atomic_fetch_add_explicit(&p->engine->counts.passed, 1, memory_order_relaxed);
    if (p->client != NULL)
        answers_leave(p->client, &b->waiter);
    if (ask != NULL) {
        clear_cost(ask, CACHE_NONE);
        ask->passed = true;
        fill(ask, &(struct answer){.text = SPAN_LIT("null")});
    }
    purchase_give_back(b);
    if (ask != NULL)
        ask->done(ask);
}

/* Not inside submit, which has just looked and must not end an ask. */
bool paid_known(struct purchase *b)
{
    struct paid *p = b->paid;
    const struct answer *answer;
    if (p->client == NULL || p->submitting || !answers_look_again(p->client, &b->waiter, &answer))
        return false;
    paid_unqueue(p, b);
    b->known = true;
    deliver(b, answer);
    return true;
}

static void lead(struct purchase *b)
{
    b->leads = true;
    paid_enqueue(b->paid, b, false);
}

static void on_told(struct waiter *w, enum answers_news news, const struct answer *answer)
{
    struct purchase *b = (struct purchase *)((char *)w - offsetof(struct purchase, waiter));
    if (news == NEWS_ANSWERED)
        deliver(b, answer);
    else
        lead(b);
}

/* --- the end of everything --- */

static void fail_ask(struct purchase *b, const struct error *err)
{
    struct ask *ask = b->ask;
    purchase_give_back(b);
    if (ask == NULL)
        return;
    *ask_error(ask) = *err;
    ask->status = ST_FATAL;
    ask->done(ask);
}

void paid_die(struct paid *p, const struct error *err)
{
    if (p->dead)
        return;
    p->dead = true;
    p->why_dead = *err;
    struct purchase *next;
    for (struct purchase *b = p->all; b != NULL; b = next) {
        next = b->next_all;
        if (b->state != PURCHASE_READY && b->state != PURCHASE_SLEEPS)
            continue; /* calls that run end by themselves */
        paid_unqueue(p, b);
        if (p->client != NULL)
            answers_leave(p->client, &b->waiter);
        fail_ask(b, err);
    }
}

/* --- asks --- */

static void make_question(const struct paid *p, struct purchase *b)
{
    const struct span parts[] = {span_of(p->ops->kind), span_of(p->ops->variant(p->ctx)),
                                 span_of(p->link->schema_text), buf_span(&b->body)};
    question_make(parts, sizeof parts / sizeof *parts, &b->waiter.question);
}

static enum status hit(struct purchase *b, const struct answer *answer)
{
    struct ask *ask = b->ask;
    clear_cost(ask, CACHE_HIT);
    purchase_give_back(b);
    return fill(ask, answer);
}

static enum status not_recorded(struct purchase *b)
{
    struct ask *ask = b->ask;
    clear_cost(ask, CACHE_NONE);
    answers_leave(b->paid->client, &b->waiter);
    enum status st = error_set(ask_error(ask), ST_FATAL, ERR_CONFIG,
                               "replay: the cassette knows no answer for post %.*s; record it "
                               "anew, or ask the endpoint with --replay-missing ask",
                               (int)ask->id.n, ask->id.p);
    purchase_give_back(b);
    return st;
}

/* Hit, follow or lead. */
static enum status find(struct paid *p, struct purchase *b)
{
    const struct enrich_options *opt = &p->link->opt;
    const struct answer *answer;
    if (p->client == NULL) {
        lead(b);
        return ST_AGAIN;
    }
    b->waiter.ignore_refusal = b->ask->redriven;
    b->waiter.model = p->ops->model(p->ctx, 0);
    switch (answers_find(p->client, &b->waiter, &answer)) {
    case FOUND_HIT:
        return hit(b, answer);
    case FOUND_JOINED:
        b->state = PURCHASE_FOLLOWS;
        return ST_AGAIN;
    default:
        if (opt->replay != NULL && opt->replay_missing == REPLAY_STOP)
            return not_recorded(b);
        lead(b);
        return ST_AGAIN;
    }
}

enum status paid_submit(struct paid *p, struct ask *ask)
{
    struct error err;
    if (p->dead) {
        *ask_error(ask) = p->why_dead;
        return ST_FATAL;
    }
    struct purchase *b = purchase_take(p, ask);
    enum status st = p->ops->prepare(p->ctx, ask, &b->body, &err);
    if (st != ST_OK) {
        clear_cost(ask, CACHE_NONE);
        *ask_error(ask) = err;
        purchase_give_back(b);
        return st;
    }
    int64_t deadline_ms = p->link->opt.governor.deadline_ms;
    if (deadline_ms > 0) {
        b->deadline_us = clock_mono_ns() / 1000 + deadline_ms * 1000;
        paid_wake_at(p, b->deadline_us);
    }
    make_question(p, b);
    p->submitting = true;
    st = find(p, b);
    p->submitting = false;
    return st;
}

void paid_cancel(struct paid *p, struct ask *ask)
{
    struct purchase *b = ask->owner;
    if (b == NULL)
        return;
    if (b->state == PURCHASE_CALLS && p->client != NULL) {
        b->ask = NULL; /* what is paid for is stored */
        ask->owner = NULL;
        return;
    }
    if (b->state == PURCHASE_CALLS)
        paid_abandon_call(p, b);
    else
        paid_unqueue(p, b);
    if (p->client != NULL)
        answers_leave(p->client, &b->waiter);
    purchase_give_back(b);
}

bool paid_is_queued(const struct ask *ask)
{
    const struct purchase *b = ask->owner;
    return b != NULL && (b->state == PURCHASE_READY || b->state == PURCHASE_SLEEPS ||
                         b->state == PURCHASE_FOLLOWS);
}

bool paid_trouble(const struct paid *p, struct error *err)
{
    if (p->trouble.text[0] == '\0')
        return false;
    *err = p->trouble;
    return true;
}

/* --- open and close --- */

static void on_bell(void *arg)
{
    paid_pump(arg);
}

static void ring(void *arg)
{
    loop_bell_ring(((struct paid *)arg)->bell);
}

enum status paid_open(struct engine *engine, const struct link *link, struct answers_client *client,
                      struct transport *transport, struct loop *loop, struct paid **ret,
                      struct error *err)
{
    struct paid *p = mem_zalloc(sizeof *p);
    p->engine = engine;
    p->link = link;
    p->ops = link->provider;
    p->client = link->store || link->opt.replay != NULL ? client : NULL;
    p->loop = loop;
    p->timer = loop_timer_new(loop, paid_on_timer, p);
    p->bell = loop_bell_new(loop, on_bell, p);
    p->seed = (uint64_t)clock_mono_ns();
    p->ctx = mem_zalloc(p->ops->ctx_size);
    for (int i = 0; i < link->endpoint_count; i++)
        governor_listen(link->endpoints[i].governor, ring, p);
    struct provider_config cfg = {
        .opt = &link->opt,
        .loop = loop,
        .transport = transport,
        .schema = span_of(link->schema_text == NULL ? "" : link->schema_text),
        .system = engine->cfg.system,
        .prompt = engine->cfg.prompt,
        .redact = link->redact,
    };
    enum status st = p->ops->open(p->ctx, &cfg, err);
    if (st == ST_OK)
        *ret = p;
    else
        paid_close(p);
    return st;
}

void paid_close(struct paid *p)
{
    if (p == NULL)
        return;
    while (p->all != NULL) {
        struct purchase *b = p->all;
        if (b->state == PURCHASE_CALLS)
            paid_abandon_call(p, b);
        else
            paid_unqueue(p, b);
        if (p->client != NULL)
            answers_leave(p->client, &b->waiter);
        purchase_give_back(b);
    }
    for (int i = 0; i < p->link->endpoint_count; i++)
        governor_unlisten(p->link->endpoints[i].governor, p);
    p->ops->close(p->ctx);
    while (p->free != NULL) {
        struct purchase *b = p->free;
        p->free = b->next;
        buf_fini(&b->body);
        buf_fini(&b->call.content);
        mem_free(b);
    }
    loop_timer_free(p->timer);
    loop_bell_free(p->bell);
    mem_free(p->ctx);
    mem_free(p);
}

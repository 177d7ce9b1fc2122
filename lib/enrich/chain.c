/* A run is the memory of one post on its way along the chain. Links that answer at once are gone
 * through in a loop, never by recursion. */
#include "lib/enrich/chain.h"

#include <jansson.h>

#include "lib/base/mem.h"
#include "lib/json/tree.h"

struct run {
    struct chain *chain;
    struct ask *outer;
    struct ask inner;
    size_t at; /* the link that is asked */
    bool asking;
    json_t *post;            /* for conditions; made when first needed */
    json_t *so_far;          /* answers by name */
    struct run *next, *prev; /* among the busy ones; next: among the free ones */
};

struct chain {
    struct enricher *e;
    struct run *free, *busy;
};

struct chain *chain_new(struct enricher *e)
{
    struct chain *c = mem_zalloc(sizeof *c);
    c->e = e;
    return c;
}

void chain_free(struct chain *c)
{
    if (c == NULL)
        return;
    while (c->busy != NULL)
        chain_cancel(c, c->busy->outer);
    while (c->free != NULL) {
        struct run *r = c->free;
        c->free = r->next;
        ask_fini(&r->inner);
        mem_free(r);
    }
    mem_free(c);
}

static void on_answer(struct ask *ask);

static struct run *run_take(struct chain *c, struct ask *outer)
{
    struct run *r = c->free;
    if (r == NULL)
        r = mem_zalloc(sizeof *r);
    else
        c->free = r->next;
    r->prev = NULL;
    r->next = c->busy;
    if (c->busy != NULL)
        c->busy->prev = r;
    c->busy = r;
    r->chain = c;
    r->outer = outer;
    r->at = 0;
    r->so_far = json_object();
    r->inner.value = outer->value;
    r->inner.id = outer->id;
    r->inner.text = outer->text;
    r->inner.redriven = outer->redriven;
    r->inner.done = on_answer;
    r->inner.arg = r;
    outer->owner = r;
    outer->cache = CACHE_NONE;
    outer->tokens_in = outer->tokens_out = 0;
    outer->cost_usd = 0;
    outer->attempts = 0;
    outer->passed = false;
    return r;
}

static void run_give_back(struct run *r)
{
    json_decref(r->post);
    json_decref(r->so_far);
    r->post = r->so_far = NULL;
    r->outer->owner = NULL;
    *(r->prev != NULL ? &r->prev->next : &r->chain->busy) = r->next;
    if (r->next != NULL)
        r->next->prev = r->prev;
    r->next = r->chain->free;
    r->chain->free = r;
}

/* --- one link --- */

static bool applies(struct run *r, const struct link *link)
{
    json_error_t why;
    if (link->when == NULL)
        return true;
    if (r->post == NULL)
        r->post = json_loadb(r->outer->value.p, r->outer->value.n, JSON_ALLOW_NUL, &why);
    return when_holds(link->when, r->post, r->so_far);
}

static void add_costs(struct run *r)
{
    struct ask *outer = r->outer;
    const struct ask *inner = &r->inner;
    outer->tokens_in += inner->tokens_in;
    outer->tokens_out += inner->tokens_out;
    outer->cost_usd += inner->cost_usd;
    outer->attempts += inner->attempts;
    outer->passed = outer->passed || inner->passed;
    if (outer->cache != CACHE_MISS && inner->cache != CACHE_NONE)
        outer->cache = inner->cache; /* a miss says more than a hit */
}

/* Unpaid answers are checked here; paid ones have been, before they were stored. */
static enum status check(const struct part *part, const json_t *value, struct ask *inner)
{
    if (part->paid != NULL || part->link->schema == NULL)
        return ST_OK;
    struct error err;
    enum status st = schema_check(part->link->schema, value, &err);
    if (st != ST_OK)
        *ask_error(inner) = err;
    return st;
}

static enum status take_answer(struct run *r, const struct part *part)
{
    json_error_t why;
    json_t *value =
        json_loadb(r->inner.answer.p, r->inner.answer.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
    if (value == NULL)
        return error_reject(ask_error(&r->inner), REASON_enricher_failed,
                            "the answer is no JSON value: %s", why.text);
    enum status st = check(part, value, &r->inner);
    if (st == ST_OK)
        json_object_set(r->so_far, part->link->name, value);
    json_decref(value);
    return st;
}

/* What became of the link's answer: ST_OK: go on. */
static enum status settle_link(struct run *r, enum status st)
{
    const struct part *part = &r->chain->e->parts[r->at];
    add_costs(r);
    if (st == ST_OK)
        st = take_answer(r, part);
    if (st == ST_REJECT && part->link->optional)
        return ST_OK;
    if (st != ST_OK) {
        *ask_error(r->outer) = *r->inner.err;
        if (part->link->name[0] != '\0')
            error_prefix(r->outer->err, "%s", part->link->name);
    }
    return st;
}

/* --- the chain --- */

static void write_result(struct run *r)
{
    struct buf *out = &r->outer->answer;
    buf_reset(out, 0);
    if (r->chain->e->part_count > 1) {
        json_tree_write(r->so_far, out);
        return;
    }
    const json_t *only = json_object_get(r->so_far, r->chain->e->parts[0].link->name);
    if (only == NULL)
        buf_add_str(out, "null"); /* its condition does not hold, or it failed and may */
    else
        json_tree_write(only, out);
}

/* On from link r->at. ST_AGAIN: a link will answer later. */
static enum status go_on(struct run *r)
{
    struct enricher *e = r->chain->e;
    for (; r->at < e->part_count; r->at++) {
        struct part *part = &e->parts[r->at];
        if (!applies(r, part->link))
            continue;
        r->inner.cache = CACHE_NONE;
        r->inner.tokens_in = r->inner.tokens_out = 0;
        r->inner.cost_usd = 0;
        r->inner.attempts = 0;
        r->inner.passed = false;
        enum status st = part_submit(part, &r->inner);
        r->asking = st == ST_AGAIN;
        if (r->asking)
            return ST_AGAIN;
        st = settle_link(r, st);
        if (st != ST_OK)
            return st;
    }
    write_result(r);
    return ST_OK;
}

static void on_answer(struct ask *ask)
{
    struct run *r = ask->arg;
    struct ask *outer = r->outer;
    r->asking = false;
    enum status st = settle_link(r, ask->status);
    if (st == ST_OK) {
        r->at++;
        st = go_on(r);
    }
    if (st == ST_AGAIN)
        return;
    outer->status = st;
    run_give_back(r);
    outer->done(outer);
}

enum status chain_submit(struct chain *c, struct ask *ask)
{
    struct run *r = run_take(c, ask);
    enum status st = go_on(r);
    if (st != ST_AGAIN)
        run_give_back(r);
    return st;
}

void chain_cancel(struct chain *c, struct ask *ask)
{
    struct run *r = ask->owner;
    if (r == NULL)
        return;
    if (r->asking)
        part_cancel(&c->e->parts[r->at], &r->inner);
    r->asking = false;
    run_give_back(r);
}

bool chain_is_queued(const struct chain *c, const struct ask *ask)
{
    const struct run *r = ask->owner;
    return r != NULL && r->asking && part_is_queued(&c->e->parts[r->at], &r->inner);
}

/* An enricher of one loop: the chain's links, opened. One link without a condition, the usual
 * case, is called directly; anything else goes through chain.c. */
#include "lib/enrich/enrich.h"

#include <assert.h>

#include "lib/base/mem.h"
#include "lib/enrich/chain.h"

static const struct enricher_ops *const plain_kinds[] = {
    [KIND_MOCK] = &mock_enricher_ops,
    [KIND_LOOKUP] = &lookup_enricher_ops,
    [KIND_EXEC] = &exec_enricher_ops,
};

struct error *ask_error(struct ask *ask)
{
    if (ask->err == NULL)
        ask->err = mem_zalloc(sizeof *ask->err);
    return ask->err;
}

void ask_fini(struct ask *ask)
{
    mem_free(ask->err);
    ask->err = NULL;
    buf_fini(&ask->answer);
}

/* --- one link --- */

static enum status part_open(struct enricher *e, struct part *part, struct error *err)
{
    const struct link *link = part->link;
    if (link->paid)
        return paid_open(e->engine, link, e->client, e->transport, e->loop, &part->paid, err);
    part->ops = plain_kinds[link->opt.kind];
    assert(part->ops != NULL); /* what has none is paid */
    part->ctx = mem_zalloc(part->ops->ctx_size);
    return part->ops->open(part->ctx, &link->opt, e->loop, err);
}

static void part_close(struct part *part)
{
    paid_close(part->paid);
    if (part->ctx != NULL)
        part->ops->close(part->ctx);
    mem_free(part->ctx);
}

enum status part_submit(struct part *part, struct ask *ask)
{
    return part->paid != NULL ? paid_submit(part->paid, ask) : part->ops->submit(part->ctx, ask);
}

void part_cancel(struct part *part, struct ask *ask)
{
    if (part->paid != NULL)
        paid_cancel(part->paid, ask);
    else
        part->ops->cancel(part->ctx, ask);
}

bool part_is_queued(const struct part *part, const struct ask *ask)
{
    return part->paid != NULL && paid_is_queued(ask);
}

/* --- open and close --- */

/* Conditions, names and checks of unpaid answers need the chain's memory for each ask. */
static bool needs_chain(const struct engine *engine)
{
    const struct link *first = &engine->links[0];
    bool checks = !first->paid && (first->opt.kind != KIND_MOCK || first->opt.mock.bad_rate > 0) &&
                  first->schema != NULL;
    return engine->link_count > 1 || first->when != NULL || first->optional || checks;
}

static bool any_http(const struct engine *engine)
{
    for (size_t i = 0; i < engine->link_count; i++)
        if (engine->links[i].opt.kind == KIND_OPENAI || engine->links[i].opt.kind == KIND_HTTP)
            return true;
    return false;
}

static void open_shared(struct enricher *e)
{
    const struct enrich_options *opt = e->engine->cfg.opt;
    if (e->engine->answers != NULL)
        e->client = answers_client_open(e->engine->answers, e->loop);
    struct transport_options transport = {
        .connect_timeout_ms = opt->governor.connect_timeout_ms,
        .max_reply = opt->governor.max_reply,
        .max_connections = opt->governor.concurrency_max,
        .ca_file = opt->llm.ca_file,
        .proxy = opt->llm.proxy,
        .proxy_login = opt->llm.proxy_login,
        .link_local = opt->governor.link_local,
    };
    if (any_http(e->engine))
        e->transport = transport_open(&transport, e->loop);
}

enum status enricher_open(struct engine *engine, struct loop *loop, struct enricher **ret,
                          struct error *err)
{
    struct enricher *e = mem_zalloc(sizeof *e);
    e->engine = engine;
    e->loop = loop;
    e->part_count = engine->link_count;
    e->parts = mem_array(e->part_count, sizeof *e->parts);
    open_shared(e);
    enum status st = ST_OK;
    for (size_t i = 0; i < e->part_count && st == ST_OK; i++) {
        e->parts[i].link = &engine->links[i];
        st = part_open(e, &e->parts[i], err);
    }
    if (st == ST_OK && needs_chain(engine))
        e->chain = chain_new(e);
    if (st == ST_OK)
        *ret = e;
    else
        enricher_close(e);
    return st;
}

void enricher_close(struct enricher *e)
{
    if (e == NULL)
        return;
    chain_free(e->chain);
    for (size_t i = 0; i < e->part_count; i++)
        part_close(&e->parts[i]);
    mem_free(e->parts);
    transport_close(e->transport);
    answers_client_close(e->client);
    mem_free(e);
}

/* --- asks --- */

enum status enricher_submit(struct enricher *e, struct ask *ask)
{
    return e->chain != NULL ? chain_submit(e->chain, ask) : part_submit(&e->parts[0], ask);
}

size_t enricher_room(const struct enricher *e)
{
    size_t room = SIZE_MAX;
    for (size_t i = 0; i < e->part_count; i++) {
        size_t of_part = e->parts[i].paid == NULL ? SIZE_MAX : paid_room(e->parts[i].paid);
        room = of_part < room ? of_part : room;
    }
    return room;
}

void enricher_cancel(struct enricher *e, struct ask *ask)
{
    if (e->chain != NULL)
        chain_cancel(e->chain, ask);
    else
        part_cancel(&e->parts[0], ask);
}

bool enricher_is_queued(const struct enricher *e, const struct ask *ask)
{
    return e->chain != NULL ? chain_is_queued(e->chain, ask) : part_is_queued(&e->parts[0], ask);
}

enum status enricher_trouble(const struct enricher *e, struct error *err)
{
    for (size_t i = 0; i < e->part_count; i++)
        if (e->parts[i].paid != NULL && paid_trouble(e->parts[i].paid, err))
            return ST_FATAL;
    return error_set(err, ST_FATAL, ERR_UNAVAILABLE, "enricher %s: no answer in time",
                     enricher_name(e));
}

bool enricher_is_paid(const struct enricher *e)
{
    return engine_is_paid(e->engine);
}

const char *enricher_name(const struct enricher *e)
{
    return engine_name(e->engine);
}

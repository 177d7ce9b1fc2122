/* Finds the implementation by its kind and hands every call on. */
#include "lib/enrich/enrich.h"

#include "lib/base/mem.h"
#include "lib/enrich/ops.h"

static const struct enricher_ops *const enrichers[] = {&mock_enricher_ops};
const char *const enrich_kinds[] = {"mock", NULL}; /* in the order of `enrichers` */

struct enricher {
    const struct enricher_ops *ops;
    void *ctx;
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

enum status enricher_open(const struct enrich_options *opt, struct loop *loop,
                          struct enricher **ret, struct error *err)
{
    struct enricher *e = mem_zalloc(sizeof *e);
    e->ops = enrichers[opt->kind];
    e->ctx = mem_zalloc(e->ops->ctx_size);
    enum status st = e->ops->open(e->ctx, opt, loop, err);
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
    e->ops->close(e->ctx);
    mem_free(e->ctx);
    mem_free(e);
}

enum status enricher_submit(struct enricher *e, struct ask *ask)
{
    return e->ops->submit(e->ctx, ask);
}

void enricher_cancel(struct enricher *e, struct ask *ask)
{
    e->ops->cancel(e->ctx, ask);
}

bool enricher_is_paid(const struct enricher *e)
{
    return e->ops->is_paid(e->ctx);
}

const char *enricher_name(const struct enricher *e)
{
    return e->ops->name(e->ctx);
}

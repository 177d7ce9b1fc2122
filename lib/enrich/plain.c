/* Look-ups and programs as enrichers: their own options out of all. */
#include "lib/enrich/exec.h"
#include "lib/enrich/lookup.h"
#include "lib/enrich/ops.h"

static enum status open_lookup(void *ctx, const struct enrich_options *opt, struct loop *loop,
                               struct error *err)
{
    return lookup_open(ctx, &opt->lookup, loop, err);
}

static enum status open_exec(void *ctx, const struct enrich_options *opt, struct loop *loop,
                             struct error *err)
{
    return exec_open(ctx, &opt->exec, loop, err);
}

const struct enricher_ops lookup_enricher_ops = {
    .kind = "lookup",
    .ctx_size = sizeof(struct lookup),
    .open = open_lookup,
    .close = lookup_close,
    .submit = lookup_submit,
    .cancel = lookup_cancel,
};

const struct enricher_ops exec_enricher_ops = {
    .kind = "exec",
    .ctx_size = sizeof(struct exec),
    .open = open_exec,
    .close = exec_close,
    .submit = exec_submit,
    .cancel = exec_cancel,
};

/* What an enricher that costs nothing fills in (paid ones: provider.h). Contracts as in enrich.h;
 * the framework allocates the context (ctx_size, zeroed). Loop thread only. */
#ifndef SLUICE_ENRICH_OPS_H
#define SLUICE_ENRICH_OPS_H

#include "lib/enrich/enrich.h"
#include "lib/enrich/options.h"

struct enricher_ops {
    const char *kind; /* "mock" */
    size_t ctx_size;
    enum status (*open)(void *ctx, const struct enrich_options *opt, struct loop *loop,
                        struct error *err);
    void (*close)(void *ctx); /* also after a failed open */
    enum status (*submit)(void *ctx, struct ask *ask);
    void (*cancel)(void *ctx, struct ask *ask);
};

extern const struct enricher_ops mock_enricher_ops, lookup_enricher_ops, exec_enricher_ops;

#endif

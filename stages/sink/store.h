/* Where enriched posts end: the plug point of the sink stage. A store takes records in order and
 * makes them safe in batches; the sink commits its position only after that, so a crash repeats a
 * batch and loses none. Loop thread only. */
#ifndef SLUICE_SINK_STORE_H
#define SLUICE_SINK_STORE_H

#include "lib/broker/broker.h"
#include "lib/json/post.h"

struct store_ops {
    const char *name;
    size_t ctx_size;
    enum status (*open)(void *ctx, const char *topic, bool quiet, struct error *err);

    /* ST_REJECT: this record can never be stored (reason sink_refused): dead letter. */
    enum status (*put)(void *ctx, const struct record *rec, struct error *err);

    /* Everything put so far is where it belongs. */
    enum status (*flush)(void *ctx, struct error *err);
    void (*close)(void *ctx); /* also after a failed open */
};

extern const struct store_ops *const stores[]; /* in the order of store_names */
extern const char *const store_names[];        /* ends with NULL */

#endif

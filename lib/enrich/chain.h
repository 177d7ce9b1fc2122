/* Links one after another for a post: each under its own member of the enrichment when there is
 * more than one; `when` decides by the post and the enrichment so far; a failing optional link
 * leaves its member out. Inside of enrich.c. Loop thread only. */
#ifndef SLUICE_ENRICH_CHAIN_H
#define SLUICE_ENRICH_CHAIN_H

#include "lib/enrich/engine.h"
#include "lib/enrich/ops.h"
#include "lib/enrich/paid.h"

struct part { /* a link on this loop: paid, or plain */
    const struct link *link;
    struct paid *paid;
    const struct enricher_ops *ops;
    void *ctx;
};

struct chain;

struct enricher {
    struct engine *engine;
    struct loop *loop;
    struct transport *transport;
    struct answers_client *client;
    struct part *parts;
    size_t part_count;
    struct chain *chain; /* NULL: one link, called directly */
};

enum status part_submit(struct part *part, struct ask *ask);
void part_cancel(struct part *part, struct ask *ask);
bool part_is_queued(const struct part *part, const struct ask *ask);

struct chain *chain_new(struct enricher *e);
void chain_free(struct chain *c); /* cancels what still runs; NULL is accepted */
enum status chain_submit(struct chain *c, struct ask *ask);
void chain_cancel(struct chain *c, struct ask *ask);
bool chain_is_queued(const struct chain *c, const struct ask *ask);

#endif

/* What paid answers cost, as metrics: asks by how they were answered are counted as their posts
 * are released; calls, tokens, $ and the state of endpoints are copied from the engine now and
 * then by one worker. Loop thread only. */
#ifndef SLUICE_ENHANCE_SPENDING_H
#define SLUICE_ENHANCE_SPENDING_H

#include "lib/enrich/engine.h"
#include "lib/enrich/enrich.h"
#include "lib/metrics/metrics.h"

enum { SPENDING_COUNTERS = 17 };

struct spending {
    struct engine *engine; /* NULL: not open */
    struct counter *asks[CACHE_COALESCED + 1];
    struct counter *counters[SPENDING_COUNTERS];
    struct gauge **in_flight, **limit, **used_tokens; /* by endpoint, all links in a row */
    size_t endpoints;
    struct loop_timer *timer; /* of the worker that copies */
};

/* loop: of the worker that copies, NULL for the others. */
void spending_open(struct spending *s, struct metrics *m, struct engine *engine, struct loop *loop);
void spending_close(struct spending *s); /* copies once more; a zeroed one is accepted */

static inline void spending_add(struct spending *s, const struct ask *ask)
{
    counter_add(s->asks[ask->cache], 1);
}

#endif

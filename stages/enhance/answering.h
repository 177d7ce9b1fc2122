/* Opens the engine of enrichment with what belongs to this stage: the default schema and prompts,
 * and where answers are kept. Main thread. */
#ifndef SLUICE_ENHANCE_ANSWERING_H
#define SLUICE_ENHANCE_ANSWERING_H

#include "lib/enrich/engine.h"
#include "lib/stage/instance.h"

struct answering {
    const struct enrich_options *opt;
    const char *chain;  /* `enrichers` as JSON, or NULL */
    const char *broker; /* broker_name, or NULL: no broker (the filter) */
    const struct stage_options *stage;
    const char *instance; /* with a Kafka broker */
    const char *cluster;  /* the same: what it is called by itself */
    bool sync_full;
    bool dry; /* only to look at the settings: no file of answers is made or opened */
};

/* Caller owns *ret (answering_close). */
enum status answering_open(const struct answering *how, struct engine **ret,
                           struct error *err) MUST_CHECK;

/* Whether its answers belong to a journal: a Kafka broker, and something is kept. */
bool answering_needs_journal(const struct answering *how, const struct engine *engine);

/* Closes the engine; what could not be written goes to the log. NULL is accepted. */
void answering_close(struct engine *engine);

#endif

/* The enhance stage: raw posts in, enriched posts and dead letters out, exactly once.
 * Threads: enhance_ops runs on workers; see lib/stage/stage.h. */
#ifndef SLUICE_ENHANCE_ENHANCE_H
#define SLUICE_ENHANCE_ENHANCE_H

#include "lib/enrich/enrich.h"
#include "lib/stage/stage.h"
#include "stages/enhance/options.h"

/* What stage_env.stage_opt points to for this stage. */
struct enhance_setup {
    const struct enhance_options *opt;
    const struct enrich_options *enrich;
};

extern const struct stage_ops enhance_ops;

#endif

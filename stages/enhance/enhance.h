/* The enhance stage: raw posts in, enriched posts and dead letters out, exactly once.
 * Threads: enhance_ops runs on workers; see lib/stage/stage.h. */
#ifndef SLUICE_ENHANCE_ENHANCE_H
#define SLUICE_ENHANCE_ENHANCE_H

#include "lib/enrich/engine.h"
#include "lib/stage/stage.h"
#include "stages/enhance/journal.h"
#include "stages/enhance/options.h"

/* What stage_env.stage_opt points to for this stage. */
struct enhance_setup {
    const struct enhance_options *opt;
    struct engine *engine;   /* shared by the workers; opened and closed by whoever starts them */
    struct journal *journal; /* of its answers, or NULL; runs before and after the workers */
};

extern const struct stage_ops enhance_ops;

#endif

/* The sink stage: enriched posts into a store.
 * Threads: sink_ops runs on workers; see lib/stage/stage.h. */
#ifndef SLUICE_SINK_SINK_H
#define SLUICE_SINK_SINK_H

#include "lib/base/hist.h"
#include "lib/stage/drain.h"
#include "lib/stage/stage.h"
#include "stages/sink/options.h"

/* What came out, for the closing table of a run. May be read by any thread. */
struct sink_tally {
    _Atomic int64_t ours, leftover; /* sent by this run, and by earlier ones */
    _Atomic int64_t refused;        /* by the store: dead letters */
    struct hist latency;            /* of ours: source to sink */
};

/* What stage_env.stage_opt points to for this stage. */
struct sink_setup {
    const struct sink_options *opt;

    /* Dead letters of this sink up to these ends instead of enriched posts, as the group of the
     * drain; or NULL. */
    const struct drain *letters;
    const char *run_id; /* NULL: every record counts as ours */
    bool quiet;
    struct sink_tally *tally;
};

extern const struct stage_ops sink_ops;

#endif

/* The source stage: posts from a feed into the topic of raw posts.
 * Threads: source_ops runs on one worker; see lib/stage/stage.h. */
#ifndef SLUICE_SOURCE_SOURCE_H
#define SLUICE_SOURCE_SOURCE_H

#include "lib/stage/stage.h"
#include "stages/source/options.h"

/* What stage_env.stage_opt points to for this stage. */
struct source_setup {
    const struct source_options *opt;
    const char *run_id; /* for the header sluice-run */
    bool quiet;
    _Atomic int64_t *sent;    /* posts acknowledged so far; may be read by any thread */
    _Atomic int64_t *refused; /* lines that became dead letters */
};

extern const struct stage_ops source_ops; /* one worker */

/* A new random identifier of a run, RFC 4122 version 4: 36 characters and the zero byte. */
void source_run_id(char ret[37]);

#endif

/* Posts on stdin, enriched posts on stdout, in the same order, without a broker: the engine of
 * `sluice enrich`. Thread: runs its own loop on the calling thread until the input ends. */
#ifndef SLUICE_ENHANCE_FILTER_H
#define SLUICE_ENHANCE_FILTER_H

#include <stdio.h>

#include "lib/enrich/engine.h"
#include "lib/json/post.h"

struct filter_config {
    struct post_limits limits;
    struct engine *engine;
    const char *from; /* path, or "-" */
    FILE *dead;       /* refused lines as JSON lines go there; NULL: number and reason to stderr */
};

/* *ret_refused: lines that did not come out. ERR_IO when input or output fails. */
enum status filter_run(const struct filter_config *cfg, int64_t *ret_refused,
                       struct error *err) MUST_CHECK;

#endif

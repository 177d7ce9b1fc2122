/* The records that leave enhance: an enriched post or a dead letter, with their headers as
 * docs/FORMAT.md lists them. Loop thread only. */
#ifndef SLUICE_ENHANCE_OUTPUT_H
#define SLUICE_ENHANCE_OUTPUT_H

#include "lib/stage/headers.h"
#include "stages/enhance/window.h"

/* Scratch memory that is used again for every record. */
struct output {
    struct buf value; /* the spliced post */
    struct headers headers;
    const char *topic;    /* the input's, for sluice-src */
    const char *enricher; /* its name when it is paid; else NULL */
};

void output_init(struct output *o, const char *input_topic, const char *enricher);
void output_fini(struct output *o);

/* Fills *ret for the slot: everything but topic and partition. Borrowed until the next call. */
void output_build(struct output *o, const struct slot *slot, struct out *ret);

#endif

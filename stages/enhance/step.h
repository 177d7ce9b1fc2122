/* One post's way from bytes to an answer: decode, ask. The same for the stage and for the filter
 * `sluice enrich`. Loop thread only. */
#ifndef SLUICE_ENHANCE_STEP_H
#define SLUICE_ENHANCE_STEP_H

#include "lib/enrich/enrich.h"
#include "lib/json/post.h"

/* Zero it before the first use; step_begin may be called again and again and reuses the memory. */
struct step {
    struct post post;
    struct ask ask;  /* ask.err says why when the post is refused */
    struct buf text; /* unescaped, when the post has escapes there */
    struct buf id;
};

/* Scan `value` (kept by the caller until the answer is there) and ask. ST_OK: step->ask.answer
 * holds the answer. ST_AGAIN: later, by done(arg). ST_REJECT: dead letter. ST_FATAL: no enricher.
 */
enum status step_begin(struct step *step, struct enricher *enricher, struct span value,
                       const struct post_limits *limits, void (*done)(struct ask *ask),
                       void *arg) MUST_CHECK;

/* Forget the post; memory above a few KiB goes back. */
void step_reset(struct step *step);
void step_fini(struct step *step);

#endif

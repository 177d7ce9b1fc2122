/* Where batches are handed over: a thread with a loop and an enricher of its own, behind a queue.
 *
 *     any thread                        the desk's loop
 *     desk_answer: queue the batch ───> pump: ask about its posts, up to `window` at once
 *                  wait                 on_answer: write down the result
 *               <── wake up ─────────── the last one: the batch is done
 *
 * Ensures: 1. posts are asked about in the order of batches and posts. 2. a batch that fails has no
 * ask under way any more. 3. while answers cannot be stored batches wait, for at most
 * `patience_ms`.
 * 4. all signals are blocked on the desk's thread: they are the program's.
 * Threads: open and close on one thread, desk_answer and desk_load on any. */
#ifndef SLUICE_API_DESK_H
#define SLUICE_API_DESK_H

#include "include/sluice.h"
#include "lib/base/error.h"
#include "lib/enrich/engine.h"
#include "lib/json/post.h"

struct desk;

struct desk_config {
    struct engine *engine;
    struct post_limits limits;
    size_t window; /* posts that are asked about at once */
    int number;    /* for the thread's name */

    /* Whether what is paid for can be stored: ST_OK, ST_AGAIN, ST_FATAL. Loop thread. */
    enum status (*check)(void *arg, struct error *err);
    void *arg;
    int64_t patience_ms;
};

/* Caller owns *ret. Errors: those of enricher_open. */
enum status desk_open(const struct desk_config *cfg, struct desk **ret,
                      struct error *err) MUST_CHECK;

/* After the last desk_answer has returned. NULL is accepted. */
void desk_close(struct desk *d);

/* Returns when each of the n posts (n > 0) has its result. ST_FATAL: the enricher will never
 * answer, or answers cannot be stored; nothing is left behind. Caller owns *ret
 * (sluice_batch_free). */
enum status desk_answer(struct desk *d, const struct sluice_post *posts, size_t n,
                        struct sluice_batch **ret, struct error *err) MUST_CHECK;

/* Posts that wait for their result. */
size_t desk_load(const struct desk *d);

#endif

/* What source, enhance and sink share: a stage is some workers, each a thread with an event loop
 * of its own that no other thread touches.
 *
 *     stage_start -- worker thread: ops->open -- loop runs -- ops->stop ... worker_finished --
 * ops->close
 *
 * Ensures: 1. open, stop and close of a worker run on its own thread. 2. stop is called at most
 * once, and only after open went well; close exactly once. 3. The first failure of any worker stops
 * the others and is the stage's result.
 * Threads: stage_* on the main thread unless said otherwise; worker_* on the worker's own. */
#ifndef SLUICE_STAGE_STAGE_H
#define SLUICE_STAGE_STAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/broker/broker.h"
#include "lib/metrics/metrics.h"
#include "lib/stage/life.h"
#include "lib/stage/options.h"

struct stage;

/* What every worker can reach; all borrowed, constant, and outlive it. */
struct stage_env {
    struct broker *broker;
    struct metrics *metrics;
    const struct broker_options *broker_opt;
    const struct stage_options *opt;
    const char *instance;
    const void *stage_opt; /* the stage's own options */
    void *shared;          /* the stage's own, shared by its workers, or NULL */
};

struct worker {
    struct stage *stage;
    const struct stage_env *env;
    struct loop *loop;
    int index;
};

struct stage_ops {
    const char *name;   /* "enhance": also the part in log lines */
    size_t worker_size; /* of a struct that begins with a struct worker; zeroed before open */
    enum status (*open)(struct worker *w, struct error *err);

    /* End in order: take nothing new, finish within opt->drain_timeout_ms, then worker_finished. */
    void (*stop)(struct worker *w);
    void (*close)(struct worker *w); /* also after a failed open */
};

/* Starts the workers and waits until all have opened; a failure of one is the result. */
enum status stage_start(const struct stage_ops *ops, const struct stage_env *env, int workers,
                        struct life *life, struct stage **ret, struct error *err) MUST_CHECK;

/* Ask all workers to stop (later calls do nothing). Any thread. */
void stage_stop(struct stage *stage);

/* All workers have ended. life_ring is called when that happens. Any thread. */
bool stage_ended(struct stage *stage);

/* ST_OK, or the first failure so far. Any thread. */
enum status stage_result(struct stage *stage, struct error *err) MUST_CHECK;

/* Whether all workers said worker_ready(true); for /readyz. Any thread. */
bool stage_ready(struct stage *stage);

/* ops->name. Any thread. */
const char *stage_name(const struct stage *stage);

/* Waits for the end of all workers. NULL is accepted. */
void stage_free(struct stage *stage);

/* The worker is done: its loop ends after the current turn. */
void worker_finished(struct worker *w);

/* The worker cannot go on: recorded, and the whole stage ends. */
void worker_fail(struct worker *w, const struct error *err);

/* It has partitions (or needs none) and its broker answers; or not. Rings the main thread. */
void worker_ready(struct worker *w, bool ready);

/* The stage's name, for log lines. */
const char *worker_part(const struct worker *w);

#endif

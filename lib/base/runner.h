/* One thread beside a loop for calls that block (commits, look-ups at a broker). Jobs run one
 * after another in the order of submission; when a job's work has returned, its `done` runs on the
 * loop thread. The submitter owns the job, which must live until then. */
#ifndef SLUICE_BASE_RUNNER_H
#define SLUICE_BASE_RUNNER_H

#include <stdbool.h>

#include "lib/base/loop.h"

struct job {
    void (*work)(struct job *job); /* runner's thread */
    void (*done)(struct job *job); /* loop thread */
    struct job *next;              /* the runner's */
};

struct runner;

/* `name` (at most 15 characters) is the thread's name. Loop thread only. */
struct runner *runner_start(struct loop *loop, const char *name);

/* Waits until all submitted work has returned; jobs not yet reported get their `done` called
 * before it returns. NULL is accepted. Loop thread only. */
void runner_stop(struct runner *runner);

/* Loop thread only. */
void runner_submit(struct runner *runner, struct job *job);

/* Whether any job was submitted whose `done` has not run yet. Loop thread only. */
bool runner_busy(const struct runner *runner);

#endif

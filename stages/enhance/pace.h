/* How much is going on, of which follows how long a commit may wait for more answers (the times are
 * set_commit_interval's in worker.c): a commit costs as much as many calls, and nobody sees it wait
 * where the calls, or the posts before them, take far longer. Any thread. */
#ifndef SLUICE_ENHANCE_PACE_H
#define SLUICE_ENHANCE_PACE_H

#include <stddef.h>
#include <stdint.h>

/* BACKLOG: a flood, and posts wait for so many commits that a later one is hardly seen. */
enum pace { PACE_USUAL, PACE_MANY, PACE_FLOOD, PACE_BACKLOG, PACES };

/* answered: since the last commit was handed over; waiting: posts that were not taken yet. */
enum pace pace_of(size_t answered, int64_t waiting);

#endif

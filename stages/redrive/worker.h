/* Inside of the redrive worker, shared by its files:
 *
 *     worker.c     open, events of reader and writer, stop, close
 *     flow.c       take -> send -> commit -> release, and the end
 *
 * Loop thread only. */
#ifndef SLUICE_REDRIVE_WORKER_H
#define SLUICE_REDRIVE_WORKER_H

#include "lib/base/backoff.h"
#include "stages/redrive/redrive.h"

enum { RING = 1024, TAKE_MAX = 128, TAKE_BYTES = 4 << 20, RING_BYTES = 32 << 20, MARKS = 4 };

struct entry {
    struct record rec;
    bool wanted; /* goes back */
    bool gone;   /* its partition is not ours any more */
};

struct part {
    bool ours, dry, revoking, closed; /* closed: read to the end of the plan */
    int64_t next;                     /* position that is due: all below was looked at */
    int64_t handed;                   /* in the last batch handed over */
    int unsent;                       /* entries at or above `sent` */
};

struct redrive {
    struct worker w; /* first: the stage hands this out */
    const struct redrive_setup *setup;
    struct reader *reader;
    struct writer *writer;
    struct part *parts;
    struct position *positions; /* scratch for a commit, one per partition */
    int32_t part_count;
    struct entry ring[RING];
    uint64_t head, sent, tail;
    size_t bytes; /* of the records in the ring */
    struct {
        uint64_t batch, sent;
    } marks[MARKS];
    int mark_count;
    int64_t out, confirmed; /* letters sent, and those of durable batches */
    int64_t start_ns;
    struct headers headers;
    struct record recs[TAKE_MAX];
    struct loop_idle *more;
    struct loop_timer *rate_timer, *retry_timer;
    struct backoff retry;
    bool blocked, paused, stopping, revoking;
};

/* --- flow.c --- */

/* Everything that can be done now is done; called from the loop, at most once a turn. */
void redrive_pump(void *arg);
void redrive_schedule(struct redrive *r);
void redrive_confirm(struct redrive *r, uint64_t batch);
void redrive_resend(struct redrive *r);

/* From index `from` on, entries of this partition are not ours any more. */
void redrive_drop(struct redrive *r, int32_t partition, uint64_t from);

/* Where the plan ends in a partition. */
int64_t redrive_end(const struct redrive *r, int32_t partition);

/* Gives the oldest record of the ring back. */
void redrive_pop(struct redrive *r);

#endif

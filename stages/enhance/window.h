/* The window of a partition: its posts from poll to commit, in offset order.
 *
 *      head            sent        frontier           tail
 *       |  in a batch   |   done    |  asking or done  |
 *
 * Ensures:
 * 1. head <= sent <= frontier <= tail: what is before head is committed and released; [head, sent)
 *    is in a batch that is not confirmed; the frontier is the first slot that is not done.
 * 2. Slots leave in offset order, and keep bytes and answers until their batch is confirmed: after
 *    an abort the same slots are sent again; nothing is read or asked a second time.
 * 3. The position of a batch is one past the last slot that is in it (or where the reader stands,
 *    when all that it gave is in it).
 *
 * Knows neither broker nor enricher: it only keeps order. Loop thread only. */
#ifndef SLUICE_ENHANCE_WINDOW_H
#define SLUICE_ENHANCE_WINDOW_H

#include "lib/broker/broker.h"
#include "stages/enhance/step.h"

enum slot_state { SLOT_ASKING, SLOT_DONE, SLOT_DEAD };

struct slot {
    struct record rec;
    struct window *win;
    struct slot *next_free;
    enum slot_state state;
    bool bare;        /* a dead letter whose own value was too large: sent without it */
    struct step step; /* step.ask.err: why it is dead */
};

/* Slots to be used again, newest first, so that a quiet stage touches few of them. */
struct slot_pool {
    struct slot *free;
};

enum { WINDOW_MARKS = 4 };
struct window {
    void *owner; /* the worker, for whoever holds a slot */
    struct slot_pool *pool;
    struct slot **ring; /* a power of two of them */
    size_t mask;
    uint64_t head, sent, tail;
    uint64_t handed;  /* `sent` at the last hand-over */
    int64_t position; /* in the last batch handed over; -1: none */
    int32_t partition;
    uint32_t epoch;
    size_t bytes; /* of the records in it */
    size_t asking;
    bool polled_dry; /* the reader said ST_AGAIN, and has not said readable since */
    bool revoking;
    struct {
        uint64_t batch, sent;
    } marks[WINDOW_MARKS]; /* what each open batch covers */
    int mark_count;
};

struct window *window_new(void *owner, struct slot_pool *pool, int32_t partition, uint32_t epoch,
                          size_t max_posts);
void window_free(struct window *win); /* must be empty */
void slot_pool_fini(struct slot_pool *pool);

static inline size_t window_count(const struct window *win)
{
    return (size_t)(win->tail - win->head);
}

static inline size_t window_room(const struct window *win)
{
    return win->mask + 1 - window_count(win);
}

/* Puts the record into a new slot at the tail, as SLOT_ASKING. There must be room. */
struct slot *window_add(struct window *win, const struct record *rec);

/* The slot to be sent next, or NULL when that one is not done (or there is none). */
struct slot *window_next(struct window *win);

/* That slot is in the batch now. */
void window_sent(struct window *win);

/* The position that rides in the batch to be handed over now, or -1 when it has not moved.
 * `read_to` is where the reader stands: it counts when everything that was read is sent. */
int64_t window_position(const struct window *win, int64_t read_to);

/* The batch `number` was handed over with that position. */
void window_handed(struct window *win, uint64_t number, int64_t position);

/* Batch `number` is durable: the slots before this index may be taken off with window_pop. */
uint64_t window_confirmed(struct window *win, uint64_t number);

/* Takes the oldest slot off the ring (the caller gives its record back, then slot_free). */
struct slot *window_pop(struct window *win);
void slot_free(struct slot_pool *pool, struct slot *slot);

/* All open batches left nothing behind: their slots are to be sent again. */
void window_aborted(struct window *win);

#endif

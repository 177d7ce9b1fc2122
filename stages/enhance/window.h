/* The window of a partition: its posts from poll to commit.
 *
 *      head              front                       tail
 *       |  sent, or gone   |  asking, done, sent, gone  |
 *
 * Every post has an entry, in offset order. A *slot* hangs on the entry until the post's batch is
 * confirmed; an entry without a slot is *gone*: committed. Under order `partition` posts are sent
 * only at the front; under `key` and `none` a done post may be sent before its time, and then the
 * position's metadata carries the offsets above the position that are done (ranges.h).
 *
 * Ensures:
 * 1. head <= front <= tail; everything below front is sent or gone, and the entry at front (if
 *    any) is neither.
 * 2. A slot keeps bytes and answer until its batch is confirmed: after an abort it is sent again,
 *    never read or asked again.
 * 3. Order partition: slots are sent in offset order. Order key: two slots of one key are sent in
 *    offset order. Always: no slot twice, unless an abort lies between.
 * 4. The position of a batch is the offset at front, or where the reader stands when all is sent;
 *    together with its metadata it names exactly what is in confirmed batches and this one.
 * 5. The metadata never outgrows POSITION_METADATA_MAX: a post that would break this waits.
 *
 * Knows neither broker nor enricher: it only keeps order. Loop thread only. */
#ifndef SLUICE_ENHANCE_WINDOW_H
#define SLUICE_ENHANCE_WINDOW_H

#include "lib/broker/broker.h"
#include "stages/enhance/ranges.h"
#include "stages/enhance/step.h"

enum order { ORDER_PARTITION, ORDER_KEY, ORDER_NONE };
enum slot_state { SLOT_ASKING, SLOT_LEFT, SLOT_DONE, SLOT_DEAD }; /* left: to the next owner */

struct slot {
    struct record rec;
    struct window *win;
    struct slot *next; /* in the free list, the ready queue, or the list of its batch */
    uint64_t index;    /* of its entry */
    enum slot_state state;
    bool sent;
    bool bare; /* a dead letter whose own value was too large: sent without it */

    /* order key: slots of one key that are not sent, oldest first */
    struct slot *same_key, *last_of_key, *next_in_bucket;
    uint32_t hash;
    bool first_of_key;

    struct step step; /* step.ask.err: why it is dead */
};

static inline bool slot_is_answered(const struct slot *slot)
{
    return slot->state >= SLOT_DONE;
}

/* Slots to be used again, newest first, so that a quiet stage touches few of them. */
struct slot_pool {
    struct slot *free;
};

struct slot_list {
    struct slot *first, *last;
};

struct window_entry {
    int64_t offset;
    struct slot *slot; /* NULL: gone */
};

enum { WINDOW_MARKS = 4 };
struct window {
    void *owner; /* the worker, for whoever holds a slot */
    struct slot_pool *pool;
    enum order order;
    struct window_entry *ring; /* a power of two of them */
    size_t mask;
    uint64_t head, front, tail;
    int32_t partition;
    uint32_t epoch;
    size_t bytes; /* of the records that hang on it */
    size_t slots; /* entries that are not gone */
    size_t asking;
    bool polled_dry; /* the reader said ST_AGAIN, and has not said readable since */
    bool revoking;
    int64_t position;        /* in the last batch handed over */
    int64_t polled_to;       /* one past the highest offset added */
    struct slot_list ready;  /* orders key and none: what may be sent */
    struct slot_list filled; /* in the batch that is being filled */
    struct {
        uint64_t batch;
        struct slot_list slots;
    } marks[WINDOW_MARKS]; /* batches that are not confirmed */
    int mark_count;
    size_t runs;            /* of entries above front that are sent or gone */
    struct ranges restored; /* done by an earlier owner; what was not polled yet */
    struct ranges scratch;
    struct slot **buckets; /* order key: first slots of keys, by hash */
};

struct window *window_new(void *owner, struct slot_pool *pool, enum order order, int32_t partition,
                          uint32_t epoch, size_t max_posts);

/* Begin at a position with its metadata. ST_REJECT: metadata that cannot be read. */
enum status window_restore(struct window *win, int64_t position, const char *metadata,
                           struct error *err) MUST_CHECK;
void window_free(struct window *win); /* has no slots any more */
void slot_pool_fini(struct slot_pool *pool);

static inline size_t window_count(const struct window *win)
{
    return (size_t)(win->tail - win->head);
}

static inline size_t window_room(const struct window *win)
{
    return win->mask + 1 - window_count(win);
}

/* A new slot at the tail, as SLOT_ASKING; NULL when an earlier owner has done this post (give the
 * record back). There must be room. */
struct slot *window_add(struct window *win, const struct record *rec);

/* The slot's state is SLOT_DONE or SLOT_DEAD now. */
void window_answered(struct window *win, struct slot *slot);

/* The slot to be sent next, or NULL; window_sent: that slot is in the batch now. */
struct slot *window_next(struct window *win);
void window_sent(struct window *win);

/* The position that is to ride in the batch handed over now, or -1 when there is no news. `read_to`
 * is where the reader stands. Its metadata is appended to *metadata. */
int64_t window_position(struct window *win, int64_t read_to, struct buf *metadata);

/* The batch `number` was handed over with that position. */
void window_handed(struct window *win, uint64_t number, int64_t position);

/* Batch `number` is durable. Returns its slots, linked by `next`: the caller gives their records
 * back, then slot_free. NULL when it held none of this partition. */
struct slot *window_confirmed(struct window *win, uint64_t number);
void slot_free(struct slot_pool *pool, struct slot *slot);

/* Everything sent is in confirmed batches. */
bool window_settled(const struct window *win);

/* All open batches left nothing behind: their slots are to be sent again. */
void window_aborted(struct window *win);

/* Takes any slot off, whatever its state, or NULL: for dropping a partition. */
struct slot *window_pop(struct window *win);

#endif

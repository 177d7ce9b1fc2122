/* Posts from feed to acknowledgement, in order. An abort sends them again from here, since a feed
 * such as a pipe cannot be asked twice.
 *
 * Ensures: head <= sent <= tail; entries keep their bytes until they are popped; memory comes in
 * chunks that are used again, never one post at a time. Loop thread only. */
#ifndef SLUICE_SOURCE_OUTBOX_H
#define SLUICE_SOURCE_OUTBOX_H

#include <stdint.h>

#include "lib/base/arena.h"
#include "lib/base/reason.h"

struct entry {
    struct span key, value, id; /* id: as the log line shows it; absent for a dead letter */
    int64_t line;               /* of the feed, from 1 */
    int64_t sent_us;            /* wall clock at the first sending */
    enum reason reason;         /* REASON_NONE: a post */
    const char *why;
};

struct outbox_chunk;
struct outbox {
    struct entry *ring;
    uint64_t mask, head, sent, tail;
    struct outbox_chunk *first, *last, *spare;
};

void outbox_init(struct outbox *o, size_t entries);
void outbox_fini(struct outbox *o);

static inline bool outbox_full(const struct outbox *o)
{
    return o->tail - o->head > o->mask;
}

/* A new entry at the tail whose spans (and why) are copied. There must be room. */
void outbox_add(struct outbox *o, const struct entry *entry);

/* The entry to be sent next, or NULL. */
struct entry *outbox_next(struct outbox *o);

/* The oldest entry; then forget it. */
const struct entry *outbox_first(const struct outbox *o);
void outbox_pop(struct outbox *o);

#endif

/* Memory that is given out piece by piece and taken back all at once: one arena per batch of
 * records. One thread at a time. */
#ifndef SLUICE_BASE_ARENA_H
#define SLUICE_BASE_ARENA_H

#include <stddef.h>

#include "lib/base/span.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes handed out since the last reset */
};

/* A zeroed struct arena is valid and empty. */
void arena_fini(struct arena *a);

/* Forget everything handed out; keeps one chunk, the largest. */
void arena_reset(struct arena *a);

/* n bytes, aligned for any type, valid until reset. */
void *arena_alloc(struct arena *a, size_t n) __attribute__((returns_nonnull));

/* A copy of the bytes; an absent span stays absent. */
struct span arena_copy(struct arena *a, struct span s);

#endif

/* Bump allocation in chunks of at least 64 KiB. */
#include "lib/base/arena.h"

#include <stdalign.h>

#include "lib/base/mem.h"

enum { CHUNK_MIN = 64 << 10 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, cap;
    alignas(max_align_t) char bytes[];
};

void arena_fini(struct arena *a)
{
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        mem_free(c);
    }
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    a->used = 0;
    struct arena_chunk *largest = a->chunks;
    for (struct arena_chunk *c = a->chunks; c != NULL; c = c->next)
        if (c->cap > largest->cap)
            largest = c;
    while (a->chunks != NULL) {
        struct arena_chunk *c = a->chunks;
        a->chunks = c->next;
        if (c != largest)
            mem_free(c);
    }
    if (largest != NULL) {
        largest->next = NULL;
        largest->used = 0;
        a->chunks = largest;
    }
}

static struct arena_chunk *add_chunk(struct arena *a, size_t n)
{
    size_t cap = n > CHUNK_MIN ? n : CHUNK_MIN;
    struct arena_chunk *c = mem_alloc(sizeof *c + cap);
    *c = (struct arena_chunk){.next = a->chunks, .cap = cap};
    a->chunks = c;
    return c;
}

void *arena_alloc(struct arena *a, size_t n)
{
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct arena_chunk *c = a->chunks;
    if (c == NULL || c->cap - c->used < n)
        c = add_chunk(a, n);
    void *p = c->bytes + c->used;
    c->used += n;
    a->used += n;
    return p;
}

struct span arena_copy(struct arena *a, struct span s)
{
    if (s.p == NULL)
        return SPAN_NULL;
    char *p = arena_alloc(a, s.n);
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    return span_make(p, s.n);
}

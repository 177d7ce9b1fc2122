/* See pool.h. */
#include "lib/broker/sqlite/pool.h"

#include <stdalign.h>

#include "lib/base/mem.h"

enum { CHUNK_BYTES = 64 << 10, SPARE_MAX = 32 };

struct pool_chunk {
    struct pool_chunk *next;
    size_t used, cap, live;
    alignas(max_align_t) char bytes[];
};

static void give_back(struct pool *pool, struct pool_chunk *chunk)
{
    if (chunk->cap > CHUNK_BYTES || pool->spare_count >= SPARE_MAX) {
        mem_free(chunk);
        return;
    }
    chunk->used = 0;
    chunk->next = pool->spare;
    pool->spare = chunk;
    pool->spare_count++;
}

static struct pool_chunk *take(struct pool *pool, size_t n)
{
    struct pool_chunk *chunk = pool->spare;
    if (n <= CHUNK_BYTES && chunk != NULL) {
        pool->spare = chunk->next;
        pool->spare_count--;
        return chunk;
    }
    size_t cap = n > CHUNK_BYTES ? n : CHUNK_BYTES;
    chunk = mem_alloc(sizeof *chunk + cap);
    *chunk = (struct pool_chunk){.cap = cap};
    return chunk;
}

void *pool_alloc(struct pool *pool, size_t n, struct pool_chunk **ret_chunk)
{
    n = (n + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    struct pool_chunk *chunk = pool->current;
    if (chunk == NULL || chunk->cap - chunk->used < n) {
        if (chunk != NULL && chunk->live == 0)
            give_back(pool, chunk);
        chunk = pool->current = take(pool, n);
    }
    void *p = chunk->bytes + chunk->used;
    chunk->used += n;
    chunk->live++;
    *ret_chunk = chunk;
    return p;
}

void pool_release(struct pool *pool, struct pool_chunk *chunk)
{
    if (--chunk->live > 0)
        return;
    if (chunk == pool->current)
        chunk->used = 0;
    else
        give_back(pool, chunk);
}

void pool_fini(struct pool *pool)
{
    mem_free(pool->current);
    while (pool->spare != NULL) {
        struct pool_chunk *chunk = pool->spare;
        pool->spare = chunk->next;
        mem_free(chunk);
    }
    *pool = (struct pool){0};
}

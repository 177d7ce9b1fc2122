/* Memory of records that were read: chunks that count how many records live in them and are used
 * again when the last one is released. So a record costs no allocation, and records read one by
 * one share a chunk. One thread. */
#ifndef SLUICE_BROKER_SQLITE_POOL_H
#define SLUICE_BROKER_SQLITE_POOL_H

#include <stddef.h>

struct pool_chunk;

/* A zeroed struct pool is valid and empty. */
struct pool {
    struct pool_chunk *current, *spare;
    size_t spare_count;
};

/* Frees what is spare; chunks with live records must not exist any more. */
void pool_fini(struct pool *pool);

/* n bytes, aligned for pointers; *ret_chunk goes to pool_release once. */
void *pool_alloc(struct pool *pool, size_t n, struct pool_chunk **ret_chunk);
void pool_release(struct pool *pool, struct pool_chunk *chunk);

#endif

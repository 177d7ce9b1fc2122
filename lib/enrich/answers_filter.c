/* Putze, Sanders, Singler: Cache-, Hash- and Space-Efficient Bloom Filters (2007): all bits of a
 * key stand in one block of the size of a cache line. */
#include "lib/enrich/answers_filter.h"

#include <stdatomic.h>
#include <string.h>

#include "lib/base/mem.h"

enum { WORDS = 8, PROBES = 6, BITS_EACH = 16, LEAST = 1 << 20 };

struct block {
    _Atomic uint64_t words[WORDS];
};

struct answers_filter {
    uint64_t mask; /* blocks less one */
    struct block *blocks;
};

struct answers_filter *answers_filter_new(int64_t known)
{
    struct answers_filter *f = mem_zalloc(sizeof *f);
    uint64_t questions = (uint64_t)(known * 2 > LEAST ? known * 2 : LEAST);
    uint64_t wanted = questions * BITS_EACH / (sizeof(struct block) * 8);
    uint64_t blocks = 1;
    while (blocks < wanted)
        blocks *= 2;
    f->mask = blocks - 1;
    f->blocks = mem_array(blocks, sizeof *f->blocks);
    return f;
}

void answers_filter_free(struct answers_filter *f)
{
    if (f != NULL)
        mem_free(f->blocks);
    mem_free(f);
}

static struct block *block_of(const struct answers_filter *f, const struct question *q,
                              uint64_t *ret_bits)
{
    uint64_t where;
    memcpy(&where, q->key + 16, sizeof where);
    memcpy(ret_bits, q->key + 24, sizeof *ret_bits);
    return &f->blocks[where & f->mask];
}

void answers_filter_add(struct answers_filter *f, const struct question *q)
{
    uint64_t bits;
    struct block *block = block_of(f, q, &bits);
    for (int i = 0; i < PROBES; i++, bits >>= 9)
        atomic_fetch_or_explicit(&block->words[bits >> 6 & 7], UINT64_C(1) << (bits & 63),
                                 memory_order_relaxed);
}

bool answers_filter_may_have(const struct answers_filter *f, const struct question *q)
{
    uint64_t bits;
    struct block *block = block_of(f, q, &bits);
    for (int i = 0; i < PROBES; i++, bits >>= 9)
        if ((atomic_load_explicit(&block->words[bits >> 6 & 7], memory_order_relaxed) &
             UINT64_C(1) << (bits & 63)) == 0)
            return false;
    return true;
}

/* Histogram: 16 linear steps in every power of two. */
#include "lib/base/hist.h"

enum { STEPS = 16, STEP_BITS = 4 };

static int bucket_of(uint64_t us)
{
    if (us < STEPS)
        return (int)us;
    int top = 63 - __builtin_clzll(us);
    int b = (top - STEP_BITS + 1) * STEPS + (int)((us >> (top - STEP_BITS)) - STEPS);
    return b < HIST_BUCKETS ? b : HIST_BUCKETS - 1;
}

static uint64_t lowest_of(int b)
{
    if (b < STEPS)
        return (uint64_t)b;
    int top = b / STEPS + STEP_BITS - 1;
    return ((uint64_t)(b % STEPS) + STEPS) << (top - STEP_BITS);
}

static uint64_t load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void raise_to(_Atomic uint64_t *v, uint64_t us)
{
    uint64_t old = load(v);
    while (us > old && !atomic_compare_exchange_weak_explicit(v, &old, us, memory_order_relaxed,
                                                              memory_order_relaxed)) {
    }
}

void hist_add(struct hist *h, int64_t us)
{
    uint64_t v = us < 0 ? 0 : (uint64_t)us;
    atomic_fetch_add_explicit(&h->bucket[bucket_of(v)], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->count, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&h->sum_us, v, memory_order_relaxed);
    if (v > load(&h->max_us))
        raise_to(&h->max_us, v);
}

void hist_merge(struct hist *to, const struct hist *from)
{
    for (int i = 0; i < HIST_BUCKETS; i++)
        atomic_fetch_add_explicit(&to->bucket[i], load(&from->bucket[i]), memory_order_relaxed);
    atomic_fetch_add_explicit(&to->count, load(&from->count), memory_order_relaxed);
    atomic_fetch_add_explicit(&to->sum_us, load(&from->sum_us), memory_order_relaxed);
    raise_to(&to->max_us, load(&from->max_us));
}

double hist_quantile(const struct hist *h, double q)
{
    uint64_t total = 0, seen = 0;
    for (int i = 0; i < HIST_BUCKETS; i++)
        total += load(&h->bucket[i]);
    if (total == 0)
        return 0;
    uint64_t rank = (uint64_t)(q * (double)total);
    if (rank >= total)
        rank = total - 1;
    for (int i = 0; i < HIST_BUCKETS; i++) {
        seen += load(&h->bucket[i]);
        if (seen > rank)
            return ((double)lowest_of(i) + (double)lowest_of(i + 1)) / 2;
    }
    return (double)load(&h->max_us);
}

uint64_t hist_count_below(const struct hist *h, int64_t us)
{
    uint64_t seen = 0;
    for (int i = 0; i < HIST_BUCKETS && (int64_t)lowest_of(i + 1) <= us; i++)
        seen += load(&h->bucket[i]);
    return seen;
}

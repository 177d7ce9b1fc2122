/* Counters, gauges and histograms, and their Prometheus text.
 *
 * Every part registers its own instance of a series once; instances with equal name and labels are
 * added up when they are read, so that workers never share a cache line. Registering: any thread,
 * takes a lock. Counting: any thread, relaxed atomics. */
#ifndef SLUICE_METRICS_METRICS_H
#define SLUICE_METRICS_METRICS_H

#include <stdatomic.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/hist.h"

struct metrics;

struct counter {
    _Atomic uint64_t value;
};
struct gauge {
    _Atomic int64_t value;
};

struct metrics *metrics_new(void);
void metrics_free(struct metrics *m);

/* `labels` is the inside of the braces, e.g. `stage="enhance",topic="raw_posts"`, or "". The name
 * ends in _total for counters and _seconds for histograms (which are counted in us). Borrowed until
 * metrics_free. */
struct counter *metrics_counter(struct metrics *m, const char *name, const char *labels,
                                const char *help);
struct gauge *metrics_gauge(struct metrics *m, const char *name, const char *labels,
                            const char *help);
struct hist *metrics_hist(struct metrics *m, const char *name, const char *labels,
                          const char *help);

static inline void counter_add(struct counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

static inline void gauge_set(struct gauge *g, int64_t v)
{
    atomic_store_explicit(&g->value, v, memory_order_relaxed);
}

/* Prometheus text format 0.0.4, series in order of registration. */
void metrics_print(struct metrics *m, struct buf *out);

/* Sum over all instances with this name whose labels contain `labels`. */
double metrics_sum(struct metrics *m, const char *name, const char *labels);

#endif

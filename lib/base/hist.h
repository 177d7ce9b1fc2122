/* Latency histogram: log-linear buckets (as HdrHistogram draws them), 1 us to 16 min, error below
 * 1/16. Counting is a relaxed atomic add, so any thread may count while another reads. */
#ifndef SLUICE_BASE_HIST_H
#define SLUICE_BASE_HIST_H

#include <stdatomic.h>
#include <stdint.h>

enum { HIST_BUCKETS = 28 * 16 };

struct hist {
    _Atomic uint64_t bucket[HIST_BUCKETS];
    _Atomic uint64_t count, sum_us, max_us;
};

/* A zeroed struct hist is valid and empty. Negative values count as 0. */
void hist_add(struct hist *h, int64_t us);

/* Add all of `from` to `to`. */
void hist_merge(struct hist *to, const struct hist *from);

/* The value below which the share q (0 to 1) of all values lies, in us; 0 when empty. */
double hist_quantile(const struct hist *h, double q);

/* How many values were at or below `us` (exact at bucket limits). */
uint64_t hist_count_below(const struct hist *h, int64_t us);

#endif

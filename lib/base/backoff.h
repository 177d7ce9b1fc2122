/* Seeded randomness and waiting times. One thread at a time. */
#ifndef SLUICE_BASE_BACKOFF_H
#define SLUICE_BASE_BACKOFF_H

#include <stdint.h>

/* xorshift64* (Vigna 2016): fast, repeatable, not for secrets. */
struct rng {
    uint64_t state;
};

/* Equal seeds give equal numbers; any seed will do, 0 too. */
void rng_seed(struct rng *r, uint64_t seed);
uint64_t rng_next(struct rng *r);

/* 0 <= result < 1. */
double rng_double(struct rng *r);

/* Exponential backoff with decorrelated jitter (Brooker, "Exponential Backoff And Jitter", 2015):
 * each wait is random between `base` and three times the last one, and at most `cap`. */
struct backoff {
    int64_t base_ms, cap_ms, last_ms;
    struct rng rng;
};

void backoff_init(struct backoff *b, int64_t base_ms, int64_t cap_ms, uint64_t seed);

/* How long to wait before the next try, in ms. */
int64_t backoff_next(struct backoff *b);

/* After a success. */
void backoff_reset(struct backoff *b);

#endif

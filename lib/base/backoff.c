/* Randomness and waiting times: see backoff.h for the sources. */
#include "lib/base/backoff.h"

void rng_seed(struct rng *r, uint64_t seed)
{
    /* splitmix64 spreads small seeds over all bits and never leaves the state at zero. */
    uint64_t z = seed + 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    r->state = z == 0 ? 1 : z;
}

uint64_t rng_next(struct rng *r)
{
    r->state ^= r->state >> 12;
    r->state ^= r->state << 25;
    r->state ^= r->state >> 27;
    return r->state * 0x2545F4914F6CDD1Du;
}

double rng_double(struct rng *r)
{
    return (double)(rng_next(r) >> 11) * 0x1.0p-53;
}

void backoff_init(struct backoff *b, int64_t base_ms, int64_t cap_ms, uint64_t seed)
{
    *b = (struct backoff){.base_ms = base_ms, .cap_ms = cap_ms, .last_ms = base_ms};
    rng_seed(&b->rng, seed);
}

int64_t backoff_next(struct backoff *b)
{
    int64_t high = b->last_ms * 3 > b->cap_ms ? b->cap_ms : b->last_ms * 3;
    int64_t span = high > b->base_ms ? high - b->base_ms : 0;
    b->last_ms = b->base_ms + (int64_t)(rng_double(&b->rng) * (double)(span + 1));
    return b->last_ms > b->cap_ms ? b->cap_ms : b->last_ms;
}

void backoff_reset(struct backoff *b)
{
    b->last_ms = b->base_ms;
}

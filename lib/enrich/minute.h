/* A limit for every sliding 60 seconds: what runs now (reserved) and what ended within the last
 * minute (used) stay at or below it. Whenever the other side counts a call, between its begin and
 * its end, its sum over a minute is no more than ours.
 * Threads: its owner's. */
#ifndef SLUICE_ENRICH_MINUTE_H
#define SLUICE_ENRICH_MINUTE_H

#include <stdbool.h>
#include <stdint.h>

enum { MINUTE_SLOT_MS = 100, MINUTE_SLOTS = 601 };

struct minute {
    int64_t limit;    /* 0: none */
    int64_t reserved; /* by what runs */
    int64_t used;     /* sum of the slots */
    int64_t slots[MINUTE_SLOTS];
    int64_t now_slot;
    double level, burst; /* the bucket that spreads: refilled by limit / 60 s, up to burst */
    int64_t filled_us;
};

void minute_init(struct minute *m, int64_t limit, int64_t now_us);

/* Whether n more may begin now: then they are reserved. Else *ret_wait_ms is when to ask again. */
bool minute_take(struct minute *m, int64_t n, int64_t now_us, int64_t *ret_wait_ms);

/* What was reserved is over; `used` of it was used. */
void minute_settle(struct minute *m, int64_t reserved, int64_t used, int64_t now_us);

/* Used and reserved as of now. */
int64_t minute_sum(struct minute *m, int64_t now_us);

#endif

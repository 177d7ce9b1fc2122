/* Slots of 100 ms, one more than a minute has, so that nothing is forgotten too early.
 *
 * Ensures: reserved + used <= limit after every take, unless one take alone is above the limit;
 * such a one runs alone. */
#include "lib/enrich/minute.h"

#include <string.h>

enum { MINUTE_US = 60 * 1000 * 1000, BURST_SHARE = 60 }; /* a bucket of one second's worth */

void minute_init(struct minute *m, int64_t limit, int64_t now_us)
{
    memset(m, 0, sizeof *m);
    m->limit = limit;
    m->burst = (double)limit / BURST_SHARE;
    m->level = m->burst;
    m->filled_us = now_us;
    m->now_slot = now_us / (MINUTE_SLOT_MS * 1000);
}

/* Forget what is older than a minute; fill the bucket. */
static void advance(struct minute *m, int64_t now_us)
{
    int64_t slot = now_us / (MINUTE_SLOT_MS * 1000);
    int64_t steps = slot - m->now_slot;
    for (int64_t i = 0; i < steps && i < MINUTE_SLOTS; i++) {
        int64_t *old = &m->slots[(m->now_slot + 1 + i) % MINUTE_SLOTS];
        m->used -= *old;
        *old = 0;
    }
    if (steps > 0)
        m->now_slot = slot;
    m->level += (double)m->limit * (double)(now_us - m->filled_us) / MINUTE_US;
    if (m->level > m->burst)
        m->level = m->burst;
    m->filled_us = now_us;
}

/* When the oldest slots that hold enough are forgotten. */
static int64_t wait_for_window(const struct minute *m, int64_t missing, int64_t now_us)
{
    int64_t freed = 0;
    for (int64_t i = 1; i < MINUTE_SLOTS; i++) {
        freed += m->slots[(m->now_slot + i) % MINUTE_SLOTS];
        if (freed >= missing) {
            int64_t free_us = (m->now_slot + i) * MINUTE_SLOT_MS * 1000;
            return free_us <= now_us ? 1 : (free_us - now_us) / 1000 + 1;
        }
    }
    return 1000; /* it is reserved by what runs */
}

bool minute_take(struct minute *m, int64_t n, int64_t now_us, int64_t *ret_wait_ms)
{
    if (m->limit == 0)
        return true;
    advance(m, now_us);
    int64_t sum = m->reserved + m->used, missing = sum + n - m->limit;
    if (missing > 0 && sum > 0) {
        *ret_wait_ms = wait_for_window(m, missing, now_us);
        return false;
    }
    double need = (double)n < m->burst ? (double)n : m->burst;
    if (m->level < need) {
        *ret_wait_ms = (int64_t)((need - m->level) * 60000 / (double)m->limit) + 1;
        return false;
    }
    m->level -= (double)n;
    m->reserved += n;
    return true;
}

void minute_settle(struct minute *m, int64_t reserved, int64_t used, int64_t now_us)
{
    if (m->limit == 0)
        return;
    advance(m, now_us);
    m->reserved -= reserved;
    m->used += used;
    m->slots[m->now_slot % MINUTE_SLOTS] += used;
    m->level += (double)(reserved - used);
    if (m->level > m->burst)
        m->level = m->burst;
}

int64_t minute_sum(struct minute *m, int64_t now_us)
{
    advance(m, now_us);
    return m->reserved + m->used;
}

/* See llm_parts.h: what is counted exactly. The window is a ring of what was accepted, so that a
 * limit holds for every sliding window and not for buckets of the clock. */
#include <string.h>

#include "lib/base/mem.h"
#include "tests/support/llm_parts.h"

/* --- the window --- */

void llm_window_fini(struct llm_window *w)
{
    mem_free(w->ring);
    *w = (struct llm_window){0};
}

static struct llm_entry *entry_at(const struct llm_window *w, size_t i)
{
    return &w->ring[(w->first + i) & (w->cap - 1)];
}

void llm_window_move(struct llm_window *w, int64_t now_us)
{
    while (w->count > 0 && entry_at(w, 0)->at_us <= now_us - w->span_us) {
        w->tokens -= entry_at(w, 0)->tokens;
        w->first = (w->first + 1) & (w->cap - 1);
        w->count--;
    }
}

static void window_grow(struct llm_window *w)
{
    size_t cap = w->cap == 0 ? 1024 : 2 * w->cap;
    struct llm_entry *ring = mem_array(cap, sizeof *ring);
    for (size_t i = 0; i < w->count; i++)
        ring[i] = *entry_at(w, i);
    mem_free(w->ring);
    w->ring = ring;
    w->first = 0;
    w->cap = cap;
}

void llm_window_add(struct llm_window *w, int64_t now_us, int64_t tokens)
{
    llm_window_move(w, now_us);
    if (w->count == w->cap)
        window_grow(w);
    *entry_at(w, w->count++) = (struct llm_entry){now_us, tokens};
    w->tokens += tokens;
    if (w->tokens > w->tokens_max)
        w->tokens_max = w->tokens;
    if ((int64_t)w->count > w->count_max)
        w->count_max = (int64_t)w->count;
}

int64_t llm_window_wait_us(struct llm_window *w, int64_t now_us, int64_t tokens, int64_t tokens_max,
                           int64_t count_max)
{
    llm_window_move(w, now_us);
    int64_t sum = w->tokens + tokens, count = (int64_t)w->count + 1, wait_us = 0;
    for (size_t i = 0;; i++) {
        if ((tokens_max == 0 || sum <= tokens_max) && (count_max == 0 || count <= count_max))
            return wait_us;
        if (i == w->count)
            return INT64_MAX;
        wait_us = entry_at(w, i)->at_us + w->span_us - now_us;
        sum -= entry_at(w, i)->tokens;
        count--;
    }
}

int64_t llm_window_reset_us(const struct llm_window *w, int64_t now_us)
{
    if (w->count == 0)
        return 0;
    int64_t left = entry_at(w, w->count - 1)->at_us + w->span_us - now_us;
    return left > 0 ? left : 0;
}

/* --- the set --- */

/* Eight bytes a step, each mixed by a multiplication and a shift (as MurmurHash does). */
uint64_t llm_hash(uint64_t seed, struct span s)
{
    const uint64_t k = 0x9E3779B97F4A7C15u;
    uint64_t h = (seed ^ s.n) * k, word;
    const char *p = s.p;
    size_t n = s.n;
    for (; n >= 8; p += 8, n -= 8) {
        memcpy(&word, p, 8);
        h = (h ^ word) * k;
        h ^= h >> 29;
    }
    word = 0;
    if (n > 0)
        memcpy(&word, p, n);
    h = (h ^ word) * k;
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

void llm_seen_fini(struct llm_seen *seen)
{
    mem_free(seen->slots);
    *seen = (struct llm_seen){0};
}

/* Bit 0 is the mark, and no key is zero: that is a free slot. */
static uint64_t key_of(uint64_t hash)
{
    return (hash & ~(uint64_t)1) == 0 ? 2 : hash & ~(uint64_t)1;
}

static uint64_t *slot_of(const struct llm_seen *seen, uint64_t key)
{
    size_t i = (key >> 1) & (seen->cap - 1);
    while (seen->slots[i] != 0 && (seen->slots[i] & ~(uint64_t)1) != key)
        i = (i + 1) & (seen->cap - 1);
    return &seen->slots[i];
}

static void seen_grow(struct llm_seen *seen)
{
    struct llm_seen old = *seen;
    seen->cap = old.cap == 0 ? 4096 : 2 * old.cap;
    seen->slots = mem_array(seen->cap, sizeof *seen->slots);
    for (size_t i = 0; i < old.cap; i++) {
        if (old.slots[i] != 0)
            *slot_of(seen, old.slots[i] & ~(uint64_t)1) = old.slots[i];
    }
    mem_free(old.slots);
}

bool llm_seen_add(struct llm_seen *seen, uint64_t hash, bool *ret_marked)
{
    if (2 * seen->count >= seen->cap)
        seen_grow(seen);
    uint64_t *slot = slot_of(seen, key_of(hash));
    *ret_marked = (*slot & 1) != 0;
    if (*slot != 0)
        return true;
    *slot = key_of(hash);
    seen->count++;
    return false;
}

void llm_seen_mark(struct llm_seen *seen, uint64_t hash)
{
    if (seen->cap == 0)
        return;
    uint64_t *slot = slot_of(seen, key_of(hash));
    if (*slot != 0)
        *slot |= 1;
}

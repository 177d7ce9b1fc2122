/* Entries in offset order, slots in sending order: see window.h for what it ensures. */
#include "stages/enhance/window.h"

#include <assert.h>

#include "lib/base/mem.h"

/* --- lists and slots --- */

static void list_add(struct slot_list *list, struct slot *slot)
{
    slot->next = NULL;
    if (list->last != NULL)
        list->last->next = slot;
    else
        list->first = slot;
    list->last = slot;
}

static struct slot *slot_new(struct slot_pool *pool)
{
    struct slot *slot = pool->free;
    if (slot == NULL)
        return mem_zalloc(sizeof *slot);
    pool->free = slot->next;
    return slot;
}

void slot_free(struct slot_pool *pool, struct slot *slot)
{
    step_reset(&slot->step);
    slot->next = pool->free;
    pool->free = slot;
}

void slot_pool_fini(struct slot_pool *pool)
{
    while (pool->free != NULL) {
        struct slot *slot = pool->free;
        pool->free = slot->next;
        step_fini(&slot->step);
        mem_free(slot);
    }
}

/* --- open and close --- */

struct window *window_new(void *owner, struct slot_pool *pool, enum order order, int32_t partition,
                          uint32_t epoch, size_t max_posts)
{
    size_t n = 1;
    while (n < max_posts)
        n *= 2;
    struct window *win = mem_zalloc(sizeof *win);
    *win = (struct window){.owner = owner,
                           .pool = pool,
                           .order = order,
                           .mask = n - 1,
                           .partition = partition,
                           .epoch = epoch,
                           .position = -1};
    win->ring = mem_array(n, sizeof *win->ring);
    if (order == ORDER_KEY)
        win->buckets = mem_array(n, sizeof(struct slot *));
    return win;
}

enum status window_restore(struct window *win, int64_t position, const char *metadata,
                           struct error *err)
{
    win->position = win->polled_to = position;
    return ranges_read(&win->restored, position, metadata, err);
}

void window_free(struct window *win)
{
    if (win == NULL)
        return;
    assert(win->slots == 0);
    ranges_fini(&win->restored);
    ranges_fini(&win->scratch);
    mem_free(win->buckets);
    mem_free(win->ring);
    mem_free(win);
}

/* --- keys: a slot waits for the older ones of its key --- */

static uint32_t hash_key(struct span key)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < key.n; i++)
        h = (h ^ (unsigned char)key.p[i]) * 16777619u;
    return h ^ h >> 15;
}

static void key_put_first(struct window *win, struct slot *slot)
{
    struct slot **bucket = &win->buckets[slot->hash & win->mask];
    slot->first_of_key = true;
    slot->next_in_bucket = *bucket;
    *bucket = slot;
}

static void key_add(struct window *win, struct slot *slot)
{
    slot->same_key = NULL;
    slot->last_of_key = slot;
    slot->first_of_key = false;
    if (slot->rec.key.p == NULL) {
        slot->first_of_key = true; /* null keys are unordered */
        return;
    }
    slot->hash = hash_key(slot->rec.key);
    for (struct slot *s = win->buckets[slot->hash & win->mask]; s != NULL; s = s->next_in_bucket) {
        if (s->hash == slot->hash && span_equal(s->rec.key, slot->rec.key)) {
            s->last_of_key->same_key = slot;
            s->last_of_key = slot;
            return;
        }
    }
    key_put_first(win, slot);
}

/* The first slot of a key was sent: the next one may go. */
static void key_remove_first(struct window *win, struct slot *slot)
{
    if (slot->rec.key.p == NULL)
        return;
    struct slot **at = &win->buckets[slot->hash & win->mask];
    while (*at != slot)
        at = &(*at)->next_in_bucket;
    *at = slot->next_in_bucket;
    struct slot *next = slot->same_key;
    if (next == NULL)
        return;
    next->last_of_key = slot->last_of_key;
    key_put_first(win, next);
    if (slot_is_answered(next))
        list_add(&win->ready, next);
}

/* --- in --- */

static bool is_restored(struct window *win, int64_t offset)
{
    struct ranges *r = &win->restored;
    size_t passed = 0;
    while (passed < r->n && r->items[passed].last < offset)
        passed++;
    if (passed > 0) {
        r->n -= passed;
        memmove(r->items, r->items + passed, r->n * sizeof *r->items);
    }
    return r->n > 0 && r->items[0].first <= offset;
}

static bool entry_is_done(const struct window *win, uint64_t index)
{
    const struct slot *slot = win->ring[index & win->mask].slot;
    return slot == NULL || slot->sent;
}

/* The entry at `index` has just become sent or gone: front and the number of runs follow. */
static void entry_done(struct window *win, uint64_t index)
{
    if (index != win->front) {
        bool left = index > win->front + 1 && entry_is_done(win, index - 1);
        bool right = index + 1 < win->tail && entry_is_done(win, index + 1);
        win->runs += 1;
        win->runs -= (size_t)left + (size_t)right;
        return;
    }
    win->front++;
    if (win->front < win->tail && entry_is_done(win, win->front)) {
        win->runs--;
        while (win->front < win->tail && entry_is_done(win, win->front))
            win->front++;
    }
}

static void forget_gone(struct window *win)
{
    while (win->head < win->front && win->ring[win->head & win->mask].slot == NULL)
        win->head++;
}

struct slot *window_add(struct window *win, const struct record *rec)
{
    assert(window_room(win) > 0);
    uint64_t index = win->tail++;
    struct window_entry *entry = &win->ring[index & win->mask];
    *entry = (struct window_entry){.offset = rec->offset};
    win->polled_to = rec->offset + 1;
    if (win->restored.n > 0 && is_restored(win, rec->offset)) {
        entry_done(win, index);
        forget_gone(win);
        return NULL;
    }
    struct slot *slot = entry->slot = slot_new(win->pool);
    slot->rec = *rec;
    slot->win = win;
    slot->index = index;
    slot->state = SLOT_ASKING;
    slot->sent = slot->bare = false;
    win->slots++;
    win->bytes += rec->key.n + rec->value.n;
    if (win->order == ORDER_KEY)
        key_add(win, slot);
    return slot;
}

/* --- out --- */

void window_answered(struct window *win, struct slot *slot)
{
    if (win->order == ORDER_NONE || (win->order == ORDER_KEY && slot->first_of_key))
        list_add(&win->ready, slot);
}

/* Whether one more run of done offsets above the front can be written down. */
static bool may_overtake(const struct window *win)
{
    int64_t width = win->polled_to - win->ring[win->front & win->mask].offset;
    if (win->restored.n > 0)
        width = win->restored.items[win->restored.n - 1].last + 1 - win->position;
    return ranges_size_max(win->runs + win->restored.n + 1, width) <= POSITION_METADATA_MAX;
}

/* In the ready queue slots stand as they were answered. When no more may overtake, only the one at
 * the front goes. */
static struct slot *next_ready(struct window *win)
{
    struct slot *slot = win->ready.first;
    if (slot == NULL || slot->index == win->front || may_overtake(win))
        return slot;
    for (struct slot *before = slot; before->next != NULL; before = before->next) {
        if (before->next->index != win->front)
            continue;
        slot = before->next;
        before->next = slot->next;
        if (win->ready.last == slot)
            win->ready.last = before;
        slot->next = win->ready.first;
        win->ready.first = slot;
        return slot;
    }
    return NULL;
}

struct slot *window_next(struct window *win)
{
    if (win->order != ORDER_PARTITION)
        return next_ready(win);
    if (win->front == win->tail)
        return NULL;
    struct slot *slot = win->ring[win->front & win->mask].slot;
    assert(slot != NULL); /* Ensures 1 */
    return slot_is_answered(slot) ? slot : NULL;
}

void window_sent(struct window *win)
{
    struct slot *slot = window_next(win);
    assert(slot != NULL); /* the caller was given it */
    if (win->order != ORDER_PARTITION) {
        win->ready.first = slot->next;
        if (win->ready.first == NULL)
            win->ready.last = NULL;
    }
    slot->sent = true;
    list_add(&win->filled, slot);
    entry_done(win, slot->index);
    if (win->order == ORDER_KEY)
        key_remove_first(win, slot);
}

/* --- positions --- */

static void write_ranges(struct window *win, int64_t position, struct buf *out)
{
    struct ranges *r = &win->scratch;
    ranges_clear(r);
    for (uint64_t i = win->front; win->runs > 0 && i < win->tail; i++) {
        if (!entry_is_done(win, i))
            continue;
        uint64_t end = i;
        while (end + 1 < win->tail && entry_is_done(win, end + 1))
            end++;
        ranges_add(r, win->ring[i & win->mask].offset, win->ring[end & win->mask].offset);
        i = end;
    }
    for (size_t i = 0; i < win->restored.n; i++) {
        struct range left = win->restored.items[i];
        if (left.first < win->polled_to)
            left.first = win->polled_to;
        if (left.first <= left.last && left.last >= position)
            ranges_add(r, left.first, left.last);
    }
    ranges_write(r, position, out);
}

int64_t window_position(struct window *win, int64_t read_to, struct buf *metadata)
{
    int64_t position;
    if (win->front < win->tail)
        position = win->ring[win->front & win->mask].offset;
    else
        position = read_to > win->polled_to ? read_to : win->polled_to;
    if (position < win->position)
        position = win->position;
    if (win->filled.first == NULL && position == win->position)
        return -1;
    if (win->runs > 0 || win->restored.n > 0)
        write_ranges(win, position, metadata);
    return position;
}

void window_handed(struct window *win, uint64_t number, int64_t position)
{
    win->position = position;
    if (win->filled.first == NULL)
        return; /* no slot rides in it */
    assert(win->mark_count < WINDOW_MARKS);
    win->marks[win->mark_count].batch = number;
    win->marks[win->mark_count++].slots = win->filled;
    win->filled = (struct slot_list){0};
}

/* --- ends --- */

static void take_off(struct window *win, struct slot *slot)
{
    win->ring[slot->index & win->mask].slot = NULL;
    win->bytes -= slot->rec.key.n + slot->rec.value.n;
    win->slots--;
}

struct slot *window_confirmed(struct window *win, uint64_t number)
{
    if (win->mark_count == 0 || win->marks[0].batch != number)
        return NULL;
    struct slot *first = win->marks[0].slots.first;
    win->mark_count--;
    for (int i = 0; i < win->mark_count; i++)
        win->marks[i] = win->marks[i + 1];
    for (struct slot *slot = first; slot != NULL; slot = slot->next)
        take_off(win, slot);
    forget_gone(win);
    return first;
}

bool window_settled(const struct window *win)
{
    return win->mark_count == 0 && win->filled.first == NULL;
}

/* Everything that hangs on the window is unsent again; lists are built anew, in offset order. */
void window_aborted(struct window *win)
{
    win->mark_count = 0;
    win->ready = win->filled = (struct slot_list){0};
    win->front = win->head;
    win->runs = 0;
    win->position = -1;
    if (win->order == ORDER_KEY)
        memset(win->buckets, 0, (win->mask + 1) * sizeof(struct slot *));
    bool in_run = false;
    for (uint64_t i = win->head; i < win->tail; i++) {
        struct slot *slot = win->ring[i & win->mask].slot;
        win->runs += slot == NULL && !in_run ? 1 : 0;
        in_run = slot == NULL;
        if (slot == NULL)
            continue;
        slot->sent = false;
        if (win->order == ORDER_KEY)
            key_add(win, slot);
        if (slot_is_answered(slot))
            window_answered(win, slot);
    }
}

struct slot *window_pop(struct window *win)
{
    for (; win->head < win->tail; win->head++) {
        struct slot *slot = win->ring[win->head & win->mask].slot;
        if (slot == NULL)
            continue;
        take_off(win, slot);
        return slot;
    }
    return NULL;
}

/* A ring of slots in offset order: see window.h for what it ensures. */
#include "stages/enhance/window.h"

#include <assert.h>

#include "lib/base/mem.h"

static size_t power_of_two(size_t n)
{
    size_t p = 1;
    while (p < n)
        p *= 2;
    return p;
}

struct window *window_new(void *owner, struct slot_pool *pool, int32_t partition, uint32_t epoch,
                          size_t max_posts)
{
    size_t n = power_of_two(max_posts);
    struct window *win = mem_zalloc(sizeof *win);
    *win = (struct window){.owner = owner,
                           .pool = pool,
                           .mask = n - 1,
                           .partition = partition,
                           .epoch = epoch,
                           .position = -1};
    win->ring = mem_array(n, sizeof(struct slot *));
    return win;
}

void window_free(struct window *win)
{
    if (win == NULL)
        return;
    assert(win->head == win->tail);
    mem_free(win->ring);
    mem_free(win);
}

static struct slot *slot_new(struct slot_pool *pool)
{
    struct slot *slot = pool->free;
    if (slot == NULL)
        return mem_zalloc(sizeof *slot);
    pool->free = slot->next_free;
    return slot;
}

void slot_free(struct slot_pool *pool, struct slot *slot)
{
    step_reset(&slot->step);
    slot->next_free = pool->free;
    pool->free = slot;
}

void slot_pool_fini(struct slot_pool *pool)
{
    while (pool->free != NULL) {
        struct slot *slot = pool->free;
        pool->free = slot->next_free;
        step_fini(&slot->step);
        mem_free(slot);
    }
}

struct slot *window_add(struct window *win, const struct record *rec)
{
    assert(window_room(win) > 0);
    struct slot *slot = slot_new(win->pool);
    slot->rec = *rec;
    slot->win = win;
    slot->state = SLOT_ASKING;
    slot->bare = false;
    win->ring[win->tail++ & win->mask] = slot;
    win->bytes += rec->key.n + rec->value.n;
    return slot;
}

struct slot *window_next(struct window *win)
{
    if (win->sent == win->tail)
        return NULL;
    struct slot *slot = win->ring[win->sent & win->mask];
    return slot->state == SLOT_ASKING ? NULL : slot;
}

void window_sent(struct window *win)
{
    win->sent++;
}

int64_t window_position(const struct window *win, int64_t read_to)
{
    int64_t position = win->position;
    if (win->sent > win->handed)
        position = win->ring[(win->sent - 1) & win->mask]->rec.offset + 1;
    if (win->sent == win->tail && read_to > position)
        position = read_to;
    return position > win->position ? position : -1;
}

void window_handed(struct window *win, uint64_t number, int64_t position)
{
    win->position = position;
    if (win->sent == win->handed)
        return; /* no slot rides in it */
    assert(win->mark_count < WINDOW_MARKS);
    win->marks[win->mark_count].batch = number;
    win->marks[win->mark_count++].sent = win->sent;
    win->handed = win->sent;
}

uint64_t window_confirmed(struct window *win, uint64_t number)
{
    if (win->mark_count == 0 || win->marks[0].batch != number)
        return win->head; /* nothing of this partition was in it */
    uint64_t end = win->marks[0].sent;
    win->mark_count--;
    for (int i = 0; i < win->mark_count; i++)
        win->marks[i] = win->marks[i + 1];
    return end;
}

struct slot *window_pop(struct window *win)
{
    assert(win->head < win->tail);
    struct slot *slot = win->ring[win->head++ & win->mask];
    win->bytes -= slot->rec.key.n + slot->rec.value.n;
    if (win->sent < win->head)
        win->sent = win->head;
    if (win->handed < win->head)
        win->handed = win->head;
    return slot;
}

void window_aborted(struct window *win)
{
    win->sent = win->handed = win->head;
    win->mark_count = 0;
    win->position = -1;
}

/* A ring of entries over a queue of memory chunks: see outbox.h. */
#include "stages/source/outbox.h"

#include "lib/base/mem.h"

enum { CHUNK_BYTES = 256 << 10 };

struct outbox_chunk {
    struct outbox_chunk *next;
    struct arena mem;
    uint64_t end; /* one past the last entry that lives here */
};

void outbox_init(struct outbox *o, size_t entries)
{
    size_t n = 1;
    while (n < entries)
        n *= 2;
    *o = (struct outbox){.mask = n - 1};
    o->ring = mem_array(n, sizeof *o->ring);
}

static void free_chunks(struct outbox_chunk *c)
{
    while (c != NULL) {
        struct outbox_chunk *next = c->next;
        arena_fini(&c->mem);
        mem_free(c);
        c = next;
    }
}

void outbox_fini(struct outbox *o)
{
    free_chunks(o->first);
    free_chunks(o->spare);
    mem_free(o->ring);
    *o = (struct outbox){0};
}

static struct arena *room(struct outbox *o)
{
    if (o->last != NULL && o->last->mem.used < CHUNK_BYTES)
        return &o->last->mem;
    struct outbox_chunk *c = o->spare;
    if (c != NULL)
        o->spare = c->next;
    else
        c = mem_zalloc(sizeof *c);
    c->next = NULL;
    if (o->last != NULL)
        o->last->next = c;
    else
        o->first = c;
    o->last = c;
    return &c->mem;
}

void outbox_add(struct outbox *o, const struct entry *entry)
{
    struct arena *mem = room(o);
    struct entry *e = &o->ring[o->tail++ & o->mask];
    *e = *entry;
    e->key = arena_copy(mem, entry->key);
    e->value = arena_copy(mem, entry->value);
    e->id = arena_copy(mem, entry->id);
    if (entry->why != NULL)
        e->why = arena_copy(mem, span_make(entry->why, strlen(entry->why) + 1)).p;
    o->last->end = o->tail;
}

struct entry *outbox_next(struct outbox *o)
{
    return o->sent == o->tail ? NULL : &o->ring[o->sent & o->mask];
}

const struct entry *outbox_first(const struct outbox *o)
{
    return &o->ring[o->head & o->mask];
}

void outbox_pop(struct outbox *o)
{
    o->head++;
    struct outbox_chunk *c = o->first;
    if (c->end > o->head)
        return;
    o->first = c->next;
    if (o->last == c)
        o->last = NULL;
    arena_reset(&c->mem);
    c->next = o->spare;
    o->spare = c;
}

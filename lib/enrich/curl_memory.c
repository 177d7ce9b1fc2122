/* Before each block stands its size; a free one holds a pointer to the next of that size. A block
 * belongs to no thread: the one that frees it keeps it. */
#include "lib/enrich/curl_memory.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/mem.h"

#ifdef SLUICE_SANITIZED
enum { KEEPS = 0 };
#else
enum { KEEPS = 1 };
#endif

enum { STEP = 32, SIZES = CURL_MEMORY_KEPT / STEP }; /* sizes of STEP, 2 * STEP, ... are kept */

struct block {
    size_t size;
    struct block *next; /* a free one */
    max_align_t bytes[];
};

static _Thread_local struct block *kept[SIZES];

static struct block *block_of(void *p)
{
    return (struct block *)((char *)p - offsetof(struct block, bytes));
}

/* Where blocks of this size are kept; NULL: nowhere. */
static struct block **place_of(size_t size)
{
    return size > SIZES * STEP ? NULL : &kept[size / STEP - 1];
}

static void *take(size_t n)
{
    if (n > SIZE_MAX - sizeof(struct block) - STEP)
        return NULL;
    size_t size = n == 0 ? STEP : (n + STEP - 1) / STEP * STEP;
    struct block **place = place_of(size), *b;
    if (place != NULL && *place != NULL) {
        b = *place;
        *place = b->next;
        return b->bytes;
    }
    b = mem_alloc(sizeof *b + size);
    b->size = size;
    return b->bytes;
}

static void give_back(void *p)
{
    if (p == NULL)
        return;
    struct block *b = block_of(p), **place = place_of(b->size);
    if (place == NULL) {
        mem_free(b);
        return;
    }
    b->next = *place;
    *place = b;
}

static void *take_zeroed(size_t count, size_t size)
{
    if (size > 0 && count > SIZE_MAX / size)
        return NULL;
    void *p = take(count * size);
    return p == NULL ? NULL : memset(p, 0, count * size);
}

static void *resize(void *p, size_t n)
{
    if (p != NULL && n <= block_of(p)->size)
        return p;
    void *larger = take(n);
    if (p == NULL || larger == NULL)
        return larger;
    memcpy(larger, p, block_of(p)->size);
    give_back(p);
    return larger;
}

static char *copy(const char *text)
{
    size_t n = strlen(text) + 1;
    char *p = take(n);
    return p == NULL ? NULL : memcpy(p, text, n);
}

void curl_memory_set_up(void)
{
    if (KEEPS) /* thread-safe since 7.84, as the other one */
        curl_global_init_mem(CURL_GLOBAL_DEFAULT, take, give_back, resize, copy, take_zeroed);
    else
        curl_global_init(CURL_GLOBAL_DEFAULT);
}

void curl_memory_drop(void)
{
    for (int i = 0; i < SIZES; i++) {
        while (kept[i] != NULL) {
            struct block *b = kept[i];
            kept[i] = b->next;
            mem_free(b);
        }
    }
}

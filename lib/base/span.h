/* A borrowed run of bytes. p == NULL is "absent" (a null key, a tombstone); n == 0 with p set is
 * "empty". Not terminated by a zero byte. Threads: a value, like an int. */
#ifndef SLUICE_BASE_SPAN_H
#define SLUICE_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
    const char *p;
    size_t n;
};

#define SPAN_NULL         ((struct span){NULL, 0})
#define SPAN_LIT(literal) ((struct span){(literal), sizeof(literal) - 1})

static inline struct span span_of(const char *text)
{
    return (struct span){text, text == NULL ? 0 : strlen(text)};
}

static inline struct span span_make(const void *p, size_t n)
{
    return (struct span){(const char *)p, n};
}

static inline bool span_equal(struct span a, struct span b)
{
    if (a.p == NULL || b.p == NULL)
        return a.p == b.p && a.n == b.n;
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

static inline bool span_is(struct span a, const char *text)
{
    return span_equal(a, span_of(text));
}

#endif

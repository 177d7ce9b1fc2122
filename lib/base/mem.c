/* Allocation that cannot fail in the eyes of its callers (see mem.h for why). */
#include "lib/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum { TOP_PAD = 256 << 10, TRIM_ABOVE = 4 << 20, MAP_ABOVE = 1 << 20 };

static void exhausted_default(const char *what)
{
    fprintf(stderr, "sluice: out of %s\n", what);
    abort();
}

static void (*on_exhausted)(const char *) = exhausted_default;

void mem_on_exhausted(void (*fn)(const char *what))
{
    on_exhausted = fn;
}

void mem_set_up(void)
{
#ifdef __GLIBC__
    mallopt(M_TOP_PAD, TOP_PAD);
    mallopt(M_TRIM_THRESHOLD, TRIM_ABOVE);
    mallopt(M_MMAP_THRESHOLD, MAP_ABOVE); /* else fixed at 128 KiB by the other two */
#endif
}

void mem_fail_system(const char *what, const char *why)
{
    char line[160];
    snprintf(line, sizeof line, "%s (%s)", what, why);
    on_exhausted(line);
    abort();
}

static void *checked(void *p)
{
    if (p == NULL) {
        on_exhausted("memory");
        abort();
    }
    return p;
}

void *mem_alloc(size_t n)
{
    return checked(malloc(n == 0 ? 1 : n));
}

void *mem_zalloc(size_t n)
{
    return checked(calloc(1, n == 0 ? 1 : n));
}

void *mem_array(size_t count, size_t size)
{
    return checked(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *mem_realloc(void *p, size_t n)
{
    return checked(realloc(p, n == 0 ? 1 : n));
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(const char *text)
{
    return text == NULL ? NULL : mem_spandup(span_of(text));
}

char *mem_spandup(struct span s)
{
    char *copy = mem_alloc(s.n + 1);
    if (s.n > 0)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return copy;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *text = NULL;
    int n = vasprintf(&text, fmt, ap);
    va_end(ap);
    return checked(n < 0 ? NULL : text);
}

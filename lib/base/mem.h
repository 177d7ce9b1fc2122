/* The only door to the heap. Running out of memory is never met by the callers: what is not
 * committed is done again after a restart, so the program says so and ends at once instead of
 * carrying thousands of failure paths that never run. Any thread. */
#ifndef SLUICE_BASE_MEM_H
#define SLUICE_BASE_MEM_H

#include <stddef.h>

#include "lib/base/span.h"

/* Never NULL, never 0 bytes long. mem_zalloc and mem_array give zeroed memory. */
void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_array(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
void mem_free(void *p);

/* A copy ended by a zero byte. mem_strdup(NULL) is NULL. */
char *mem_strdup(const char *text);
char *mem_spandup(struct span s) __attribute__((malloc, returns_nonnull));

/* printf into new memory. */
char *mem_printf(const char *fmt, ...)
    __attribute__((malloc, returns_nonnull, format(printf, 1, 2)));

/* Called once when an allocation fails; must not return. The default writes one line to stderr
 * and aborts. Set before threads start. */
void mem_on_exhausted(void (*fn)(const char *what));

/* Once, before the first thread: heaps of glibc, where it is the allocator, grow and shrink in
 * larger steps. By default it changes a worker's heap by an mprotect for every call to an endpoint
 * and back. */
void mem_set_up(void);

/* The same end for another resource of the machine that ran out (threads, descriptors of the event
 * loop): `what` and `why` make the line. Does not return. */
void mem_fail_system(const char *what, const char *why) __attribute__((noreturn));

#endif

/* What the fuzz targets share. A target is one function over any bytes; libFuzzer calls it
 * (scripts/fuzz.sh), and replay.c does so with the corpus in every `make test`. One thread. */
#ifndef SLUICE_FUZZ_H
#define SLUICE_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/span.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A property that must hold: ends the process by a signal otherwise. */
#define MUST(what)                                                                                 \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #what);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* A copy of exactly this size, so that the sanitizer sees every byte that is read behind the end.
 * The caller frees it (mem_free). */
static inline struct span fuzz_copy(const uint8_t *data, size_t size)
{
    char *copy = mem_alloc(size == 0 ? 1 : size);
    if (size > 0)
        memcpy(copy, data, size);
    return span_make(copy, size);
}

/* The input's part up to the first line that holds only "---", and what follows it. */
static inline struct span fuzz_split(struct span input, struct span *ret_rest)
{
    static const char mark[] = "\n---\n";
    const char *at = memmem(input.p, input.n, mark, sizeof mark - 1);
    if (at == NULL) {
        *ret_rest = span_make(input.p + input.n, 0);
        return input;
    }
    const char *rest = at + sizeof mark - 1;
    *ret_rest = span_make(rest, (size_t)(input.p + input.n - rest));
    return span_make(input.p, (size_t)(at - input.p));
}

#endif

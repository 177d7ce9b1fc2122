/* A growing run of bytes, born with a maximum. One thread at a time. */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/span.h"

struct buf {
    char *p;
    size_t n;   /* bytes used */
    size_t cap; /* bytes owned */
    size_t max; /* never grows above this; 0 reads as 64 MiB */
    bool full;  /* an append did not fit: the content is cut and must not be used */
};

/* A zeroed struct buf is valid and empty. buf_fini leaves it so. */
void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);

/* Empty it, keep its memory (give back what is above `keep` bytes when keep > 0). */
void buf_reset(struct buf *b, size_t keep);

/* Room for n more bytes: a pointer to write at (then add to b->n), or NULL with b->full set. */
char *buf_reserve(struct buf *b, size_t n);

/* Append; past the maximum b->full is set and nothing more is added. */
void buf_add(struct buf *b, const void *p, size_t n);
void buf_add_span(struct buf *b, struct span s);
void buf_add_str(struct buf *b, const char *text);
void buf_add_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Append `s` as the inside of a JSON string (quotes not included), escaping what must be. Bytes
 * that are not UTF-8 come out as U+FFFD. */
void buf_add_json(struct buf *b, struct span s);

/* The content, ended by a zero byte that is not counted. Borrowed until the next change. */
const char *buf_str(struct buf *b);

static inline struct span buf_span(const struct buf *b)
{
    return (struct span){b->p == NULL ? "" : b->p, b->n};
}

#endif

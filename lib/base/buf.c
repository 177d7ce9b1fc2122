/* Growing bytes with a maximum: see buf.h. Doubles, so that appending is linear in the end. */
#include "lib/base/buf.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/base/utf8.h"

enum { BUF_FIRST = 128, BUF_MAX_DEFAULT = 64 << 20 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_reset(struct buf *b, size_t keep)
{
    b->n = 0;
    b->full = false;
    if (keep > 0 && b->cap > keep) {
        mem_free(b->p);
        b->p = NULL;
        b->cap = 0;
    }
}

/* Whether n more bytes stay within the maximum; marks the buffer as cut when not. */
static bool fits(struct buf *b, size_t n)
{
    size_t max = b->max == 0 ? BUF_MAX_DEFAULT : b->max;
    if (b->full || n > max - b->n)
        b->full = true;
    return !b->full;
}

/* Memory for `need` bytes. The zero byte of buf_str may lie one beyond the maximum. */
static void grow(struct buf *b, size_t need)
{
    size_t cap = b->cap == 0 ? BUF_FIRST : b->cap;
    while (cap < need)
        cap *= 2;
    if (cap == b->cap)
        return;
    b->p = mem_realloc(b->p, cap);
    b->cap = cap;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (!fits(b, n))
        return NULL;
    if (b->p == NULL || b->cap - b->n < n)
        grow(b, b->n + n);
    return b->p + b->n;
}

void buf_add(struct buf *b, const void *p, size_t n)
{
    char *to = n == 0 ? NULL : buf_reserve(b, n);
    if (to == NULL)
        return;
    memcpy(to, p, n);
    b->n += n;
}

void buf_add_span(struct buf *b, struct span s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_str(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}

void buf_add_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char small[256];
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    if ((size_t)n < sizeof small) {
        buf_add(b, small, (size_t)n);
        return;
    }
    if (!fits(b, (size_t)n))
        return;
    grow(b, b->n + (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

static void add_escaped(struct buf *b, unsigned char c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt";
    for (const char *s = shorts; *s != '\0'; s += 2) {
        if ((unsigned char)*s == c) {
            buf_add(b, (char[]){'\\', s[1]}, 2);
            return;
        }
    }
    buf_printf(b, "\\u%04x", c);
}

void buf_add_json(struct buf *b, struct span s)
{
    size_t from = 0;
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        if (c >= 0x20 && c < 0x80 && c != '"' && c != '\\') { /* nearly all of most texts */
            i++;
            continue;
        }
        size_t len = utf8_char_length(s.p + i, s.n - i);
        if (len > 1) {
            i += len;
            continue;
        }
        buf_add(b, s.p + from, i - from);
        if (len == 0)
            buf_add_str(b, "\xef\xbf\xbd");
        else
            add_escaped(b, c);
        from = ++i;
    }
    buf_add(b, s.p + from, s.n - from);
}

const char *buf_str(struct buf *b)
{
    grow(b, b->n + 1);
    b->p[b->n] = '\0';
    return b->p;
}

/* See headers.h. The reader trusts no length: the file may have been written by other hands. */
#include "lib/broker/sqlite/headers.h"

#include <string.h>

enum { NUMBER_MAX = 10 };

static char *put_number(char *to, uint64_t n)
{
    for (; n >= 0x80; n >>= 7)
        *to++ = (char)(n | 0x80);
    *to++ = (char)n;
    return to;
}

static char *put_bytes(char *to, struct span s)
{
    if (s.n > 0)
        memcpy(to, s.p, s.n);
    return to + s.n;
}

static bool get_number(struct span *from, uint64_t *ret)
{
    uint64_t n = 0;
    for (unsigned shift = 0; from->n > 0 && shift < 63; shift += 7) {
        unsigned char c = (unsigned char)*from->p;
        from->p++;
        from->n--;
        n |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *ret = n;
            return true;
        }
    }
    return false;
}

static bool get_bytes(struct span *from, uint64_t n, struct span *ret)
{
    if (n > from->n)
        return false;
    *ret = span_make(from->p, (size_t)n);
    from->p += n;
    from->n -= (size_t)n;
    return true;
}

size_t headers_size(const struct header *headers, size_t count)
{
    size_t size = NUMBER_MAX;
    for (size_t i = 0; i < count; i++)
        size += (size_t)2 * NUMBER_MAX + headers[i].name.n + headers[i].value.n;
    return size;
}

size_t headers_write(char *to, const struct header *headers, size_t count)
{
    char *p = put_number(to, count);
    for (size_t i = 0; i < count; i++) {
        const struct header *h = &headers[i];
        p = put_bytes(put_number(p, h->name.n), h->name);
        p = put_number(p, h->value.p == NULL ? 0 : h->value.n + 1);
        if (h->value.p != NULL)
            p = put_bytes(p, h->value);
    }
    return (size_t)(p - to);
}

size_t headers_count(struct span blob)
{
    uint64_t count = 0;
    if (blob.p == NULL || !get_number(&blob, &count) || count > blob.n / 2)
        return 0;
    return (size_t)count;
}

bool headers_read(struct span blob, struct header *ret, size_t count)
{
    uint64_t n;
    if (!get_number(&blob, &n))
        return count == 0;
    for (size_t i = 0; i < count; i++) {
        ret[i].value = SPAN_NULL;
        if (!get_number(&blob, &n) || !get_bytes(&blob, n, &ret[i].name) || !get_number(&blob, &n))
            return false;
        if (n > 0 && !get_bytes(&blob, n - 1, &ret[i].value))
            return false;
    }
    return true;
}

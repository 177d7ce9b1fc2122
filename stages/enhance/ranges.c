/* Ranges to text and back: see ranges.h. */
#include "stages/enhance/ranges.h"

#include "lib/base/base64.h"
#include "lib/base/mem.h"

static const char prefix[] = "s1:";
enum { PREFIX = sizeof prefix - 1 };

void ranges_fini(struct ranges *r)
{
    mem_free(r->items);
    *r = (struct ranges){0};
}

void ranges_clear(struct ranges *r)
{
    r->n = 0;
}

void ranges_add(struct ranges *r, int64_t first, int64_t last)
{
    if (r->n > 0 && r->items[r->n - 1].last + 1 >= first) {
        r->items[r->n - 1].last = last;
        return;
    }
    if (r->n == r->cap) {
        r->cap = r->cap == 0 ? 16 : r->cap * 2;
        r->items = mem_realloc(r->items, r->cap * sizeof *r->items);
    }
    r->items[r->n++] = (struct range){first, last};
}

static size_t number_size(uint64_t v)
{
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

size_t ranges_size_max(size_t n, int64_t width)
{
    size_t raw = n * 2 * number_size(width < 0 ? 0 : (uint64_t)width);
    return n == 0 ? 0 : PREFIX + (raw + 2) / 3 * 4;
}

static void write_number(struct buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        buf_add_char(out, (char)(v | 0x80));
    buf_add_char(out, (char)v);
}

void ranges_write(const struct ranges *r, int64_t position, struct buf *out)
{
    struct buf raw = {0};
    for (size_t i = 0; i < r->n; i++) {
        write_number(&raw, (uint64_t)(r->items[i].first - position));
        write_number(&raw, (uint64_t)(r->items[i].last - r->items[i].first + 1));
        position = r->items[i].last + 1;
    }
    if (r->n > 0) {
        buf_add(out, prefix, PREFIX);
        base64_encode(out, buf_span(&raw));
    }
    buf_fini(&raw);
}

static bool read_number(struct span *s, int64_t *ret)
{
    uint64_t v = 0;
    for (unsigned shift = 0; s->n > 0 && shift < 63; shift += 7) {
        unsigned char c = (unsigned char)*s->p;
        s->p++;
        s->n--;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *ret = (int64_t)v;
            return v <= INT64_MAX / 4;
        }
    }
    return false;
}

static bool read_pairs(struct ranges *r, int64_t position, struct span raw)
{
    while (raw.n > 0) {
        int64_t gap, length;
        if (!read_number(&raw, &gap) || !read_number(&raw, &length) || length == 0 ||
            position > INT64_MAX / 2)
            return false;
        ranges_add(r, position + gap, position + gap + length - 1);
        position += gap + length;
    }
    return true;
}

enum status ranges_read(struct ranges *r, int64_t position, const char *metadata, struct error *err)
{
    ranges_clear(r);
    if (metadata == NULL || metadata[0] == '\0')
        return ST_OK;
    struct buf raw = {0};
    bool ok = strncmp(metadata, prefix, PREFIX) == 0 &&
              base64_decode(&raw, span_of(metadata + PREFIX)) &&
              read_pairs(r, position, buf_span(&raw));
    buf_fini(&raw);
    if (ok)
        return ST_OK;
    return error_set(err, ST_REJECT, ERR_CONFIG, "metadata '%.40s' is not what this version writes",
                     metadata);
}

/* Putting the enrichment into a scanned post, and text out of it. The post's own bytes are copied,
 * never rewritten: spacing, escapes, order and numbers stay as the user wrote them. */
#include "lib/base/span.h"
#include "lib/json/post.h"

#define MEMBER ",\"enrichment\":"

size_t post_spliced_size(struct span value, const struct post *post, struct span enrichment)
{
    if (post->enrichment.p != NULL)
        return value.n - post->enrichment.n + enrichment.n;
    return value.n + sizeof MEMBER - 1 + enrichment.n;
}

static char *put(char *to, const void *p, size_t n)
{
    memcpy(to, p, n);
    return to + n;
}

void post_splice(struct buf *out, struct span value, const struct post *post,
                 struct span enrichment)
{
    size_t size = post_spliced_size(value, post, enrichment);
    char *to = buf_reserve(out, size);
    if (to == NULL)
        return;
    bool present = post->enrichment.p != NULL;
    size_t head = present ? (size_t)(post->enrichment.p - value.p) : post->close;
    size_t tail = present ? head + post->enrichment.n : post->close;
    to = put(to, value.p, head);
    if (!present)
        to = put(to, MEMBER, sizeof MEMBER - 1);
    to = put(to, enrichment.p, enrichment.n);
    put(to, value.p + tail, value.n - tail);
    out->n += size;
}

/* --- unescaping --- */

static unsigned hex4(const char *p)
{
    unsigned v = 0;
    for (int i = 0; i < 4; i++)
        v = v << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | 0x20) - 'a' + 10);
    return v;
}

static char *put_utf8(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | c >> 18);
        *to++ = (char)(0x80 | (c >> 12 & 0x3F));
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

static bool is_high(unsigned c)
{
    return (c & 0xFC00) == 0xD800;
}

static bool is_low(unsigned c)
{
    return (c & 0xFC00) == 0xDC00;
}

/* p is behind "\u"; *to gets the character. Result: how many bytes were read. */
static size_t unescape_u(char **to, const char *p, const char *end)
{
    unsigned c = hex4(p);
    if (is_high(c) && end - p >= 10 && p[4] == '\\' && p[5] == 'u' && is_low(hex4(p + 6))) {
        *to = put_utf8(*to, 0x10000 + ((c & 0x3FF) << 10 | (hex4(p + 6) & 0x3FF)));
        return 10;
    }
    *to = put_utf8(*to, is_high(c) || is_low(c) ? 0xFFFD : c);
    return 4;
}

static char short_escape(char c)
{
    static const char pairs[] = "b\bf\fn\nr\rt\t";
    for (const char *p = pairs; *p != '\0'; p += 2)
        if (*p == c)
            return p[1];
    return c; /* '"', '\\', '/' */
}

void json_unescape(struct buf *out, struct span escaped)
{
    /* An escape is never shorter than what it stands for. */
    char *start = buf_reserve(out, escaped.n), *to = start;
    if (start == NULL || escaped.n == 0)
        return;
    const char *p = escaped.p, *end = p + escaped.n;
    while (p < end) {
        const char *slash = memchr(p, '\\', (size_t)(end - p));
        size_t run = (size_t)((slash == NULL ? end : slash) - p);
        to = put(to, p, run);
        p += run;
        if (slash == NULL)
            break;
        p += 2;
        if (slash[1] == 'u')
            p += unescape_u(&to, p, end);
        else
            *to++ = short_escape(slash[1]);
    }
    out->n += (size_t)(to - start);
}

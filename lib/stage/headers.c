/* Headers are rebuilt for every record, without allocation in steady state. */
#include "lib/stage/headers.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/mem.h"

enum { TEXT_MAX = 16 << 10, VALUE_MAX = 512 };

void headers_init(struct headers *h)
{
    *h = (struct headers){0};
    buf_init(&h->text, TEXT_MAX);
    buf_reserve(&h->text, TEXT_MAX); /* never moves: values point into it */
}

void headers_fini(struct headers *h)
{
    mem_free(h->items);
    buf_fini(&h->text);
}

void headers_reset(struct headers *h)
{
    h->n = 0;
    h->text.n = 0;
}

void headers_add(struct headers *h, struct span name, struct span value)
{
    if (h->n == h->cap) {
        h->cap = h->cap == 0 ? 16 : h->cap * 2;
        h->items = mem_realloc(h->items, h->cap * sizeof *h->items);
    }
    h->items[h->n++] = (struct header){.name = name, .value = value};
}

void headers_addf(struct headers *h, struct span name, const char *fmt, ...)
{
    char text[VALUE_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t from = h->text.n;
    buf_add_str(&h->text, text);
    headers_add(h, name, span_make(h->text.p + from, h->text.n - from));
}

static bool begins_with(struct span s, struct span prefix)
{
    return s.n >= prefix.n && memcmp(s.p, prefix.p, prefix.n) == 0;
}

void headers_pass(struct headers *h, const struct record *rec, bool (*skip)(struct span name))
{
    for (size_t i = 0; i < rec->header_count; i++) {
        struct span name = rec->headers[i].name;
        if (begins_with(name, SPAN_LIT("sluice-")) &&
            (span_is(name, "sluice-src") || span_is(name, "sluice-txn") ||
             begins_with(name, SPAN_LIT("sluice-error-")) || (skip != NULL && skip(name))))
            continue;
        headers_add(h, name, rec->headers[i].value);
    }
}

static size_t write_number(char *digits, size_t at, uint64_t v)
{
    do
        digits[--at] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    digits[--at] = '/';
    return at;
}

/* Written by hand, since it is on the way of every post. */
void headers_add_source(struct headers *h, const char *topic, int32_t partition, int64_t offset)
{
    char digits[48];
    size_t at = write_number(digits, sizeof digits, (uint64_t)offset);
    at = write_number(digits, at, (uint64_t)partition);
    size_t name = strlen(topic), rest = sizeof digits - at;
    char *to = buf_reserve(&h->text, name + rest);
    if (to == NULL)
        return; /* no topic has so long a name */
    memcpy(to, topic, name);
    memcpy(to + name, digits + at, rest);
    h->text.n += name + rest;
    headers_add(h, SPAN_LIT("sluice-src"), span_make(to, name + rest));
}

void headers_add_letter(struct headers *h, const struct letter *l)
{
    headers_addf(h, SPAN_LIT("sluice-error-reason"), "%s", reason_word(l->reason));
    headers_addf(h, SPAN_LIT("sluice-error-message"), "%s", l->message);
    headers_addf(h, SPAN_LIT("sluice-error-stage"), "%s", l->stage);
    headers_addf(h, SPAN_LIT("sluice-error-topic"), "%s", l->topic);
    if (l->group != NULL)
        headers_add(h, SPAN_LIT("sluice-error-group"), span_of(l->group));
    headers_addf(h, SPAN_LIT("sluice-error-partition"), "%d", (int)l->partition);
    headers_addf(h, SPAN_LIT("sluice-error-offset"), "%lld", (long long)l->offset);
    headers_addf(h, SPAN_LIT("sluice-error-attempts"), "%d", l->attempts);
    headers_addf(h, SPAN_LIT("sluice-error-tokens"), "%lld/%lld", (long long)l->tokens_in,
                 (long long)l->tokens_out);
    if (l->bare)
        headers_add(h, SPAN_LIT("sluice-error-truncated"), SPAN_LIT("true"));
}

struct span headers_find(const struct record *rec, const char *name)
{
    for (size_t i = 0; i < rec->header_count; i++)
        if (span_is(rec->headers[i].name, name))
            return rec->headers[i].value;
    return SPAN_NULL;
}

/* A whole number without sign; -1 when it is none. */
static int64_t read_number(struct span s)
{
    int64_t v = 0;
    if (s.n == 0 || s.n > 18)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        v = v * 10 + (s.p[i] - '0');
    }
    return v;
}

int64_t headers_find_int(const struct record *rec, const char *name, int64_t otherwise)
{
    int64_t v = read_number(headers_find(rec, name));
    return v < 0 ? otherwise : v;
}

/* Cuts off what follows the last slash. */
static int64_t cut_number(struct span *s)
{
    const char *slash = s->n == 0 ? NULL : memrchr(s->p, '/', s->n);
    if (slash == NULL)
        return -1;
    size_t head = (size_t)(slash - s->p);
    int64_t v = read_number(span_make(slash + 1, s->n - head - 1));
    s->n = head;
    return v;
}

bool origin_parse(struct span s, struct origin *ret)
{
    int64_t offset = cut_number(&s), partition = cut_number(&s);
    if (offset < 0 || partition < 0 || partition > INT32_MAX || s.n == 0)
        return false;
    *ret = (struct origin){.topic = s, .partition = (int32_t)partition, .offset = offset};
    return true;
}

void headers_read_letter(const struct record *rec, struct letter_view *ret)
{
    int64_t partition = headers_find_int(rec, "sluice-error-partition", -1);
    *ret = (struct letter_view){
        .reason = headers_find(rec, "sluice-error-reason"),
        .message = headers_find(rec, "sluice-error-message"),
        .stage = headers_find(rec, "sluice-error-stage"),
        .topic = headers_find(rec, "sluice-error-topic"),
        .group = headers_find(rec, "sluice-error-group"),
        .partition = partition > INT32_MAX ? -1 : (int32_t)partition,
        .offset = headers_find_int(rec, "sluice-error-offset", -1),
        .bare = headers_find(rec, "sluice-error-truncated").p != NULL,
    };
}

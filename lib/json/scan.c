/* One pass over a JSON text: RFC 8259 to the letter, UTF-8 as RFC 3629 has it. What the RFC calls
 * valid but unpredictable passes, because a post is handed on and not interpreted: lone surrogate
 * escapes, numbers of any size, names that stand twice. Time is linear in the input and memory is
 * constant, whatever the input is. */
#include "lib/json/scan.h"

#include <stdio.h>

#include "lib/base/utf8.h"
#include "lib/json/run.h"

typedef const unsigned char *place;

place scan_fail(struct scan *s, place at, const char *fault)
{
    s->fault = fault;
    s->at = at;
    s->reason = REASON_json_invalid;
    return NULL;
}

enum status scan_reject(const struct scan *s, struct error *err)
{
    size_t offset = (size_t)(s->at - s->start);
    if (s->reason == REASON_json_too_deep)
        return error_reject(err, s->reason, "nested deeper than %d at byte %zu", s->max_depth,
                            offset);
    if (s->at == s->end)
        return error_reject(err, s->reason, "%s at byte %zu, where the value ends", s->fault,
                            offset);
    const char *fmt = *s->at > 0x20 && *s->at < 0x7F ? "%s at byte %zu, found '%c'"
                                                     : "%s at byte %zu, found 0x%02x";
    char text[160];
    snprintf(text, sizeof text, fmt, s->fault, offset, *s->at);
    return error_reject(err, s->reason, "%s", text);
}

enum status scan_begin(struct scan *s, struct span value, const struct post_limits *limits,
                       struct error *err)
{
    if (value.p == NULL)
        return error_reject(err, REASON_value_null, "the value is null");
    if (value.n > limits->max_bytes)
        return error_reject(err, REASON_post_too_large, "%zu bytes are more than the limit of %zu",
                            value.n, limits->max_bytes);
    if (value.n > 0 && value.p[0] == 0)
        return error_reject(err, REASON_json_invalid,
                            "a zero byte at byte 0: looks like Schema Registry framing; sluice "
                            "reads plain JSON");
    if (value.n >= 3 && memcmp(value.p, "\xef\xbb\xbf", 3) == 0)
        return error_reject(err, REASON_json_invalid,
                            "a byte order mark at byte 0, which JSON does not allow");
    s->start = (place)value.p;
    s->end = s->start + value.n;
    s->depth = 0;
    s->max_depth = limits->max_depth < SCAN_DEPTH_MAX ? limits->max_depth : SCAN_DEPTH_MAX - 1;
    s->escaped = false;
    s->fault = NULL;
    return ST_OK;
}

place scan_end(struct scan *s, place p)
{
    p = scan_space(s, p);
    return p == s->end ? p : scan_fail(s, p, "expected nothing more");
}

/* --- strings --- */

/* Behind the characters above U+007F that begin at p: the word's bytes are compared with the bit
 * patterns of table 3-6 of the Unicode standard; then the ranges of table 3-7. */
static place pass_utf8(struct scan *s, place p)
{
    while (s->end - p >= 4 && *p >= 0x80) {
        uint32_t w =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        if ((w & 0xC0C0F0) == 0x8080E0 && (w & 0x200F) != 0 && (w & 0x200F) != 0x200D)
            p += 3;
        else if ((w & 0xC0E0) == 0x80C0 && (w & 0x1E) != 0)
            p += 2;
        else if ((w & 0xC0C0C0F8) == 0x808080F0 && (w & 0x3007) != 0 &&
                 ((w & 7) < 4 || (w & 0x3007) == 4))
            p += 4;
        else
            return scan_fail(s, p, "expected UTF-8");
    }
    while (p < s->end && *p >= 0x80) {
        size_t n = utf8_char_length((const char *)p, (size_t)(s->end - p));
        if (n == 0)
            return scan_fail(s, p, "expected UTF-8");
        p += n;
    }
    return p;
}

enum { ESCAPE = 1, HEX = 2 };

/* What a byte may be behind a backslash. */
static const unsigned char classes[256] = {
    ['"'] = ESCAPE, ['\\'] = ESCAPE, ['/'] = ESCAPE, ['b'] = ESCAPE | HEX, ['f'] = ESCAPE | HEX,
    ['n'] = ESCAPE, ['r'] = ESCAPE,  ['t'] = ESCAPE, ['u'] = ESCAPE,       ['0'] = HEX,
    ['1'] = HEX,    ['2'] = HEX,     ['3'] = HEX,    ['4'] = HEX,          ['5'] = HEX,
    ['6'] = HEX,    ['7'] = HEX,     ['8'] = HEX,    ['9'] = HEX,          ['a'] = HEX,
    ['c'] = HEX,    ['d'] = HEX,     ['e'] = HEX,    ['A'] = HEX,          ['B'] = HEX,
    ['C'] = HEX,    ['D'] = HEX,     ['E'] = HEX,    ['F'] = HEX};

/* p is at the backslash. */
static place pass_escape(struct scan *s, place p)
{
    p++;
    if (p == s->end || (classes[*p] & ESCAPE) == 0)
        return scan_fail(s, p, "expected one of \"\\/bfnrtu after a backslash");
    if (*p++ != 'u')
        return p;
    if (s->end - p >= 4 && (classes[p[0]] & classes[p[1]] & classes[p[2]] & classes[p[3]] & HEX))
        return p + 4;
    for (int i = 0; i < 4; i++, p++)
        if (p == s->end || (classes[*p] & HEX) == 0)
            return scan_fail(s, p, "expected four hexadecimal digits after \\u");
    return p;
}

place scan_string(struct scan *s, place p)
{
    s->escaped = false;
    for (;;) {
        p = json_run(p, s->end);
        if (p == s->end)
            return scan_fail(s, p, "expected '\"' to end the string");
        if (*p == '"')
            return p;
        if (*p >= 0x80) {
            p = pass_utf8(s, p);
        } else if (*p == '\\') {
            s->escaped = true;
            do
                p = pass_escape(s, p);
            while (p != NULL && scan_is(s, p, '\\'));
        } else {
            return scan_fail(s, p, "expected no bare control character in a string");
        }
        if (p == NULL)
            return NULL;
    }
}

place scan_name(struct scan *s, place p, struct span *ret_name)
{
    if (!scan_is(s, p, '"'))
        return scan_fail(s, p, "expected the name of a member in quotes");
    place quote = scan_string(s, p + 1);
    if (quote == NULL)
        return NULL;
    *ret_name = span_make(p + 1, (size_t)(quote - (p + 1)));
    p = scan_space(s, quote + 1);
    if (!scan_is(s, p, ':'))
        return scan_fail(s, p, "expected ':' after a member's name");
    return scan_space(s, p + 1);
}

/* --- numbers and words --- */

static place pass_digits(struct scan *s, place p)
{
    place from = p;
    while (p < s->end && *p >= '0' && *p <= '9')
        p++;
    return p > from ? p : scan_fail(s, p, "expected a digit");
}

static place pass_number(struct scan *s, place p)
{
    if (*p == '-')
        p++;
    p = scan_is(s, p, '0') ? p + 1 : pass_digits(s, p);
    if (p != NULL && scan_is(s, p, '.'))
        p = pass_digits(s, p + 1);
    if (p != NULL && p < s->end && (*p | 0x20) == 'e') {
        p++;
        if (scan_is(s, p, '+') || scan_is(s, p, '-'))
            p++;
        p = pass_digits(s, p);
    }
    return p;
}

static place pass_word(struct scan *s, place p, const char *word, const char *fault)
{
    for (; *word != '\0'; word++, p++)
        if (!scan_is(s, p, (unsigned char)*word))
            return scan_fail(s, p, fault);
    return p;
}

static place pass_scalar(struct scan *s, place p)
{
    if (p < s->end) {
        switch (*p) {
        case '"':
            p = scan_string(s, p + 1);
            return p == NULL ? NULL : p + 1;
        case 't':
            return pass_word(s, p, "true", "expected true");
        case 'f':
            return pass_word(s, p, "false", "expected false");
        case 'n':
            return pass_word(s, p, "null", "expected null");
        default:
            if (*p == '-' || (*p >= '0' && *p <= '9'))
                return pass_number(s, p);
        }
    }
    return scan_fail(s, p, "expected a value");
}

/* --- containers --- */

static bool in_object(const struct scan *s)
{
    return (s->objects[s->depth / 64] >> (s->depth % 64) & 1) != 0;
}

/* p is at '{' or '['. */
static place push(struct scan *s, place p)
{
    if (s->depth >= s->max_depth) {
        scan_fail(s, p, "too deep");
        s->reason = REASON_json_too_deep;
        return NULL;
    }
    s->depth++;
    uint64_t bit = (uint64_t)1 << (s->depth % 64), *word = &s->objects[s->depth / 64];
    *word = *p == '{' ? *word | bit : *word & ~bit;
    return p + 1;
}

static place next_item(struct scan *s, place p)
{
    struct span name;
    p = scan_space(s, p);
    return in_object(s) ? scan_name(s, p, &name) : p;
}

/* Opens the containers that begin at p down to the first scalar or empty container and passes
 * that: result is behind a finished value. */
static place begin_value(struct scan *s, place p)
{
    while (scan_is(s, p, '{') || scan_is(s, p, '[')) {
        unsigned char close = *p == '{' ? '}' : ']';
        p = push(s, p);
        if (p == NULL)
            return NULL;
        p = scan_space(s, p);
        if (scan_is(s, p, close)) {
            s->depth--;
            return p + 1;
        }
        p = next_item(s, p);
        if (p == NULL)
            return NULL;
    }
    return pass_scalar(s, p);
}

place scan_value(struct scan *s, place p)
{
    const int outside = s->depth;
    p = begin_value(s, p);
    while (p != NULL && s->depth > outside) {
        bool object = in_object(s);
        p = scan_space(s, p);
        if (scan_is(s, p, ',')) {
            p = next_item(s, p + 1);
            p = p == NULL ? NULL : begin_value(s, p);
        } else if (scan_is(s, p, object ? '}' : ']')) {
            s->depth--;
            p++;
        } else {
            return scan_fail(s, p, object ? "expected ',' or '}'" : "expected ',' or ']'");
        }
    }
    return p;
}

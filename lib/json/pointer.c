/* JSON pointers over a tree and over text: see pointer.h. A token of a pointer is compared with a
 * name while its ~0 and ~1 are undone, so that nothing needs to be copied. */
#include "lib/json/pointer.h"

#include <string.h>

#include "lib/base/buf.h"
#include "lib/json/scan.h"

enum { INDEX_DIGITS = 9 };

typedef const unsigned char *place;

bool json_pointer_valid(const char *pointer)
{
    if (*pointer != '\0' && *pointer != '/')
        return false;
    for (const char *p = pointer; *p != '\0'; p++)
        if (*p == '~' && p[1] != '0' && p[1] != '1')
            return false;
    return true;
}

/* The token behind the slash at *p, still escaped; *p moves to the next slash or the end. */
static struct span next_token(const char **p)
{
    const char *from = *p + 1;
    size_t n = strcspn(from, "/");
    *p = from + n;
    return span_make(from, n);
}

static bool token_is(struct span token, struct span name)
{
    size_t k = 0;
    for (size_t i = 0; i < token.n; i++, k++) {
        char c = token.p[i];
        if (c == '~')
            c = token.p[++i] == '1' ? '/' : '~';
        if (k == name.n || name.p[k] != c)
            return false;
    }
    return k == name.n;
}

/* RFC 6901 section 4: no leading zeros. False for what is no index. */
static bool token_index(struct span token, size_t *ret)
{
    size_t value = 0;
    if (token.n == 0 || token.n > INDEX_DIGITS || (token.n > 1 && token.p[0] == '0'))
        return false;
    for (size_t i = 0; i < token.n; i++) {
        if (token.p[i] < '0' || token.p[i] > '9')
            return false;
        value = value * 10 + (size_t)(token.p[i] - '0');
    }
    *ret = value;
    return true;
}

/* --- over a tree --- */

static const json_t *tree_member(const json_t *object, struct span token)
{
    const char *name;
    json_t *member;
    if (memchr(token.p, '~', token.n) == NULL)
        return json_object_getn(object, token.p, token.n);
    json_object_foreach((json_t *)object, name,
                        member) if (token_is(token, span_of(name))) return member;
    return NULL;
}

const json_t *json_pointer_get(const json_t *root, const char *pointer)
{
    const json_t *at = root;
    size_t index;
    if (!json_pointer_valid(pointer))
        return NULL;
    while (at != NULL && *pointer != '\0') {
        struct span token = next_token(&pointer);
        if (json_is_object(at))
            at = tree_member(at, token);
        else if (json_is_array(at) && token_index(token, &index))
            at = json_array_get(at, index);
        else
            at = NULL;
    }
    return at;
}

/* --- over text --- */

static bool name_matches(struct span name, bool escaped, struct span token)
{
    if (!escaped)
        return token_is(token, name);
    struct buf plain = {0};
    json_unescape(&plain, name);
    bool same = token_is(token, buf_span(&plain));
    buf_fini(&plain);
    return same;
}

/* Behind the comma at p and the space that follows it; NULL at the end of the container. */
static place next_item(const struct scan *s, place p)
{
    p = scan_space(s, p);
    return scan_is(s, p, ',') ? scan_space(s, p + 1) : NULL;
}

/* p is at '{'. The values of the last members that match the tokens; absent for those that are not
 * there. Result: behind the object, or NULL. */
static place find_members(struct scan *s, place p, const struct span *tokens, size_t n,
                          struct span *found)
{
    p = scan_space(s, p + 1);
    if (scan_is(s, p, '}'))
        return p + 1;
    for (;;) {
        struct span name = SPAN_NULL;
        /* scan_name leaves in s->escaped what it met in the name. */
        place value = scan_name(s, p, &name);
        if (value == NULL)
            return NULL;
        bool escaped = s->escaped;
        p = scan_value(s, value);
        if (p == NULL)
            return NULL;
        for (size_t i = 0; i < n; i++)
            if (name_matches(name, escaped, tokens[i]))
                found[i] = span_make(value, (size_t)(p - value));
        p = scan_space(s, p);
        if (scan_is(s, p, '}'))
            return p + 1;
        if (!scan_is(s, p, ','))
            return scan_fail(s, p, "expected ',' or '}'");
        p = scan_space(s, p + 1);
    }
}

static place find_member(struct scan *s, place p, struct span token)
{
    struct span found = SPAN_NULL;
    return find_members(s, p, &token, 1, &found) == NULL ? NULL : (place)found.p;
}

static place find_element(struct scan *s, place p, struct span token)
{
    size_t index;
    if (!token_index(token, &index))
        return NULL;
    p = scan_space(s, p + 1);
    if (scan_is(s, p, ']'))
        return NULL;
    for (; p != NULL && index > 0; index--) {
        p = scan_value(s, p);
        if (p != NULL)
            p = next_item(s, p);
    }
    return p;
}

bool json_members_find(struct span object, const struct span *names, size_t n, struct span *ret)
{
    struct scan s;
    struct post_limits limits = {.max_bytes = SIZE_MAX, .max_depth = SCAN_DEPTH_MAX};
    struct error ignored;
    for (size_t i = 0; i < n; i++)
        ret[i] = SPAN_NULL;
    if (scan_begin(&s, object, &limits, &ignored) != ST_OK)
        return false;
    place p = scan_space(&s, s.start);
    if (!scan_is(&s, p, '{'))
        return false;
    p = find_members(&s, p, names, n, ret);
    return p != NULL && scan_end(&s, p) != NULL;
}

struct span json_pointer_find(struct span text, const char *pointer)
{
    struct scan s;
    struct post_limits limits = {.max_bytes = SIZE_MAX, .max_depth = SCAN_DEPTH_MAX};
    if (text.p == NULL || !json_pointer_valid(pointer) ||
        scan_begin(&s, text, &limits, NULL) != ST_OK)
        return SPAN_NULL;
    place p = scan_space(&s, s.start);
    while (p != NULL && *pointer != '\0') {
        struct span token = next_token(&pointer);
        if (scan_is(&s, p, '{'))
            p = find_member(&s, p, token);
        else if (scan_is(&s, p, '['))
            p = find_element(&s, p, token);
        else
            p = NULL;
    }
    place end = p == NULL ? NULL : scan_value(&s, p);
    return end == NULL ? SPAN_NULL : span_make(p, (size_t)(end - p));
}

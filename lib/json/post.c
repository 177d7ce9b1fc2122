/* What a post is: an object with id and text. The text is read to its end before anything is said
 * about its members, so that a broken text is always json_invalid and never blamed on a member. */
#include "lib/json/post.h"

#include "lib/json/scan.h"

typedef const unsigned char *place;

/* The members that mean something here. */
enum member { ID, TEXT, ENRICHMENT, MEMBERS };

static const struct span names[MEMBERS] = {
    [ID] = {"id", 2}, [TEXT] = {"text", 4}, [ENRICHMENT] = {"enrichment", 10}};

struct members {
    struct span value[MEMBERS]; /* as written; absent when not there */
    bool escaped[MEMBERS];      /* a string with a backslash */
    enum member twice;          /* the first that stands twice, or MEMBERS */
    place close;
};

static int hex_of(char c)
{
    return c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* The character that an escape stands for when it is one of our names' letters, else -1. */
static int plain_escape(const char *p)
{
    if (p[1] != 'u')
        return -1; /* none of the short escapes is a letter */
    return hex_of(p[2]) << 12 | hex_of(p[3]) << 8 | hex_of(p[4]) << 4 | hex_of(p[5]);
}

static bool escaped_name_is(struct span name, struct span want)
{
    size_t i = 0, k = 0;
    while (i < name.n && k < want.n) {
        bool escape = name.p[i] == '\\';
        int c = escape ? plain_escape(name.p + i) : name.p[i];
        if (c != want.p[k++])
            return false;
        i += escape ? 6 : 1;
    }
    return i == name.n && k == want.n;
}

static enum member member_find(struct span name, bool escaped)
{
    int m = ID;
    while (m < MEMBERS && !(escaped ? escaped_name_is(name, names[m])
                                    : name.n == names[m].n && span_equal(name, names[m])))
        m++;
    return (enum member)m;
}

static place pass_member(struct scan *s, place p, struct members *found)
{
    struct span name;
    place value = scan_name(s, p, &name);
    if (value == NULL)
        return NULL;
    enum member m = member_find(name, s->escaped);
    s->escaped = false;
    p = scan_value(s, value);
    if (p == NULL || m == MEMBERS)
        return p;
    if (found->value[m].p != NULL && found->twice == MEMBERS)
        found->twice = m;
    found->value[m] = span_make(value, (size_t)(p - value));
    found->escaped[m] = *value == '"' && s->escaped;
    return p;
}

/* p is behind the top-level '{'. */
static place pass_members(struct scan *s, place p, struct members *found)
{
    s->depth = 1;
    p = scan_space(s, p);
    while (!scan_is(s, p, '}')) {
        p = pass_member(s, p, found);
        if (p == NULL)
            return NULL;
        p = scan_space(s, p);
        if (scan_is(s, p, '}'))
            break;
        if (!scan_is(s, p, ','))
            return scan_fail(s, p, "expected ',' or '}'");
        p = scan_space(s, p + 1);
        if (scan_is(s, p, '}'))
            return scan_fail(s, p, "expected the name of a member in quotes");
    }
    found->close = p;
    return p + 1;
}

static struct span inside(struct span string)
{
    return span_make(string.p + 1, string.n - 2);
}

static enum status judge(const struct members *found, place start, struct post *ret,
                         struct error *err)
{
    if (found->close == NULL)
        return error_reject(err, REASON_post_not_object, "a post is a JSON object");
    if (found->twice != MEMBERS)
        return error_reject(err, REASON_member_duplicate, "'%s' stands twice",
                            names[found->twice].p);
    struct span id = found->value[ID], text = found->value[TEXT];
    if (id.p == NULL)
        return error_reject(err, REASON_id_missing, "the post has no 'id'");
    bool id_is_string = id.p[0] == '"';
    if (!id_is_string && id.p[0] != '-' && !(id.p[0] >= '0' && id.p[0] <= '9'))
        return error_reject(err, REASON_id_type, "'id' is neither number nor string at byte %zu",
                            (size_t)((place)id.p - start));
    if (text.p == NULL)
        return error_reject(err, REASON_text_missing, "the post has no 'text'");
    if (text.p[0] != '"')
        return error_reject(err, REASON_text_type, "'text' is not a string at byte %zu",
                            (size_t)((place)text.p - start));
    *ret = (struct post){.id = id_is_string ? inside(id) : id,
                         .text = inside(text),
                         .enrichment = found->value[ENRICHMENT],
                         .close = (size_t)(found->close - start),
                         .id_is_string = id_is_string,
                         .id_escaped = found->escaped[ID],
                         .text_escaped = found->escaped[TEXT]};
    return ST_OK;
}

enum status post_scan(struct span value, const struct post_limits *limits, struct post *ret,
                      struct error *err)
{
    struct scan s;
    enum status st = scan_begin(&s, value, limits, err);
    if (st != ST_OK)
        return st;
    struct members found = {.twice = MEMBERS};
    place p = scan_space(&s, s.start);
    bool object = scan_is(&s, p, '{') && s.max_depth >= 1;
    p = object ? pass_members(&s, p + 1, &found) : scan_value(&s, p);
    if (p == NULL || scan_end(&s, p) == NULL)
        return scan_reject(&s, err);
    return judge(&found, s.start, ret, err);
}

enum status json_check(struct span value, const struct post_limits *limits, struct error *err)
{
    struct scan s;
    enum status st = scan_begin(&s, value, limits, err);
    if (st != ST_OK)
        return st;
    place p = scan_value(&s, scan_space(&s, s.start));
    return p == NULL || scan_end(&s, p) == NULL ? scan_reject(&s, err) : ST_OK;
}

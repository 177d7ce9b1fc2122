/* What nearly all answers are: plain JSON that fits. One pass over the text, without a tree: an
 * eighth of what parsing, checking and writing it anew cost.
 *
 * Ensures: what passes is what schema_check accepts, and its text is what json_tree_write makes of
 * it (schema_test.c and fuzz_schema.c compare them). Whatever would need care is left to them, and
 * so is every refusal: they have the words for it. */
#include <stdlib.h>

#include "lib/enrich/schema.h"
#include "lib/enrich/schema_tree.h"
#include "lib/json/scan.h"

enum { DEPTH_MAX = 32, DIGITS_MAX = 15, NUMBER_MAX = 24 };

typedef const unsigned char *place;

struct pass {
    struct scan s;
    char *to; /* where the text goes; it cannot get longer than it was */
    int depth;
};

/* Takes the place of a value and returns that behind it, or NULL: not decided here. */
static place pass_value(struct pass *p, const struct schema_node *node, place at);

static bool may_be(const struct schema_node *node, unsigned type)
{
    return node == NULL || node->types == 0 || (node->types & type) != 0;
}

static void copy(struct pass *p, place from, place end)
{
    memcpy(p->to, from, (size_t)(end - from));
    p->to += end - from;
}

/* --- strings --- */

static bool is_listed(const struct schema_node *node, struct span s)
{
    bool listed = node->one_of == NULL;
    for (size_t i = 0; !listed && i < json_array_size(node->one_of); i++) {
        const json_t *one = json_array_get(node->one_of, i);
        listed = span_equal(s, span_make(json_string_value(one), json_string_length(one)));
    }
    return listed;
}

static bool string_fits(const struct schema_node *node, struct span s)
{
    if (node == NULL)
        return true;
    if (node->min_length > 0 || node->max_length < SIZE_MAX) {
        size_t n = schema_count_characters(s);
        if (n < node->min_length || n > node->max_length)
            return false;
    }
    return is_listed(node, s);
}

static place pass_string(struct pass *p, const struct schema_node *node, place at)
{
    place quote = scan_string(&p->s, at + 1);
    if (quote == NULL || p->s.escaped || !may_be(node, TYPE_STRING) ||
        !string_fits(node, span_make(at + 1, (size_t)(quote - at - 1))))
        return NULL;
    copy(p, at, quote + 1);
    return quote + 1;
}

/* --- numbers and words --- */

static bool has_bounds(const struct schema_node *node)
{
    return node->minimum != NULL || node->maximum != NULL || node->above != NULL ||
           node->below != NULL;
}

/* A number of so few digits is exact as a double, or its nearest one, as jansson's is; a bound that
 * is rounded is far beyond it. */
static bool is_within(const struct schema_node *node, place at, place end)
{
    char text[NUMBER_MAX] = {0};
    memcpy(text, at, (size_t)(end - at));
    double value = strtod(text, NULL);
    return (node->minimum == NULL || value >= json_number_value(node->minimum)) &&
           (node->maximum == NULL || value <= json_number_value(node->maximum)) &&
           (node->above == NULL || value > json_number_value(node->above)) &&
           (node->below == NULL || value < json_number_value(node->below));
}

static place pass_digits(const struct pass *p, place at)
{
    while (at < p->s.end && *at >= '0' && *at <= '9')
        at++;
    return at;
}

/* Behind the fraction that begins at the point, or NULL: it ends with a zero, or so many follow the
 * point that it would be written with an exponent (0.0000123 is 1.23e-05). */
static place plain_fraction(const struct pass *p, place point, bool below_one)
{
    place end = pass_digits(p, point + 1);
    bool tiny = below_one && end - point > 5 && memcmp(point, ".0000", 5) == 0;
    return end == point + 1 || end[-1] == '0' || tiny ? NULL : end;
}

/* Behind a number that is written as "%.15g" would write it: NULL for any other. */
static place plain_number(const struct pass *p, place at, bool *ret_whole)
{
    place first = at + (*at == '-'), end = pass_digits(p, first);
    bool zero = scan_is(&p->s, first, '0');
    if (end == first || (zero && end - first > 1))
        return NULL;
    *ret_whole = !scan_is(&p->s, end, '.');
    if (!*ret_whole)
        end = plain_fraction(p, end, zero);
    else if (zero && first != at) /* "-0" is 0 */
        return NULL;
    bool exponent = end != NULL && end < p->s.end && (*end | 0x20) == 'e';
    return end == NULL || exponent || end - first > DIGITS_MAX ? NULL : end;
}

static place pass_number(struct pass *p, const struct schema_node *node, place at)
{
    bool whole;
    place end = plain_number(p, at, &whole);
    if (end == NULL || !may_be(node, whole ? TYPE_INTEGER | TYPE_NUMBER : TYPE_NUMBER))
        return NULL;
    if (node != NULL && (node->one_of != NULL || (has_bounds(node) && !is_within(node, at, end))))
        return NULL;
    copy(p, at, end);
    return end;
}

static place pass_word(struct pass *p, const struct schema_node *node, place at)
{
    static const struct {
        const char *text;
        unsigned type;
    } words[] = {{"true", TYPE_BOOLEAN}, {"false", TYPE_BOOLEAN}, {"null", TYPE_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].text);
        if ((size_t)(p->s.end - at) < n || memcmp(at, words[i].text, n) != 0)
            continue;
        if (!may_be(node, words[i].type) || (node != NULL && node->one_of != NULL))
            return NULL;
        copy(p, at, at + n);
        return at + n;
    }
    return NULL;
}

/* --- containers --- */

/* at is behind a value: the place of the next one, behind the comma, or of the end. */
static place pass_comma(struct pass *p, place at, unsigned char close)
{
    at = scan_space(&p->s, at);
    if (scan_is(&p->s, at, close))
        return at;
    if (!scan_is(&p->s, at, ','))
        return NULL;
    *p->to++ = ',';
    at = scan_space(&p->s, at + 1);
    return scan_is(&p->s, at, close) ? NULL : at;
}

static place pass_array(struct pass *p, const struct schema_node *node, place at)
{
    size_t n = 0;
    if (!may_be(node, TYPE_ARRAY) || (node != NULL && node->one_of != NULL))
        return NULL;
    *p->to++ = '[';
    at = scan_space(&p->s, at + 1);
    for (; at != NULL && !scan_is(&p->s, at, ']'); n++) {
        at = pass_value(p, node == NULL ? NULL : node->items, at);
        at = at == NULL ? NULL : pass_comma(p, at, ']');
    }
    if (at == NULL || (node != NULL && (n < node->min_items || n > node->max_items)))
        return NULL;
    *p->to++ = ']';
    return at + 1;
}

/* Its number among the properties; property_count: it is none. */
static size_t find_property(const struct schema_node *node, struct span name)
{
    size_t i = 0;
    while (i < node->property_count && !span_is(name, node->properties[i].name))
        i++;
    return i;
}

/* "NAME": of a member that is a property and comes for the first time. */
static place pass_name(struct pass *p, const struct schema_node *node, uint64_t *seen, place at,
                       size_t *ret_property)
{
    struct span name;
    at = scan_name(&p->s, at, &name);
    if (at == NULL || p->s.escaped)
        return NULL;
    *ret_property = find_property(node, name);
    if (*ret_property == node->property_count || (*seen >> *ret_property & 1) != 0)
        return NULL;
    *seen |= (uint64_t)1 << *ret_property;
    copy(p, (place)name.p - 1, (place)name.p + name.n + 1);
    *p->to++ = ':';
    return at;
}

static place pass_object(struct pass *p, const struct schema_node *node, place at)
{
    uint64_t seen = 0;
    size_t n = 0, property;
    if (node == NULL || !may_be(node, TYPE_OBJECT) || node->one_of != NULL)
        return NULL;
    *p->to++ = '{';
    at = scan_space(&p->s, at + 1);
    for (; at != NULL && !scan_is(&p->s, at, '}'); n++) {
        at = pass_name(p, node, &seen, at, &property);
        at = at == NULL ? NULL : pass_value(p, node->properties[property].node, at);
        at = at == NULL ? NULL : pass_comma(p, at, '}');
    }
    if (at == NULL || (node->must & ~seen) != 0 || n < node->min_properties ||
        n > node->max_properties)
        return NULL;
    *p->to++ = '}';
    return at + 1;
}

static place pass_value(struct pass *p, const struct schema_node *node, place at)
{
    if (at == p->s.end || p->depth == DEPTH_MAX || (node != NULL && !node->plain))
        return NULL;
    p->depth++;
    if (*at == '"')
        at = pass_string(p, node, at);
    else if (*at == '{')
        at = pass_object(p, node, at);
    else if (*at == '[')
        at = pass_array(p, node, at);
    else if (*at == '-' || (*at >= '0' && *at <= '9'))
        at = pass_number(p, node, at);
    else
        at = pass_word(p, node, at);
    p->depth--;
    return at;
}

bool schema_pass(const struct schema *schema, struct span text, struct buf *out)
{
    static const struct post_limits limits = {.max_bytes = SIZE_MAX, .max_depth = DEPTH_MAX};
    struct pass p;
    struct error err;
    char *to = buf_reserve(out, text.n);
    if (to == NULL) {
        out->full = false;
        return false;
    }
    p.to = to;
    p.depth = 0;
    if (scan_begin(&p.s, text, &limits, &err) != ST_OK)
        return false;
    place at = pass_value(&p, schema->top, scan_space(&p.s, p.s.start));
    if (at == NULL || scan_space(&p.s, at) != p.s.end)
        return false;
    out->n += (size_t)(p.to - to);
    return true;
}

/* Checks a value against the tree that schema.c made: the first thing that does not fit ends it.
 *
 * The way to a value is a chain of frames on the stack, written out only when it is needed. */
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/enrich/schema.h"
#include "lib/enrich/schema_tree.h"
#include "lib/json/tree.h"

enum { SHOWN_MAX = 60, LIST_SHOWN_MAX = 160 };

struct frame {
    const struct frame *up;
    const char *name; /* of the member; NULL: an element */
    size_t index;
};

struct check {
    const struct schema *schema;
    struct error *err;
};

typedef enum status (*check_fn)(const struct check *c, const struct schema_node *node,
                                const json_t *value, const struct frame *at);

/* --- messages --- */

static void write_path(const struct frame *at, struct buf *out)
{
    if (at == NULL || at->up == NULL)
        return;
    write_path(at->up, out);
    if (at->name == NULL)
        buf_printf(out, "/%zu", at->index);
    else
        buf_printf(out, "/%s", at->name);
}

/* Cut at a character's border. */
static void cut(struct buf *b, size_t max)
{
    if (b->n <= max)
        return;
    b->n = max;
    while (b->n > 0 && ((unsigned char)b->p[b->n] & 0xC0) == 0x80)
        b->n--;
    buf_add_str(b, "...");
}

static enum status PRINTF_LIKE(3, 4)
    refuse(const struct check *c, const struct frame *at, const char *fmt, ...)
{
    char text[320];
    struct buf path = {0};
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    write_path(at, &path);
    cut(&path, 120);
    enum status st = error_reject(c->err, REASON_llm_schema, "%s: %s",
                                  path.n == 0 ? "the answer" : buf_str(&path), text);
    buf_fini(&path);
    return st;
}

/* "is VALUE, RULE ALLOWED" */
static enum status refuse_value(const struct check *c, const struct frame *at, const json_t *value,
                                const char *rule, const json_t *allowed)
{
    struct buf is = {0}, want = {0};
    json_tree_write(value, &is);
    json_tree_write(allowed, &want);
    cut(&is, SHOWN_MAX);
    cut(&want, LIST_SHOWN_MAX);
    enum status st = refuse(c, at, "is %s, %s %s", buf_str(&is), rule, buf_str(&want));
    buf_fini(&is);
    buf_fini(&want);
    return st;
}

/* --- any value --- */

static unsigned types_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_NULL:
        return TYPE_NULL;
    case JSON_TRUE:
    case JSON_FALSE:
        return TYPE_BOOLEAN;
    case JSON_INTEGER:
        return TYPE_INTEGER | TYPE_NUMBER;
    case JSON_REAL: /* 1.0 is an integer */
        return json_real_value(value) == floor(json_real_value(value)) ? TYPE_INTEGER | TYPE_NUMBER
                                                                       : TYPE_NUMBER;
    case JSON_STRING:
        return TYPE_STRING;
    case JSON_ARRAY:
        return TYPE_ARRAY;
    default:
        return TYPE_OBJECT;
    }
}

static const char *article(const char *word)
{
    return strcmp(word, "null") == 0 ? "" : strchr("aio", word[0]) != NULL ? "an " : "a ";
}

static enum status refuse_type(const struct check *c, const struct frame *at, unsigned wanted,
                               unsigned is)
{
    struct buf text = {0};
    const char *between = "is ";
    for (unsigned i = TYPES; i-- > 0 && text.n == 0;)
        if ((is & 1u << i) != 0)
            buf_printf(&text, "is %s%s", article(schema_type_names[i]), schema_type_names[i]);
    between = ", must be ";
    for (unsigned i = 0; i < TYPES; i++) {
        if ((wanted & 1u << i) == 0)
            continue;
        buf_printf(&text, "%s%s%s", between, article(schema_type_names[i]), schema_type_names[i]);
        between = " or ";
    }
    enum status st = refuse(c, at, "%s", buf_str(&text));
    buf_fini(&text);
    return st;
}

static enum status check_any(const struct check *c, const struct schema_node *node,
                             const json_t *value, const struct frame *at)
{
    unsigned is = types_of(value);
    if (node->never)
        return refuse(c, at, "must not be there");
    if (node->types != 0 && (node->types & is) == 0)
        return refuse_type(c, at, node->types, is);
    if (node->constant != NULL && !json_tree_equal(node->constant, value))
        return refuse_value(c, at, value, "must be", node->constant);
    bool listed = node->one_of == NULL;
    for (size_t i = 0; !listed && i < json_array_size(node->one_of); i++)
        listed = json_tree_equal(json_array_get(node->one_of, i), value);
    return listed ? ST_OK : refuse_value(c, at, value, "must be one of", node->one_of);
}

/* --- numbers and strings --- */

static enum status check_number(const struct check *c, const struct schema_node *node,
                                const json_t *value, const struct frame *at)
{
    if (node->minimum != NULL && json_number_compare(value, node->minimum) < 0)
        return refuse_value(c, at, value, "must be at least", node->minimum);
    if (node->maximum != NULL && json_number_compare(value, node->maximum) > 0)
        return refuse_value(c, at, value, "must be at most", node->maximum);
    if (node->above != NULL && json_number_compare(value, node->above) <= 0)
        return refuse_value(c, at, value, "must be more than", node->above);
    if (node->below != NULL && json_number_compare(value, node->below) >= 0)
        return refuse_value(c, at, value, "must be less than", node->below);
    return ST_OK;
}

size_t schema_count_characters(struct span s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++)
        n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static bool regex_matches(const struct schema *schema, const regex_t *regex, struct span s)
{
    regmatch_t within = {.rm_so = 0, .rm_eo = (regoff_t)s.n};
    locale_t old = schema->utf8 == 0 ? 0 : uselocale(schema->utf8);
    int rc = regexec(regex, s.p, 1, &within, REG_STARTEND); /* zero bytes may be within */
    if (old != 0)
        uselocale(old);
    return rc == 0;
}

static enum status check_string(const struct check *c, const struct schema_node *node,
                                const json_t *value, const struct frame *at)
{
    struct span s = span_make(json_string_value(value), json_string_length(value));
    if (node->min_length > 0 || node->max_length < SIZE_MAX) {
        size_t n = schema_count_characters(s);
        if (n < node->min_length)
            return refuse(c, at, "has %zu characters, must have at least %zu", n, node->min_length);
        if (n > node->max_length)
            return refuse(c, at, "has %zu characters, must have at most %zu", n, node->max_length);
    }
    if (node->regex == NULL || regex_matches(c->schema, node->regex, s))
        return ST_OK;
    json_t *pattern = json_string(node->pattern);
    enum status st = refuse_value(c, at, value, "must match", pattern);
    json_decref(pattern);
    return st;
}

/* --- containers --- */

static enum status check_value(const struct check *c, const struct schema_node *node,
                               const json_t *value, const struct frame *at);

/* Equal values have equal hashes; the order of members does not count. */
static uint64_t hash_value(const json_t *value)
{
    const char *name;
    json_t *member;
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    struct buf text = {0};
    if (json_is_object(value)) {
        json_object_foreach((json_t *)value, name, member)
        {
            uint64_t m = hash_value(member);
            for (const char *p = name; *p != '\0'; p++)
                m = (m ^ (unsigned char)*p) * 1099511628211u;
            h += m;
        }
        return h;
    }
    for (size_t i = 0; i < json_array_size(value); i++)
        h = (h ^ hash_value(json_array_get(value, i))) * 1099511628211u;
    if (json_is_array(value))
        return h ^ 1;
    if (json_is_number(value))
        buf_printf(&text, "%.17g", json_number_value(value) + 0.0);
    else
        json_tree_write(value, &text);
    for (size_t i = 0; i < text.n; i++)
        h = (h ^ (unsigned char)text.p[i]) * 1099511628211u;
    buf_fini(&text);
    return h;
}

struct hashed {
    uint64_t hash;
    size_t index;
};

static int compare_hashed(const void *a, const void *b)
{
    const struct hashed *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->index > y->index) - (x->index < y->index);
}

/* Neighbours with equal hashes are compared with the first of their run: that is linear, and only
 * values that differ and share a hash could be missed. */
static enum status check_unique(const struct check *c, const json_t *value, const struct frame *at)
{
    size_t n = json_array_size(value), first = 0;
    enum status st = ST_OK;
    struct hashed *items = mem_array(n, sizeof *items);
    for (size_t i = 0; i < n; i++)
        items[i] = (struct hashed){hash_value(json_array_get(value, i)), i};
    qsort(items, n, sizeof *items, compare_hashed);
    for (size_t i = 1; st == ST_OK && i < n; i++) {
        if (items[i].hash != items[first].hash)
            first = i;
        else if (json_tree_equal(json_array_get(value, items[i].index),
                                 json_array_get(value, items[first].index)))
            st = refuse(c, at, "elements %zu and %zu are equal, all must differ",
                        items[first].index, items[i].index);
    }
    mem_free(items);
    return st;
}

static enum status check_array(const struct check *c, const struct schema_node *node,
                               const json_t *value, const struct frame *at)
{
    size_t n = json_array_size(value);
    enum status st = ST_OK;
    if (n < node->min_items)
        return refuse(c, at, "has %zu elements, must have at least %zu", n, node->min_items);
    if (n > node->max_items)
        return refuse(c, at, "has %zu elements, must have at most %zu", n, node->max_items);
    for (size_t i = 0; st == ST_OK && node->items != NULL && i < n; i++)
        st = check_value(c, node->items, json_array_get(value, i),
                         &(struct frame){.up = at, .index = i});
    return st == ST_OK && node->unique ? check_unique(c, value, at) : st;
}

static const struct schema_node *node_of(const struct schema_node *node, const char *name)
{
    size_t low = 0, high = node->property_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(name, node->properties[middle].name);
        if (order == 0)
            return node->properties[middle].node;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return node->additional;
}

static enum status check_object(const struct check *c, const struct schema_node *node,
                                const json_t *value, const struct frame *at)
{
    const char *name;
    json_t *member;
    size_t n = json_object_size(value);
    if (n < node->min_properties)
        return refuse(c, at, "has %zu members, must have at least %zu", n, node->min_properties);
    if (n > node->max_properties)
        return refuse(c, at, "has %zu members, must have at most %zu", n, node->max_properties);
    for (size_t i = 0; i < json_array_size(node->required); i++) {
        name = json_string_value(json_array_get(node->required, i));
        if (json_object_get(value, name) == NULL)
            return refuse(c, at, "has no member '%.60s'", name);
    }
    json_object_foreach((json_t *)value, name, member)
    {
        const struct schema_node *its = node_of(node, name);
        enum status st = its == NULL
                             ? ST_OK
                             : check_value(c, its, member, &(struct frame){.up = at, .name = name});
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status check_value(const struct check *c, const struct schema_node *node,
                               const json_t *value, const struct frame *at)
{
    static const check_fn by_type[] = {
        [JSON_OBJECT] = check_object,  [JSON_ARRAY] = check_array, [JSON_STRING] = check_string,
        [JSON_INTEGER] = check_number, [JSON_REAL] = check_number, [JSON_TRUE] = NULL,
        [JSON_FALSE] = NULL,           [JSON_NULL] = NULL};
    enum status st = check_any(c, node, value, at);
    check_fn more = by_type[json_typeof(value)];
    return st == ST_OK && more != NULL ? more(c, node, value, at) : st;
}

enum status schema_check(const struct schema *schema, const json_t *value, struct error *err)
{
    struct check c = {schema, err};
    struct frame top = {0};
    return check_value(&c, schema->top, value, &top);
}

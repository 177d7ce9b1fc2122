/* Reads a JSON Schema into a tree of nodes: a table of keywords, each with the kind of value it
 * takes and where that goes. The place in the text is kept as a JSON pointer for error messages.
 *
 * Ensures: 1. every keyword of the text is either in the table or refused. 2. the tree is at most
 * DEPTH_MAX deep, so checking, which follows it, is bounded. */
#include "lib/enrich/schema.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/enrich/schema_tree.h"

enum { DEPTH_MAX = 64, REGEX_MESSAGE_SIZE = 160 };

const char *const schema_type_names[TYPES] = {"null",   "boolean", "integer", "number",
                                              "string", "array",   "object"};

struct reading {
    const struct schema *schema;
    const char *name; /* of the text, for messages */
    struct buf path;  /* JSON pointer to where we are */
    int depth;
    struct error *err;
};

static enum status read_node(struct reading *r, const json_t *value, struct schema_node **ret);

static enum status refuse(struct reading *r, const char *what)
{
    return error_set(r->err, ST_FATAL, ERR_CONFIG, "%s: %.160s: %.200s", r->name,
                     r->path.n == 0 ? "the schema" : buf_str(&r->path), what);
}

/* One step down in the path. Result: to be given to path_leave. */
static size_t path_enter(struct reading *r, const char *token)
{
    size_t before = r->path.n;
    buf_add_char(&r->path, '/');
    for (; *token != '\0'; token++) {
        if (*token == '~')
            buf_add_str(&r->path, "~0");
        else if (*token == '/')
            buf_add_str(&r->path, "~1");
        else
            buf_add_char(&r->path, *token);
    }
    return before;
}

static void path_leave(struct reading *r, size_t before)
{
    r->path.n = before;
}

/* --- one function a kind of keyword --- */

static bool add_type(const json_t *name, unsigned *types)
{
    for (unsigned i = 0; json_is_string(name) && i < TYPES; i++) {
        if (strcmp(json_string_value(name), schema_type_names[i]) == 0) {
            *types |= 1u << i;
            return true;
        }
    }
    return false;
}

static enum status read_type(struct reading *r, const json_t *value, void *field)
{
    unsigned *types = field;
    bool known = json_is_array(value) ? json_array_size(value) > 0 : add_type(value, types);
    for (size_t i = 0; known && i < json_array_size(value); i++)
        known = add_type(json_array_get(value, i), types);
    return known ? ST_OK
                 : refuse(r, "must be one or a list of null, boolean, integer, number, string, "
                             "array, object");
}

static enum status read_any(struct reading *r, const json_t *value, void *field)
{
    UNUSED(r);
    *(const json_t **)field = value;
    return ST_OK;
}

static enum status read_list(struct reading *r, const json_t *value, void *field)
{
    if (!json_is_array(value) || json_array_size(value) == 0)
        return refuse(r, "must be a list with at least one value");
    return read_any(r, value, field);
}

static enum status read_names(struct reading *r, const json_t *value, void *field)
{
    bool fits = json_is_array(value);
    for (size_t i = 0; fits && i < json_array_size(value); i++)
        fits = json_is_string(json_array_get(value, i));
    return fits ? read_any(r, value, field) : refuse(r, "must be a list of strings");
}

static enum status read_number(struct reading *r, const json_t *value, void *field)
{
    return json_is_number(value) ? read_any(r, value, field) : refuse(r, "must be a number");
}

static enum status read_bool(struct reading *r, const json_t *value, void *field)
{
    if (!json_is_boolean(value))
        return refuse(r, "must be true or false");
    *(bool *)field = json_is_true(value);
    return ST_OK;
}

static enum status read_count(struct reading *r, const json_t *value, void *field)
{
    double n = json_is_number(value) ? json_number_value(value) : -1;
    if (n < 0 || n != floor(n) || n > 1e15)
        return refuse(r, "must be a whole number, 0 or more");
    *(size_t *)field = (size_t)n;
    return ST_OK;
}

static enum status compile_regex(struct reading *r, const char *posix, regex_t **ret)
{
    char why[REGEX_MESSAGE_SIZE];
    regex_t *regex = mem_zalloc(sizeof *regex);
    locale_t old = r->schema->utf8 == 0 ? 0 : uselocale(r->schema->utf8);
    int rc = regcomp(regex, posix, REG_EXTENDED | REG_NOSUB);
    if (old != 0)
        uselocale(old);
    if (rc == 0) {
        *ret = regex;
        return ST_OK;
    }
    regerror(rc, regex, why, sizeof why);
    mem_free(regex);
    return refuse(r, why);
}

static enum status read_pattern(struct reading *r, const json_t *value, void *field)
{
    struct schema_node *node = field;
    struct buf posix = {0};
    if (!json_is_string(value))
        return refuse(r, "must be a string");
    node->pattern = json_string_value(value);
    const char *fault = strlen(node->pattern) == json_string_length(value)
                            ? schema_pattern_translate(node->pattern, &posix)
                            : "a zero byte";
    enum status st =
        fault != NULL ? refuse(r, fault) : compile_regex(r, buf_str(&posix), &node->regex);
    buf_fini(&posix);
    return st;
}

static enum status read_schema(struct reading *r, const json_t *value, void *field)
{
    return read_node(r, value, field);
}

static int compare_properties(const void *a, const void *b)
{
    return strcmp(((const struct property *)a)->name, ((const struct property *)b)->name);
}

static enum status read_properties(struct reading *r, const json_t *value, void *field)
{
    struct schema_node *node = field;
    const char *name;
    json_t *member;
    enum status st = ST_OK;
    if (!json_is_object(value))
        return refuse(r, "must be an object");
    node->properties = mem_array(json_object_size(value), sizeof *node->properties);
    json_object_foreach((json_t *)value, name, member)
    {
        size_t before = path_enter(r, name);
        struct property *property = &node->properties[node->property_count++];
        property->name = name;
        st = read_node(r, member, &property->node);
        path_leave(r, before);
        if (st != ST_OK)
            return st;
    }
    qsort(node->properties, node->property_count, sizeof *node->properties, compare_properties);
    return ST_OK;
}

static enum status read_nothing(struct reading *r, const json_t *value, void *field)
{
    UNUSED(r);
    UNUSED(value);
    UNUSED(field);
    return ST_OK;
}

/* --- the table --- */

struct keyword {
    const char *name;
    enum status (*read)(struct reading *r, const json_t *value, void *field);
    size_t offset; /* of the field in struct schema_node */
};

#define FIELD(field) offsetof(struct schema_node, field)

static const struct keyword keywords[] = {
    {"type", read_type, FIELD(types)},
    {"enum", read_list, FIELD(one_of)},
    {"const", read_any, FIELD(constant)},
    {"required", read_names, FIELD(required)},
    {"properties", read_properties, 0},
    {"additionalProperties", read_schema, FIELD(additional)},
    {"items", read_schema, FIELD(items)},
    {"minItems", read_count, FIELD(min_items)},
    {"maxItems", read_count, FIELD(max_items)},
    {"uniqueItems", read_bool, FIELD(unique)},
    {"minLength", read_count, FIELD(min_length)},
    {"maxLength", read_count, FIELD(max_length)},
    {"minProperties", read_count, FIELD(min_properties)},
    {"maxProperties", read_count, FIELD(max_properties)},
    {"pattern", read_pattern, 0},
    {"minimum", read_number, FIELD(minimum)},
    {"maximum", read_number, FIELD(maximum)},
    {"exclusiveMinimum", read_number, FIELD(above)},
    {"exclusiveMaximum", read_number, FIELD(below)},
    {"$schema", read_nothing, 0},
    {"$id", read_nothing, 0},
    {"$comment", read_nothing, 0},
    {"title", read_nothing, 0},
    {"description", read_nothing, 0},
    {"default", read_nothing, 0},
    {"examples", read_nothing, 0},
};

static enum status read_keyword(struct reading *r, const char *name, const json_t *value,
                                struct schema_node *node)
{
    size_t before = path_enter(r, name);
    enum status st = ST_FATAL;
    const struct keyword *found = NULL;
    for (size_t i = 0; found == NULL && i < sizeof keywords / sizeof *keywords; i++)
        if (strcmp(name, keywords[i].name) == 0)
            found = &keywords[i];
    if (found != NULL)
        st = found->read(r, value, (char *)node + found->offset);
    else
        st = refuse(r, "a keyword that this version does not check");
    path_leave(r, before);
    return st;
}

/* For schema_pass: which properties are required, and whether there is anything that it leaves to
 * schema_check. */
static void note_plain(struct schema_node *node)
{
    bool plain = !node->never && !node->unique && node->constant == NULL && node->regex == NULL &&
                 node->property_count <= 64;
    for (size_t i = 0; plain && i < json_array_size(node->one_of); i++)
        plain = json_is_string(json_array_get(node->one_of, i));
    for (size_t i = 0; plain && i < json_array_size(node->required); i++) {
        const char *name = json_string_value(json_array_get(node->required, i));
        size_t k = 0;
        while (k < node->property_count && strcmp(node->properties[k].name, name) != 0)
            k++;
        plain = k < node->property_count;
        node->must |= plain ? (uint64_t)1 << k : 0;
    }
    node->plain = plain;
}

/* What was read before an error hangs in *ret already, for schema_free. */
static enum status read_node(struct reading *r, const json_t *value, struct schema_node **ret)
{
    const char *name;
    json_t *member;
    enum status st = ST_OK;
    if (!json_is_object(value) && !json_is_boolean(value))
        return refuse(r, "must be an object, true or false");
    if (r->depth == DEPTH_MAX)
        return refuse(r, "nested too deep");
    struct schema_node *node = mem_zalloc(sizeof *node);
    *ret = node;
    node->never = json_is_false(value);
    node->max_items = node->max_length = node->max_properties = SIZE_MAX;
    r->depth++;
    json_object_foreach((json_t *)value, name, member)
    {
        st = read_keyword(r, name, member, node);
        if (st != ST_OK)
            break;
    }
    r->depth--;
    note_plain(node);
    return st;
}

enum status schema_open(struct span text, const char *name, struct schema **ret, struct error *err)
{
    json_error_t why;
    struct schema *schema = mem_zalloc(sizeof *schema);
    struct reading r = {.schema = schema, .name = name, .err = err};
    enum status st;
    schema->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", 0);
    schema->text = json_loadb(text.p == NULL ? "" : text.p, text.n,
                              JSON_DECODE_ANY | JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &why);
    if (schema->text == NULL)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "%s: no JSON: line %d, column %d: %s", name,
                       why.line, why.column, why.text);
    else
        st = read_node(&r, schema->text, &schema->top);
    buf_fini(&r.path);
    if (st == ST_OK)
        *ret = schema;
    else
        schema_free(schema);
    return st;
}

static void free_node(struct schema_node *node)
{
    if (node == NULL)
        return;
    for (size_t i = 0; i < node->property_count; i++)
        free_node(node->properties[i].node);
    free_node(node->additional);
    free_node(node->items);
    if (node->regex != NULL)
        regfree(node->regex);
    mem_free(node->regex);
    mem_free(node->properties);
    mem_free(node);
}

void schema_free(struct schema *schema)
{
    if (schema == NULL)
        return;
    free_node(schema->top);
    if (schema->utf8 != 0)
        freelocale(schema->utf8);
    json_decref(schema->text);
    mem_free(schema);
}

/* What jansson lacks: see tree.h. Recursion ends at the depth of the tree, which jansson's parser
 * keeps under 2048. */
#include "lib/json/tree.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static void write_string(const char *text, size_t n, struct buf *out)
{
    buf_add_char(out, '"');
    buf_add_json(out, span_make(text, n));
    buf_add_char(out, '"');
}

/* A double has a text of 15 to 17 digits that reads back as itself. */
static void write_real(double value, struct buf *out)
{
    char text[40];
    if (!isfinite(value)) {
        buf_add_str(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    buf_add_str(out, text);
    if (strpbrk(text, ".e") == NULL)
        buf_add_str(out, ".0");
}

static void write_array(const json_t *value, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < json_array_size(value); i++) {
        if (i > 0)
            buf_add_char(out, ',');
        json_tree_write(json_array_get(value, i), out);
    }
    buf_add_char(out, ']');
}

static void write_object(const json_t *value, struct buf *out)
{
    const char *name;
    json_t *member;
    const char *between = "";
    buf_add_char(out, '{');
    json_object_foreach((json_t *)value, name, member)
    {
        buf_add_str(out, between);
        write_string(name, strlen(name), out);
        buf_add_char(out, ':');
        json_tree_write(member, out);
        between = ",";
    }
    buf_add_char(out, '}');
}

void json_tree_write(const json_t *value, struct buf *out)
{
    if (json_is_object(value))
        write_object(value, out);
    else if (json_is_array(value))
        write_array(value, out);
    else if (json_is_string(value))
        write_string(json_string_value(value), json_string_length(value), out);
    else if (json_is_integer(value))
        buf_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else if (json_is_real(value))
        write_real(json_real_value(value), out);
    else
        buf_add_str(out, json_is_true(value) ? "true" : json_is_false(value) ? "false" : "null");
}

void json_tree_text(const json_t *value, struct buf *out)
{
    if (json_is_string(value))
        buf_add(out, json_string_value(value), json_string_length(value));
    else if (value != NULL && !json_is_null(value))
        json_tree_write(value, out);
}

int json_number_compare(const json_t *a, const json_t *b)
{
    if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        return (x > y) - (x < y);
    }
    double x = json_number_value(a), y = json_number_value(b);
    return (x > y) - (x < y);
}

static bool equal_arrays(const json_t *a, const json_t *b)
{
    size_t n = json_array_size(a);
    bool equal = n == json_array_size(b);
    for (size_t i = 0; equal && i < n; i++)
        equal = json_tree_equal(json_array_get(a, i), json_array_get(b, i));
    return equal;
}

static bool equal_objects(const json_t *a, const json_t *b)
{
    const char *name;
    json_t *member;
    if (json_object_size(a) != json_object_size(b))
        return false;
    json_object_foreach((json_t *)a, name, member)
    {
        const json_t *other = json_object_get(b, name);
        if (other == NULL || !json_tree_equal(member, other))
            return false;
    }
    return true;
}

bool json_tree_equal(const json_t *a, const json_t *b)
{
    if (json_is_number(a) && json_is_number(b))
        return json_number_compare(a, b) == 0;
    if (json_typeof(a) != json_typeof(b))
        return false;
    if (json_is_object(a))
        return equal_objects(a, b);
    if (json_is_array(a))
        return equal_arrays(a, b);
    return !json_is_string(a) || span_equal(span_make(json_string_value(a), json_string_length(a)),
                                            span_make(json_string_value(b), json_string_length(b)));
}

/* What schema.c reads a schema into, schema_check.c looks at, and schema_pattern.c translates.
 * Private to these. Any thread, once built. */
#ifndef SLUICE_ENRICH_SCHEMA_TREE_H
#define SLUICE_ENRICH_SCHEMA_TREE_H

#include <jansson.h>
#include <locale.h>
#include <regex.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"

enum {
    TYPE_NULL = 1,
    TYPE_BOOLEAN = 2,
    TYPE_INTEGER = 4,
    TYPE_NUMBER = 8,
    TYPE_STRING = 16,
    TYPE_ARRAY = 32,
    TYPE_OBJECT = 64,
    TYPES = 7,
};

extern const char *const schema_type_names[TYPES]; /* in the order of the bits */

struct property {
    const char *name;
    struct schema_node *node;
};

/* Pointers to json_t and names are borrowed from the text's tree. Absent keywords are NULL or 0,
 * absent maxima SIZE_MAX. */
struct schema_node {
    bool never;     /* the schema `false` */
    unsigned types; /* 0: any */
    const json_t *one_of, *constant;
    const json_t *required;
    struct property *properties; /* sorted by name */
    size_t property_count;
    struct schema_node *additional; /* of members not in properties */
    struct schema_node *items;
    size_t min_items, max_items, min_length, max_length, min_properties, max_properties;
    bool unique;
    const json_t *minimum, *maximum, *above, *below; /* the last two are exclusive */
    const char *pattern;                             /* as written */
    regex_t *regex;

    bool plain;    /* schema_pass knows all that is asked here */
    uint64_t must; /* then: bit i: properties[i] is required */
};

struct schema {
    json_t *text;
    struct schema_node *top;
    locale_t utf8; /* in which patterns are read and run; 0: none there, bytes then */
};

/* What minLength and maxLength count. */
size_t schema_count_characters(struct span s);

/* Appends the pattern in POSIX's dialect. NULL, or what cannot be translated. */
const char *schema_pattern_translate(const char *pattern, struct buf *out);

#endif

/* Writing a tree of jansson's: compact JSON in which 0.1 stays 0.1 (jansson's own writer makes
 * 0.10000000000000001 of it). Any thread, while nobody changes the tree. */
#ifndef SLUICE_JSON_TREE_H
#define SLUICE_JSON_TREE_H

#include <jansson.h>

#include "lib/base/buf.h"

/* Append the value as compact JSON, members in the order in which they stand. Numbers come out as
 * the shortest text that reads back as the same number. */
void json_tree_write(const json_t *value, struct buf *out);

/* Append the content of a string, nothing for null or NULL, and compact JSON for all else. */
void json_tree_text(const json_t *value, struct buf *out);

/* -1, 0, 1 as number a is less than, equal to or greater than number b. Two integers are compared
 * as integers, else both as doubles. */
int json_number_compare(const json_t *a, const json_t *b);

/* Equal as values of JSON: 1 and 1.0 are, the order of members does not matter. */
bool json_tree_equal(const json_t *a, const json_t *b);

#endif

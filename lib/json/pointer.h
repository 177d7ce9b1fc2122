/* JSON pointers (RFC 6901): "/author/name", "/items/0", "" for the whole; "~1" is a slash and "~0"
 * a tilde inside of a name. Any thread. */
#ifndef SLUICE_JSON_POINTER_H
#define SLUICE_JSON_POINTER_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/span.h"

/* Whether the text is a pointer: "" or begins with "/", and every "~" is followed by 0 or 1. */
bool json_pointer_valid(const char *pointer);

/* What the pointer leads to, borrowed from the tree; NULL when nothing is there or the pointer is
 * not valid. "-" (behind the last element) leads to nothing. root may be NULL. */
const json_t *json_pointer_get(const json_t *root, const char *pointer);

/* The same in JSON text, without a tree: the bytes of the value as they stand,
 * or an absent span. The text must have passed json_check or post_scan. Of members with the same
 * name the last one counts, as in a tree. */
struct span json_pointer_find(struct span text, const char *pointer);

/* Several members of one object, in one pass, each as json_pointer_find would find it; names hold
 * neither '~' nor '/'. Here the text need not have been checked: false when it is no object or not
 * JSON to its end. */
bool json_members_find(struct span object, const struct span *names, size_t n, struct span *ret);

#endif

/* One member of a JSON object, off the hot path: by a parser that builds a tree. Any thread. */
#ifndef SLUICE_JSON_MEMBER_H
#define SLUICE_JSON_MEMBER_H

#include <stdbool.h>

#include "lib/base/buf.h"

/* Append the top-level member `name` as text: a string's content, any other value as JSON. False
 * when it is not there, is null, or the object cannot be read. */
bool json_member_text(struct span object, const char *name, struct buf *out);

#endif

/* The hot path of a post: find what matters, splice the enrichment in, never build a tree.
 *
 * A post is a JSON object with top-level `id` (number or string) and `text` (string); all else is
 * the user's and passes byte for byte. Text is strict RFC 8259 and UTF-8 without BOM; lone \ud800
 * escapes and 1e400 pass. Member names are compared after unescaping, top level only.
 * No allocation, no recursion, one pass. Any thread. */
#ifndef SLUICE_JSON_POST_H
#define SLUICE_JSON_POST_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/span.h"

struct post_limits {
    size_t max_bytes; /* of the whole value */
    int max_depth;    /* of nesting; the object itself is 1 */
};
#define POST_LIMITS_DEFAULT ((struct post_limits){.max_bytes = 1 << 20, .max_depth = 512})

/* Spans point into the scanned value. */
struct post {
    struct span id;         /* a number as written, or the inside of a string, still escaped */
    struct span text;       /* the inside of the string, still escaped */
    struct span enrichment; /* the bytes of a present top-level `enrichment` value; else absent */
    size_t close;           /* index of the last '}' */
    bool id_is_string;
    bool id_escaped, text_escaped; /* contains a backslash */
};

/* ST_OK, or ST_REJECT with the reason (value_null for an absent value, json_invalid,
 * json_too_deep, post_too_large, post_not_object, id_missing, id_type, text_missing, text_type,
 * member_duplicate when id, text or enrichment stands twice) and in the text the byte offset. */
enum status post_scan(struct span value, const struct post_limits *limits, struct post *ret,
                      struct error *err) MUST_CHECK;

/* Whether value is one valid JSON text within the limits (any type at the top). */
enum status json_check(struct span value, const struct post_limits *limits,
                       struct error *err) MUST_CHECK;

/* Bytes that post_splice will append. */
size_t post_spliced_size(struct span value, const struct post *post, struct span enrichment);

/* Append the post with `enrichment` (a JSON text) as its top-level member: a present value is
 * replaced in place; otherwise ,"enrichment":VALUE goes directly before the last '}'. */
void post_splice(struct buf *out, struct span value, const struct post *post,
                 struct span enrichment);

/* Append the unescaped form of the inside of a JSON string that was scanned before. A lone
 * surrogate becomes U+FFFD. */
void json_unescape(struct buf *out, struct span escaped);

#endif

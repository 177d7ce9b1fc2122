/* The strict reader of RFC 8259 beneath post.h: walks over one JSON text and says where and why it
 * is none. Used within lib/json, and by schema_pass. A struct scan belongs to one thread.
 *
 * All functions take the place to read at and return the place behind what they read, or NULL
 * after scan_fail. Nesting is a stack of bits, one per open container: no recursion, no heap. */
#ifndef SLUICE_JSON_SCAN_H
#define SLUICE_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/base/span.h"
#include "lib/json/post.h"

/* No limit of the caller's goes above this. */
enum { SCAN_DEPTH_MAX = 4096 };

struct scan {
    const unsigned char *start, *end;
    int depth, max_depth;
    bool escaped; /* the string read last contains a backslash */

    const char *fault;       /* what is wrong, NULL while nothing is */
    const unsigned char *at; /* where */
    enum reason reason;

    uint64_t objects[SCAN_DEPTH_MAX / 64]; /* bit d: the container at depth d is an object */
};

/* ST_OK, or ST_REJECT with value_null, post_too_large or json_invalid (what begins with a byte
 * order mark or a zero byte). */
enum status scan_begin(struct scan *s, struct span value, const struct post_limits *limits,
                       struct error *err) MUST_CHECK;

/* One value; p is at its first byte, space before it already passed. */
const unsigned char *scan_value(struct scan *s, const unsigned char *p);

/* The inside of a string: p is behind the opening quote; result: at the closing one. */
const unsigned char *scan_string(struct scan *s, const unsigned char *p);

/* The name of a member and its colon; p is at the quote. *ret_name is the inside of the string.
 * Result: at the first byte of the value. */
const unsigned char *scan_name(struct scan *s, const unsigned char *p, struct span *ret_name);

/* Only space may follow. Result: the end. */
const unsigned char *scan_end(struct scan *s, const unsigned char *p);

/* Remember the fault; NULL, to be returned. */
const unsigned char *scan_fail(struct scan *s, const unsigned char *at, const char *fault);

/* The remembered fault as ST_REJECT. */
enum status scan_reject(const struct scan *s, struct error *err);

/* Behind the white space that begins at p. */
static inline const unsigned char *scan_space(const struct scan *s, const unsigned char *p)
{
    while (p < s->end && *p <= ' ' && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

/* Whether the byte at p is c. */
static inline bool scan_is(const struct scan *s, const unsigned char *p, unsigned char c)
{
    return p < s->end && *p == c;
}

#endif

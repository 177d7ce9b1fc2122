/* Texts with places for what a post says: prompts, URLs, bodies, keys of a table.
 *
 *   {{text}} {{id}}      what they are, unescaped
 *   {{author.name}}      a member of the post, by its path
 *   {{/author/name}}     the same as a JSON pointer (RFC 6901), for names with dots or arrays
 *   {{{{                 a literal {{
 *
 * What is put in is data and is never looked at for places again. Constant after template_open:
 * any thread. */
#ifndef SLUICE_ENRICH_TEMPLATE_H
#define SLUICE_ENRICH_TEMPLATE_H

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/span.h"

struct template;

/* ERR_CONFIG for {{ without }}, nothing between them, or what is neither a path nor a pointer, with
 * the line. `name` is what the user knows the text by ("--llm-prompt FILE"). Caller owns *ret. */
enum status template_open(const char *text, const char *name, struct template **ret,
                          struct error *err) MUST_CHECK;
void template_free(struct template *t);

/* Escape the template's own text for the inside of a JSON string, once: then a fill with
 * TEMPLATE_JSON makes the inside of one string of the whole. */
void template_quote(struct template *t);

enum template_escape {
    TEMPLATE_PLAIN,
    TEMPLATE_JSON, /* the text is JSON and its places stand inside of strings */
    TEMPLATE_URL,  /* percent-encoded but for RFC 3986's unreserved characters */
};

struct template_values {
    struct span value;    /* the whole post, which post_scan has accepted */
    struct span id, text; /* unescaped */
    unsigned redact;      /* REDACT_ bits */
};

/* Append the text with its places filled. A member that is not there or null gives nothing, a
 * string its content, all else compact JSON with numbers as they are written. Only other places
 * than {{text}} and {{id}} read the post. Redaction is for all that is put in but the id, and comes
 * before escaping; it touches strings and numbers within objects and arrays as well. */
void template_fill(const struct template *t, const struct template_values *v,
                   enum template_escape escape, struct buf *out);

#endif

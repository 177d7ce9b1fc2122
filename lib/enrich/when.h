/* Whether an enricher of a chain is to be asked about a post:
 *
 *     /language == en        /author/followers > 1000        /tags contains "news"
 *     /enrichment/lang/language != en                        /reply_to exists
 *
 * A JSON pointer, an operator and a literal, with spaces between. The literal is JSON; a word that
 * is none is taken as a string. "exists" needs no literal; "exists false" holds when it is missing.
 * Pointers that begin with /enrichment look into what the chain has answered so far.
 *
 *   == !=     equal as JSON; the types must be the same, 1 and 1.0 are equal
 *   < >       two numbers, or two strings by code point; nothing else holds
 *   contains  a part of a string, or an element of an array
 *   exists    the member is there, null as well
 * Of a missing member only != and "exists false" hold. Constant after when_open: any thread. */
#ifndef SLUICE_ENRICH_WHEN_H
#define SLUICE_ENRICH_WHEN_H

#include <jansson.h>
#include <stdbool.h>

#include "lib/base/error.h"

struct when;

/* ERR_CONFIG with what is wrong; `name` is what the user knows the text by. Caller owns *ret. */
enum status when_open(const char *text, const char *name, struct when **ret,
                      struct error *err) MUST_CHECK;
void when_free(struct when *w);

/* `enrichment` is an object with the answers so far by the name of the link; while it is NULL the
 * post's own member `enrichment` is meant. */
bool when_holds(const struct when *w, const json_t *post, const json_t *enrichment);

#endif

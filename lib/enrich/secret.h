/* Servers repeat what they refuse, and what they say goes into logs and dead letters. Any thread.
 */
#ifndef SLUICE_ENRICH_SECRET_H
#define SLUICE_ENRICH_SECRET_H

#include "lib/base/buf.h"

/* The i-th (from 0) of a list by commas that has so many. Caller wipes it (secret_free). */
char *secret_item(const char *list, size_t i);
void secret_free(char *secret); /* NULL is accepted */

/* Writes stars over the secret wherever it stands in the text. */
void secret_hide(struct span secret, struct buf *text);

/* The same for the value of a header line, and for each of its words that is long enough to be a
 * key: of "Authorization: Bearer abc..." some repeat only what follows Bearer. */
void secret_hide_header(const char *line, struct buf *text);

#endif

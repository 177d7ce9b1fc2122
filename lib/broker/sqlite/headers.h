/* Headers of a record as one blob, the column `headers` (NULL when there are none):
 *
 *     count, then for each: length of the name, name, length of the value + 1 (0: null), value
 *
 * all numbers as unsigned LEB128. Any thread. */
#ifndef SLUICE_BROKER_SQLITE_HEADERS_H
#define SLUICE_BROKER_SQLITE_HEADERS_H

#include <stdbool.h>

#include "lib/broker/broker.h"

/* An upper bound of what headers_write needs. */
size_t headers_size(const struct header *headers, size_t count);

/* Writes at `to`; returns the bytes written. */
size_t headers_write(char *to, const struct header *headers, size_t count);

/* How many there are; 0 for an absent blob, and for one that does not begin with a sane count. */
size_t headers_count(struct span blob);

/* Fills `ret` (headers_count of them), pointing into the blob. False: the blob is damaged. */
bool headers_read(struct span blob, struct header *ret, size_t count);

#endif

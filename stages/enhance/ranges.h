/* Offsets above a committed position that have been processed already, as text in the position's
 * metadata: `s1:` and base 64 of pairs of unsigned LEB128 numbers: how many offsets are to be done
 * before the range, and how many are done in it. Kafka takes 4,096 bytes of ASCII; we stay below
 * POSITION_METADATA_MAX. Any thread. */
#ifndef SLUICE_ENHANCE_RANGES_H
#define SLUICE_ENHANCE_RANGES_H

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"

struct range {
    int64_t first, last; /* both done */
};

struct ranges {
    struct range *items; /* in order, apart from each other */
    size_t n, cap;
};

void ranges_fini(struct ranges *r);
void ranges_clear(struct ranges *r);

/* Append [first, last], which begins above everything in the list; what touches is joined. */
void ranges_add(struct ranges *r, int64_t first, int64_t last);

/* Bytes of metadata that n ranges can need when all lie within `width` offsets. */
size_t ranges_size_max(size_t n, int64_t width);

/* Append the text for ranges above `position`; nothing when there are none. */
void ranges_write(const struct ranges *r, int64_t position, struct buf *out);

/* Read it back. ST_REJECT: not our text; the error says what it looks like. */
enum status ranges_read(struct ranges *r, int64_t position, const char *metadata,
                        struct error *err) MUST_CHECK;

#endif

/* A place in a topic as users write it: start, end, OFFSET, -N (the last N) or TIME (RFC 3339, such
 * as 2026-01-31T12:00:00Z, or seconds since 1970 with an @). Main thread. */
#ifndef SLUICE_CLI_PLACE_H
#define SLUICE_CLI_PLACE_H

#include "lib/broker/broker.h"

enum place_kind { PLACE_START, PLACE_END, PLACE_OFFSET, PLACE_LAST, PLACE_TIME };

struct place {
    enum place_kind kind;
    int64_t value; /* offset, count, or ms since 1970 */
};

/* ERR_USAGE names the flag and what is accepted. */
enum status place_parse(const char *flag, const char *text, struct place *ret,
                        struct error *err) MUST_CHECK;

/* The offset it means in this partition, within the log. */
enum status place_resolve(struct broker *broker, const char *topic, int32_t partition,
                          const struct watermark *log, const struct place *place,
                          int64_t *ret_offset, struct error *err) MUST_CHECK;

#endif

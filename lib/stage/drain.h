/* "Everything that is there now has been processed": the end offsets of a topic, taken once, and
 * whether a group's committed positions have reached them on all partitions, whoever holds them.
 * One thread; both functions block on the broker. */
#ifndef SLUICE_STAGE_DRAIN_H
#define SLUICE_STAGE_DRAIN_H

#include <stdbool.h>

#include "lib/broker/broker.h"

struct drain {
    struct broker *broker;
    const char *group, *topic; /* borrowed */
    struct watermark *ends;
    int32_t count;
};

/* Takes the end offsets; waits (up to timeout_ms) until no transaction is open below the log's end.
 * A zeroed struct drain may be passed to drain_fini. */
enum status drain_begin(struct drain *d, struct broker *broker, const char *group,
                        const char *topic, int64_t timeout_ms, struct error *err) MUST_CHECK;
enum status drain_reached(struct drain *d, bool *ret_reached, struct error *err) MUST_CHECK;
void drain_fini(struct drain *d);

#endif

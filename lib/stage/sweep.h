/* Reading what is in a topic now, once, without a group: for commands that look and change nothing.
 *
 *     sweep_open    how many partitions, and where each begins and ends
 *     sweep_run     all records between, partition after partition, in offset order
 *
 * Ensures: the ends lie behind everything that was in the log when sweep_open was called: it waits
 * until the transactions that were open then have been decided. One thread; both block. */
#ifndef SLUICE_STAGE_SWEEP_H
#define SLUICE_STAGE_SWEEP_H

#include "lib/broker/broker.h"

struct sweep {
    struct broker *broker;
    const char *topic;     /* borrowed */
    struct watermark *log; /* of each partition; `start` and `end` may be narrowed before a run */
    int32_t count;
    bool uncommitted; /* also what aborted transactions have left there (no broker but Kafka has) */
};

/* ERR_CONFIG: no such topic. ERR_TEMPORARY: a transaction stays open beyond timeout_ms. A zeroed
 * struct may be passed to sweep_close. */
enum status sweep_open(struct sweep *s, struct broker *broker, const char *topic,
                       int64_t timeout_ms, struct error *err) MUST_CHECK;
void sweep_close(struct sweep *s);

/* Calls fn for each record, which is borrowed for the call; false ends the run early. May be called
 * again. */
enum status sweep_run(struct sweep *s, bool (*fn)(void *arg, const struct record *rec), void *arg,
                      struct error *err) MUST_CHECK;

#endif

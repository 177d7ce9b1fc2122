/* Whether every raw record came out exactly once, decided from the topics alone: the engine of
 * `sluice verify`. Reads without a group and changes nothing; may run beside the pipeline.
 *
 *     positions of the group -- ends of the output topics -- positions again -- end of the raw
 * topic
 *
 * in that order: so every raw record below the first positions must be in what is read of the
 * outputs, every output must be below the second ones, and every output's raw record is in what is
 * read of the raw topic. Thread: runs its own loops on the calling thread. */
#ifndef SLUICE_VERIFY_VERIFY_H
#define SLUICE_VERIFY_VERIFY_H

#include "lib/broker/broker.h"
#include "stages/verify/verdict.h"

struct verify_config {
    struct broker *broker;
    const char *group, *raw_topic, *enhanced_topic, *dead_topic;
    const char *observed; /* a log of `sluice tap --json`, or NULL */
    int order;            /* enum order of stages/enhance/window.h */
    bool drained;         /* a lag is a failure */
    bool ahead;           /* outputs may be ahead of the position (at-least-once) */
    int64_t timeout_ms;   /* how long a transaction may stay open meanwhile */
};

/* Caller owns *ret (verdict_free). An error means that it could not be decided at all. */
enum status verify_run(const struct verify_config *cfg, struct verdict **ret,
                       struct error *err) MUST_CHECK;

#endif

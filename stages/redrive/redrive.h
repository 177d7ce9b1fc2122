/* Dead letters of enhance back to the topic they came from, exactly once: the engine of `sluice dlq
 * redrive`. One consumer group for each reason, so that each reason has a position of its own in
 * the dead letters; outputs and position are one step, as in enhance.
 * Threads: redrive_plan blocks; redrive_ops runs on a worker, see lib/stage/stage.h. */
#ifndef SLUICE_REDRIVE_REDRIVE_H
#define SLUICE_REDRIVE_REDRIVE_H

#include <stdatomic.h>

#include "lib/stage/headers.h"
#include "lib/stage/stage.h"

enum { GROUP_NAME_MAX = 64 };

/* What there is to send: everything between the groups' positions and the ends as of now. */
struct redrive_plan {
    int64_t letters[REASON_COUNT]; /* that can go back */
    int64_t bare[REASON_COUNT];    /* that cannot: they have lost their value */
    char *topics[WRITER_TOPICS_MAX];
    size_t topic_count; /* where they go */
    int64_t *ends;      /* of the dead topic's partitions: what comes later is left alone */
    int32_t end_count;
};

/* only: REASON_NONE for all. ERR_CONFIG: no such topic, or letters from too many topics. */
enum status redrive_plan(struct redrive_plan *plan, struct broker *broker, const char *dead_topic,
                         enum reason only, int64_t timeout_ms, struct error *err) MUST_CHECK;
void redrive_plan_fini(struct redrive_plan *plan); /* a zeroed one is accepted */

/* sluice-redrive.REASON */
void redrive_group(enum reason reason, char ret[GROUP_NAME_MAX]);

/* Whether the record is a letter of enhance with this reason; *ret is filled in any case. */
bool redrive_wants(const struct record *rec, enum reason reason, struct letter_view *ret);

/* What stage_env.stage_opt points to. The worker ends by itself when `limit` is reached; else it is
 * stopped when the group's positions have reached plan->ends. */
struct redrive_setup {
    const struct redrive_plan *plan;
    enum reason reason;
    const char *group;
    int64_t limit; /* 0: none */
    double rate;   /* letters per second; 0: as fast as possible */
    _Atomic int64_t *sent, *refused;
};
extern const struct stage_ops redrive_ops;

#endif

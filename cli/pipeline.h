/* What the commands that run stages share: broker, topics, names, health server, waiting, stopping.
 * Main thread. */
#ifndef SLUICE_CLI_PIPELINE_H
#define SLUICE_CLI_PIPELINE_H

#include "cli/command.h"
#include "lib/metrics/http.h"
#include "lib/stage/drain.h"
#include "lib/stage/instance.h"
#include "lib/stage/life.h"
#include "lib/stage/stage.h"
#include "stages/enhance/answering.h"
#include "stages/enhance/enhance.h"
#include "stages/sink/sink.h"
#include "stages/source/source.h"

enum { PIPELINE_STAGES_MAX = 4 };

/* Topics that a stage reads and writes, and which it therefore may have to make. */
enum {
    TOPIC_RAW = 1,
    TOPIC_ENHANCED = 2,
    TOPIC_DEAD = 4,
    TOPICS_ALL = TOPIC_RAW | TOPIC_ENHANCED | TOPIC_DEAD,
};

struct pipeline {
    struct app *app;
    struct life *life;
    struct broker *broker;
    struct metrics *metrics;
    struct http_server *http;
    struct instance instance;
    struct stage_env env[PIPELINE_STAGES_MAX];
    struct stage *stages[PIPELINE_STAGES_MAX];
    _Atomic int started; /* stages that may be asked for their health */
    bool announced;      /* the service manager knows that we are ready */
    char run_id[37];
    _Atomic int64_t sent, refused;
    struct sink_tally tally;
    struct source_setup source;
    struct enhance_setup enhance;
    struct engine *engine;   /* of enhance; NULL where it does not run */
    struct journal *journal; /* of its answers; NULL without Kafka, or when nothing is paid */
    struct sink_setup sink;
};

/* Opens broker, instance name, health server (`port` is the default one for --http on), and makes
 * those of `topics` that are missing. `single`: all stages are in this process; the embedded broker
 * then makes topics with one partition, unless --partitions says otherwise. *p must be zeroed;
 * pipeline_close is called in any case. */
enum status pipeline_open(struct pipeline *p, struct app *app, const char *name, int port,
                          unsigned topics, bool single, struct error *err) MUST_CHECK;
void pipeline_close(struct pipeline *p);

/* What no stage can work with: topics that are one and the same would go round for ever. */
enum status pipeline_check(const struct app *app, struct error *err) MUST_CHECK;

/* Makes those of `topics` that are missing; partitions: 0 for as many as the options say. */
enum status pipeline_make_topics(struct app *app, struct broker *broker, unsigned topics,
                                 int32_t partitions, struct error *err) MUST_CHECK;

enum status pipeline_start_source(struct pipeline *p, struct stage **ret,
                                  struct error *err) MUST_CHECK;
enum status pipeline_start_enhance(struct pipeline *p, struct stage **ret,
                                   struct error *err) MUST_CHECK;

/* run_id: whose posts count as ours, NULL for all. */
enum status pipeline_start_sink(struct pipeline *p, const char *run_id, struct stage **ret,
                                struct error *err) MUST_CHECK;

/* Waits until the stage has ended by itself, any stage has failed, or a signal came. */
enum status pipeline_wait(struct pipeline *p, struct stage *stage, struct error *err) MUST_CHECK;

/* The same until `group` has processed what is in `topic` now. */
enum status pipeline_drain(struct pipeline *p, const char *group, const char *topic,
                           struct error *err) MUST_CHECK;

/* The same until the group of a drain that has begun stands at its ends. */
enum status pipeline_drain_to(struct pipeline *p, struct drain *d, struct error *err) MUST_CHECK;

/* Stops the stages in the order of the flow (what is upstream first) and waits for their end. The
 * result is the first failure of any stage. */
enum status pipeline_stop(struct pipeline *p, struct error *err) MUST_CHECK;

/* Whether a signal asked for the end. */
bool pipeline_interrupted(const struct pipeline *p);

#endif

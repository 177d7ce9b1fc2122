/* Stages in a process: see pipeline.h. The main thread only waits; the work is done by workers. */
#include "cli/pipeline.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/stage/notify.h"
#include "stages/sink/store.h"

enum { WAIT_MS = 1000, DRAIN_POLL_MS = 5, DRAIN_POLL_MAX_MS = 200, STOP_GRACE_MS = 10000 };

/* --- health --- */

static bool all_healthy(void *arg, struct buf *why)
{
    struct pipeline *p = arg;
    struct error err;
    for (int i = 0; i < atomic_load(&p->started); i++) {
        if (stage_result(p->stages[i], &err) != ST_OK) {
            buf_add_str(why, err.text);
            return false;
        }
    }
    return true;
}

static bool all_ready(void *arg, struct buf *why)
{
    struct pipeline *p = arg;
    if (life_signal(p->life) != 0) {
        buf_add_str(why, "stopping");
        return false;
    }
    for (int i = 0; i < atomic_load(&p->started); i++) {
        if (!stage_ready(p->stages[i])) {
            buf_add_str(why, "waiting for its group or for the broker");
            return false;
        }
    }
    return atomic_load(&p->started) > 0;
}

/* Tells a service manager once that all stages work. */
static void announce(struct pipeline *p)
{
    struct buf why = {0};
    if (!p->announced && all_ready(p, &why)) {
        notify_manager("READY=1");
        p->announced = true;
    }
    buf_fini(&why);
}

static enum status open_http(struct pipeline *p, int port, struct error *err)
{
    const char *address = p->app->stage->http;
    char usual[32];
    if (address == NULL || strcmp(address, "off") == 0)
        return ST_OK;
    if (strcmp(address, "on") == 0) {
        snprintf(usual, sizeof usual, "127.0.0.1:%d", port);
        address = usual;
    }
    struct http_config cfg = {.address = address,
                              .metrics = p->metrics,
                              .arg = p,
                              .healthy = all_healthy,
                              .ready = all_ready};
    enum status st = http_start(&cfg, &p->http, err);
    if (st == ST_OK)
        log_line(LOG_INFO, p->app->command->name, "metrics and health on %s, port %d", address,
                 http_port(p->http));
    return st;
}

/* --- open --- */

enum status pipeline_check(const struct app *app, struct error *err)
{
    const struct stage_options *s = app->stage;
    const char *names[] = {s->raw_topic, s->enhanced_topic, s->dead_topic, s->answers_topic};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = i + 1; j < 4; j++)
            if (span_is(span_of(names[i]), names[j]))
                return error_set(
                    err, ST_FATAL, ERR_CONFIG,
                    "the topics raw, enhanced, dead and answers must differ: '%s' stands twice",
                    names[i]);
    int64_t transaction = app->broker->transaction_timeout_ms;
    if (transaction > 0 && transaction >= app->broker->session_timeout_ms)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "transaction-timeout (%lld ms) must be below session-timeout (%lld ms)",
                         (long long)transaction, (long long)app->broker->session_timeout_ms);
    return ST_OK;
}

enum status pipeline_make_topics(struct app *app, struct broker *broker, unsigned topics,
                                 int32_t partitions, struct error *err)
{
    const struct stage_options *opt = app->stage;
    const char *names[] = {opt->raw_topic, opt->enhanced_topic, opt->dead_topic};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool made = false;
        if ((topics >> i & 1) == 0)
            continue;
        enum status st = broker_topic_ensure(broker, names[i], i == 0 ? TOPIC_INPUT : TOPIC_PLAIN,
                                             partitions, &made, err);
        if (st != ST_OK)
            return st;
        if (made)
            log_line(LOG_DEBUG, app->command->name, "made topic %s", names[i]);
    }
    return ST_OK;
}

/* One for all stages in one process, so that posts come out as they went in; on Kafka, where others
 * will join, the usual number. 0: the broker's option. */
static int32_t partitions_of(const struct app *app, bool single)
{
    bool embedded = broker_file(app->broker) != NULL;
    return single && embedded && !config_is_set(app->cfg, "partitions") ? 1 : 0;
}

enum status pipeline_open(struct pipeline *p, struct app *app, const char *name, int port,
                          unsigned topics, bool single, struct error *err)
{
    bool jsonl = app->sink != NULL && strcmp(store_names[app->sink->to], "jsonl") == 0;
    p->app = app;
    p->instance.lock_fd = -1;
    p->life = life_open();
    p->metrics = metrics_new();
    source_run_id(p->run_id);
    p->source = (struct source_setup){.opt = app->source,
                                      .run_id = p->run_id,
                                      .quiet = app->general->quiet || (single && jsonl),
                                      .sent = &p->sent,
                                      .refused = &p->refused};
    p->sink =
        (struct sink_setup){.opt = app->sink, .quiet = app->general->quiet, .tally = &p->tally};
    enum status st = pipeline_check(app, err);
    if (st == ST_OK)
        st = open_http(p, port, err);
    if (st == ST_OK)
        st = broker_open(app->broker, &p->broker, err);
    if (st == ST_OK)
        st = instance_open(&p->instance, name, app->stage, err);
    if (st == ST_OK)
        st = pipeline_make_topics(app, p->broker, topics, partitions_of(app, single), err);
    return st;
}

void pipeline_close(struct pipeline *p)
{
    http_stop(p->http);
    for (int i = 0; i < atomic_load(&p->started); i++)
        stage_free(p->stages[i]);
    journal_free(p->journal);
    answering_close(p->engine);
    broker_close(p->broker);
    instance_close(&p->instance);
    metrics_free(p->metrics);
    life_close(p->life);
}

/* --- start --- */

static enum status start(struct pipeline *p, const struct stage_ops *ops, const void *setup,
                         int workers, struct stage **ret, struct error *err)
{
    int n = atomic_load(&p->started);
    p->env[n] = (struct stage_env){.broker = p->broker,
                                   .metrics = p->metrics,
                                   .broker_opt = p->app->broker,
                                   .opt = p->app->stage,
                                   .instance = p->instance.name,
                                   .stage_opt = setup};
    enum status st = stage_start(ops, &p->env[n], workers, p->life, &p->stages[n], err);
    if (st == ST_OK) {
        *ret = p->stages[n];
        atomic_store(&p->started, n + 1);
    }
    return st;
}

enum status pipeline_start_source(struct pipeline *p, struct stage **ret, struct error *err)
{
    return start(p, &source_ops, &p->source, 1, ret, err);
}

static enum status start_journal(struct pipeline *p, const struct answering *how, struct error *err)
{
    struct stage *stage;
    if (!answering_needs_journal(how, p->engine))
        return ST_OK;
    enum status st = journal_new(p->engine->answers, &p->journal, err);
    return st != ST_OK ? st : start(p, &journal_ops, p->journal, 1, &stage, err);
}

enum status pipeline_start_enhance(struct pipeline *p, struct stage **ret, struct error *err)
{
    struct app *app = p->app;
    char *cluster = NULL;
    enum status st = broker_cluster(p->broker, &cluster, err);
    struct answering how = {.opt = app->enrich,
                            .chain = config_tree(app->cfg, "enrichers"),
                            .broker = broker_name(p->broker),
                            .stage = app->stage,
                            .instance = p->instance.name,
                            .cluster = cluster,
                            .sync_full = app->broker->sqlite_sync != 0};
    if (st == ST_OK)
        st = answering_open(&how, &p->engine, err);
    if (st == ST_OK)
        st = start_journal(p, &how, err);
    mem_free(cluster);
    if (st != ST_OK)
        return st;
    p->enhance =
        (struct enhance_setup){.opt = app->enhance, .engine = p->engine, .journal = p->journal};
    return start(p, &enhance_ops, &p->enhance, (int)app->enhance->workers, ret, err);
}

enum status pipeline_start_sink(struct pipeline *p, const char *run_id, struct stage **ret,
                                struct error *err)
{
    p->sink.run_id = run_id;
    return start(p, &sink_ops, &p->sink, 1, ret, err);
}

/* --- wait --- */

static enum status first_failure(struct pipeline *p, struct error *err)
{
    for (int i = 0; i < atomic_load(&p->started); i++) {
        enum status st = stage_result(p->stages[i], err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

bool pipeline_interrupted(const struct pipeline *p)
{
    return life_signal(p->life) != 0;
}

enum status pipeline_wait(struct pipeline *p, struct stage *stage, struct error *err)
{
    enum status st;
    while ((st = first_failure(p, err)) == ST_OK && !stage_ended(stage) &&
           !pipeline_interrupted(p)) {
        announce(p);
        life_wait(p->life, WAIT_MS);
    }
    return st;
}

enum status pipeline_drain_to(struct pipeline *p, struct drain *d, struct error *err)
{
    bool reached = false;
    enum status st = ST_OK;
    for (int wait_ms = DRAIN_POLL_MS; st == ST_OK && !reached && !pipeline_interrupted(p);) {
        announce(p);
        st = drain_reached(d, &reached, err);
        if (st == ST_OK)
            st = first_failure(p, err);
        if (st != ST_OK || reached)
            break;
        life_wait(p->life, wait_ms);
        wait_ms = wait_ms * 5 / 4 + 1 < DRAIN_POLL_MAX_MS ? wait_ms * 5 / 4 + 1 : DRAIN_POLL_MAX_MS;
    }
    return st;
}

enum status pipeline_drain(struct pipeline *p, const char *group, const char *topic,
                           struct error *err)
{
    struct drain d = {0};
    enum status st = drain_begin(&d, p->broker, group, topic, p->app->broker->timeout_ms, err);
    if (st == ST_OK)
        st = pipeline_drain_to(p, &d, err);
    drain_fini(&d);
    return st;
}

/* --- stop --- */

/* A stage that has failed drains nothing. It may still hang: librdkafka 2.0.2 does not come back
 * from rd_kafka_destroy when a topic was deleted meanwhile. Then its failure is what is reported.
 */
static enum status stop_one(struct pipeline *p, struct stage *stage, struct error *err)
{
    bool failed = stage_result(stage, err) != ST_OK;
    int64_t drain_ms = failed ? 0 : p->app->stage->drain_timeout_ms;
    int64_t deadline = clock_mono_ms() + drain_ms + STOP_GRACE_MS;
    stage_stop(stage);
    while (!stage_ended(stage)) {
        int64_t left = deadline - clock_mono_ms();
        if (left <= 0 && stage_result(stage, err) != ST_OK)
            return ST_FATAL;
        if (left <= 0)
            return error_set(
                err, ST_FATAL, ERR_TEMPORARY,
                "the end was not reached in time; what was not committed is done again "
                "after a restart");
        life_wait(p->life, left < WAIT_MS ? (int)left : WAIT_MS);
    }
    return ST_OK;
}

/* A short feed may have ended before anybody saw the source ready: a manager still waits for it. */
static void announce_end(struct pipeline *p)
{
    struct error err;
    if (!p->announced && first_failure(p, &err) == ST_OK)
        notify_manager("READY=1");
    p->announced = true;
    notify_manager("STOPPING=1");
}

enum status pipeline_stop(struct pipeline *p, struct error *err)
{
    const struct stage_ops *const flow[] = {&source_ops, &enhance_ops, &journal_ops, &sink_ops};
    enum status st = ST_OK;
    announce_end(p);
    for (size_t f = 0; f < sizeof flow / sizeof *flow; f++) {
        for (int i = 0; i < atomic_load(&p->started) && st == ST_OK; i++)
            if (stage_name(p->stages[i]) == flow[f]->name)
                st = stop_one(p, p->stages[i], err);
    }
    if (st != ST_OK) { /* a worker hangs: joining it would hang as well */
        struct error first;
        if (first_failure(p, &first) != ST_OK)
            *err = first; /* rather than that the end came late */
        fprintf(stderr, "sluice %s: %s\n", p->app->command->name, err->text);
        _exit(exit_code_of(err->kind));
    }
    return first_failure(p, err);
}

/* Opens in the order broker, name, engine, journal, and closes the other way round; see keeper.h.
 * Without paid answers no broker is needed, so none is opened. */
#include "api/keeper.h"

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/broker/broker.h"
#include "lib/stage/instance.h"
#include "lib/stage/stage.h"
#include "stages/enhance/answering.h"
#include "stages/enhance/journal.h"

enum { WAIT_MS = 200 };

struct keeper {
    const struct broker_options *broker_opt;
    const struct stage_options *stage_opt;
    struct broker *broker; /* NULL: none is set, or nothing is paid for */
    char *cluster;         /* NULL: not on Kafka */
    struct instance instance;
    struct engine *engine;
    struct journal *journal; /* NULL: not on Kafka */
    struct life *life;
    struct metrics *metrics;
    struct stage_env env;
    struct stage *stage; /* of the journal */
};

static enum status open_broker(struct keeper *k, struct answering *how, struct error *err)
{
    char *cluster = NULL;
    bool is_set = k->broker_opt->url != NULL || k->broker_opt->bootstrap != NULL;
    if (!is_set || !enrich_may_pay(how->opt, how->chain))
        return ST_OK;
    enum status st = broker_open(k->broker_opt, &k->broker, err);
    if (st == ST_OK)
        st = broker_cluster(k->broker, &cluster, err);
    if (st != ST_OK)
        return st;
    how->broker = broker_name(k->broker);
    how->cluster = k->cluster = cluster;
    if (cluster[0] != '\0') /* its copy of the topic belongs to an instance */
        st = instance_open(&k->instance, "library", k->stage_opt, err);
    how->instance = k->instance.name;
    return st;
}

/* Until the topic was read to where it ended: what was paid for before is not bought again. */
static enum status await_journal(struct keeper *k, struct error *err)
{
    int64_t start_ms = clock_mono_ms();
    for (;;) {
        enum status st = stage_result(k->stage, err);
        if (st != ST_OK || stage_ready(k->stage))
            return st;
        if (clock_mono_ms() - start_ms > k->broker_opt->timeout_ms)
            return error_set(
                err, ST_FATAL, ERR_UNAVAILABLE,
                "topic '%s' of %s could not be read to its end within --broker-timeout",
                k->stage_opt->answers_topic, broker_name(k->broker));
        life_wait(k->life, WAIT_MS);
    }
}

static enum status open_journal(struct keeper *k, const struct answering *how, struct error *err)
{
    if (!answering_needs_journal(how, k->engine))
        return ST_OK;
    enum status st = journal_new(k->engine->answers, &k->journal, err);
    if (st != ST_OK)
        return st;
    k->life = life_open_quiet();
    k->metrics = metrics_new();
    k->env = (struct stage_env){.broker = k->broker,
                                .metrics = k->metrics,
                                .broker_opt = k->broker_opt,
                                .opt = k->stage_opt,
                                .instance = k->instance.name,
                                .stage_opt = k->journal};
    st = stage_start(&journal_ops, &k->env, 1, k->life, &k->stage, err);
    return st == ST_OK ? await_journal(k, err) : st;
}

enum status keeper_open(const struct config *cfg, struct keeper **ret, struct error *err)
{
    struct keeper *k = mem_zalloc(sizeof *k);
    k->broker_opt = config_section(cfg, &broker_option_table);
    k->stage_opt = config_section(cfg, &stage_option_table);
    k->instance.lock_fd = -1;
    struct answering how = {.opt = config_section(cfg, &enrich_option_table),
                            .chain = config_tree(cfg, "enrichers"),
                            .stage = k->stage_opt,
                            .sync_full = k->broker_opt->sqlite_sync != 0};
    enum status st = open_broker(k, &how, err);
    if (st == ST_OK)
        st = answering_open(&how, &k->engine, err);
    if (st == ST_OK)
        st = open_journal(k, &how, err);
    if (st == ST_OK)
        *ret = k;
    else
        keeper_close(k);
    return st;
}

void keeper_close(struct keeper *k)
{
    if (k == NULL)
        return;
    stage_free(k->stage);
    journal_free(k->journal);
    answering_close(k->engine);
    broker_close(k->broker);
    instance_close(&k->instance);
    metrics_free(k->metrics);
    life_close(k->life);
    mem_free(k->cluster);
    mem_free(k);
}

struct engine *keeper_engine(const struct keeper *k)
{
    return k->engine;
}

enum status keeper_check(const struct keeper *k, struct error *err)
{
    if (k->stage != NULL && stage_result(k->stage, err) != ST_OK)
        return ST_FATAL;
    if (k->stage != NULL && !stage_ready(k->stage))
        return error_set(err, ST_AGAIN, ERR_UNAVAILABLE,
                         "answers cannot be stored in topic '%s': %s does not answer",
                         k->stage_opt->answers_topic, broker_name(k->broker));
    return k->engine->answers != NULL && answers_broken(k->engine->answers, err) ? ST_AGAIN : ST_OK;
}

/* Topics and their offsets: the admin functions that no group is needed for. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/broker/kafka/kafka.h"

enum { SLICE_MS = 2000 };

/* --- metadata --- */

struct ask_topic {
    struct kafka *kafka;
    const char *topic;
    int32_t count;
    bool leaders; /* every partition must have a leader */
    const struct rd_kafka_metadata *all;
};

static enum status count_partitions(const struct ask_topic *ask,
                                    const struct rd_kafka_metadata_topic *md, int32_t *ret,
                                    struct error *err)
{
    if (md->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        md->err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        *ret = 0;
        return ask->leaders ? kafka_error(err, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, NULL,
                                          "kafka: topic '%s'", ask->topic)
                            : ST_OK;
    }
    if (md->err != RD_KAFKA_RESP_ERR_NO_ERROR && md->partition_cnt == 0)
        return kafka_error(err, md->err, NULL, "kafka: topic '%s'", ask->topic);
    for (int i = 0; ask->leaders && i < md->partition_cnt; i++)
        if (md->partitions[i].leader < 0)
            return kafka_error(err, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, NULL,
                               "kafka: topic '%s'", ask->topic);
    *ret = md->partition_cnt;
    return ST_OK;
}

static enum status ask_partitions(void *arg, struct error *err)
{
    struct ask_topic *ask = arg;
    rd_kafka_t *rk = NULL;
    const struct rd_kafka_metadata *md = NULL;
    enum status st = kafka_lookup(ask->kafka, LOOKUP_COMMITTED, &rk, err);
    if (st == ST_OK)
        st = kafka_metadata(rk, ask->topic, SLICE_MS, &md, err);
    if (st != ST_OK)
        return st;
    st = md->topic_cnt != 1 ? kafka_error(err, RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE, NULL,
                                          "kafka: topic '%s'", ask->topic)
                            : count_partitions(ask, &md->topics[0], &ask->count, err);
    rd_kafka_metadata_destroy(md);
    return st;
}

enum status kafka_partitions(void *ctx, const char *topic, int32_t *ret_count, struct error *err)
{
    struct ask_topic ask = {.kafka = ctx, .topic = topic};
    enum status st = kafka_retry(ctx, ask_partitions, &ask, err);
    if (st == ST_OK)
        *ret_count = ask.count;
    return st;
}

static enum status ask_all(void *arg, struct error *err)
{
    struct ask_topic *ask = arg;
    rd_kafka_t *rk = NULL;
    enum status st = kafka_lookup(ask->kafka, LOOKUP_COMMITTED, &rk, err);
    return st == ST_OK ? kafka_metadata(rk, NULL, SLICE_MS, &ask->all, err) : st;
}

static int by_topic_name(const void *a, const void *b)
{
    const struct rd_kafka_metadata_topic *x = a, *y = b;
    return strcmp(x->topic, y->topic);
}

enum status kafka_topics(void *ctx, void (*fn)(void *, const char *, int32_t), void *arg,
                         struct error *err)
{
    struct ask_topic ask = {.kafka = ctx};
    enum status st = kafka_retry(ctx, ask_all, &ask, err);
    if (st != ST_OK)
        return st;
    size_t n = (size_t)ask.all->topic_cnt;
    struct rd_kafka_metadata_topic *sorted = mem_array(n, sizeof *sorted);
    if (n > 0)
        memcpy(sorted, ask.all->topics, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_topic_name);
    for (size_t i = 0; i < n; i++)
        if (strncmp(sorted[i].topic, "__", 2) != 0 && sorted[i].partition_cnt > 0)
            fn(arg, sorted[i].topic, sorted[i].partition_cnt);
    mem_free(sorted);
    rd_kafka_metadata_destroy(ask.all);
    return ST_OK;
}

/* --- making topics --- */

struct new_topic {
    const char *topic;
    enum topic_kind kind;
    int32_t partitions;
    const struct broker_options *opt;
    char why[256];
    rd_kafka_resp_err_t code;
};

static void set_number(rd_kafka_NewTopic_t *nt, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    rd_kafka_NewTopic_set_config(nt, name, text);
}

static void send_create(rd_kafka_t *rk, rd_kafka_AdminOptions_t *opt, rd_kafka_queue_t *queue,
                        void *arg)
{
    struct new_topic *t = arg;
    int replication = t->opt->replication > 0 ? (int)t->opt->replication : -1;
    rd_kafka_NewTopic_t *nt =
        rd_kafka_NewTopic_new(t->topic, t->partitions, replication, t->why, sizeof t->why);
    if (nt == NULL) {
        t->code = RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION;
        nt = rd_kafka_NewTopic_new("-", 1, 1, NULL, 0);
        rd_kafka_AdminOptions_set_validate_only(opt, 1, NULL, 0);
    }
    /* A post of 1 MiB and its enrichment do not fit into the default of 1 MiB and 12 bytes. */
    rd_kafka_NewTopic_set_config(nt, "max.message.bytes", "4194304");
    if (t->kind == TOPIC_COMPACTED)
        rd_kafka_NewTopic_set_config(nt, "cleanup.policy", "compact");
    else if (t->opt->retention_ms > 0 || t->opt->retention_bytes > 0)
        rd_kafka_NewTopic_set_config(nt, "cleanup.policy", "delete");
    if (t->kind != TOPIC_COMPACTED && t->opt->retention_ms > 0)
        set_number(nt, "retention.ms", t->opt->retention_ms);
    if (t->kind != TOPIC_COMPACTED && t->opt->retention_bytes > 0)
        set_number(nt, "retention.bytes", t->opt->retention_bytes);
    rd_kafka_AdminOptions_set_operation_timeout(opt, 5000, NULL, 0);
    rd_kafka_CreateTopics(rk, &nt, 1, opt, queue);
    rd_kafka_NewTopic_destroy(nt);
}

static enum status create(struct kafka *kafka, struct new_topic *t, bool *ret_made,
                          struct error *err)
{
    rd_kafka_event_t *event = NULL;
    enum status st = kafka_admin(kafka, send_create, RD_KAFKA_ADMIN_OP_CREATETOPICS, t,
                                 "making a topic", &event, err);
    if (st != ST_OK)
        return st;
    size_t n = 0;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    const char *text = t->why;
    if (t->code == RD_KAFKA_RESP_ERR_NO_ERROR && n == 1) {
        t->code = rd_kafka_topic_result_error(results[0]);
        text = rd_kafka_topic_result_error_string(results[0]);
    }
    *ret_made = t->code == RD_KAFKA_RESP_ERR_NO_ERROR;
    if (t->code != RD_KAFKA_RESP_ERR_NO_ERROR &&
        t->code != RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS) {
        st = kafka_error(err, t->code, text, "kafka: making topic '%s'", t->topic);
        st = st == ST_RETRY ? ST_FATAL : st;
    }
    rd_kafka_event_destroy(event);
    return st;
}

enum status kafka_topic_ensure(void *ctx, const char *topic, enum topic_kind kind,
                               int32_t partitions, bool *ret_made, struct error *err)
{
    struct kafka *kafka = ctx;
    int32_t count = 0;
    enum status st = kafka_partitions(kafka, topic, &count, err);
    bool made = false;
    if (st == ST_OK && count == 0) {
        struct new_topic t = {.topic = topic, .kind = kind, .opt = kafka->opt};
        t.partitions = partitions > 0 ? partitions : (int32_t)kafka->opt->partitions;
        st = create(kafka, &t, &made, err);
        struct ask_topic ask = {.kafka = kafka, .topic = topic, .leaders = true};
        if (st == ST_OK)
            st = kafka_retry(kafka, ask_partitions, &ask, err);
    }
    if (st == ST_OK && ret_made != NULL)
        *ret_made = made;
    return st;
}

/* --- offsets --- */

struct ask_offsets {
    struct kafka *kafka;
    enum lookup which;
    rd_kafka_topic_partition_list_t *list;
    int64_t what; /* OFFSET_BEGINNING, OFFSET_END, or a time */
};

static enum status ask_offsets(void *arg, struct error *err)
{
    struct ask_offsets *ask = arg;
    rd_kafka_t *rk = NULL;
    enum status st = kafka_lookup(ask->kafka, ask->which, &rk, err);
    for (int i = 0; i < ask->list->cnt; i++)
        ask->list->elems[i].offset = ask->what;
    return st == ST_OK ? kafka_list_offsets(rk, ask->list, SLICE_MS, err) : st;
}

/* A read_committed handle answers with the last stable offset, a read_uncommitted one with the high
 * watermark: ListOffsets carries the handle's isolation.level (checked on 2.0.2). */
enum status kafka_watermarks(void *ctx, const char *topic, struct watermark *ret, int32_t count,
                             struct error *err)
{
    static const struct {
        enum lookup which;
        int64_t what;
        size_t field;
    } asks[] = {
        {LOOKUP_COMMITTED, RD_KAFKA_OFFSET_BEGINNING, offsetof(struct watermark, start)},
        {LOOKUP_COMMITTED, RD_KAFKA_OFFSET_END, offsetof(struct watermark, end)},
        {LOOKUP_UNCOMMITTED, RD_KAFKA_OFFSET_END, offsetof(struct watermark, high)},
    };
    struct ask_offsets ask = {.kafka = ctx, .list = rd_kafka_topic_partition_list_new(count)};
    for (int32_t p = 0; p < count; p++)
        rd_kafka_topic_partition_list_add(ask.list, topic, p);
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof asks / sizeof *asks; i++) {
        ask.which = asks[i].which;
        ask.what = asks[i].what;
        st = kafka_retry(ctx, ask_offsets, &ask, err);
        for (int32_t p = 0; st == ST_OK && p < count; p++)
            *(int64_t *)(void *)((char *)&ret[p] + asks[i].field) = ask.list->elems[p].offset;
    }
    rd_kafka_topic_partition_list_destroy(ask.list);
    return st;
}

enum status kafka_offset_at(void *ctx, const char *topic, int32_t partition, int64_t timestamp_ms,
                            int64_t *ret_offset, struct error *err)
{
    struct ask_offsets ask = {
        .kafka = ctx, .what = timestamp_ms < 0 ? 0 : timestamp_ms, .which = LOOKUP_COMMITTED};
    ask.list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(ask.list, topic, partition);
    enum status st = kafka_retry(ctx, ask_offsets, &ask, err);
    if (st == ST_OK && ask.list->elems[0].offset < 0) { /* nothing so young */
        ask.what = RD_KAFKA_OFFSET_END;
        st = kafka_retry(ctx, ask_offsets, &ask, err);
    }
    if (st == ST_OK)
        *ret_offset = ask.list->elems[0].offset;
    rd_kafka_topic_partition_list_destroy(ask.list);
    return st;
}

/* Handles for look-ups and the calls on them that several files need. Everything here blocks and
 * may be called on any thread; librdkafka's handles are thread-safe, the lock only guards their
 * making and the text of the last trouble. */
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/broker/kafka/kafka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SLICE_MS = 2000, DEFAULT_MAX_MESSAGE_BYTES = 1048588 };

/* --- handles --- */

/* Called from rd_kafka_poll below. */
static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    UNUSED(rk);
    struct kafka_lookup *lookup = opaque;
    pthread_mutex_lock(&lookup->kafka->lock);
    if (code != RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || lookup->last_error == 0) {
        atomic_store(&lookup->last_error, code);
        snprintf(lookup->last_text, sizeof lookup->last_text, "%s", reason);
    }
    pthread_mutex_unlock(&lookup->kafka->lock);
}

static enum status make(struct kafka *kafka, enum lookup which, struct error *err)
{
    rd_kafka_conf_t *conf;
    enum status st = kafka_conf_new(kafka, KAFKA_LOOKUP, &conf, err);
    if (st != ST_OK)
        return st;
    const char *level = which == LOOKUP_COMMITTED ? "read_committed" : "read_uncommitted";
    st = kafka_conf_set(conf, "isolation.level", level, err);
    kafka->lookups[which].kafka = kafka;
    rd_kafka_conf_set_opaque(conf, &kafka->lookups[which]);
    rd_kafka_conf_set_error_cb(conf, on_error);
    if (st != ST_OK) {
        rd_kafka_conf_destroy(conf);
        return st;
    }
    return kafka_client_new(RD_KAFKA_CONSUMER, conf, &kafka->lookups[which].rk, err);
}

enum status kafka_lookup(struct kafka *kafka, enum lookup which, rd_kafka_t **ret,
                         struct error *err)
{
    enum status st = ST_OK;
    pthread_mutex_lock(&kafka->lock);
    if (kafka->lookups[which].rk == NULL)
        st = make(kafka, which, err);
    if (st == ST_OK)
        *ret = kafka->lookups[which].rk;
    pthread_mutex_unlock(&kafka->lock);
    return st;
}

void kafka_lookups_fini(struct kafka *kafka)
{
    for (int i = 0; i < LOOKUP_COUNT; i++)
        if (kafka->lookups[i].rk != NULL)
            rd_kafka_destroy(kafka->lookups[i].rk);
}

/* --- retrying --- */

/* What the handles heard from the network since the retry began: a refused login or certificate
 * does not get better by waiting. */
static enum status heard(struct kafka *kafka, enum status st, struct error *err)
{
    for (int i = 0; i < LOOKUP_COUNT; i++) {
        struct kafka_lookup *lookup = &kafka->lookups[i];
        pthread_mutex_lock(&kafka->lock);
        rd_kafka_t *rk = lookup->rk;
        pthread_mutex_unlock(&kafka->lock);
        if (rk == NULL)
            continue;
        rd_kafka_poll(rk, 0);
        rd_kafka_resp_err_t code = (rd_kafka_resp_err_t)atomic_load(&lookup->last_error);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            continue;
        char text[sizeof lookup->last_text];
        pthread_mutex_lock(&kafka->lock);
        snprintf(text, sizeof text, "%s", lookup->last_text);
        pthread_mutex_unlock(&kafka->lock);
        enum status now = kafka_error(err, code, text, "kafka %s", kafka->servers);
        return now == ST_FATAL ? ST_FATAL : st;
    }
    return st;
}

enum status kafka_retry(struct kafka *kafka, enum status (*attempt)(void *arg, struct error *err),
                        void *arg, struct error *err)
{
    int64_t deadline_ms = clock_mono_ms() + kafka->timeout_ms;
    for (int i = 0; i < LOOKUP_COUNT; i++)
        atomic_store(&kafka->lookups[i].last_error, RD_KAFKA_RESP_ERR_NO_ERROR);
    for (;;) {
        enum status st = attempt(arg, err);
        if (st == ST_RETRY)
            st = heard(kafka, st, err);
        if (st != ST_RETRY)
            return st;
        if (clock_mono_ms() >= deadline_ms) {
            error_prefix(err, "no success within %lld ms", (long long)kafka->timeout_ms);
            return ST_FATAL;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000 * 1000}, NULL);
    }
}

/* --- requests --- */

enum status kafka_metadata(rd_kafka_t *rk, const char *topic, int wait_ms,
                           const struct rd_kafka_metadata **ret, struct error *err)
{
    rd_kafka_topic_t *rkt = NULL;
    if (topic != NULL && (rkt = rd_kafka_topic_new(rk, topic, NULL)) == NULL)
        return kafka_error(err, rd_kafka_last_error(), NULL, "kafka: topic '%s'", topic);
    rd_kafka_resp_err_t code = rd_kafka_metadata(rk, topic == NULL, rkt, ret, wait_ms);
    if (rkt != NULL)
        rd_kafka_topic_destroy(rkt);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ST_OK;
    return kafka_error(err, code, NULL, "kafka: metadata of %s", topic == NULL ? "topics" : topic);
}

enum status kafka_list_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int wait_ms,
                               struct error *err)
{
    if (list->cnt == 0)
        return ST_OK;
    rd_kafka_resp_err_t code = rd_kafka_offsets_for_times(rk, list, wait_ms);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
        code = list->elems[i].err;
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ST_OK;
    enum status st =
        kafka_error(err, code, NULL, "kafka: offsets of topic '%s'", list->elems[0].topic);
    /* Whoever asks knows how many partitions it has: this broker has not heard of it yet. */
    return code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ? ST_RETRY : st;
}

enum status kafka_admin(struct kafka *kafka,
                        void (*send)(rd_kafka_t *rk, rd_kafka_AdminOptions_t *opt,
                                     rd_kafka_queue_t *queue, void *arg),
                        rd_kafka_admin_op_t op, void *arg, const char *what, rd_kafka_event_t **ret,
                        struct error *err)
{
    rd_kafka_t *rk = NULL;
    enum status st = kafka_lookup(kafka, LOOKUP_COMMITTED, &rk, err);
    if (st != ST_OK)
        return st;
    int64_t deadline_ms = clock_mono_ms() + kafka->timeout_ms;
    do {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        rd_kafka_AdminOptions_t *opt = rd_kafka_AdminOptions_new(rk, op);
        send(rk, opt, queue, arg);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, (int)kafka->timeout_ms + 1000);
        rd_kafka_AdminOptions_destroy(opt);
        rd_kafka_queue_destroy(queue);
        if (event == NULL)
            return error_set(err, ST_FATAL, ERR_UNAVAILABLE, "kafka: %s: no answer", what);
        rd_kafka_resp_err_t code = rd_kafka_event_error(event);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            *ret = event;
            return ST_OK;
        }
        st = kafka_error(err, code, rd_kafka_event_error_string(event), "kafka: %s", what);
        rd_kafka_event_destroy(event);
    } while (st == ST_RETRY && clock_mono_ms() < deadline_ms);
    return st == ST_RETRY ? ST_FATAL : st;
}

/* --- is there anything in a topic? --- */

struct filled {
    struct kafka *kafka;
    const char *topic;
    rd_kafka_topic_partition_list_t *start, *end;
    bool maybe, found;
};

static enum status ask_bounds(void *arg, struct error *err)
{
    struct filled *f = arg;
    rd_kafka_t *rk = NULL;
    enum status st = kafka_lookup(f->kafka, LOOKUP_COMMITTED, &rk, err);
    for (int i = 0; i < f->start->cnt; i++) {
        f->start->elems[i].offset = RD_KAFKA_OFFSET_BEGINNING;
        f->end->elems[i].offset = RD_KAFKA_OFFSET_END;
    }
    if (st == ST_OK)
        st = kafka_list_offsets(rk, f->start, SLICE_MS, err);
    if (st == ST_OK)
        st = kafka_list_offsets(rk, f->end, SLICE_MS, err);
    f->maybe = false;
    for (int i = 0; st == ST_OK && i < f->start->cnt; i++)
        f->maybe |= f->end->elems[i].offset > f->start->elems[i].offset;
    return st;
}

/* Reads partition p until its first record or its end. */
static enum status read_first(struct filled *f, rd_kafka_t *rk, int p, struct error *err)
{
    rd_kafka_topic_t *rkt = rd_kafka_topic_new(rk, f->topic, NULL);
    int64_t deadline_ms = clock_mono_ms() + f->kafka->timeout_ms;
    enum status st = ST_OK;
    bool at_end = false;
    if (rd_kafka_consume_start(rkt, p, f->start->elems[p].offset) != 0)
        st = kafka_error(err, rd_kafka_last_error(), NULL, "kafka: topic '%s'", f->topic);
    while (st == ST_OK && !f->found && !at_end) {
        rd_kafka_message_t *msg = rd_kafka_consume(rkt, p, 100);
        f->found = msg != NULL && msg->err == RD_KAFKA_RESP_ERR_NO_ERROR;
        at_end = msg != NULL && msg->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (msg != NULL && msg->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
            st =
                kafka_error(err, msg->err, NULL,
                            "kafka: topic '%s': to see whether it holds outputs already", f->topic);
        if (msg != NULL)
            rd_kafka_message_destroy(msg);
        if (st == ST_OK && !f->found && !at_end && clock_mono_ms() > deadline_ms)
            st = error_set(err, ST_FATAL, ERR_UNAVAILABLE, "kafka: %s/%d cannot be read", f->topic,
                           p);
    }
    rd_kafka_consume_stop(rkt, p);
    rd_kafka_topic_destroy(rkt);
    return st;
}

static enum status search(struct filled *f, struct error *err)
{
    rd_kafka_t *rk = NULL;
    enum status st = kafka_retry(f->kafka, ask_bounds, f, err);
    if (st != ST_OK || !f->maybe)
        return st;
    st = kafka_lookup(f->kafka, LOOKUP_COMMITTED, &rk, err);
    for (int p = 0; st == ST_OK && !f->found && p < f->start->cnt; p++)
        if (f->end->elems[p].offset > f->start->elems[p].offset)
            st = read_first(f, rk, p, err);
    return st;
}

enum status kafka_topic_filled(struct kafka *kafka, const char *topic, bool *ret, struct error *err)
{
    int32_t count = 0;
    enum status st = kafka_partitions(kafka, topic, &count, err);
    if (st != ST_OK)
        return st;
    struct filled f = {.kafka = kafka, .topic = topic};
    f.start = rd_kafka_topic_partition_list_new(count);
    rd_kafka_topic_partition_list_add_range(f.start, topic, 0, count - 1);
    if (count == 0)
        f.start->cnt = 0;
    f.end = rd_kafka_topic_partition_list_copy(f.start);
    st = search(&f, err);
    rd_kafka_topic_partition_list_destroy(f.start);
    rd_kafka_topic_partition_list_destroy(f.end);
    if (st == ST_OK)
        *ret = f.found;
    return st;
}

/* --- settings of a topic --- */

static void send_describe(rd_kafka_t *rk, rd_kafka_AdminOptions_t *opt, rd_kafka_queue_t *queue,
                          void *arg)
{
    rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, arg);
    rd_kafka_DescribeConfigs(rk, &res, 1, opt, queue);
    rd_kafka_ConfigResource_destroy(res);
}

static const char *setting_in(const rd_kafka_event_t *event, const char *name)
{
    size_t n = 0, entries = 0;
    const rd_kafka_DescribeConfigs_result_t *result =
        rd_kafka_event_DescribeConfigs_result((rd_kafka_event_t *)event);
    const rd_kafka_ConfigResource_t **res = rd_kafka_DescribeConfigs_result_resources(result, &n);
    if (n == 0 || rd_kafka_ConfigResource_error(res[0]) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return NULL; /* no ACL for DESCRIBE_CONFIGS */
    const rd_kafka_ConfigEntry_t **entry = rd_kafka_ConfigResource_configs(res[0], &entries);
    for (size_t i = 0; i < entries; i++)
        if (strcmp(rd_kafka_ConfigEntry_name(entry[i]), name) == 0)
            return rd_kafka_ConfigEntry_value(entry[i]);
    return NULL;
}

enum status kafka_topic_setting(struct kafka *kafka, const char *topic, const char *name,
                                char **ret, struct error *err)
{
    rd_kafka_event_t *event = NULL;
    enum status st = kafka_admin(kafka, send_describe, RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS,
                                 (void *)topic, "settings of a topic", &event, err);
    if (st != ST_OK)
        return st;
    *ret = mem_strdup(setting_in(event, name));
    rd_kafka_event_destroy(event);
    return ST_OK;
}

enum status kafka_topic_limit(struct kafka *kafka, const char *topic, int64_t *ret,
                              struct error *err)
{
    char *text = NULL;
    enum status st = kafka_topic_setting(kafka, topic, "max.message.bytes", &text, err);
    if (st == ST_OK)
        *ret = text == NULL ? DEFAULT_MAX_MESSAGE_BYTES : strtoll(text, NULL, 10);
    mem_free(text);
    return st;
}

enum status kafka_topic_keeps(void *ctx, const char *topic, bool *ret, struct error *err)
{
    char *text = NULL;
    enum status st = kafka_topic_setting(ctx, topic, "cleanup.policy", &text, err);
    if (st == ST_OK)
        *ret = text == NULL || strcmp(text, "compact") == 0;
    mem_free(text);
    return st;
}

/* Consumer groups and their positions, seen from outside. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/broker/kafka/kafka.h"

enum { SLICE_MS = 5000 };

/* --- list --- */

struct ask_groups {
    struct kafka *kafka;
    const struct rd_kafka_group_list *list;
};

static enum status ask_groups(void *arg, struct error *err)
{
    struct ask_groups *ask = arg;
    rd_kafka_t *rk = NULL;
    enum status st = kafka_lookup(ask->kafka, LOOKUP_COMMITTED, &rk, err);
    if (st != ST_OK)
        return st;
    rd_kafka_resp_err_t code = rd_kafka_list_groups(rk, NULL, &ask->list, SLICE_MS);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ST_OK;
    if (ask->list != NULL) /* _PARTIAL: some brokers did not answer */
        rd_kafka_group_list_destroy(ask->list);
    ask->list = NULL;
    code = code == RD_KAFKA_RESP_ERR__PARTIAL ? RD_KAFKA_RESP_ERR__TIMED_OUT : code;
    return kafka_error(err, code, NULL, "kafka: list of consumer groups");
}

static int by_group_name(const void *a, const void *b)
{
    const struct rd_kafka_group_info *x = a, *y = b;
    return strcmp(x->group, y->group);
}

enum status kafka_groups(void *ctx, void (*fn)(void *, const char *, int), void *arg,
                         struct error *err)
{
    struct ask_groups ask = {.kafka = ctx};
    enum status st = kafka_retry(ctx, ask_groups, &ask, err);
    if (st != ST_OK)
        return st;
    size_t n = (size_t)ask.list->group_cnt;
    struct rd_kafka_group_info *sorted = mem_array(n, sizeof *sorted);
    if (n > 0)
        memcpy(sorted, ask.list->groups, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, by_group_name);
    for (size_t i = 0; i < n; i++)
        fn(arg, sorted[i].group, sorted[i].member_cnt);
    mem_free(sorted);
    rd_kafka_group_list_destroy(ask.list);
    return ST_OK;
}

/* --- positions --- */

struct ask_positions {
    struct kafka *kafka;
    const char *group;
    rd_kafka_topic_partition_list_t *list;
    struct position *ret;
    int32_t count;
};

/* Positions inside an open transaction would still change: ask for stable ones (KIP-447). */
static void send_positions(rd_kafka_t *rk, rd_kafka_AdminOptions_t *opt, rd_kafka_queue_t *queue,
                           void *arg)
{
    struct ask_positions *ask = arg;
    rd_kafka_ListConsumerGroupOffsets_t *req =
        rd_kafka_ListConsumerGroupOffsets_new(ask->group, ask->list);
    rd_kafka_error_t *error = rd_kafka_AdminOptions_set_require_stable_offsets(opt, 1);
    if (error != NULL)
        rd_kafka_error_destroy(error);
    rd_kafka_ListConsumerGroupOffsets(rk, &req, 1, opt, queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(req);
}

/* The result of a request about one group: its list of partitions, or why not. */
static enum status group_result(const rd_kafka_group_result_t **groups, size_t n, const char *group,
                                const rd_kafka_topic_partition_list_t **ret, struct error *err)
{
    if (n != 1)
        return error_set(err, ST_FATAL, ERR_FAILED, "kafka: no answer about group '%s'", group);
    const rd_kafka_error_t *error = rd_kafka_group_result_error(groups[0]);
    if (error != NULL)
        return kafka_error(err, rd_kafka_error_code(error), rd_kafka_error_string(error),
                           "kafka: positions of group '%s'", group);
    *ret = rd_kafka_group_result_partitions(groups[0]);
    return ST_OK;
}

/* A commit is answered before its markers are written: until then its partitions have the error
 * UNSTABLE_OFFSET_COMMIT, and asking again helps. */
static enum status take_positions(const rd_kafka_topic_partition_list_t *list, const char *group,
                                  struct position *ret, int32_t count, struct error *err)
{
    assert(list != NULL);
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_error(err, list->elems[i].err, NULL, "kafka: positions of group '%s'",
                               group);
    for (int32_t p = 0; p < count; p++)
        ret[p] = (struct position){.partition = p, .offset = -1, .metadata = mem_strdup("")};
    for (int i = 0; i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *tp = &list->elems[i];
        if (tp->partition < 0 || tp->partition >= count || tp->offset < 0)
            continue;
        mem_free((void *)ret[tp->partition].metadata);
        ret[tp->partition].offset = tp->offset;
        ret[tp->partition].metadata = mem_spandup(span_make(tp->metadata, tp->metadata_size));
    }
    return ST_OK;
}

static enum status ask_positions(void *arg, struct error *err)
{
    struct ask_positions *ask = arg;
    rd_kafka_event_t *event = NULL;
    const rd_kafka_topic_partition_list_t *list = NULL;
    size_t n = 0;
    enum status st =
        kafka_admin(ask->kafka, send_positions, RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS, ask,
                    "positions of a group", &event, err);
    if (st != ST_OK)
        return st;
    const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
        rd_kafka_event_ListConsumerGroupOffsets_result(event), &n);
    st = group_result(groups, n, ask->group, &list, err);
    if (st == ST_OK)
        st = take_positions(list, ask->group, ask->ret, ask->count, err);
    rd_kafka_event_destroy(event);
    return st;
}

enum status kafka_positions(void *ctx, const char *group, const char *topic, struct position *ret,
                            int32_t count, struct error *err)
{
    struct ask_positions ask = {.kafka = ctx, .group = group, .ret = ret, .count = count};
    ask.list = rd_kafka_topic_partition_list_new(count);
    for (int32_t p = 0; p < count; p++)
        rd_kafka_topic_partition_list_add(ask.list, topic, p);
    enum status st = kafka_retry(ctx, ask_positions, &ask, err);
    rd_kafka_topic_partition_list_destroy(ask.list);
    return st;
}

static void send_alter(rd_kafka_t *rk, rd_kafka_AdminOptions_t *opt, rd_kafka_queue_t *queue,
                       void *arg)
{
    struct ask_positions *ask = arg;
    rd_kafka_AlterConsumerGroupOffsets_t *req =
        rd_kafka_AlterConsumerGroupOffsets_new(ask->group, ask->list);
    rd_kafka_AlterConsumerGroupOffsets(rk, &req, 1, opt, queue);
    rd_kafka_AlterConsumerGroupOffsets_destroy(req);
}

static enum status check_partitions(const rd_kafka_topic_partition_list_t *list, const char *group,
                                    struct error *err)
{
    assert(list != NULL);
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_resp_err_t code = list->elems[i].err;
        if (code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID) /* how brokers say "has members" */
            code = RD_KAFKA_RESP_ERR_NON_EMPTY_GROUP;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_error(err, code, NULL, "kafka: setting positions of group '%s'", group);
    }
    return ST_OK;
}

enum status kafka_positions_set(void *ctx, const char *group, const char *topic,
                                const struct position *pos, size_t count, struct error *err)
{
    struct ask_positions ask = {.group = group,
                                .list = rd_kafka_topic_partition_list_new((int)count)};
    for (size_t i = 0; i < count; i++)
        rd_kafka_topic_partition_list_add(ask.list, topic, pos[i].partition)->offset =
            pos[i].offset;
    rd_kafka_event_t *event = NULL;
    const rd_kafka_topic_partition_list_t *list = NULL;
    size_t n = 0;
    enum status st = kafka_admin(ctx, send_alter, RD_KAFKA_ADMIN_OP_ALTERCONSUMERGROUPOFFSETS, &ask,
                                 "setting positions of a group", &event, err);
    if (st == ST_OK) {
        const rd_kafka_group_result_t **groups = rd_kafka_AlterConsumerGroupOffsets_result_groups(
            rd_kafka_event_AlterConsumerGroupOffsets_result(event), &n);
        st = group_result(groups, n, group, &list, err);
        if (st == ST_OK)
            st = check_partitions(list, group, err);
        rd_kafka_event_destroy(event);
    }
    rd_kafka_topic_partition_list_destroy(ask.list);
    return st;
}

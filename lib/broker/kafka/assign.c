/* Rebalances: from librdkafka's callback to its answer.
 *
 *     callback ─► kept ─► assign:  look up positions (runner) ─► no commit runs ─► assign,
 * `assigned` └► revoke:  `revoking` … reader_give_up ─► no commit runs ─► unassign └► lost: `lost`,
 * filling batch aborted ─► no commit runs ─► unassign
 *
 * Ensures: 1. librdkafka is never answered inside its callback; it keeps the group in its present
 * state meanwhile and goes on being polled. 2. Nothing is answered while a commit runs. 3. A
 * partition is given with an explicit offset that start_resolve() has approved; librdkafka never
 * chooses one (auto.offset.reset=error). 4. Its queue is off the main queue before it is given. */
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/broker/kafka/reader.h"
#include "lib/broker/kafka/writer.h"

#include <string.h>
#include <time.h>

enum { SLICE_MS = 5000, AGAIN_TIMES = 10, AGAIN_MS = 200 };

enum phase { PHASE_NEW, PHASE_WAITING, PHASE_READY };

struct kafka_rebalance {
    struct job job;
    struct kafka_rebalance *next;
    struct kafka_reader *reader;
    rd_kafka_topic_partition_list_t *list;
    bool assign, lost, group;
    enum phase phase;       /* WAITING: for the look-up, or for reader_give_up */
    struct position *start; /* resolved, one for each element of list */
    enum status st;         /* of the look-up */
    struct error err;
    struct error why; /* of kafka_position_passed */
};

/* --- keeping --- */

static struct kafka_rebalance *keep(struct kafka_reader *r, bool assign,
                                    const rd_kafka_topic_partition_list_t *list)
{
    struct kafka_rebalance *rb = mem_zalloc(sizeof *rb);
    rb->reader = r;
    rb->assign = assign;
    rb->list = rd_kafka_topic_partition_list_copy(list);
    rb->start = mem_array((size_t)list->cnt, sizeof *rb->start);
    *r->last = rb;
    r->last = &rb->next;
    return rb;
}

static void drop_first(struct kafka_reader *r)
{
    struct kafka_rebalance *rb = r->first;
    if ((r->first = rb->next) == NULL)
        r->last = &r->first;
    positions_fini(rb->start, rb->list->cnt);
    mem_free(rb->start);
    rd_kafka_topic_partition_list_destroy(rb->list);
    mem_free(rb);
}

static bool cooperative(rd_kafka_t *rk)
{
    const char *protocol = rd_kafka_rebalance_protocol(rk);
    return protocol != NULL && strcmp(protocol, "COOPERATIVE") == 0;
}

static void answer_quietly(rd_kafka_t *rk, bool assign, rd_kafka_topic_partition_list_t *list)
{
    if (!assign && cooperative(rk)) {
        rd_kafka_error_t *error = rd_kafka_incremental_unassign(rk, list);
        if (error != NULL)
            rd_kafka_error_destroy(error);
    } else {
        rd_kafka_assign(rk, NULL);
    }
}

void kafka_rebalance_cb(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_reader *r = opaque;
    bool assign = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    if (r->closing) {
        answer_quietly(rk, assign, list);
        return;
    }
    struct kafka_rebalance *rb = keep(r, assign, list);
    rb->group = true;
    rb->lost = !assign && rd_kafka_assignment_lost(rk);
    log_line(LOG_DEBUG, "kafka", "group '%s': %d partitions %s", r->cfg.group, list->cnt,
             assign ? "assigned" : (rb->lost ? "lost" : "revoked"));
}

void kafka_assign_start(struct kafka_reader *r, const struct position *start, size_t n)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, r->cfg.topic, start[i].partition)->offset =
            start[i].offset;
    keep(r, true, list);
    rd_kafka_topic_partition_list_destroy(list);
}

/* --- looking positions up, on the runner's thread --- */

struct lookup_tables {
    int32_t count; /* of all partitions of the topic */
    struct position *committed;
    struct watermark *log;
    bool none_committed, guard_filled;
};

static enum status topic_count(struct kafka_rebalance *rb, int32_t *ret, struct error *err)
{
    const struct rd_kafka_metadata *md = NULL;
    enum status st = kafka_metadata(rb->reader->rk, rb->reader->cfg.topic, SLICE_MS, &md, err);
    if (st != ST_OK)
        return st;
    *ret = md->topic_cnt == 1 ? md->topics[0].partition_cnt : 0;
    for (int i = 0; i < rb->list->cnt; i++)
        if (rb->list->elems[i].partition >= *ret)
            *ret = rb->list->elems[i].partition + 1;
    rd_kafka_metadata_destroy(md);
    return ST_OK;
}

/* With isolation.level read_committed the request asks for stable offsets (KIP-447): it is retried
 * while a transaction of the group is open, such as that of a killed member. */
static enum status fetch_committed(struct kafka_rebalance *rb, struct lookup_tables *t,
                                   struct error *err)
{
    const char *topic = rb->reader->cfg.topic;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(t->count);
    for (int32_t p = 0; p < t->count; p++)
        rd_kafka_topic_partition_list_add(list, topic, p);
    rd_kafka_resp_err_t code = rd_kafka_committed(rb->reader->rk, list, SLICE_MS);
    for (int i = 0; code == RD_KAFKA_RESP_ERR_NO_ERROR && i < list->cnt; i++)
        code = list->elems[i].err;
    enum status st = ST_OK;
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        st = kafka_error(err, code, NULL, "kafka: positions of group '%s' on topic '%s'",
                         rb->reader->cfg.group, topic);
    t->none_committed = true;
    for (int i = 0; st == ST_OK && i < list->cnt; i++) {
        const rd_kafka_topic_partition_t *tp = &list->elems[i];
        struct position *pos = &t->committed[tp->partition];
        mem_free((void *)pos->metadata);
        pos->partition = tp->partition;
        pos->offset = tp->offset < 0 ? -1 : tp->offset;
        pos->metadata = mem_spandup(span_make(tp->metadata, tp->metadata_size));
        t->none_committed &= tp->offset < 0;
    }
    rd_kafka_topic_partition_list_destroy(list);
    return st;
}

/* Start and end of the log, for the assigned partitions only. */
static enum status fetch_log(struct kafka_rebalance *rb, struct lookup_tables *t, struct error *err)
{
    static const int64_t what[] = {RD_KAFKA_OFFSET_BEGINNING, RD_KAFKA_OFFSET_END};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_copy(rb->list);
    enum status st = ST_OK;
    for (int pass = 0; st == ST_OK && pass < 2; pass++) {
        for (int i = 0; i < list->cnt; i++)
            list->elems[i].offset = what[pass];
        st = kafka_list_offsets(rb->reader->rk, list, SLICE_MS, err);
        for (int i = 0; st == ST_OK && i < list->cnt; i++) {
            struct watermark *log = &t->log[list->elems[i].partition];
            if (pass == 0)
                log->start = list->elems[i].offset;
            else
                log->end = log->high = list->elems[i].offset;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return st;
}

static enum status resolve(struct kafka_rebalance *rb, const struct lookup_tables *t,
                           struct error *err)
{
    const struct reader_config *cfg = &rb->reader->cfg;
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && i < rb->list->cnt; i++) {
        int32_t p = rb->list->elems[i].partition;
        int64_t given = rb->list->elems[i].offset, offset = given >= 0 ? given : t->log[p].start;
        const char *metadata = "";
        if (rb->group) {
            st = start_resolve(cfg->group, cfg->topic, t->committed, t->log, t->count, p,
                               t->guard_filled, cfg->guard_topic, cfg->on_missing, &offset, err);
            metadata = t->committed[p].metadata;
        }
        mem_free((void *)rb->start[i].metadata);
        rb->start[i] = (struct position){p, offset, mem_strdup(metadata)};
    }
    return st;
}

/* Outputs were there after the positions were looked up. Another member may have begun meanwhile:
 * its positions come with its outputs, or, at-least-once, soon after them. */
static enum status look_again(struct kafka_rebalance *rb, struct lookup_tables *t,
                              struct error *err)
{
    enum status st = ST_OK;
    for (int i = 0; st == ST_OK && t->none_committed && i < AGAIN_TIMES; i++) {
        if (i > 0)
            nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
        if (rb->reader->closing)
            break;
        st = fetch_committed(rb, t, err);
    }
    return st;
}

static enum status look_up(void *arg, struct error *err)
{
    struct kafka_rebalance *rb = arg;
    struct kafka_reader *r = rb->reader;
    struct lookup_tables t = {0};
    if (r->closing)
        return error_set(err, ST_FATAL, ERR_TEMPORARY, "kafka: the reader closes");
    enum status st = topic_count(rb, &t.count, err);
    if (st != ST_OK)
        return st;
    t.committed = mem_array((size_t)t.count, sizeof *t.committed);
    t.log = mem_array((size_t)t.count, sizeof *t.log);
    if (rb->group)
        st = fetch_committed(rb, &t, err);
    POINT("kafka.positions", r->cfg.topic, -1, -1);
    if (st == ST_OK)
        st = fetch_log(rb, &t, err);
    if (st == ST_OK && t.none_committed && r->cfg.guard_topic != NULL)
        st = kafka_topic_filled(r->kafka, r->cfg.guard_topic, &t.guard_filled, err);
    if (st == ST_OK && t.guard_filled)
        st = look_again(rb, &t, err);
    if (st == ST_OK)
        st = resolve(rb, &t, err);
    positions_fini(t.committed, t.count);
    mem_free(t.committed);
    mem_free(t.log);
    return st;
}

static void look_up_work(struct job *job)
{
    struct kafka_rebalance *rb = (struct kafka_rebalance *)job;
    rb->st = kafka_retry(rb->reader->kafka, look_up, rb, &rb->err);
}

static void look_up_done(struct job *job)
{
    struct kafka_rebalance *rb = (struct kafka_rebalance *)job;
    rb->phase = PHASE_READY;
    if (rb->st != ST_OK)
        kafka_reader_fail(rb->reader, &rb->err);
    else
        kafka_rebalance_go_on(rb->reader);
}

/* --- a position that retention has passed --- */

static void passed_done(struct job *job)
{
    struct kafka_rebalance *rb = (struct kafka_rebalance *)job;
    struct kafka_reader *r = rb->reader;
    bool told = rb->st == ST_FATAL && rb->err.kind == ERR_CONFIG;
    kafka_reader_fail(r, told ? &rb->err : &rb->why);
    positions_fini(rb->start, 1);
    mem_free(rb->start);
    rd_kafka_topic_partition_list_destroy(rb->list);
    mem_free(rb);
}

void kafka_position_passed(struct kafka_reader *r, int32_t partition, const struct error *why)
{
    if (r->passed || r->failed)
        return;
    r->passed = true;
    struct kafka_rebalance *rb = mem_zalloc(sizeof *rb);
    rb->reader = r;
    rb->group = true;
    rb->why = *why;
    rb->list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(rb->list, r->cfg.topic, partition);
    rb->start = mem_array(1, sizeof *rb->start);
    rb->job = (struct job){.work = look_up_work, .done = passed_done};
    runner_submit(r->runner, &rb->job);
}

/* --- answering, on the loop --- */

static void grow_parts(struct kafka_reader *r, int32_t count)
{
    if (count <= r->part_count)
        return;
    r->parts = mem_realloc(r->parts, (size_t)count * sizeof *r->parts);
    memset(r->parts + r->part_count, 0, (size_t)(count - r->part_count) * sizeof *r->parts);
    r->part_count = count;
}

/* Off the main queue, onto our eventfd. Before rd_kafka_assign: librdkafka forwards a partition's
 * queue to the main one unless the application has set the forwarding itself. */
static void take_queue(struct kafka_reader *r, int32_t p)
{
    static const uint64_t one = 1;
    grow_parts(r, p + 1);
    struct kafka_part *part = &r->parts[p];
    if (part->queue == NULL) {
        part->queue = rd_kafka_queue_get_partition(r->rk, r->cfg.topic, p);
        rd_kafka_queue_forward(part->queue, NULL);
        rd_kafka_queue_io_event_enable(part->queue, r->event_fd, &one, sizeof one);
    }
    part->epoch = r->epoch;
    part->leaving = false;
}

static void drop_queue(struct kafka_reader *r, int32_t p)
{
    if (p < 0 || p >= r->part_count || r->parts[p].queue == NULL)
        return;
    rd_kafka_queue_io_event_enable(r->parts[p].queue, -1, NULL, 0);
    rd_kafka_queue_destroy(r->parts[p].queue);
    r->parts[p].queue = NULL;
}

static enum status give(struct kafka_reader *r, struct kafka_rebalance *rb, struct error *err)
{
    r->epoch++;
    for (int i = 0; i < rb->list->cnt; i++) {
        take_queue(r, rb->list->elems[i].partition);
        rb->list->elems[i].offset = rb->start[i].offset;
        r->parts[rb->list->elems[i].partition].position = rb->start[i].offset;
    }
    if (rb->group && cooperative(r->rk))
        return kafka_error_take(err, rd_kafka_incremental_assign(r->rk, rb->list),
                                "kafka: taking partitions of '%s'", r->cfg.topic);
    rd_kafka_resp_err_t code = rd_kafka_assign(r->rk, rb->list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ST_OK;
    return kafka_error(err, code, NULL, "kafka: taking partitions of '%s'", r->cfg.topic);
}

static void answer_assign(struct kafka_reader *r, struct kafka_rebalance *rb)
{
    struct error err;
    enum status st = give(r, rb, &err);
    if (st != ST_OK)
        kafka_reader_fail(r, &err);
    else
        r->cfg.events.assigned(r->cfg.events.arg, rb->start, (size_t)rb->list->cnt, r->epoch);
}

/* What the partition queues still hold belongs to the fetch that ends here: librdkafka drops it by
 * its version when the partition comes back. */
static void answer_revoke(struct kafka_reader *r, struct kafka_rebalance *rb)
{
    for (int i = 0; i < rb->list->cnt; i++)
        drop_queue(r, rb->list->elems[i].partition);
    answer_quietly(r->rk, false, rb->list);
}

static void begin_revoke(struct kafka_reader *r, struct kafka_rebalance *rb)
{
    size_t n = (size_t)rb->list->cnt;
    int32_t *partitions = mem_array(n, sizeof *partitions);
    for (size_t i = 0; i < n; i++) {
        partitions[i] = rb->list->elems[i].partition;
        if (partitions[i] < r->part_count)
            r->parts[partitions[i]].leaving = true;
    }
    rb->phase = rb->lost || n == 0 ? PHASE_READY : PHASE_WAITING;
    if (rb->lost && n > 0)
        r->cfg.events.lost(r->cfg.events.arg, partitions, n);
    else if (n > 0)
        r->cfg.events.revoking(r->cfg.events.arg, partitions, n);
    if (rb->lost && r->writer != NULL)
        kafka_writer_lost(r->writer);
    mem_free(partitions);
}

static void begin(struct kafka_reader *r, struct kafka_rebalance *rb)
{
    if (!rb->assign) {
        begin_revoke(r, rb);
    } else if (rb->list->cnt == 0) {
        rb->phase = PHASE_READY;
    } else {
        rb->phase = PHASE_WAITING;
        rb->job = (struct job){.work = look_up_work, .done = look_up_done};
        runner_submit(r->runner, &rb->job);
    }
}

void kafka_rebalance_go_on(struct kafka_reader *r)
{
    if (r->polling) /* called from an event that we are just reporting */
        return;
    r->polling = true;
    while (r->first != NULL && !r->failed && !r->closing) {
        struct kafka_rebalance *rb = r->first;
        if (rb->phase == PHASE_NEW)
            begin(r, rb);
        if (rb->phase != PHASE_READY)
            break;
        if (r->writer != NULL && kafka_writer_busy(r->writer))
            break; /* it calls us again when the commit has ended */
        if (rb->assign)
            answer_assign(r, rb);
        else
            answer_revoke(r, rb);
        drop_first(r);
    }
    r->polling = false;
}

void kafka_reader_give_up(void *reader)
{
    struct kafka_reader *r = reader;
    struct kafka_rebalance *rb = r->first;
    if (rb == NULL || rb->assign || rb->phase != PHASE_WAITING)
        return;
    rb->phase = PHASE_READY;
    loop_timer_start(r->timer, 0); /* goes on from the loop: no event comes inside this call */
}

void kafka_rebalance_drop(struct kafka_reader *r)
{
    for (int32_t p = 0; p < r->part_count; p++)
        drop_queue(r, p);
    while (r->first != NULL) {
        if (r->first->group)
            answer_quietly(r->rk, r->first->assign, r->first->list);
        drop_first(r);
    }
}

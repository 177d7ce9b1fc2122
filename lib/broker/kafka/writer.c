/* The writer on the loop thread: fills a lane, hands it over, reports: see writer.h. */
#include "lib/broker/kafka/writer.h"

#include <stdio.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"

enum { SERVE_EVERY = 512, RETRY_MS = 1, RECORD_OVERHEAD = 100, HEADER_OVERHEAD = 10 };

static void report_failed(struct kafka_writer *w, const struct error *err)
{
    if (w->failed)
        return;
    w->failed = true;
    w->events.failed(w->events.arg, err);
}

static void unblock(struct kafka_writer *w)
{
    if (!w->blocked || w->failed)
        return;
    w->blocked = false;
    w->events.writable(w->events.arg);
}

/* --- jobs --- */

static void submit(struct kafka_writer *w, struct kafka_lane *lane, bool abort_only)
{
    struct kafka_commit *c = &w->commit;
    c->lane = lane;
    c->batch = &w->batches[w->number % 2];
    c->records = w->records;
    c->abort_only = abort_only;
    c->number = w->number;
    c->st = ST_OK;
    w->running = true;
    atomic_store(&w->flushed, !w->transactional && !abort_only);
    atomic_store(&w->awaiting, !w->transactional && lane != NULL);
    runner_submit(w->runner, &c->job);
}

/* The batch being filled is to abort, and everything from batch `first` on is to be reported. */
static void abort_filling(struct kafka_writer *w, uint64_t first, const struct error *why)
{
    struct kafka_lane *lane = w->transactional ? w->filling : &w->lanes[0];
    w->filling = NULL;
    w->doomed = false;
    w->aborted_from = first;
    w->abort_why = *why;
    submit(w, lane, true);
}

static void report_aborted(struct kafka_writer *w, uint64_t first, const struct error *why)
{
    w->number = first;
    w->doomed = false;
    w->blocked = false;
    w->events.aborted(w->events.arg, first, why);
}

static void after_commit(struct kafka_writer *w, struct kafka_commit *c)
{
    if (c->st == ST_OK) {
        w->events.committed(w->events.arg, c->number);
        if (w->doomed && !w->running && w->filling != NULL)
            abort_filling(w, w->number, &w->doom);
        w->doomed = w->doomed && w->filling != NULL;
    } else if (w->filling != NULL || !w->transactional) {
        /* the batch behind an aborted one aborts too; the only lane is made anew */
        struct error why = c->err;
        abort_filling(w, c->number, &why);
    } else {
        struct error why = c->err;
        report_aborted(w, c->number, &why);
    }
}

static void on_commit_done(struct job *job)
{
    struct kafka_commit *c = (struct kafka_commit *)job;
    struct kafka_writer *w = c->writer;
    if (c->positions != NULL)
        rd_kafka_topic_partition_list_destroy(c->positions);
    if (c->member != NULL)
        rd_kafka_consumer_group_metadata_destroy(c->member);
    c->positions = NULL;
    c->member = NULL;
    w->running = false;
    if (w->failed || atomic_load(&w->closing))
        return;
    if (c->st == ST_FATAL)
        report_failed(w, &c->err);
    else if (c->abort_only)
        report_aborted(w, w->aborted_from, &w->abort_why);
    else
        after_commit(w, c);
    unblock(w);
    if (w->reader != NULL && !w->running)
        kafka_rebalance_go_on(w->reader);
}

static void on_flushed(void *arg)
{
    unblock(arg);
}

static void serve_reports(struct kafka_writer *w)
{
    if (w->filling != NULL && !atomic_load_explicit(&w->awaiting, memory_order_acquire))
        rd_kafka_poll(w->filling->rk, 0);
}

static void on_retry(void *arg)
{
    serve_reports(arg);
    unblock(arg);
}

void kafka_writer_lost(struct kafka_writer *w)
{
    if (w->filling == NULL || w->failed || w->doomed)
        return;
    error_set(&w->doom, ST_ABORT, ERR_TEMPORARY, "kafka: a partition in this batch was lost");
    if (w->running)
        w->doomed = true;
    else
        abort_filling(w, w->number, &w->doom);
}

bool kafka_writer_busy(const struct kafka_writer *w)
{
    return w->running;
}

/* --- send --- */

static enum status block(struct kafka_writer *w)
{
    w->blocked = true;
    return ST_AGAIN;
}

static enum status check_size(const struct kafka_writer *w, const struct out *out,
                              struct error *err)
{
    size_t size = RECORD_OVERHEAD + out->key.n + out->value.n;
    int64_t limit = atomic_load_explicit(&w->limits[out->topic], memory_order_relaxed);
    for (size_t i = 0; i < out->header_count; i++)
        size += HEADER_OVERHEAD + out->headers[i].name.n + out->headers[i].value.n;
    if ((int64_t)size <= limit)
        return ST_OK;
    return error_reject(err, REASON_output_too_large,
                        "record of %zu bytes, but topic '%s' takes %lld (max.message.bytes)", size,
                        w->topics[out->topic], (long long)limit);
}

static rd_kafka_headers_t *make_headers(const struct kafka_writer *w, const struct out *out)
{
    if (out->header_count == 0 && !w->trace_txn)
        return NULL;
    rd_kafka_headers_t *list = rd_kafka_headers_new(out->header_count + 1);
    for (size_t i = 0; i < out->header_count; i++) {
        const struct header *h = &out->headers[i];
        rd_kafka_header_add(list, h->name.p, (ssize_t)h->name.n, h->value.p,
                            h->value.p == NULL ? -1 : (ssize_t)h->value.n);
    }
    if (w->trace_txn) {
        char text[48];
        int n = snprintf(text, sizeof text, "%s/%llu", w->start_id, (unsigned long long)w->txn);
        rd_kafka_header_add(list, "sluice-txn", -1, text, n);
    }
    return list;
}

static rd_kafka_resp_err_t produce(struct kafka_writer *w, const struct out *out)
{
    rd_kafka_headers_t *headers = make_headers(w, out);
    rd_kafka_vu_t vus[] = {
        {.vtype = RD_KAFKA_VTYPE_RKT, .u.rkt = w->filling->topics[out->topic]},
        {.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = out->partition},
        {.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY},
        {.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {(void *)out->value.p, out->value.n}},
        {.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {(void *)out->key.p, out->key.n}},
        {.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = out->timestamp_ms < 0 ? 0 : out->timestamp_ms},
        {.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = &w->batches[w->number % 2]},
        {.vtype = RD_KAFKA_VTYPE_HEADERS, .u.headers = headers},
    };
    size_t n = sizeof vus / sizeof *vus - (headers == NULL ? 1 : 0);
    rd_kafka_error_t *error = rd_kafka_produceva(w->filling->rk, vus, n);
    if (error == NULL)
        return RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (headers != NULL)
        rd_kafka_headers_destroy(headers); /* still ours after a failure */
    return code;
}

/* What produce() refuses. An error that is the batch's comes again at its commit, which aborts it:
 * the record counts as sent, and is sent again with the others. */
static enum status refused(struct kafka_writer *w, rd_kafka_resp_err_t code, const struct out *out,
                           struct error *err)
{
    int none = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        loop_timer_start(w->retry, RETRY_MS);
        return block(w);
    }
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        return error_reject(err, REASON_output_too_large,
                            "record of %zu bytes is larger than librdkafka's message.max.bytes",
                            out->value.n);
    if (code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        kafka_error(err, code, NULL, "kafka: writing to '%s'", w->topics[out->topic]);
        report_failed(w, err);
        return ST_FATAL;
    }
    atomic_compare_exchange_strong(&w->batches[w->number % 2].error, &none, (int)code);
    return ST_OK;
}

static enum status open_batch(struct kafka_writer *w, struct error *err)
{
    struct kafka_lane *lane = &w->lanes[w->next_lane];
    w->records = 0;
    atomic_store(&w->batches[w->number % 2].reported, 0);
    atomic_store(&w->batches[w->number % 2].error, RD_KAFKA_RESP_ERR_NO_ERROR);
    enum status st = kafka_lane_begin(w, lane, err);
    if (st != ST_OK) {
        report_failed(w, err);
        return ST_FATAL;
    }
    w->filling = lane;
    w->txn++;
    w->next_lane = (w->next_lane + 1) % w->lane_count;
    return ST_OK;
}

enum status kafka_writer_send(void *writer, const struct out *out, struct error *err)
{
    struct kafka_writer *w = writer;
    if (w->failed)
        return error_set(err, ST_FATAL, ERR_FAILED, "kafka: the writer has stopped");
    enum status st = check_size(w, out, err);
    if (st != ST_OK)
        return st;
    if (w->doomed || (w->running && !atomic_load_explicit(&w->flushed, memory_order_acquire)))
        return block(w);
    if (w->filling == NULL && (st = open_batch(w, err)) != ST_OK)
        return st;
    rd_kafka_resp_err_t code = produce(w, out);
    if (++w->sends % SERVE_EVERY == 0)
        serve_reports(w);
    POINT("kafka.produce", w->topics[out->topic], out->partition, (int64_t)w->number);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
        return refused(w, code, out, err);
    w->records++;
    return ST_OK;
}

/* --- commit --- */

bool kafka_writer_can_commit(const void *writer)
{
    const struct kafka_writer *w = writer;
    return !w->running && !w->failed;
}

static rd_kafka_topic_partition_list_t *list_of(const struct kafka_writer *w,
                                                const struct position *pos, size_t n)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_topic_partition_t *tp =
            rd_kafka_topic_partition_list_add(list, w->reader->cfg.topic, pos[i].partition);
        size_t size = pos[i].metadata == NULL ? 0 : strlen(pos[i].metadata);
        tp->offset = pos[i].offset;
        if (size > 0) { /* librdkafka frees it with free(3) */
            tp->metadata = mem_spandup(span_make(pos[i].metadata, size));
            tp->metadata_size = size;
        }
    }
    return list;
}

static enum status check_metadata(const struct position *pos, size_t n, struct error *err)
{
    for (size_t i = 0; i < n; i++)
        if (pos[i].metadata != NULL && strlen(pos[i].metadata) > POSITION_METADATA_MAX)
            return error_set(err, ST_FATAL, ERR_BUG,
                             "kafka: metadata of %zu bytes for partition %d",
                             strlen(pos[i].metadata), (int)pos[i].partition);
    return ST_OK;
}

enum status kafka_writer_commit(void *writer, const struct position *pos, size_t n,
                                uint64_t *ret_number, struct error *err)
{
    struct kafka_writer *w = writer;
    struct kafka_commit *c = &w->commit;
    if (w->failed)
        return error_set(err, ST_FATAL, ERR_FAILED, "kafka: the writer has stopped");
    if (w->running)
        return block(w);
    enum status st = check_metadata(pos, n, err);
    if (st == ST_OK && w->transactional && w->filling == NULL)
        st = open_batch(w, err);
    if (st != ST_OK)
        return st;
    *ret_number = w->number;
    struct kafka_lane *lane = w->filling;
    w->filling = NULL;
    if (n > 0 && w->transactional && kafka_reader_member(w->reader, &c->member, &c->err) != ST_OK) {
        w->aborted_from = w->number; /* no place in the group: this batch cannot be committed */
        w->abort_why = c->err;
        submit(w, lane, true);
        w->number++;
        return ST_OK;
    }
    c->positions = n == 0 ? NULL : list_of(w, pos, n);
    submit(w, lane, false);
    w->number++;
    return ST_OK;
}

bool kafka_writer_idle(const void *writer)
{
    return !((const struct kafka_writer *)writer)->running;
}

int32_t kafka_writer_partitions(const void *writer, int topic)
{
    return ((const struct kafka_writer *)writer)->partitions[topic];
}

/* --- open and close --- */

static enum status open_topic(struct kafka_writer *w, const char *topic, struct error *err)
{
    size_t i = w->topic_count++;
    int64_t limit = 0;
    w->topics[i] = mem_strdup(topic);
    enum status st = kafka_partitions(w->kafka, topic, &w->partitions[i], err);
    if (st == ST_OK && w->partitions[i] == 0)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "kafka %s has no topic '%s'; make it first",
                       w->kafka->servers, topic);
    if (st == ST_OK)
        st = kafka_topic_limit(w->kafka, topic, &limit, err);
    atomic_store(&w->limits[i], limit);
    return st;
}

/* As librdkafka has them: the user's -X may have changed them. That a transaction's time-out is
 * below session.timeout.ms was checked when the broker was opened (kafka_conf_check). */
static enum status read_times(struct kafka_writer *w, struct error *err)
{
    rd_kafka_conf_t *conf = NULL;
    enum status st = kafka_conf_new(w->kafka, KAFKA_PRODUCER, &conf, err);
    if (st != ST_OK)
        return st;
    w->transaction_timeout_ms = kafka_conf_number(conf, "transaction.timeout.ms", 10000);
    w->check_every_ms = kafka_conf_number(conf, "topic.metadata.refresh.interval.ms", 30000);
    rd_kafka_conf_destroy(conf);
    return ST_OK;
}

static void make_start_id(struct kafka_writer *w)
{
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        number = (uint64_t)clock_mono_ns();
    snprintf(w->start_id, sizeof w->start_id, "%016llx", (unsigned long long)number);
}

static void set_up(struct kafka_writer *w, struct kafka *kafka, struct kafka_reader *reader,
                   const struct writer_config *cfg)
{
    w->kafka = kafka;
    w->reader = reader;
    w->loop = cfg->loop;
    w->events = cfg->events;
    /* A writer that commits no positions has nothing to make one step with its outputs. */
    w->transactional = cfg->delivery == EXACTLY_ONCE && reader != NULL;
    w->id = mem_printf("sluice.%s.%s.%d", cfg->group, cfg->instance, cfg->worker);
    w->trace_txn = kafka->opt->trace_txn;
    w->gather = cfg->gather;
    w->lane_count = w->transactional ? LANES : 1;
    w->checked_ms = clock_mono_ms();
    w->commit.writer = w;
    w->commit.job = (struct job){.work = kafka_commit_work, .done = on_commit_done};
    make_start_id(w);
    for (int i = 0; i < LANES; i++)
        w->lanes[i].number = i;
}

enum status kafka_writer_open(void *writer, void *ctx, void *reader,
                              const struct writer_config *cfg, struct error *err)
{
    struct kafka_writer *w = writer;
    set_up(w, ctx, reader, cfg);
    enum status st = read_times(w, err);
    for (size_t i = 0; st == ST_OK && i < cfg->topic_count; i++)
        st = open_topic(w, cfg->topics[i], err);
    for (int i = 0; st == ST_OK && i < w->lane_count; i++)
        st = kafka_lane_open(w, &w->lanes[i], err);
    if (st != ST_OK)
        return st;
    w->flushed_bell = loop_bell_new(w->loop, on_flushed, w);
    w->retry = loop_timer_new(w->loop, on_retry, w);
    w->runner = runner_start(w->loop, "kafka-commit");
    if (w->reader != NULL)
        kafka_reader_attach(w->reader, w);
    return ST_OK;
}

/* A transaction that is still open is ended by us, or else by its successor or its time-out. */
static void end_open_batch(struct kafka_writer *w)
{
    if (w->filling == NULL || !w->transactional || w->failed)
        return;
    rd_kafka_error_t *error = rd_kafka_abort_transaction(w->filling->rk, 2000);
    if (error != NULL)
        rd_kafka_error_destroy(error);
}

void kafka_writer_close(void *writer)
{
    struct kafka_writer *w = writer;
    atomic_store(&w->closing, true);
    runner_stop(w->runner);
    if (w->reader != NULL)
        kafka_reader_attach(w->reader, NULL);
    end_open_batch(w);
    for (int i = 0; i < LANES; i++)
        kafka_lane_close(&w->lanes[i]);
    loop_bell_free(w->flushed_bell);
    loop_timer_free(w->retry);
    for (size_t i = 0; i < w->topic_count; i++)
        mem_free(w->topics[i]);
    mem_free(w->id);
}

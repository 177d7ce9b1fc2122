/* What blocks: making a producer, and ending a transaction. Everything but kafka_lane_begin runs on
 * the writer's runner (or at open, before the loop runs).
 *
 * Exactly once (KIP-98, KIP-447): begin, produce …, flush, send_offsets with the group's metadata,
 * commit. The broker fences a producer by its epoch and the group by its generation.
 * At least once: produce …, await the reports of the batch, commit the offsets. */
#include <assert.h>
#include <stdio.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/broker/kafka/writer.h"

enum {
    GATHER_MS = 20,
    GATHER_SLICE_MS = 5,
    FLUSH_SLICE_MS = 100,
    CALL_MS = 10000,
    AGAIN_MS = 20,
    REFENCE_WINDOW_MS = 300000,
    FEW_RECORDS = 1000,
    REFUSALS_MAX = 5
};

/* --- lanes --- */

/* Registered even where nobody looks: without a delivery report callback rd_kafka_flush, also the
 * one inside a commit, waits in steps of 10 ms. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque)
{
    UNUSED(rk);
    UNUSED(opaque);
    struct kafka_batch *batch = msg->_private;
    int none = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (msg->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        atomic_compare_exchange_strong(&batch->error, &none, (int)msg->err);
    atomic_fetch_add_explicit(&batch->reported, 1, memory_order_release);
}

static void on_error(rd_kafka_t *rk, int code, const char *text, void *opaque)
{
    UNUSED(rk);
    UNUSED(opaque);
    log_line(LOG_DEBUG, "kafka", "producer: %s: %s", rd_kafka_err2name((rd_kafka_resp_err_t)code),
             text);
}

static enum status set_number(rd_kafka_conf_t *conf, const char *name, int64_t v, struct error *err)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    return kafka_conf_set(conf, name, text, err);
}

/* Batches stay below the smallest limit of our topics, so that only a single record can be too
 * large, and that one is refused before it is sent. */
static enum status set_limits(struct kafka_writer *w, rd_kafka_conf_t *conf, struct error *err)
{
    int64_t low = 1000000, high = 1000000;
    for (size_t i = 0; i < w->topic_count; i++) {
        int64_t limit = atomic_load(&w->limits[i]);
        low = limit < low ? limit : low;
        high = limit > high ? limit : high;
    }
    enum status st = set_number(conf, "batch.size", low, err);
    if (st == ST_OK)
        st = set_number(conf, "message.max.bytes", high < 1000 ? 1000 : high, err);
    return st;
}

static enum status lane_conf(struct kafka_writer *w, struct kafka_lane *lane, rd_kafka_conf_t **ret,
                             struct error *err)
{
    char id[300];
    rd_kafka_conf_t *conf;
    enum kafka_role role = w->reader == NULL ? KAFKA_FEEDER : KAFKA_PRODUCER;
    enum status st = kafka_conf_new(w->kafka, role, &conf, err);
    if (st != ST_OK)
        return st;
    st = set_limits(w, conf, err);
    if (st == ST_OK &&
        w->gather) /* a flush does not wait so long; but not each record is a request */
        st = set_number(conf, "linger.ms", GATHER_MS, err);
    /* A record that timed out may have arrived all the same, and would come twice when its batch is
     * sent again: it is tried until the broker time-out ends everything. In a transaction the
     * transaction's time-out holds. */
    if (st == ST_OK && !w->transactional)
        st = kafka_conf_set(conf, "message.timeout.ms", "0", err);
    if (st == ST_OK && w->transactional) {
        snprintf(id, sizeof id, "%s.%d", w->id, lane->number);
        st = kafka_conf_set(conf, "transactional.id", id, err);
    }
    if (st != ST_OK) {
        rd_kafka_conf_destroy(conf);
        return st;
    }
    rd_kafka_conf_set_opaque(conf, lane);
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    rd_kafka_conf_set_error_cb(conf, on_error);
    *ret = conf;
    return ST_OK;
}

struct opening {
    struct kafka_writer *w;
    struct kafka_lane *lane;
};

static enum status try_open(void *arg, struct error *err)
{
    struct opening *o = arg;
    struct kafka_lane *lane = o->lane;
    for (size_t i = 0; i < o->w->topic_count; i++) {
        const struct rd_kafka_metadata *md = NULL;
        rd_kafka_resp_err_t code = rd_kafka_metadata(lane->rk, 0, lane->topics[i], &md, CALL_MS);
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR)
            return kafka_error(err, code, NULL, "kafka: metadata of topic '%s'", o->w->topics[i]);
        rd_kafka_metadata_destroy(md);
    }
    if (!o->w->transactional)
        return ST_OK;
    rd_kafka_error_t *error = rd_kafka_init_transactions(lane->rk, CALL_MS);
    if (error != NULL && rd_kafka_error_is_retriable(error)) {
        kafka_error_take(err, error, "kafka: transactional id '%s.%d'", o->w->id, lane->number);
        return ST_RETRY;
    }
    return kafka_error_take(err, error, "kafka: transactional id '%s.%d'", o->w->id, lane->number);
}

enum status kafka_lane_open(struct kafka_writer *w, struct kafka_lane *lane, struct error *err)
{
    rd_kafka_conf_t *conf;
    enum status st = lane_conf(w, lane, &conf, err);
    if (st == ST_OK)
        st = kafka_client_new(RD_KAFKA_PRODUCER, conf, &lane->rk, err);
    if (st != ST_OK)
        return st;
    for (size_t i = 0; i < w->topic_count; i++)
        lane->topics[i] = rd_kafka_topic_new(lane->rk, w->topics[i], NULL);
    lane->begun = false;
    lane->stale = false;
    struct opening o = {w, lane};
    return kafka_retry(w->kafka, try_open, &o, err);
}

void kafka_lane_close(struct kafka_lane *lane)
{
    if (lane->rk == NULL)
        return;
    rd_kafka_purge(lane->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(lane->rk, FLUSH_SLICE_MS);
    for (size_t i = 0; i < WRITER_TOPICS_MAX; i++) {
        if (lane->topics[i] != NULL)
            rd_kafka_topic_destroy(lane->topics[i]);
        lane->topics[i] = NULL;
    }
    rd_kafka_destroy(lane->rk);
    lane->rk = NULL;
}

/* A jump of the wall clock can end a wait inside librdkafka, and its commit return before the last
 * step, from "committed" to "ready", was taken: seen on 2.0.2. Calling it again takes that step;
 * there is nothing in this lane that it could commit. */
static rd_kafka_error_t *begin_after_all(struct kafka_lane *lane, rd_kafka_error_t *error)
{
    if (error == NULL || rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__STATE)
        return error;
    rd_kafka_error_t *why = rd_kafka_commit_transaction(lane->rk, CALL_MS);
    if (why != NULL) {
        rd_kafka_error_destroy(why);
        return error;
    }
    rd_kafka_error_destroy(error);
    return rd_kafka_begin_transaction(lane->rk);
}

enum status kafka_lane_begin(struct kafka_writer *w, struct kafka_lane *lane, struct error *err)
{
    POINT("kafka.txn.begin", w->topic_count > 0 ? w->topics[0] : "", -1, (int64_t)w->number);
    if (!w->transactional)
        return ST_OK;
    enum status st =
        kafka_error_take(err, begin_after_all(lane, rd_kafka_begin_transaction(lane->rk)),
                         "kafka: beginning a transaction");
    if (st != ST_OK)
        return st;
    lane->begun = true;
    lane->begun_ms = clock_boot_ms();
    POINT("kafka.txn.begun", w->topic_count > 0 ? w->topics[0] : "", -1, (int64_t)w->number);
    return ST_OK;
}

/* --- fenced --- */

/* The coordinator ends a transaction that is open for longer than its time-out and raises the
 * epoch: that looks like another instance, but it was ourselves (a stopped machine, a long pause).
 * Only then a new producer is made, and only so often: two processes of one name must not take
 * turns. */
static bool was_our_own_timeout(struct kafka_writer *w, const struct kafka_lane *lane)
{
    int64_t now = clock_boot_ms();
    if (!lane->begun || now - lane->begun_ms < w->transaction_timeout_ms)
        return false;
    if (w->refenced_ms[0] > 0 && now - w->refenced_ms[0] < REFENCE_WINDOW_MS)
        return false;
    for (int i = 0; i + 1 < REFENCES_MAX; i++)
        w->refenced_ms[i] = w->refenced_ms[i + 1];
    w->refenced_ms[REFENCES_MAX - 1] = now;
    return true;
}

static enum status renew(struct kafka_writer *w, struct kafka_lane *lane, struct error *err)
{
    kafka_lane_close(lane);
    enum status st = kafka_lane_open(w, lane, err);
    return st == ST_OK ? ST_ABORT : st;
}

/* After a fatal error of the producer. */
static enum status after_fatal(struct kafka_commit *c)
{
    struct kafka_writer *w = c->writer;
    if (c->err.kind != ERR_FENCED || !was_our_own_timeout(w, c->lane))
        return ST_FATAL;
    struct error why = c->err;
    enum status st = renew(w, c->lane, &c->err);
    if (st == ST_ABORT) {
        c->err = why;
        error_prefix(&c->err, "our transaction was open for longer than its time-out");
    }
    return st;
}

/* --- ends of a transaction --- */

/* What was sent without a transaction cannot be taken back: what arrives is repeated. It gets time
 * to arrive before a new producer repeats it, so that the order of the last ones stays. */
static enum status renew_after_flush(struct kafka_commit *c)
{
    struct kafka_writer *w = c->writer;
    int64_t deadline_ms = clock_mono_ms() + CALL_MS;
    while (rd_kafka_flush(c->lane->rk, FLUSH_SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR &&
           clock_mono_ms() < deadline_ms && !atomic_load(&w->closing))
        continue;
    return atomic_load(&w->closing) ? ST_ABORT : renew(w, c->lane, &c->err);
}

static enum status abort_lane(struct kafka_commit *c)
{
    struct kafka_lane *lane = c->lane;
    struct error err;
    POINT("kafka.txn.abort", "", -1, (int64_t)c->number);
    if (lane == NULL || !lane->begun)
        return ST_ABORT;
    enum status st = ST_OK;
    for (int64_t deadline = clock_mono_ms() + c->writer->kafka->timeout_ms;;) {
        rd_kafka_error_t *error = rd_kafka_abort_transaction(lane->rk, CALL_MS);
        bool again = error != NULL && rd_kafka_error_is_retriable(error);
        bool fatal = error != NULL && rd_kafka_error_is_fatal(error);
        bool gone =
            error != NULL && rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_INVALID_TXN_STATE;
        st = kafka_error_take(&err, error, "kafka: aborting a transaction");
        if (st == ST_OK)
            break;
        if (gone) /* the coordinator has aborted it already: its time-out, while it was away */
            return renew(c->writer, lane, &c->err);
        if (fatal || !again || clock_mono_ms() > deadline || atomic_load(&c->writer->closing)) {
            c->err = err;
            return after_fatal(c);
        }
    }
    lane->begun = false;
    return ST_ABORT;
}

/* A batch that a topic's limit refused: the limit was lowered since the lanes were made. It is read
 * anew, so that the next writer_send refuses a record that alone is too large; lanes are made anew,
 * so that batches stay below it. */
static void learn_limits(struct kafka_writer *w)
{
    struct error err;
    bool changed = false;
    for (size_t i = 0; i < w->topic_count; i++) {
        int64_t limit;
        if (kafka_topic_limit(w->kafka, w->topics[i], &limit, &err) == ST_OK)
            changed |= atomic_exchange(&w->limits[i], limit) != limit;
    }
    for (int i = 0; changed && i < w->lane_count; i++)
        w->lanes[i].stale = true;
    w->refusals = changed ? 0 : w->refusals + 1;
}

/* What is refused again and again although it is below the limits cannot be mended here. */
static enum status give_up_refused(struct kafka_commit *c)
{
    if (c->writer->refusals < REFUSALS_MAX)
        return c->st;
    error_set(&c->err, ST_FATAL, ERR_CONFIG,
              "kafka: records for '%s' are refused as too large, and its max.message.bytes cannot "
              "be read, or is not what the brokers hold to: allow DESCRIBE_CONFIGS on the output "
              "topics, or raise their limit to 1 MiB and more",
              c->writer->topics[0]);
    return ST_FATAL;
}

/* Aborts because of c->err. A right that is missing does not come back by sending again. */
static enum status abort_or_end(struct kafka_commit *c)
{
    enum status st = abort_lane(c);
    return st == ST_ABORT && c->err.kind == ERR_AUTH ? ST_FATAL : st;
}

/* Sorts a transactional error: again, abort, or the end. NULL is ST_OK. */
static enum status sort_error(struct kafka_commit *c, rd_kafka_error_t *error, const char *what)
{
    if (error == NULL)
        return ST_OK;
    bool again = rd_kafka_error_is_retriable(error);
    bool abort = rd_kafka_error_txn_requires_abort(error);
    bool fatal = rd_kafka_error_is_fatal(error);
    if (rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        learn_limits(c->writer);
    kafka_error_take(&c->err, error, "kafka: %s", what);
    if (abort)
        return abort_or_end(c);
    if (fatal)
        return after_fatal(c);
    return again ? ST_RETRY : abort_or_end(c);
}

static enum status give_up_retrying(struct kafka_commit *c)
{
    c->err.kind = ERR_UNAVAILABLE;
    return ST_FATAL;
}

/* ST_FATAL: a topic of ours was deleted. ST_RETRY: the broker cannot be asked. */
static enum status check_topics(struct kafka_writer *w, struct error *err)
{
    for (size_t i = 0; i < w->topic_count; i++) {
        int32_t now = 0;
        if (kafka_partitions(w->kafka, w->topics[i], &now, err) != ST_OK)
            return ST_RETRY;
        if (now == 0)
            return error_set(err, ST_FATAL, ERR_CONFIG, "kafka: topic '%s' was deleted",
                             w->topics[i]);
    }
    return ST_OK;
}

/* What is written to a topic that was deleted, or deleted and made anew, may stay in librdkafka's
 * queue for ever: when a transaction is older than it may be, and the broker can be asked, it is
 * given up. While the broker is away there is nothing to do but wait. */
static enum status flush(struct kafka_commit *c)
{
    struct kafka_writer *w = c->writer;
    enum status st = ST_OK;
    int64_t look_ms = clock_mono_ms() + w->transaction_timeout_ms;
    while (st == ST_OK &&
           rd_kafka_flush(c->lane->rk, FLUSH_SLICE_MS) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (atomic_load(&w->closing))
            break;
        if (!w->transactional || clock_mono_ms() < look_ms)
            continue;
        st = check_topics(w, &c->err);
        if (st == ST_OK)
            st = error_set(&c->err, ST_ABORT, ERR_TEMPORARY,
                           "kafka: records could not be sent within the transaction time-out");
        else if (st == ST_RETRY)
            st = ST_OK;
        look_ms = clock_mono_ms() + w->transaction_timeout_ms;
    }
    atomic_store(&w->flushed, true);
    loop_bell_ring(w->flushed_bell);
    return st;
}

/* The first error that a delivery report of the batch told: then it aborts. */
static bool delivery_failed(struct kafka_commit *c)
{
    int code = atomic_load(&c->batch->error);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return false;
    if (code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE)
        learn_limits(c->writer);
    kafka_error(&c->err, (rd_kafka_resp_err_t)code, NULL, "kafka: delivery");
    return true;
}

static enum status send_offsets(struct kafka_commit *c, int64_t deadline_ms)
{
    enum status st = ST_OK;
    assert(c->lane != NULL);
    do {
        POINT("kafka.txn.offsets", "", -1, (int64_t)c->number);
        st = sort_error(
            c, rd_kafka_send_offsets_to_transaction(c->lane->rk, c->positions, c->member, CALL_MS),
            "positions of a transaction");
        if (st == ST_RETRY && (clock_mono_ms() > deadline_ms || atomic_load(&c->writer->closing)))
            return give_up_retrying(c);
    } while (st == ST_RETRY);
    return st;
}

/* Whatever neither asks for an abort nor is fatal is tried again: the transaction may be committed
 * already, when a jump of the wall clock has ended a wait of librdkafka, and then must not be sent
 * again. */
static enum status commit_once(struct kafka_commit *c)
{
    static const char what[] = "committing a transaction";
    rd_kafka_error_t *error = rd_kafka_commit_transaction(c->lane->rk, CALL_MS);
    if (error == NULL || rd_kafka_error_is_fatal(error) || rd_kafka_error_txn_requires_abort(error))
        return sort_error(c, error, what);
    if (!rd_kafka_error_is_retriable(error)) /* it has not waited itself */
        nanosleep(&(struct timespec){.tv_nsec = AGAIN_MS * 1000000L}, NULL);
    kafka_error_take(&c->err, error, "kafka: %s", what);
    return ST_RETRY;
}

static enum status end_transaction(struct kafka_commit *c, int64_t deadline_ms)
{
    enum status st = ST_OK;
    assert(c->lane != NULL); /* a transaction has one */
    if (delivery_failed(c))
        return abort_or_end(c);
    if (POINT_FAILS("kafka.txn")) {
        error_set(&c->err, ST_ABORT, ERR_TEMPORARY, "kafka: a fault was injected");
        return abort_lane(c);
    }
    while (st == ST_OK) {
        POINT("kafka.txn.commit", "", -1, (int64_t)c->number);
        st = commit_once(c);
        if (st != ST_RETRY)
            break;
        if (clock_mono_ms() > deadline_ms || atomic_load(&c->writer->closing))
            return give_up_retrying(c);
        st = ST_OK;
    }
    if (st == ST_OK)
        c->lane->begun = false;
    POINT("kafka.txn.committed", "", -1, (int64_t)c->number);
    return st;
}

static enum status flush_or_abort(struct kafka_commit *c)
{
    enum status st = flush(c);
    return st == ST_ABORT ? abort_lane(c) : st;
}

/* Positions may go before the last records are delivered: what fails aborts both. With few records
 * the two then share their way to the broker; with many the next lane waits for the flush. */
static enum status commit_transaction(struct kafka_commit *c)
{
    int64_t deadline_ms = clock_mono_ms() + c->writer->kafka->timeout_ms;
    bool few = c->records <= FEW_RECORDS;
    enum status st = ST_OK;
    if (!few)
        st = flush_or_abort(c);
    if (st != ST_OK)
        return st;
    if (c->positions != NULL)
        st = send_offsets(c, deadline_ms);
    if (few && st == ST_OK)
        st = flush_or_abort(c);
    return st == ST_OK ? end_transaction(c, deadline_ms) : st;
}

/* Until every record of the batch is reported. Those of the next one go out meanwhile, so a flush
 * might never end; the time-out runs from the last report. */
static enum status await_reports(struct kafka_commit *c)
{
    struct kafka_writer *w = c->writer;
    uint64_t seen = 0, now;
    int64_t deadline_ms = clock_mono_ms() + w->kafka->timeout_ms;
    while ((now = atomic_load_explicit(&c->batch->reported, memory_order_acquire)) < c->records) {
        if (now != seen)
            deadline_ms = clock_mono_ms() + w->kafka->timeout_ms;
        seen = now;
        if (atomic_load(&w->closing))
            return ST_ABORT; /* nobody is told any more */
        if (clock_mono_ms() > deadline_ms)
            return error_set(&c->err, ST_FATAL, ERR_UNAVAILABLE,
                             "kafka %s: %llu records were not acknowledged within %lld ms",
                             w->kafka->servers, (unsigned long long)(c->records - now),
                             (long long)w->kafka->timeout_ms);
        if (w->gather) /* a flush ends the gathering */
            rd_kafka_flush(c->lane->rk, GATHER_SLICE_MS);
        else
            rd_kafka_poll(c->lane->rk, FLUSH_SLICE_MS);
    }
    return ST_OK;
}

static enum status commit_offsets(struct kafka_commit *c)
{
    int64_t deadline_ms = clock_mono_ms() + c->writer->kafka->timeout_ms;
    for (;;) {
        rd_kafka_resp_err_t code = rd_kafka_commit(c->writer->reader->rk, c->positions, 0);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
            return ST_OK;
        enum status st = kafka_error(&c->err, code, NULL, "kafka: committing positions");
        if (st != ST_RETRY)
            return st;
        if (clock_mono_ms() > deadline_ms || atomic_load(&c->writer->closing))
            return give_up_retrying(c);
    }
}

/* Keys would find other partitions after a change: outputs of one input partition must not be
 * spread, so a change stops by name. */
static enum status check_partitions(struct kafka_writer *w, struct error *err)
{
    if (clock_mono_ms() - w->checked_ms < w->check_every_ms)
        return ST_OK;
    w->checked_ms = clock_mono_ms();
    for (size_t i = 0; i < w->topic_count; i++) {
        int32_t now = 0;
        if (kafka_partitions(w->kafka, w->topics[i], &now, err) == ST_OK && now > 0 &&
            now != w->partitions[i])
            return error_set(
                err, ST_FATAL, ERR_TEMPORARY,
                "kafka: topic '%s' had %d partitions at start and has %d now: start again",
                w->topics[i], (int)w->partitions[i], (int)now);
    }
    return ST_OK;
}

/* Limits that have changed become those of a lane when nothing of it is open. */
static enum status renew_stale(struct kafka_commit *c)
{
    if (c->lane == NULL || !c->lane->stale || c->lane->begun || c->st == ST_FATAL)
        return c->st;
    struct error err;
    if (renew(c->writer, c->lane, &err) != ST_FATAL)
        return c->st;
    c->err = err;
    return ST_FATAL;
}

static enum status work_on_transaction(struct kafka_commit *c)
{
    c->st = c->abort_only ? abort_lane(c) : commit_transaction(c);
    return renew_stale(c);
}

static enum status work_on_batch(struct kafka_commit *c)
{
    enum status st = ST_OK;
    if (c->abort_only)
        return renew_after_flush(c);
    if (c->lane != NULL) {
        st = await_reports(c);
        atomic_store_explicit(&c->writer->awaiting, false, memory_order_release);
        if (st == ST_OK && delivery_failed(c))
            return ST_ABORT; /* the loop asks for the abort: it fills the same lane */
    }
    return st == ST_OK && c->positions != NULL ? commit_offsets(c) : st;
}

/* An error that says little, such as INVALID_TXN_STATE, may come from a topic that is gone. */
static void name_deleted(struct kafka_commit *c)
{
    struct error err;
    if (check_topics(c->writer, &err) == ST_FATAL)
        c->err = err;
}

void kafka_commit_work(struct job *job)
{
    struct kafka_commit *c = (struct kafka_commit *)job;
    struct kafka_writer *w = c->writer;
    c->st = w->transactional ? work_on_transaction(c) : work_on_batch(c);
    if (c->st == ST_OK && !c->abort_only) {
        w->refusals = 0;
        c->st = check_partitions(w, &c->err);
    }
    if (c->st == ST_ABORT)
        c->st = give_up_refused(c);
    else if (c->st == ST_FATAL && c->err.kind != ERR_FENCED && c->err.kind != ERR_UNAVAILABLE)
        name_deleted(c);
}

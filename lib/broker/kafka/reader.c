/* Records of one topic on a loop.
 *
 * Each partition has a queue of its own, taken off the consumer's main queue before the assignment
 * is answered, and is read only when the stage asks: a full window of one partition holds nothing
 * up and nothing has to be paused or sought (both lose the place in librdkafka under rebalances).
 * The main queue, which carries rebalances and errors, is polled at every event and every 100 ms:
 * a member that is idle would else leave the group at max.poll.interval.ms.
 *
 * All queues write to one eventfd. librdkafka writes once per period in which a queue is not read,
 * so a queue must be read until it is empty before it can wake the loop again. */
#include "lib/broker/kafka/reader.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/broker/kafka/writer.h"

enum { TICK_MS = 100, LITTLE_ROOM = 1 << 20, PROBE_EVERY_MS = 500 };

/* Half of queued.min.messages, a quarter of queued.max.messages.kbytes (conf.c). */
enum { WAKE_RECORDS = 5000, WAKE_BYTES = 4 << 20, WAKE_WAIT_MS = 500 };

void kafka_reader_fail(struct kafka_reader *r, const struct error *err)
{
    if (r->failed || r->closing)
        return;
    r->failed = true;
    r->cfg.events.failed(r->cfg.events.arg, err);
}

/* --- connection --- */

static void report_down(struct kafka_reader *r, const struct error *err)
{
    if (r->down)
        return;
    r->down = true;
    r->down_why = *err;
    r->down_ms = clock_mono_ms();
    r->probe_ms = 0;
    r->cfg.events.connection(r->cfg.events.arg, false, err);
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    UNUSED(rk);
    struct kafka_reader *r = opaque;
    struct error err;
    log_line(LOG_DEBUG, "kafka", "reader: %s (%s)", reason,
             rd_kafka_err2name((rd_kafka_resp_err_t)code));
    if (code == RD_KAFKA_RESP_ERR__FATAL) {
        char text[200];
        code = rd_kafka_fatal_error(r->rk, text, sizeof text);
        UNUSED(kafka_error(&err, (rd_kafka_resp_err_t)code, text, "kafka"));
        kafka_reader_fail(r, &err);
        return;
    }
    enum status st =
        kafka_error(&err, (rd_kafka_resp_err_t)code, reason, "kafka %s", r->kafka->servers);
    if (err.kind == ERR_AUTH && st == ST_FATAL)
        kafka_reader_fail(r, &err);
    else if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN)
        report_down(r, &err);
    else if (code == RD_KAFKA_RESP_ERR__TRANSPORT)
        r->doubt = true;
}

static void probe_work(struct job *job)
{
    struct kafka_probe *probe = (struct kafka_probe *)job;
    const struct rd_kafka_metadata *md = NULL;
    struct kafka_reader *r = probe->reader;
    if (kafka_metadata(r->rk, r->cfg.topic, 2000, &md, &probe->err) == ST_OK) {
        atomic_store(&probe->up, true);
        rd_kafka_metadata_destroy(md);
    }
}

static void probe_done(struct job *job)
{
    struct kafka_probe *probe = (struct kafka_probe *)job;
    struct kafka_reader *r = probe->reader;
    bool up = atomic_load(&probe->up), was_down = r->down;
    probe->running = false;
    if (r->closing)
        return;
    if (!up) {
        report_down(r, &probe->err);
        return;
    }
    r->down = r->doubt = false;
    if (was_down)
        r->cfg.events.connection(r->cfg.events.arg, true, NULL);
}

/* librdkafka tells when all brokers are down, unless it has not used one of them for a while, but
 * not when one is back. A reader that has nothing to commit would else wait for ever. */
static void probe_connection(struct kafka_reader *r)
{
    int64_t now_ms = clock_mono_ms();
    if (r->down && now_ms - r->down_ms > r->kafka->timeout_ms) {
        r->down_why.kind = ERR_UNAVAILABLE;
        error_prefix(&r->down_why, "the broker was away for longer than --broker-timeout");
        kafka_reader_fail(r, &r->down_why);
        r->down = false;
    }
    if (!(r->down || r->doubt) || r->probe.running || now_ms < r->probe_ms)
        return;
    r->probe_ms = now_ms + PROBE_EVERY_MS;
    r->probe.running = true;
    r->probe.reader = r;
    r->probe.up = false;
    r->probe.job = (struct job){.work = probe_work, .done = probe_done};
    runner_submit(r->runner, &r->probe.job);
}

/* --- main queue --- */

/* After a topic was deleted rd_kafka_destroy may wait for ever for a broker thread that a partition
 * still refers to (librdkafka issues 3007, 3470, 4362). This reader has failed then, for good. */
static void note_topic_gone(struct kafka_reader *r, rd_kafka_resp_err_t code)
{
    r->topic_gone |= code == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
                     code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
                     code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
}

/* Errors of the consumer come as messages. A message with a record must not be here: all partition
 * queues are taken off before they are assigned. */
static void take_main(struct kafka_reader *r, const rd_kafka_message_t *msg)
{
    struct error err;
    note_topic_gone(r, msg->err);
    if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        error_set(&err, ST_FATAL, ERR_BUG, "kafka: record %s/%d/%lld came by the main queue",
                  r->cfg.topic, (int)msg->partition, (long long)msg->offset);
        kafka_reader_fail(r, &err);
        return;
    }
    if (msg->err == RD_KAFKA_RESP_ERR__PARTITION_EOF ||
        msg->err == RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED)
        return; /* a rebalance with lost partitions follows the latter */
    enum status st = kafka_error(&err, msg->err, rd_kafka_message_errstr(msg),
                                 "kafka: reading topic '%s'", r->cfg.topic);
    bool group_only = msg->err == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED;
    log_line(LOG_DEBUG, "kafka", "%s", err.text);
    if (st == ST_FATAL && !(group_only && r->cfg.group == NULL))
        kafka_reader_fail(r, &err);
}

static void poll_main(struct kafka_reader *r)
{
    if (r->closing)
        return;
    rd_kafka_message_t *msg;
    while ((msg = rd_kafka_consumer_poll(r->rk, 0)) != NULL) {
        take_main(r, msg);
        rd_kafka_message_destroy(msg);
    }
    kafka_rebalance_go_on(r);
}

static void on_event(void *arg, int events)
{
    UNUSED(events);
    struct kafka_reader *r = arg;
    uint64_t count;
    while (read(r->event_fd, &count, sizeof count) == (ssize_t)sizeof count)
        continue;
    poll_main(r);
    if (!r->failed)
        r->cfg.events.readable(r->cfg.events.arg);
}

static void on_tick(void *arg)
{
    struct kafka_reader *r = arg;
    loop_timer_start(r->timer, TICK_MS);
    poll_main(r);
    probe_connection(r);
}

/* --- records --- */

/* Headers are parsed by librdkafka when they are first asked for. The array is the record's own,
 * and goes with it in reader_release; the bytes belong to the message (whose _private is
 * librdkafka's). */
static void take_headers(rd_kafka_message_t *msg, struct record *rec)
{
    rd_kafka_headers_t *list;
    rec->headers = NULL;
    rec->header_count = 0;
    if (rd_kafka_message_headers(msg, &list) != RD_KAFKA_RESP_ERR_NO_ERROR)
        return;
    size_t n = rd_kafka_header_cnt(list);
    if (n == 0)
        return;
    struct header *headers = mem_array(n, sizeof *headers);
    for (size_t i = 0; i < n; i++) {
        const char *name;
        const void *value;
        size_t size;
        if (rd_kafka_header_get_all(list, i, &name, &value, &size) != RD_KAFKA_RESP_ERR_NO_ERROR)
            break;
        headers[i] = (struct header){span_of(name), span_make(value, size)};
        rec->header_count++;
    }
    rec->headers = headers;
}

static void take_record(rd_kafka_message_t *msg, uint32_t epoch, struct record *rec)
{
    rd_kafka_timestamp_type_t type;
    int64_t timestamp_ms = rd_kafka_message_timestamp(msg, &type);
    rec->key = span_make(msg->key, msg->key_len);
    rec->value = span_make(msg->payload, msg->len);
    rec->offset = msg->offset;
    rec->timestamp_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : timestamp_ms;
    rec->partition = msg->partition;
    rec->epoch = epoch;
    rec->owner = msg;
    take_headers(msg, rec);
}

/* A message that carries no record: ST_OK to go on. */
static enum status take_trouble(struct kafka_reader *r, struct kafka_part *part,
                                const rd_kafka_message_t *msg, struct error *err)
{
    if (msg->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) { /* its offset is behind all markers */
        if (msg->offset > part->position)
            part->position = msg->offset;
        return ST_OK;
    }
    struct error why;
    note_topic_gone(r, msg->err);
    enum status st = kafka_error(&why, msg->err, rd_kafka_message_errstr(msg),
                                 "kafka: reading %s/%d", r->cfg.topic, (int)msg->partition);
    log_line(LOG_DEBUG, "kafka", "%s", why.text);
    if (st != ST_FATAL)
        return ST_OK;
    bool passed = msg->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET ||
                  msg->err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE;
    if (passed && r->cfg.group != NULL) {
        kafka_position_passed(r, msg->partition, &why);
        return ST_OK;
    }
    if (err != NULL)
        *err = why;
    return ST_FATAL;
}

/* Takes messages off the partition's queue without waiting. In one call for many, which spares a
 * look at the clock for each: safe here, though not on the main queue before 2.1, since no
 * rebalance can come by a partition's queue. One by one when there is little room left in bytes. */
static ssize_t fetch_some(struct kafka_reader *r, struct kafka_part *part, size_t max,
                          size_t max_bytes)
{
    if (max_bytes < LITTLE_ROOM)
        max = 1;
    return rd_kafka_consume_batch_queue(part->queue, 0, r->fetched,
                                        max < KAFKA_FETCH_MAX ? max : KAFKA_FETCH_MAX);
}

/* Records go to ret, from *n on; all messages are looked at, also after trouble with one. */
static enum status sort_fetched(struct kafka_reader *r, struct kafka_part *part, size_t got,
                                struct record *ret, size_t *n, size_t *bytes, struct error *err)
{
    enum status st = ST_OK;
    for (size_t i = 0; i < got; i++) {
        rd_kafka_message_t *msg = r->fetched[i];
        if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            take_record(msg, part->epoch, &ret[(*n)++]);
            *bytes += msg->len + msg->key_len;
            continue;
        }
        enum status trouble = take_trouble(r, part, msg, err);
        st = st == ST_OK ? trouble : st;
        rd_kafka_message_destroy(msg);
    }
    return st;
}

/* Before 2.2 librdkafka's thread of a broker that has found all queues full sleeps a second before
 * it looks again, unless something wakes it: any request to that broker does. One for some thousand
 * records costs nothing beside them, and queues can be short. */
static void wake_work(struct job *job)
{
    struct kafka_wake *wake = (struct kafka_wake *)job;
    struct kafka_reader *r = wake->reader;
    int64_t low, high;
    rd_kafka_query_watermark_offsets(r->rk, r->cfg.topic, wake->partition, &low, &high,
                                     WAKE_WAIT_MS);
}

static void wake_done(struct job *job)
{
    ((struct kafka_wake *)job)->running = false;
}

static void fetch_more(struct kafka_reader *r, int32_t partition, size_t n, size_t bytes)
{
    struct kafka_part *part = &r->parts[partition];
    struct kafka_wake *wake = &r->wake;
    part->taken += n;
    part->taken_bytes += bytes;
    bool due = part->taken >= WAKE_RECORDS || part->taken_bytes >= WAKE_BYTES;
    if (!due || !wake->needed || wake->running || r->down || r->doubt)
        return;
    part->taken = part->taken_bytes = 0;
    *wake = (struct kafka_wake){.job = {.work = wake_work, .done = wake_done},
                                .reader = r,
                                .partition = partition,
                                .needed = true,
                                .running = true};
    runner_submit(r->runner, &wake->job);
}

enum status kafka_reader_poll(void *reader, int32_t partition, struct record *ret, size_t max,
                              size_t max_bytes, size_t *ret_n, struct error *err)
{
    struct kafka_reader *r = reader;
    if (partition < 0 || partition >= r->part_count || r->closing)
        return ST_AGAIN;
    struct kafka_part *part = &r->parts[partition];
    if (part->queue == NULL || part->leaving)
        return ST_AGAIN;
    size_t n = 0, bytes = 0;
    enum status st = ST_OK;
    while (st == ST_OK && n < max && bytes < max_bytes) {
        ssize_t got = fetch_some(r, part, max - n, max_bytes - bytes);
        if (got <= 0)
            break;
        st = sort_fetched(r, part, (size_t)got, ret, &n, &bytes, err);
    }
    if (n == 0)
        return st == ST_OK ? ST_AGAIN : st;
    if (ret[n - 1].offset >= part->position)
        part->position = ret[n - 1].offset + 1;
    fetch_more(r, partition, n, bytes);
    *ret_n = n;
    return ST_OK;
}

int64_t kafka_reader_position(const void *reader, int32_t partition)
{
    const struct kafka_reader *r = reader;
    if (partition >= r->part_count || r->parts[partition].queue == NULL)
        return -1;
    return r->parts[partition].position;
}

void kafka_reader_release(void *reader, struct record *recs, size_t n)
{
    UNUSED(reader);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_message_t *msg = recs[i].owner;
        if (msg == NULL)
            continue;
        mem_free((void *)recs[i].headers);
        rd_kafka_message_destroy(msg);
        recs[i].owner = NULL;
    }
}

/* As of the last fetch: the high watermark, which counts open transactions and their markers. */
int64_t kafka_reader_end(const void *reader, int32_t partition)
{
    const struct kafka_reader *r = reader;
    int64_t low, high;
    if (rd_kafka_get_watermark_offsets(r->rk, r->cfg.topic, partition, &low, &high) !=
        RD_KAFKA_RESP_ERR_NO_ERROR)
        return -1;
    return high < 0 ? -1 : high;
}

/* --- for the writer --- */

void kafka_reader_attach(struct kafka_reader *r, struct kafka_writer *w)
{
    r->writer = w;
}

/* 2.0.2 has no accessors, but writes the metadata down as a magic word, the generation as an int32
 * of this machine, then group, member and instance ids, each ended by a zero byte
 * (rd_kafka_consumer_group_metadata_write). Without the magic word only the member id is checked.
 */
static bool is_member(rd_kafka_t *rk, const rd_kafka_consumer_group_metadata_t *member)
{
    static const char magic[] = "CGMDv2:";
    char *id = rd_kafka_memberid(rk);
    bool yes = id != NULL && id[0] != '\0';
    rd_kafka_mem_free(rk, id);
    void *bytes = NULL;
    size_t n = 0;
    rd_kafka_error_t *error = rd_kafka_consumer_group_metadata_write(member, &bytes, &n);
    if (error != NULL) {
        rd_kafka_error_destroy(error);
        return yes;
    }
    int32_t generation = 0;
    if (n >= sizeof magic - 1 + sizeof generation && memcmp(bytes, magic, sizeof magic - 1) == 0)
        memcpy(&generation, (const char *)bytes + sizeof magic - 1, sizeof generation);
    rd_kafka_mem_free(NULL, bytes);
    return yes && generation >= 0;
}

enum status kafka_reader_member(struct kafka_reader *r, rd_kafka_consumer_group_metadata_t **ret,
                                struct error *err)
{
    rd_kafka_consumer_group_metadata_t *member = rd_kafka_consumer_group_metadata(r->rk);
    if (member != NULL && is_member(r->rk, member)) {
        *ret = member;
        return ST_OK;
    }
    if (member != NULL)
        rd_kafka_consumer_group_metadata_destroy(member);
    return error_set(err, ST_ABORT, ERR_TEMPORARY,
                     "kafka: this member has no place in group '%s' at present", r->cfg.group);
}

/* --- open and close --- */

static enum status check_topic(struct kafka_reader *r, struct error *err)
{
    int32_t count = 0;
    enum status st = kafka_partitions(r->kafka, r->cfg.topic, &count, err);
    if (st == ST_OK && count == 0)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "kafka %s has no topic '%s'; make it first",
                       r->kafka->servers, r->cfg.topic);
    return st;
}

/* The broker holds a fetch back until so much is there, or until it is so late. */
static enum status be_patient(rd_kafka_conf_t *conf, struct error *err)
{
    enum status st = kafka_conf_set(conf, "fetch.min.bytes", "262144", err);
    return st == ST_OK ? kafka_conf_set(conf, "fetch.wait.max.ms", "25", err) : st;
}

static enum status make_consumer(struct kafka_reader *r, struct error *err)
{
    rd_kafka_conf_t *conf;
    enum status st = kafka_conf_new(r->kafka, KAFKA_CONSUMER, &conf, err);
    if (st != ST_OK)
        return st;
    /* assign() wants a group id even where there is no group; nothing is committed under it. */
    st = kafka_conf_set(conf, "group.id", r->cfg.group == NULL ? "sluice" : r->cfg.group, err);
    if (st == ST_OK && r->cfg.uncommitted && r->cfg.group == NULL)
        st = kafka_conf_set(conf, "isolation.level", "read_uncommitted", err);
    if (st == ST_OK && r->cfg.patient)
        st = be_patient(conf, err);
    if (st != ST_OK) {
        rd_kafka_conf_destroy(conf);
        return st;
    }
    rd_kafka_conf_set_opaque(conf, r);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_rebalance_cb(conf, kafka_rebalance_cb);
    st = kafka_client_new(RD_KAFKA_CONSUMER, conf, &r->rk, err);
    if (st == ST_OK)
        rd_kafka_poll_set_consumer(r->rk);
    return st;
}

static void watch_main(struct kafka_reader *r)
{
    static const uint64_t one = 1;
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(r->rk);
    r->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (r->event_fd < 0)
        mem_fail_system("descriptors", strerror(errno));
    rd_kafka_queue_io_event_enable(queue, r->event_fd, &one, sizeof one);
    rd_kafka_queue_destroy(queue);
    r->watch = loop_watch_new(r->cfg.loop, r->event_fd, on_event, r);
    loop_watch_set(r->watch, LOOP_READABLE);
    r->timer = loop_timer_new(r->cfg.loop, on_tick, r);
    loop_timer_start(r->timer, 0);
}

static enum status subscribe(struct kafka_reader *r, struct error *err)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, r->cfg.topic, RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(r->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR)
        return ST_OK;
    return kafka_error(err, code, NULL, "kafka: subscribing to topic '%s'", r->cfg.topic);
}

enum status kafka_reader_open(void *reader, void *ctx, const struct reader_config *cfg,
                              struct error *err)
{
    struct kafka_reader *r = reader;
    r->kafka = ctx;
    r->event_fd = -1;
    r->last = &r->first;
    r->wake.needed = rd_kafka_version() < 0x02020000;
    r->cfg = *cfg;
    r->cfg.topic = mem_strdup(cfg->topic);
    r->cfg.group = mem_strdup(cfg->group);
    r->cfg.guard_topic = mem_strdup(cfg->guard_topic);
    enum status st = check_topic(r, err);
    if (st == ST_OK)
        st = make_consumer(r, err);
    if (st != ST_OK)
        return st;
    r->runner = runner_start(cfg->loop, "kafka-reader");
    watch_main(r);
    if (cfg->group != NULL)
        return subscribe(r, err);
    kafka_assign_start(r, cfg->start, cfg->start_count);
    return ST_OK;
}

void kafka_reader_close(void *reader)
{
    struct kafka_reader *r = reader;
    atomic_store(&r->closing, true);
    runner_stop(r->runner);
    if (r->rk != NULL) {
        rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(r->rk);
        rd_kafka_queue_io_event_enable(queue, -1, NULL, 0);
        rd_kafka_queue_destroy(queue);
        kafka_rebalance_drop(r);
        rd_kafka_consumer_close(r->rk); /* leaves the group */
        if (!r->topic_gone)
            rd_kafka_destroy(r->rk);
    }
    loop_watch_free(r->watch);
    loop_timer_free(r->timer);
    if (r->event_fd >= 0)
        close(r->event_fd);
    mem_free(r->parts);
    mem_free((void *)r->cfg.topic);
    mem_free((void *)r->cfg.group);
    mem_free((void *)r->cfg.guard_topic);
}

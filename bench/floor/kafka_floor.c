/* The least that exactly-once enrichment on Kafka can cost: librdkafka and nothing of ours.
 *
 * Reads a topic raw, puts a fixed enrichment before the last brace of each post, adds the header
 * sluice-src, produces with the same key and timestamp to the same partition, and commits outputs
 * and positions in one transaction: one producer, in the loop. `sluice enhance` is measured beside
 * it in the same run, so what matters here is that this loop is as fast as such a loop gets
 * (big fetch queue, batched consume calls, produce without waiting) and not that it is safe.
 *
 * --latency: transactions of 5 ms and no linger. --pause MS rests after each commit: the broker
 * refuses a new transaction of the same id while it writes the markers of the last one, and
 * librdkafka then waits 20 ms. 0 is the plain loop, 5 what is best for it; both are measured.
 * --share I --of N: every N-th partition from the I-th on, for several loops side by side. */
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench/floor/bare_kafka.h"

enum { PARTITIONS_MAX = 64, BATCH = 1000, VALUE_MAX = 1 << 20 };

static const char ENRICHMENT[] =
    ",\"enrichment\":{\"topics\":[\"AI\",\"Coffee Beans\",\"Sunny Beaches\"],\"by\":\"mock\"}";

struct options {
    const char *brokers, *in, *out, *group;
    bool at_least_once, latency, drain;
    long pause_ms, share, of; /* of: 0 is all partitions, as a member of the group */
};

struct floor {
    const struct options *opt;
    rd_kafka_t *consumer, *producer;
    rd_kafka_queue_t *queue;
    rd_kafka_topic_partition_list_t *positions; /* scratch */
    int64_t next[PARTITIONS_MAX];               /* offset after the last one produced, or -1 */
    int64_t acked[PARTITIONS_MAX];              /* the same, after its acknowledgement */
    int64_t target[PARTITIONS_MAX];             /* end of the input when we began */
    int32_t partitions;
    int64_t begun_ms; /* of the open transaction */
    long in_batch, posts, commits, failed;
    char *spliced;
};

static volatile sig_atomic_t stop_asked;

static void on_signal(int sig)
{
    (void)sig;
    stop_asked = 1;
}

static void must(const char *what, rd_kafka_error_t *error)
{
    if (error != NULL)
        die(what, rd_kafka_error_string(error));
}

/* --- clients --- */

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque)
{
    struct floor *fl = opaque;
    (void)rk;
    if (msg->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        fl->failed++;
    else
        fl->acked[msg->partition] = (int64_t)(intptr_t)msg->_private;
}

static void consumer_open(struct floor *fl)
{
    rd_kafka_conf_t *conf = consumer_conf(fl->opt->brokers, fl->opt->group);
    set(conf, "queued.min.messages", "200000");
    set(conf, "queued.max.messages.kbytes", "65536");
    fl->consumer = client_new(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(fl->consumer);
    fl->queue = rd_kafka_queue_get_consumer(fl->consumer);
    if (fl->opt->of == 0) /* else assigned when the partitions are known */
        subscribe(fl->consumer, fl->opt->in);
}

static void producer_open(struct floor *fl)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", fl->opt->brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", fl->opt->latency ? "0" : "5");
    set(conf, "batch.size", "1000000");
    set(conf, "batch.num.messages", "10000");
    set(conf, "queue.buffering.max.messages", "30000");
    set(conf, "retry.backoff.ms", "5"); /* after CONCURRENT_TRANSACTIONS; the default is 100 */
    char id[200];
    snprintf(id, sizeof id, "%s.%ld", fl->opt->group, fl->opt->share);
    if (!fl->opt->at_least_once)
        set(conf, "transactional.id", id);
    rd_kafka_conf_set_opaque(conf, fl);
    /* Without a report callback rd_kafka_flush waits in steps of 10 ms. */
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    fl->producer = client_new(RD_KAFKA_PRODUCER, conf);
    if (!fl->opt->at_least_once)
        must("init", rd_kafka_init_transactions(fl->producer, 30000));
}

/* Asking for the output topic's metadata spares the first produce a wait of a second. */
static void topics_read(struct floor *fl)
{
    const struct rd_kafka_metadata *md;
    rd_kafka_topic_t *out = rd_kafka_topic_new(fl->producer, fl->opt->out, NULL);
    for (int64_t until = now_ms() + 10000; fl->partitions < 1 && now_ms() < until;) {
        /* a topic just made has no partitions yet */
        if (rd_kafka_metadata(fl->producer, 0, out, &md, 10000) != RD_KAFKA_RESP_ERR_NO_ERROR)
            die(fl->opt->out, "no metadata");
        fl->partitions = md->topics[0].partition_cnt;
        rd_kafka_metadata_destroy(md);
    }
    rd_kafka_topic_destroy(out);
    if (fl->partitions < 1 || fl->partitions > PARTITIONS_MAX)
        die(fl->opt->out, "bad number of partitions");
    for (int32_t p = 0; p < fl->partitions; p++) {
        int64_t low;
        rd_kafka_query_watermark_offsets(fl->consumer, fl->opt->in, p, &low, &fl->target[p], 10000);
        fl->next[p] = fl->acked[p] = -1;
        if (fl->opt->of > 0 && p % fl->opt->of != fl->opt->share)
            fl->target[p] = 0; /* another loop's */
        else
            rd_kafka_topic_partition_list_add(fl->positions, fl->opt->in, p)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
    }
    if (fl->opt->of > 0)
        rd_kafka_assign(fl->consumer, fl->positions);
}

/* --- the loop --- */

/* The position list from `from`; empty when nothing moved. */
static void positions_fill(struct floor *fl, int64_t *from)
{
    fl->positions->cnt = 0;
    for (int32_t p = 0; p < fl->partitions; p++) {
        if (from[p] >= 0)
            rd_kafka_topic_partition_list_add(fl->positions, fl->opt->in, p)->offset = from[p];
    }
}

static void commit_transaction(struct floor *fl)
{
    positions_fill(fl, fl->next);
    rd_kafka_consumer_group_metadata_t *group = rd_kafka_consumer_group_metadata(fl->consumer);
    must("positions", rd_kafka_send_offsets_to_transaction(fl->producer, fl->positions, group, -1));
    rd_kafka_consumer_group_metadata_destroy(group);
    must("commit", rd_kafka_commit_transaction(fl->producer, -1));
    if (fl->opt->pause_ms > 0)
        nanosleep(&(struct timespec){.tv_nsec = fl->opt->pause_ms * 1000000}, NULL);
}

static void commit(struct floor *fl, bool wait)
{
    if (fl->in_batch == 0)
        return;
    if (!fl->opt->at_least_once) {
        commit_transaction(fl);
    } else {
        if (wait)
            rd_kafka_flush(fl->producer, 30000);
        else
            rd_kafka_poll(fl->producer, 0);
        positions_fill(fl, fl->acked);
        if (fl->positions->cnt > 0)
            rd_kafka_commit(fl->consumer, fl->positions, !wait);
    }
    fl->commits++;
    fl->in_batch = 0;
    fl->begun_ms = now_ms();
}

static bool batch_is_due(const struct floor *fl)
{
    int64_t interval_ms = fl->opt->at_least_once ? 1000 : fl->opt->latency ? 5 : 20;
    if (fl->in_batch == 0)
        return false;
    return (!fl->opt->at_least_once && fl->in_batch >= 20000) ||
           now_ms() - fl->begun_ms >= interval_ms;
}

/* Copies the post with the enrichment before its last brace; returns the new size. */
static size_t splice(char *to, const char *value, size_t n)
{
    const size_t added = sizeof ENRICHMENT - 1;
    const char *brace = memrchr(value, '}', n);
    if (brace == NULL || n + added > VALUE_MAX)
        die("post", "no object, or too large");
    size_t head = (size_t)(brace - value);
    memcpy(to, value, head);
    memcpy(to + head, ENRICHMENT, added);
    memcpy(to + head + added, brace, n - head);
    return n + added;
}

static void produce(struct floor *fl, const rd_kafka_message_t *msg, int64_t timestamp_ms)
{
    char source[128];
    int source_size = snprintf(source, sizeof source, "%s/%d/%lld", fl->opt->in,
                               (int)msg->partition, (long long)msg->offset);
    size_t n = splice(fl->spliced, msg->payload, msg->len);
    for (;;) {
        rd_kafka_resp_err_t err = rd_kafka_producev(
            fl->producer, RD_KAFKA_V_TOPIC(fl->opt->out), RD_KAFKA_V_PARTITION(msg->partition),
            RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_VALUE(fl->spliced, n),
            RD_KAFKA_V_KEY(msg->key, msg->key_len), RD_KAFKA_V_TIMESTAMP(timestamp_ms),
            RD_KAFKA_V_HEADER("sluice-src", source, source_size),
            RD_KAFKA_V_OPAQUE((void *)(intptr_t)(msg->offset + 1)), RD_KAFKA_V_END);
        if (err == RD_KAFKA_RESP_ERR_NO_ERROR)
            return;
        if (err != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(err));
        rd_kafka_poll(fl->producer, 5);
    }
}

static void enrich(struct floor *fl, rd_kafka_message_t *msg)
{
    if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (fl->in_batch == 0) {
            if (!fl->opt->at_least_once)
                must("begin", rd_kafka_begin_transaction(fl->producer));
            fl->begun_ms = now_ms();
        }
        rd_kafka_timestamp_type_t type;
        produce(fl, msg, rd_kafka_message_timestamp(msg, &type));
        fl->next[msg->partition] = msg->offset + 1;
        fl->in_batch++;
        fl->posts++;
    }
    rd_kafka_message_destroy(msg);
}

/* One message with waiting, then whatever is there already, in one call. */
static void turn(struct floor *fl, rd_kafka_message_t **batch)
{
    rd_kafka_message_t *msg = rd_kafka_consumer_poll(fl->consumer, fl->in_batch > 0 ? 1 : 100);
    if (msg != NULL) {
        enrich(fl, msg);
        ssize_t n = rd_kafka_consume_batch_queue(fl->queue, 0, batch, BATCH);
        for (ssize_t i = 0; i < n; i++)
            enrich(fl, batch[i]);
    }
    if (batch_is_due(fl))
        commit(fl, false);
    if (fl->opt->at_least_once)
        rd_kafka_poll(fl->producer, 0);
}

static bool drained(const struct floor *fl)
{
    for (int32_t p = 0; p < fl->partitions; p++) {
        if (fl->target[p] > 0 && fl->next[p] < fl->target[p])
            return false;
    }
    return true;
}

static void run(struct floor *fl)
{
    rd_kafka_message_t **batch = calloc(BATCH, sizeof *batch);
    if (batch == NULL)
        die("memory", "none left");
    while (!stop_asked && !(fl->opt->drain && drained(fl)))
        turn(fl, batch);
    commit(fl, true);
    free(batch);
}

static void parse(int argc, char **argv, struct options *opt)
{
    for (int i = 1; i < argc; i++) {
        const char **text = NULL;
        if (strcmp(argv[i], "--at-least-once") == 0)
            opt->at_least_once = true;
        else if (strcmp(argv[i], "--latency") == 0)
            opt->latency = true;
        else if (strcmp(argv[i], "--drain") == 0)
            opt->drain = true;
        else if (strcmp(argv[i], "--brokers") == 0)
            text = &opt->brokers;
        else if (strcmp(argv[i], "--in") == 0)
            text = &opt->in;
        else if (strcmp(argv[i], "--out") == 0)
            text = &opt->out;
        else if (strcmp(argv[i], "--group") == 0)
            text = &opt->group;
        else if (strcmp(argv[i], "--pause") == 0 && i + 1 < argc)
            opt->pause_ms = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--share") == 0 && i + 1 < argc)
            opt->share = strtol(argv[++i], NULL, 10);
        else if (strcmp(argv[i], "--of") == 0 && i + 1 < argc)
            opt->of = strtol(argv[++i], NULL, 10);
        else
            die(argv[i], "unknown option");
        if (text != NULL && ++i < argc)
            *text = argv[i];
    }
    if (opt->brokers == NULL || opt->in == NULL || opt->out == NULL || opt->group == NULL)
        die("usage", "--brokers LIST --in TOPIC --out TOPIC --group GROUP [--drain] [--latency] "
                     "[--pause MS] [--share I --of N] [--at-least-once]");
}

int main(int argc, char **argv)
{
    struct options opt = {0};
    parse(argc, argv, &opt);
    struct floor fl = {.opt = &opt, .spliced = malloc(VALUE_MAX)};
    if (fl.spliced == NULL)
        die("memory", "none left");
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    fl.positions = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
    producer_open(&fl);
    consumer_open(&fl);
    topics_read(&fl);
    run(&fl);
    rd_kafka_consumer_close(fl.consumer);
    rd_kafka_queue_destroy(fl.queue);
    rd_kafka_destroy(fl.consumer);
    rd_kafka_destroy(fl.producer);
    rd_kafka_topic_partition_list_destroy(fl.positions);
    free(fl.spliced);
    fprintf(stderr, "kafka_floor: %ld posts, %ld commits, %ld failed\n", fl.posts, fl.commits,
            fl.failed);
    return fl.failed == 0 ? 0 : 1;
}

/* What bench/run.py needs of a Kafka and Python has not: make and fill topics, watch one grow, and
 * measure from outside how long a post is on its way through whatever enriches it.
 *
 *     meter BROKERS make TOPIC PARTITIONS
 *     meter BROKERS load TOPIC PARTITIONS COUNT     makes the topic, posts of about 100 bytes
 *     meter BROKERS watch TOPIC COUNT               a line "seconds visible" every 20 ms
 *     meter BROKERS latency IN OUT RATE SECONDS     open loop; one line of JSON
 *     meter BROKERS delete TOPIC...
 *
 * Latency counts from the moment a post was *due*, not from when it was sent, so that a stalled
 * sender cannot hide a stall, until a read_committed reader holds its enriched form. */
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POST_MAX = 512, PARTITIONS = 4, WAIT_MS = 30000 };

static const char *brokers;

static void die(const char *what, const char *why)
{
    fprintf(stderr, "meter: %s: %s\n", what, why);
    exit(1);
}

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void sleep_until(int64_t due_us)
{
    struct timespec t = {.tv_sec = due_us / 1000000, .tv_nsec = due_us % 1000000 * 1000};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* --- clients --- */

/* `properties`: names and values in turn, ends with NULL. */
static rd_kafka_t *client_new(rd_kafka_type_t type, const char *const *properties)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", brokers, why, sizeof why) != RD_KAFKA_CONF_OK)
        die("bootstrap.servers", why);
    for (; *properties != NULL; properties += 2) {
        if (rd_kafka_conf_set(conf, properties[0], properties[1], why, sizeof why) ==
            RD_KAFKA_CONF_INVALID)
            die(properties[0], why);
    }
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL)
        die("client", why);
    return rk;
}

static const char *const bulk_producer[] = {"linger.ms",
                                            "20",
                                            "batch.num.messages",
                                            "10000",
                                            "batch.size",
                                            "900000",
                                            "queue.buffering.max.messages",
                                            "200000",
                                            "enable.idempotence",
                                            "true",
                                            NULL};
static const char *const prompt_producer[] = {"linger.ms", "0", NULL};
static const char *const reader[] = {"group.id",
                                     "meter",
                                     "enable.auto.commit",
                                     "false",
                                     "isolation.level",
                                     "read_committed",
                                     "fetch.wait.max.ms",
                                     "5",
                                     "auto.offset.reset",
                                     "earliest",
                                     NULL};

/* --- topics --- */

static void check_results(rd_kafka_event_t *event, const rd_kafka_topic_result_t **results,
                          size_t n)
{
    if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("topics", rd_kafka_event_error_string(event));
    for (size_t i = 0; i < n; i++) {
        if (rd_kafka_topic_result_error(results[i]) != RD_KAFKA_RESP_ERR_NO_ERROR)
            die(rd_kafka_topic_result_name(results[i]),
                rd_kafka_topic_result_error_string(results[i]));
    }
}

static void topic_make(const char *name, int partitions)
{
    rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, prompt_producer);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_NewTopic_t *topic = rd_kafka_NewTopic_new(name, partitions, 1, NULL, 0);
    rd_kafka_CreateTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (event == NULL)
        die(name, "no answer");
    size_t n;
    const rd_kafka_topic_result_t **results =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    check_results(event, results, n);
    rd_kafka_event_destroy(event);
    rd_kafka_NewTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

static void topic_delete(const char *name)
{
    rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, prompt_producer);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(name);
    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_DeleteTopic_destroy(topic);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

/* --- posts --- */

static const char *const words[] = {"coffee", "sunny", "morning", "the",     "and",   "reading",
                                    "about",  "AI",    "trends",  "beach",   "great", "day",
                                    "just",   "had",   "a",       "walking", "café",  "☀",
                                    "music",  "new",   "phone",   "really",  "why",   "tomorrow"};

static unsigned next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (unsigned)(*state >> 33);
}

/* A post of 60 to 140 bytes; the same for the same id. */
static size_t post_make(char *to, long id)
{
    uint64_t state = (uint64_t)(id + 1000003) * 0x9E3779B97F4A7C15u | 1;
    int n = snprintf(to, POST_MAX, "{\"id\": %ld, \"author\": \"u%u\", \"text\": \"", id,
                     next_random(&state) % 997);
    for (unsigned left = 5 + next_random(&state) % 14; left > 0; left--) {
        const char *word = words[next_random(&state) % (sizeof words / sizeof *words)];
        n += snprintf(to + n, POST_MAX - (size_t)n, "%s%s", word, left > 1 ? " " : "");
    }
    n += snprintf(to + n, POST_MAX - (size_t)n, "\"}");
    return (size_t)n;
}

static void post_send(rd_kafka_t *rk, const char *topic, int32_t partition, long id)
{
    char value[POST_MAX], key[32];
    size_t n = post_make(value, id);
    int key_size = snprintf(key, sizeof key, "%ld", id);
    rd_kafka_resp_err_t err;
    do {
        err = rd_kafka_producev(rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                                RD_KAFKA_V_KEY(key, (size_t)key_size), RD_KAFKA_V_VALUE(value, n),
                                RD_KAFKA_V_END);
        rd_kafka_poll(rk, err == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 5 : 0);
    } while (err == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    if (err != RD_KAFKA_RESP_ERR_NO_ERROR)
        die(topic, rd_kafka_err2str(err));
}

static void load(const char *topic, int partitions, long count)
{
    topic_make(topic, partitions);
    rd_kafka_t *rk = client_new(RD_KAFKA_PRODUCER, bulk_producer);
    for (long id = 1; id <= count; id++)
        post_send(rk, topic, (int32_t)(id % partitions), id);
    if (rd_kafka_flush(rk, 4 * WAIT_MS) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die(topic, "could not load it");
    rd_kafka_destroy(rk);
}

/* --- watching --- */

/* What a read_committed reader can reach, over all partitions (with control records). */
static int64_t visible(rd_kafka_t *rk, const char *topic)
{
    int64_t sum = 0, low, high;
    for (int32_t p = 0; p < PARTITIONS; p++) {
        if (rd_kafka_query_watermark_offsets(rk, topic, p, &low, &high, WAIT_MS) ==
            RD_KAFKA_RESP_ERR_NO_ERROR)
            sum += high;
    }
    return sum;
}

static void watch(const char *topic, int64_t count)
{
    rd_kafka_t *rk = client_new(RD_KAFKA_CONSUMER, reader);
    int64_t begun = now_us(), due = begun, seen;
    do {
        seen = visible(rk, topic);
        printf("%.4f %lld\n", (double)(now_us() - begun) / 1e6, (long long)seen);
        fflush(stdout);
        due += 20000;
        sleep_until(due);
    } while (seen < count);
    rd_kafka_destroy(rk);
}

/* --- latency --- */

struct flight {
    const char *in;
    long rate, count;
    rd_kafka_t *producer;
    int64_t *due_us; /* by id */
    int64_t *took_us;
    long got, repeated;
    _Atomic bool warm;
};

/* Warming up: posts with negative ids until one came back. */
static void *fly(void *arg)
{
    struct flight *fl = arg;
    for (long id = -1; !atomic_load(&fl->warm); id--) {
        post_send(fl->producer, fl->in, (int32_t)(-id % PARTITIONS), id);
        sleep_until(now_us() + 100000);
    }
    int64_t begin = now_us() + 500000;
    for (long id = 0; id < fl->count; id++)
        fl->due_us[id] = begin + id * 1000000 / fl->rate;
    for (long id = 0; id < fl->count; id++) {
        sleep_until(fl->due_us[id]);
        post_send(fl->producer, fl->in, (int32_t)(id % PARTITIONS), id);
    }
    return NULL;
}

static void land(struct flight *fl, const rd_kafka_message_t *msg)
{
    static const char before_id[] = "{\"id\": ";
    int64_t now = now_us();
    if (msg->err != RD_KAFKA_RESP_ERR_NO_ERROR || msg->len < sizeof before_id)
        return;
    long id = strtol((const char *)msg->payload + sizeof before_id - 1, NULL, 10);
    if (id < 0) {
        atomic_store(&fl->warm, true);
    } else if (id < fl->count && fl->took_us[id] >= 0) {
        fl->repeated++;
    } else if (id < fl->count) {
        fl->took_us[id] = now - fl->due_us[id];
        fl->got++;
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The first tenth is left out: caches fill, leaders settle. */
static void report(struct flight *fl, int64_t warm_us)
{
    long first = fl->count / 10, n = 0;
    for (long id = first; id < fl->count; id++) {
        if (fl->took_us[id] >= 0)
            fl->took_us[n++] = fl->took_us[id];
    }
    qsort(fl->took_us, (size_t)n, sizeof *fl->took_us, by_value);
    double q[3] = {0.5, 0.9, 0.99}, ms[3] = {0};
    for (int i = 0; i < 3 && n > 0; i++)
        ms[i] = (double)fl->took_us[(long)(q[i] * (double)n)] / 1e3;
    printf("{\"sent\": %ld, \"got\": %ld, \"repeated\": %ld, \"p50_ms\": %.3f, \"p90_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f, \"first_ms\": %.1f}\n",
           fl->count, fl->got, fl->repeated, ms[0], ms[1], ms[2],
           n > 0 ? (double)fl->took_us[n - 1] / 1e3 : 0, (double)warm_us / 1e3);
}

static void latency(const char *in, const char *out, long rate, long seconds)
{
    struct flight fl = {.in = in, .rate = rate, .count = rate * seconds};
    fl.due_us = calloc((size_t)fl.count, sizeof *fl.due_us);
    fl.took_us = malloc((size_t)fl.count * sizeof *fl.took_us);
    if (fl.due_us == NULL || fl.took_us == NULL)
        die("memory", "none left");
    memset(fl.took_us, -1, (size_t)fl.count * sizeof *fl.took_us);
    fl.producer = client_new(RD_KAFKA_PRODUCER, prompt_producer);
    rd_kafka_t *rk = client_new(RD_KAFKA_CONSUMER, reader);
    rd_kafka_topic_partition_list_t *all = rd_kafka_topic_partition_list_new(PARTITIONS);
    for (int32_t p = 0; p < PARTITIONS; p++)
        rd_kafka_topic_partition_list_add(all, out, p)->offset = RD_KAFKA_OFFSET_END;
    rd_kafka_assign(rk, all);

    pthread_t thread;
    int64_t begun = now_us(), warm_us = 0;
    int64_t give_up = begun + 60000000;
    if (pthread_create(&thread, NULL, fly, &fl) != 0)
        die("thread", "cannot start");
    while (fl.got < fl.count && now_us() < give_up) {
        rd_kafka_message_t *msg = rd_kafka_consumer_poll(rk, 100);
        if (msg == NULL)
            continue;
        land(&fl, msg);
        rd_kafka_message_destroy(msg);
        if (warm_us == 0 && atomic_load(&fl.warm)) {
            warm_us = now_us() - begun;
            give_up = now_us() + (seconds + 20) * 1000000;
        }
    }
    if (warm_us == 0)
        die(out, "nothing came within a minute");
    pthread_join(thread, NULL);
    report(&fl, warm_us);
    rd_kafka_topic_partition_list_destroy(all);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    rd_kafka_destroy(fl.producer);
    free(fl.due_us);
    free(fl.took_us);
}

int main(int argc, char **argv)
{
    const char *what = argc > 3 ? argv[2] : "";
    brokers = argc > 1 ? argv[1] : NULL;
    if (strcmp(what, "make") == 0 && argc == 5)
        topic_make(argv[3], (int)strtol(argv[4], NULL, 10));
    else if (strcmp(what, "load") == 0 && argc == 6)
        load(argv[3], (int)strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10));
    else if (strcmp(what, "watch") == 0 && argc == 5)
        watch(argv[3], strtoll(argv[4], NULL, 10));
    else if (strcmp(what, "latency") == 0 && argc == 7)
        latency(argv[3], argv[4], strtol(argv[5], NULL, 10), strtol(argv[6], NULL, 10));
    else if (strcmp(what, "delete") == 0)
        for (int i = 3; i < argc; i++)
            topic_delete(argv[i]);
    else
        die("usage", "meter BROKERS make|load|watch|latency|delete TOPIC ... (see meter.c)");
    return 0;
}

/* Kafka around the bare loop of llm_floor.c: see llm_broker.h. */
#include "bench/floor/llm_broker.h"

#include <string.h>
#include <sys/eventfd.h>

#include "bench/floor/bare_kafka.h"

enum { PARTITIONS_MAX = 64, LINE = 1 << 16, VALUE_MAX = 1 << 20, TAKE = 256, COMMIT_MS = 1000 };

/* Posts of a partition in the order they were taken; `begin` is the first that is not delivered. */
struct line {
    uint32_t begin, end;
    int64_t committed;
    struct {
        int64_t offset;
        bool delivered;
    } posts[LINE];
};

static struct {
    rd_kafka_t *consumer, *producer;
    rd_kafka_topic_t *out;
    rd_kafka_queue_t *queue;
    const char *in;
    int in_fd, out_fd;
    struct line lines[PARTITIONS_MAX];
    rd_kafka_message_t *taken[TAKE];
    ssize_t taken_n, taken_at;
    int64_t committed_ms;
    char value[VALUE_MAX];
} br;

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *msg, void *opaque)
{
    uint64_t at = (uint64_t)(uintptr_t)msg->_private;
    struct line *line = &br.lines[at >> 32];
    (void)rk;
    (void)opaque;
    if (msg->err != RD_KAFKA_RESP_ERR_NO_ERROR)
        die("produce", rd_kafka_err2str(msg->err));
    line->posts[(uint32_t)at % LINE].delivered = true;
    while (line->begin != line->end && line->posts[line->begin % LINE].delivered)
        line->begin++;
}

static int bell(rd_kafka_queue_t *queue)
{
    static const uint64_t one = 1;
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    rd_kafka_queue_io_event_enable(queue, fd, &one, sizeof one);
    return fd;
}

static void consumer_open(const char *brokers, const char *in)
{
    char group[64];
    snprintf(group, sizeof group, "llm-floor-%d", (int)getpid());
    rd_kafka_conf_t *conf = consumer_conf(brokers, group);
    set(conf, "queued.min.messages", "20000");
    br.consumer = client_new(RD_KAFKA_CONSUMER, conf);
    rd_kafka_poll_set_consumer(br.consumer);
    br.queue = rd_kafka_queue_get_consumer(br.consumer);
    br.in_fd = bell(br.queue);
    subscribe(br.consumer, in);
}

static void producer_open(const char *brokers, const char *out)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "enable.idempotence", "true");
    set(conf, "linger.ms", "5");
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    br.producer = client_new(RD_KAFKA_PRODUCER, conf);
    br.out = rd_kafka_topic_new(br.producer, out, NULL);
    br.out_fd = bell(rd_kafka_queue_get_main(br.producer));
}

struct llm_broker_fds llm_broker_open(const char *brokers, const char *in, const char *out)
{
    br.in = in;
    consumer_open(brokers, in);
    producer_open(brokers, out);
    return (struct llm_broker_fds){br.in_fd, br.out_fd};
}

/* The posts of the bench have no quotation mark in their texts, and the text last. */
static void find_text(struct llm_post *post)
{
    static const char member[] = "\"text\": \"";
    const rd_kafka_message_t *msg = post->message;
    const char *begin = memmem(msg->payload, msg->len, member, sizeof member - 1);
    const char *end = memrchr(msg->payload, '"', msg->len);
    if (begin == NULL || end < begin + sizeof member - 1)
        die("post", "has no text");
    post->text = begin + sizeof member - 1;
    post->text_size = (size_t)(end - post->text);
}

bool llm_broker_take(struct llm_post *ret)
{
    for (;;) {
        if (br.taken_at == br.taken_n) {
            br.taken_at = 0;
            br.taken_n = rd_kafka_consume_batch_queue(br.queue, 0, br.taken, TAKE);
            if (br.taken_n <= 0) {
                br.taken_n = 0;
                return false;
            }
        }
        rd_kafka_message_t *msg = br.taken[br.taken_at++];
        if (msg->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            struct line *line = &br.lines[msg->partition];
            if (line->end - line->begin == LINE)
                die("line", "full");
            *ret = (struct llm_post){.message = msg, .place = line->end++};
            line->posts[ret->place % LINE].offset = msg->offset;
            line->posts[ret->place % LINE].delivered = false;
            find_text(ret);
            return true;
        }
        rd_kafka_message_destroy(msg);
    }
}

static size_t splice(const rd_kafka_message_t *msg, const char *answer, size_t size)
{
    static const char name[] = ",\"enrichment\":";
    const char *brace = memrchr(msg->payload, '}', msg->len);
    if (brace == NULL || msg->len + size + sizeof name > VALUE_MAX)
        die("post", "no object, or too large");
    size_t head = (size_t)(brace - (const char *)msg->payload);
    char *to = br.value;
    to = (char *)memcpy(to, msg->payload, head) + head;
    to = (char *)memcpy(to, name, sizeof name - 1) + sizeof name - 1;
    to = (char *)memcpy(to, answer, size) + size;
    to = (char *)memcpy(to, brace, msg->len - head) + (msg->len - head);
    return (size_t)(to - br.value);
}

void llm_broker_put(const struct llm_post *post, const char *answer, size_t size)
{
    rd_kafka_message_t *msg = post->message;
    size_t n = splice(msg, answer, size);
    void *at = (void *)(uintptr_t)((uint64_t)msg->partition << 32 | post->place);
    while (rd_kafka_produce(br.out, msg->partition, RD_KAFKA_MSG_F_COPY, br.value, n, msg->key,
                            msg->key_len, at) < 0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL)
            die("produce", rd_kafka_err2str(rd_kafka_last_error()));
        rd_kafka_poll(br.producer, 5);
    }
    rd_kafka_message_destroy(msg);
}

static void commit(bool wait)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(PARTITIONS_MAX);
    for (int32_t p = 0; p < PARTITIONS_MAX; p++) {
        struct line *line = &br.lines[p];
        if (line->begin == 0)
            continue;
        int64_t next = line->posts[(line->begin - 1) % LINE].offset + 1;
        if (next > line->committed)
            rd_kafka_topic_partition_list_add(list, br.in, p)->offset = next;
        line->committed = next;
    }
    if (list->cnt > 0)
        rd_kafka_commit(br.consumer, list, !wait);
    rd_kafka_topic_partition_list_destroy(list);
    br.committed_ms = now_ms();
}

void llm_broker_turn(int fd)
{
    uint64_t rung;
    if (read(fd, &rung, sizeof rung) < 0)
        return;
    if (fd == br.out_fd)
        rd_kafka_poll(br.producer, 0);
    if (now_ms() - br.committed_ms >= COMMIT_MS)
        commit(false);
}

void llm_broker_close(void)
{
    rd_kafka_flush(br.producer, 30000);
    commit(true);
    while (br.taken_at < br.taken_n)
        rd_kafka_message_destroy(br.taken[br.taken_at++]);
    rd_kafka_consumer_close(br.consumer);
}

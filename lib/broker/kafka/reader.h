/* The reader of the Kafka broker, as reader.c (records) and assign.c (rebalances) share it, and
 * what the writer asks of it. Loop thread only, unless said otherwise. */
#ifndef SLUICE_BROKER_KAFKA_READER_H
#define SLUICE_BROKER_KAFKA_READER_H

#include <stdatomic.h>

#include "lib/base/runner.h"
#include "lib/broker/kafka/kafka.h"

struct kafka_writer;
struct kafka_rebalance;

enum { KAFKA_FETCH_MAX = 256 };

struct kafka_part {
    rd_kafka_queue_t *queue; /* ours while the partition is assigned, else NULL */
    uint32_t epoch;
    int64_t position;          /* see reader_position */
    size_t taken, taken_bytes; /* since librdkafka was last woken to fetch more */
    bool leaving;              /* revoked: not polled any more */
};

struct kafka_reader {
    struct kafka *kafka;
    struct reader_config cfg; /* topic, group, guard_topic are copies; start is taken at open */
    rd_kafka_t *rk;
    struct runner *runner; /* look-ups for an assignment */
    int event_fd;          /* librdkafka writes here when a queue has something */
    struct loop_watch *watch;
    struct loop_timer *timer;

    rd_kafka_message_t *fetched[KAFKA_FETCH_MAX]; /* scratch of a poll */
    struct kafka_part *parts;
    int32_t part_count;
    uint32_t epoch;
    struct kafka_rebalance *first, **last; /* not answered yet, in order */

    struct kafka_writer *writer; /* tied to us, or NULL */
    _Atomic bool closing;
    bool polling; /* inside rd_kafka_consumer_poll or an event of ours */
    bool failed;
    bool passed;     /* retention has passed a position: being counted, then failed */
    bool topic_gone; /* the topic was deleted: the handle cannot be destroyed */

    bool down; /* the broker is away, and that was reported */
    struct error down_why;
    int64_t down_ms;  /* since when */
    bool doubt;       /* a connection broke: ask whether the others hold */
    int64_t probe_ms; /* when to ask whether it is back */
    struct kafka_probe {
        struct job job;
        struct kafka_reader *reader;
        bool running;
        _Atomic bool up;
        struct error err; /* when it is not up */
    } probe;
    struct kafka_wake {
        struct job job;
        struct kafka_reader *reader;
        int32_t partition;
        bool needed; /* by this librdkafka */
        bool running;
    } wake;
};

/* --- reader.c --- */

/* Stops the reader and reports it, once. */
void kafka_reader_fail(struct kafka_reader *r, const struct error *err);

/* --- assign.c --- */

/* rebalance_cb of librdkafka: keeps the event; it is answered later. */
void kafka_rebalance_cb(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                        rd_kafka_topic_partition_list_t *list, void *opaque);

/* Without a group: an assignment of cfg->start, to be answered like one of the group. */
void kafka_assign_start(struct kafka_reader *r, const struct position *start, size_t n);

/* Go on with what waits to be answered as far as it can be: after polling, after a commit. */
void kafka_rebalance_go_on(struct kafka_reader *r);

/* Answers all that waits, with nothing assigned: before closing. */
void kafka_rebalance_drop(struct kafka_reader *r);

/* The broker no longer has what is to be read next. Fails the reader as a start at the group's
 * position would, which says how many records are lost; with `why` when that cannot be found out.
 */
void kafka_position_passed(struct kafka_reader *r, int32_t partition, const struct error *why);

/* --- for the writer --- */

void kafka_reader_attach(struct kafka_reader *r, struct kafka_writer *w);

/* The group's metadata of this moment (KIP-447); ST_ABORT when we are no member at present, since
 * brokers do not fence a commit without generation and member id. Caller owns *ret. */
enum status kafka_reader_member(struct kafka_reader *r, rd_kafka_consumer_group_metadata_t **ret,
                                struct error *err) MUST_CHECK;

/* --- slots of the ops table --- */

enum status kafka_reader_open(void *reader, void *ctx, const struct reader_config *cfg,
                              struct error *err);
enum status kafka_reader_poll(void *reader, int32_t partition, struct record *ret, size_t max,
                              size_t max_bytes, size_t *ret_n, struct error *err);
void kafka_reader_release(void *reader, struct record *recs, size_t n);
void kafka_reader_give_up(void *reader);
int64_t kafka_reader_end(const void *reader, int32_t partition);
int64_t kafka_reader_position(const void *reader, int32_t partition);
void kafka_reader_close(void *reader);

#endif

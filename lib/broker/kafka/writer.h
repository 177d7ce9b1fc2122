/* The writer's own state, shared by writer.c (loop thread) and txn.c (runner's thread).
 *
 *     send --> lane being filled --commit--> lane that runs --> committed / aborted
 *                    ^------- three lanes in rotation ------------'
 *
 * A *lane* is a producer. Transactions have three of them, because a broker refuses a new
 * transaction of an id while it still writes the last one's markers (CONCURRENT_TRANSACTIONS).
 * While one commits, the next is filled; it may produce only when the first one's flush has
 * returned (the *flush barrier*), or records would change order, and it is handed over only when
 * the first has committed.
 *
 * Without transactions there is one lane: an idempotent producer keeps the order by itself, so the
 * next batch goes out behind the one whose deliveries are awaited. Which batch a delivery report
 * is about stands in the message.
 *
 * Ensures: 1. One job at a time. 2. A lane of a transaction belongs to the runner from its
 * submission until `done`. 3. Delivery reports of a lane are served by one thread at a time: the
 * runner while it awaits them, else the loop. 4. If a batch aborts, the one behind it aborts as
 * well, and both are reported by one `aborted`. 5. A lane that sent without a transaction is made
 * anew after an abort, so that nothing of the old batch is still on its way. */
#ifndef SLUICE_BROKER_KAFKA_WRITER_H
#define SLUICE_BROKER_KAFKA_WRITER_H

#include <stdatomic.h>

#include "lib/base/runner.h"
#include "lib/broker/kafka/kafka.h"
#include "lib/broker/kafka/reader.h"

enum { LANES = 3, REFENCES_MAX = 3 };

/* What is known of the records of one batch. */
struct kafka_batch {
    _Atomic uint64_t reported; /* so many were delivered, or not */
    _Atomic int error;         /* first rd_kafka_resp_err_t of them */
};

struct kafka_lane {
    rd_kafka_t *rk;
    rd_kafka_topic_t *topics[WRITER_TOPICS_MAX];
    bool begun;       /* a transaction is open */
    int64_t begun_ms; /* clock_boot_ms of that */
    bool stale;       /* runner: made for limits that have changed since */
    int number;       /* 0..LANES-1, in the transactional id */
};

struct kafka_commit {
    struct job job;
    struct kafka_writer *writer;
    struct kafka_lane *lane; /* NULL: positions only, at least once */
    struct kafka_batch *batch;
    bool abort_only;
    uint64_t number, records;
    rd_kafka_topic_partition_list_t *positions; /* NULL: none */
    rd_kafka_consumer_group_metadata_t *member;
    enum status st; /* ST_OK, ST_ABORT, ST_FATAL */
    struct error err;
};

struct kafka_writer {
    struct kafka *kafka;
    struct kafka_reader *reader; /* NULL: no positions */
    struct loop *loop;
    struct writer_events events;
    bool transactional;
    char *id; /* "sluice.<group>.<instance>.<worker>" */
    char start_id[17];
    bool trace_txn, gather;
    int64_t transaction_timeout_ms, check_every_ms;

    size_t topic_count;
    char *topics[WRITER_TOPICS_MAX];
    int32_t partitions[WRITER_TOPICS_MAX];
    _Atomic int64_t limits[WRITER_TOPICS_MAX]; /* max.message.bytes */

    struct kafka_lane lanes[LANES];
    int lane_count, next_lane;
    struct kafka_batch batches[2]; /* by the lowest bit of their number */
    struct kafka_lane *filling;    /* NULL: no batch is open */
    uint64_t txn; /* transactions begun: unlike `number`, an aborted one's is not used again */
    uint64_t number, records; /* of the batch being filled */
    unsigned sends;           /* since delivery reports were last served */

    struct runner *runner;
    struct kafka_commit commit; /* the one that runs */
    bool running, blocked, failed;
    bool doomed; /* the batch being filled must abort */
    struct error doom;
    uint64_t aborted_from; /* where the abort that runs began */
    struct error abort_why;

    _Atomic bool flushed;  /* the flush barrier is open */
    _Atomic bool awaiting; /* the runner serves the delivery reports of the only lane */
    _Atomic bool closing;
    struct loop_bell *flushed_bell;
    struct loop_timer *retry; /* after a full queue */

    int64_t refenced_ms[REFENCES_MAX]; /* runner: when our own time-out fenced us */
    int refusals;                      /* runner: by limits that are as we knew them, in a row */
    int64_t checked_ms;                /* runner: when partition counts were last compared */
};

/* --- writer.c --- */

/* A partition was lost: what is in the batch cannot be committed. */
void kafka_writer_lost(struct kafka_writer *w);

/* A job runs: no rebalance may be answered. */
bool kafka_writer_busy(const struct kafka_writer *w);

/* --- txn.c --- */

/* Makes the lane's producer, asks for the topics' metadata (the first produce of 2.0.2 is else a
 * second late), and fences a predecessor. Blocks. */
enum status kafka_lane_open(struct kafka_writer *w, struct kafka_lane *lane,
                            struct error *err) MUST_CHECK;
void kafka_lane_close(struct kafka_lane *lane);

/* Begin a transaction at the first record of a batch. Loop thread; does not wait for the broker. */
enum status kafka_lane_begin(struct kafka_writer *w, struct kafka_lane *lane,
                             struct error *err) MUST_CHECK;

/* work() of w->commit. */
void kafka_commit_work(struct job *job);

/* --- slots of the ops table --- */

enum status kafka_writer_open(void *writer, void *ctx, void *reader,
                              const struct writer_config *cfg, struct error *err);
int32_t kafka_writer_partitions(const void *writer, int topic);
enum status kafka_writer_send(void *writer, const struct out *out, struct error *err);
bool kafka_writer_can_commit(const void *writer);
enum status kafka_writer_commit(void *writer, const struct position *pos, size_t n,
                                uint64_t *ret_number, struct error *err);
bool kafka_writer_idle(const void *writer);
void kafka_writer_close(void *writer);

#endif

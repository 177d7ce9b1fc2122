/* The first plug point: where records are kept and how they move.
 *
 * A broker moves bytes and never knows what a post is. Two implementations, "sqlite" (embedded)
 * and "kafka", pass the same contract suite, tests/contract/broker_contract.c.
 *
 *     reader  records of one topic, as a member of a consumer group (or alone, from given offsets)
 *     writer  outputs; `commit` makes all outputs since the last commit plus the input positions
 *             ONE durable step: a Kafka transaction (KIP-447) or a SQLite transaction
 *     admin   blocking look-ups and changes: topics, watermarks, positions of groups
 *
 * Threads: a reader and a writer belong to the loop they were opened on ("loop thread only"), and
 * all their events come on that thread, never from inside a call of the stage unless said so.
 * Admin functions may be called from any thread and block up to the broker time-out. */
#ifndef SLUICE_BROKER_BROKER_H
#define SLUICE_BROKER_BROKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/span.h"
#include "lib/config/option.h"

struct broker;
struct reader;
struct writer;

/* --- values --- */

struct header {
    struct span name;  /* never absent */
    struct span value; /* p == NULL: null */
};

/* A record that was read. All spans are borrowed from the reader until reader_release. */
struct record {
    struct span key, value; /* p == NULL: null */
    const struct header *headers;
    size_t header_count;
    int64_t offset;
    int64_t timestamp_ms; /* since 1970; -1 when there is none */
    int32_t partition;
    uint32_t epoch; /* of the assignment under which it was read */
    void *owner;    /* the reader's */
};

/* A record to be written; borrowed for the call of writer_send. */
struct out {
    struct span key, value;
    const struct header *headers;
    size_t header_count;
    int64_t timestamp_ms; /* -1: now */
    int32_t partition;    /* below the topic's partition count */
    int topic;            /* index into writer_config.topics */
};

/* A position of a group: the next offset to be read, and opaque text kept with it (ASCII, at most
 * POSITION_METADATA_MAX bytes, "" when none). */
enum { POSITION_METADATA_MAX = 3900 };
struct position {
    int32_t partition;
    int64_t offset; /* -1: the group has none here */
    const char *metadata;
};

/* Offsets of a partition. `end` is what a read_committed reader can reach now; `high` is where the
 * log ends, open transactions included (equal on SQLite). */
struct watermark {
    int64_t start, end, high;
};

/* --- broker --- */

enum delivery { EXACTLY_ONCE, AT_LEAST_ONCE };
enum missing_position { MISSING_STOP, MISSING_EARLIEST, MISSING_LATEST };

struct broker_options {
    const char *url;                 /* sqlite:PATH or kafka://host:port,… */
    const char *bootstrap;           /* KAFKA_BOOTSTRAP_SERVERS: used when `broker` is not set */
    int64_t partitions, replication; /* of topics that are made */
    int64_t timeout_ms;
    int64_t retention_ms, retention_bytes; /* 0: keep everything */
    int sqlite_sync;                       /* 0 normal, 1 full */
    int delivery;                          /* enum delivery */
    int on_missing_position;               /* enum missing_position */
    int64_t commit_interval_ms;    /* wait at most so long for more outputs before a commit */
    int64_t commit_records;        /* or until so many are in the batch */
    struct option_list properties; /* -X: librdkafka's */
    int64_t session_timeout_ms, transaction_timeout_ms;
    const char *tls_ca, *tls_cert, *tls_key, *tls_key_password;
    bool tls, tls_verify;
    int sasl_mechanism; /* 0 none, PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 */
    const char *sasl_username, *sasl_password;
    bool sasl_plaintext_allowed; /* PLAIN without TLS */
    bool trace_txn;              /* outputs carry sluice-txn */
};
extern const struct option_table broker_option_table;

/* Opens (and makes, for sqlite) the broker named by opt->url; opt is borrowed until broker_close.
 * Errors: ERR_CONFIG (unknown scheme, foreign file, bad property), ERR_UNAVAILABLE, ERR_AUTH,
 * ERR_IO; the text names URL and cure. Caller owns *ret. Any thread. */
enum status broker_open(const struct broker_options *opt, struct broker **ret,
                        struct error *err) MUST_CHECK;

/* What broker_open finds wrong in the options alone, as its errors; connects to nothing and makes
 * no file. Any thread. */
enum status broker_check(const struct broker_options *opt, struct error *err) MUST_CHECK;

/* The path of the embedded broker's file, there or not; NULL: another broker. Borrowed from opt.
 * Any thread. */
const char *broker_file(const struct broker_options *opt);

void broker_close(struct broker *broker); /* after all its readers and writers; NULL is accepted */

/* Versions of the libraries behind the brokers, a line each. */
void broker_print_versions(FILE *out);

/* The URL without secrets, for messages. Borrowed. */
const char *broker_name(const struct broker *broker);

/* What the cluster is called by itself, whatever addresses it has: Kafka's cluster id, "" on
 * sqlite, where the file is the broker. Caller owns *ret. Any thread; blocks up to the time-out. */
enum status broker_cluster(struct broker *broker, char **ret, struct error *err) MUST_CHECK;

/* How long to wait for more outputs before a commit: the option, or what suits the broker. */
int64_t broker_commit_interval_ms(const struct broker *broker);

/* --- admin: any thread; blocks up to the time-out ---
 * Transient trouble is retried inside; ST_FATAL with ERR_UNAVAILABLE, ERR_AUTH, … afterwards. */

/* Partition count of a topic; 0 when there is no such topic. */
enum status broker_partitions(struct broker *broker, const char *topic, int32_t *ret_count,
                              struct error *err) MUST_CHECK;

enum topic_kind {
    TOPIC_PLAIN,
    TOPIC_INPUT, /* plain, but retention also waits for the first group (sqlite only) */
    TOPIC_COMPACTED,
};

/* Make the topic when it is missing (partitions, replication, retention from the options;
 * `partitions` > 0 overrides). *ret_made says whether it was made. A plain topic that is there
 * becomes TOPIC_INPUT when asked for as such. */
enum status broker_topic_ensure(struct broker *broker, const char *topic, enum topic_kind kind,
                                int32_t partitions, bool *ret_made, struct error *err) MUST_CHECK;

/* Whether the topic keeps the last record of each key for ever and nothing else has to go: on Kafka
 * cleanup.policy=compact. True where that may not be asked; on sqlite always. */
enum status broker_topic_keeps(struct broker *broker, const char *topic, bool *ret,
                               struct error *err) MUST_CHECK;

/* Calls fn for each topic (internal ones left out), ordered by name. */
enum status broker_topics(struct broker *broker,
                          void (*fn)(void *arg, const char *topic, int32_t partitions), void *arg,
                          struct error *err) MUST_CHECK;

/* Calls fn for each consumer group, ordered by name; members: live ones. */
enum status broker_groups(struct broker *broker,
                          void (*fn)(void *arg, const char *group, int members), void *arg,
                          struct error *err) MUST_CHECK;

/* Watermarks of partitions 0..count-1. */
enum status broker_watermarks(struct broker *broker, const char *topic, struct watermark *ret,
                              int32_t count, struct error *err) MUST_CHECK;

/* Committed positions of partitions 0..count-1 (offset -1: none). metadata is malloc'ed with
 * mem_alloc, owned by the caller; positions_fini gives it back. */
enum status broker_positions(struct broker *broker, const char *group, const char *topic,
                             struct position *ret, int32_t count, struct error *err) MUST_CHECK;
void positions_fini(struct position *pos, int32_t count);

/* Set positions of a group that has no live members (else ST_REJECT); metadata is cleared. */
enum status broker_positions_set(struct broker *broker, const char *group, const char *topic,
                                 const struct position *pos, size_t count,
                                 struct error *err) MUST_CHECK;

/* The first offset whose timestamp is at or after timestamp_ms; the end when there is none. */
enum status broker_offset_at(struct broker *broker, const char *topic, int32_t partition,
                             int64_t timestamp_ms, int64_t *ret_offset,
                             struct error *err) MUST_CHECK;

/* Delete what retention allows to (sqlite only; elsewhere ST_OK and nothing). `force` also deletes
 * what a known group has not read, and of a TOPIC_INPUT what nobody reads yet. */
enum status broker_retain(struct broker *broker, bool force, int64_t *ret_deleted,
                          struct error *err) MUST_CHECK;

/* --- partitioner --- */

/* Java's murmur2_random: the key's murmur2 modulo count; a null key goes round robin by *turn. */
int32_t broker_partition_of(struct span key, int32_t count, uint32_t *turn);

/* --- reader --- */

struct reader_events {
    void *arg;

    /* These partitions are now ours, from these positions on. Metadata is borrowed for the call.
     * n = 0: it is a member, but all partitions have somebody; some may come later. */
    void (*assigned)(void *arg, const struct position *pos, size_t n, uint32_t epoch);

    /* These partitions are about to leave. Until reader_give_up is called they are still ours:
     * finish, commit, then call it (once for this event). They are not polled meanwhile. */
    void (*revoking)(void *arg, const int32_t *partitions, size_t n);

    /* These partitions belong to somebody else already: nothing of them can be committed. A batch
     * that holds outputs of them is aborted by the writer (its `aborted` event follows). */
    void (*lost)(void *arg, const int32_t *partitions, size_t n);

    /* A partition may have records: poll until ST_AGAIN. Comes at least once after each time a
     * poll said ST_AGAIN and there is more. */
    void (*readable)(void *arg);

    /* The broker is away (up == false, once, with err) or back: for health and logs; the reader
     * goes on trying by itself. */
    void (*connection)(void *arg, bool up, const struct error *err);

    /* The reader will not go on: ST_FATAL and why. */
    void (*failed)(void *arg, const struct error *err);
};

struct reader_config {
    struct loop *loop;
    const char *topic;
    const char *group;            /* NULL: no group; reads `start` and cannot commit */
    const char *instance;         /* stable name of this process within the group */
    int worker;                   /* number of the worker within the process */
    const struct position *start; /* without a group: where to begin; borrowed for the call */
    size_t start_count;
    bool uncommitted; /* without a group: also records of open and aborted transactions */
    bool patient;     /* records may come a few together and up to 25 ms late, at less cost */

    /* What a group without any position means: with `guard_topic` set and not empty, positions
     * were lost, and starting over would repeat outputs: stop, unless on_missing says otherwise.
     * Without guard_topic: earliest. */
    const char *guard_topic;
    enum missing_position on_missing;
    struct reader_events events;
};

/* Joins the group; assigned comes later. Caller owns *ret. */
enum status reader_open(struct broker *broker, const struct reader_config *cfg, struct reader **ret,
                        struct error *err) MUST_CHECK;

/* Up to `max` records, and up to about max_bytes (one record may go beyond), of one partition, in
 * offset order with gaps only where the broker has no record. ST_OK: *ret_n > 0. ST_AGAIN: nothing
 * now; `readable` will come. Not to be called = back-pressure: nothing is lost, nothing is fetched
 * without bound. */
enum status reader_poll(struct reader *reader, int32_t partition, struct record *ret, size_t max,
                        size_t max_bytes, size_t *ret_n, struct error *err) MUST_CHECK;

/* Give the bytes of these records back. Any order, also after the partition has gone. */
void reader_release(struct reader *reader, struct record *recs, size_t n);

/* Answer to `revoking`: nothing of those partitions is in a batch any more. */
void reader_give_up(struct reader *reader);

/* Where the partition ends as far as known without asking (-1: unknown), for lag and drain. */
int64_t reader_end(const struct reader *reader, int32_t partition);

/* The offset that the next record polled from this partition can have at the lowest: one past the
 * last one polled, or more where the log holds no record but is read beyond (markers of
 * transactions). -1: unknown. What a group may commit when everything polled has been processed. */
int64_t reader_position(const struct reader *reader, int32_t partition);

/* Leave the group at once and free. All records must have been released; a writer tied to this
 * reader is closed before. NULL is accepted. May block for a few seconds. */
void reader_close(struct reader *reader);

/* --- writer --- */

struct writer_events {
    void *arg;

    /* Batch `number` is durable, its positions too, and visible to read_committed readers: at once
     * (sqlite), or when the brokers have written their markers, some ms later (kafka). Batches are
     * reported in order. */
    void (*committed)(void *arg, uint64_t number);

    /* Batch `first` and everything sent after it left nothing behind, positions neither: send all
     * of it again, in order (the next batch has the number `first` again). */
    void (*aborted)(void *arg, uint64_t first, const struct error *why);

    /* writer_send or writer_commit may be tried again after ST_AGAIN. */
    void (*writable)(void *arg);

    /* The writer will not go on: fenced, not authorised, disk full past the deadline, … */
    void (*failed)(void *arg, const struct error *err);
};

enum { WRITER_TOPICS_MAX = 4 };
struct writer_config {
    struct loop *loop;
    struct reader *reader;                 /* whose positions are committed; NULL: none */
    const char *topics[WRITER_TOPICS_MAX]; /* must exist */
    size_t topic_count;
    enum delivery delivery;
    bool gather;          /* batches are small: nothing needs to leave before its commit */
    const char *instance; /* with group and worker: the identity that fences a zombie of ours */
    const char *group;    /* NULL without positions (source: name of the feed) */
    int worker;
    struct writer_events events;
};

enum status writer_open(struct broker *broker, const struct writer_config *cfg, struct writer **ret,
                        struct error *err) MUST_CHECK;

/* Partition count of topics[i], as read at open. */
int32_t writer_partitions(const struct writer *writer, int topic);

/* Copies `out` into the batch that is being filled (and opens it when it is the first). ST_AGAIN:
 * no room now, `writable` follows. ST_REJECT: this record can never be written (reason
 * output_too_large; the text names the limit); the batch is as before. ST_FATAL: `failed` said or
 * will say why. */
enum status writer_send(struct writer *writer, const struct out *out, struct error *err) MUST_CHECK;

/* Whether a commit handed over now would start at once (no other commit runs). Cheap. */
bool writer_can_commit(const struct writer *writer);

/* Close the batch and hand it over together with the positions (and their metadata); it may hold
 * no outputs (positions only) or no positions. ST_OK: *ret_number is the batch, `committed` or
 * `aborted` follows. ST_AGAIN: another commit still runs; go on filling, `writable` follows. */
enum status writer_commit(struct writer *writer, const struct position *pos, size_t n,
                          uint64_t *ret_number, struct error *err) MUST_CHECK;

/* Nothing handed over is still open. */
bool writer_idle(const struct writer *writer);

/* Waits for a commit that runs (its events are not reported any more), aborts the batch being
 * filled, frees. NULL is accepted. */
void writer_close(struct writer *writer);

#endif

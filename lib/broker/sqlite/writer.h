/* The writer's own state, shared by writer.c (loop thread) and commit.c (runner's thread).
 *
 *     send → batch being filled ──commit──→ batch that runs → committed / aborted
 *                  ↑ the other one of the two ←─────────────────────┘
 *
 * A batch belongs to the runner from writer_commit until its `done`. */
#ifndef SLUICE_BROKER_SQLITE_WRITER_H
#define SLUICE_BROKER_SQLITE_WRITER_H

#include "lib/base/arena.h"
#include "lib/broker/sqlite/sqlite.h"

struct row_out {
    struct span key, headers, value; /* headers: as a blob */
    int64_t timestamp_ms;
    int32_t partition;
    int topic;
};

/* A position to commit, and the lease it needs. */
struct fence {
    struct span metadata;
    int64_t offset;
    int32_t partition;
    uint32_t epoch;
};

struct batch {
    struct job job;
    struct sqlite_writer *writer;
    uint64_t number;
    struct arena arena;
    struct row_out *rows;
    struct fence *fences;
    size_t row_count, row_cap, fence_count, fence_cap;
    /* results */
    enum status st;
    struct error err;
    int32_t *lost; /* partitions whose lease is not ours */
    size_t lost_count;
    bool twin; /* our name belongs to another process */
    int frames;
};

/* A partition of an output topic on the runner's thread. */
struct lane {
    sqlite3_stmt *insert, *last;
    struct lane *next_touched;
    int64_t next;
    int32_t partition;
    int topic;
    bool touched;
};

struct sqlite_writer {
    struct sqlite_broker *broker;
    struct sqlite_reader *reader; /* NULL: no positions */
    struct loop *loop;
    struct writer_events events;
    size_t topic_count;
    char *topic_names[WRITER_TOPICS_MAX];
    struct topic topics[WRITER_TOPICS_MAX];
    char start_id[17]; /* for sluice-txn */
    int64_t length_max;

    struct batch batches[2];
    struct batch *filling;
    uint64_t number; /* of the batch being filled */
    uint64_t txn;    /* batches begun: unlike `number`, an aborted one's is not used again */
    bool running, blocked, failed, closing;
    bool abort_later; /* the batch being filled is to be aborted after the one that runs */
    struct error abort_why, failure;

    struct runner *runner;
    bool upkeep_running;
    int64_t retained_ms; /* when retention was last looked after; loop thread */

    /* Checkpoints sync the file, which takes its time: they must not hold up a commit, and in WAL
     * mode they need not. A thread and a connection of their own, made when first needed. */
    struct runner *keeper;
    struct upkeep {
        struct job job;
        struct sqlite_writer *writer;
        struct db db;
        int frames; /* length of the WAL */
        bool retain;
    } upkeep;

    /* Waiting for the lock: told by the runner, reported on the loop. */
    pthread_mutex_t lock;
    struct error stuck; /* under lock */
    struct loop_bell *stuck_bell;
    bool has_lock, away;

    /* Runner's thread. */
    struct db db;
    struct board board;
    struct lane *lanes[WRITER_TOPICS_MAX];
    struct lane *touched;
    sqlite3_stmt *begin, *commit, *position, *member;
};

/* Prepares what every commit needs, and frees it. */
enum status commit_prepare(struct sqlite_writer *writer, struct error *err) MUST_CHECK;
void commit_unprepare(struct sqlite_writer *writer);

/* work() of a batch: the transaction. */
void commit_work(struct job *job);

/* work() of writer->upkeep, on the keeper's thread: checkpoint and retention. */
void commit_upkeep(struct job *job);

enum { CHECKPOINT_FRAMES = 4000, RETAIN_EVERY_MS = 10000 };

#endif

/* The parts of the embedded broker and how they know each other.
 *
 *     sqlite.c   broker: the file, and admin functions on a connection under a mutex
 *     reader.c   loop thread: SELECTs into pooled memory, wakes up by the board
 *     group.c    runner thread of a reader: joins, renews, shares partitions out
 *     writer.c   loop thread: fills one batch while another one is committed
 *     commit.c   runner thread of a writer: the transaction
 *     retain.c   what retention deletes
 *
 * Reader and writer are "loop thread only"; a job belongs to the runner's thread from its
 * submission until its `done`. */
#ifndef SLUICE_BROKER_SQLITE_SQLITE_H
#define SLUICE_BROKER_SQLITE_SQLITE_H

#include <pthread.h>

#include "lib/base/runner.h"
#include "lib/broker/ops.h"
#include "lib/broker/sqlite/board.h"
#include "lib/broker/sqlite/db.h"
#include "lib/broker/sqlite/group.h"
#include "lib/broker/sqlite/pool.h"
#include "lib/broker/sqlite/schema.h"

struct sqlite_broker {
    const struct broker_options *opt;
    char *path;
    pthread_mutex_t lock; /* of admin and board */
    bool has_lock;
    struct db admin;
    struct board board;
};

/* A connection of the broker's file. */
enum status sqlite_connect(struct sqlite_broker *broker, struct db *db, enum db_use use,
                           struct error *err) MUST_CHECK;

/* --- reader --- */

struct part {
    sqlite3_stmt *select;
    int64_t next, end;
    uint64_t mark;  /* of the board, as last seen */
    bool open;      /* may be polled */
    bool news;      /* may have records */
    uint32_t epoch; /* given to records */
};

struct sqlite_writer;

struct sqlite_reader {
    struct sqlite_broker *broker;
    struct reader_config cfg; /* only loop, events, worker, on_missing are kept valid */
    char *topic_name;
    struct topic topic;
    struct part *parts;
    uint64_t *marks; /* room to read the board into */
    struct db db;
    sqlite3_stmt *version;
    int64_t seen_version;
    struct board board;
    struct pool pool;
    struct loop_watch *watch;
    struct loop_timer *timer;
    struct loop_bell *start; /* first events of a reader without a group */
    struct group *group;     /* NULL without */
    struct sqlite_writer *writer;
    bool closing, failed;
};

enum status sqlite_reader_open(void *ctx, void *broker, const struct reader_config *cfg,
                               struct error *err);
enum status sqlite_reader_poll(void *ctx, int32_t partition, struct record *ret, size_t max,
                               size_t max_bytes, size_t *ret_n, struct error *err);
void sqlite_reader_release(void *ctx, struct record *recs, size_t n);
void sqlite_reader_give_up(void *ctx);
int64_t sqlite_reader_end(const void *ctx, int32_t partition);
int64_t sqlite_reader_position(const void *ctx, int32_t partition);
void sqlite_reader_close(void *ctx);

/* The reader stops for good; says so once. */
void reader_fail(struct sqlite_reader *reader, const struct error *err);

/* Partition p is ours from an offset on; the events follow. */
void reader_begin(struct sqlite_reader *reader, int32_t p, int64_t offset, int64_t end,
                  uint32_t epoch);

/* --- writer --- */

enum status sqlite_writer_open(void *ctx, void *broker, void *reader,
                               const struct writer_config *cfg, struct error *err);
int32_t sqlite_writer_partitions(const void *ctx, int topic);
enum status sqlite_writer_send(void *ctx, const struct out *out, struct error *err);
bool sqlite_writer_can_commit(const void *ctx);
enum status sqlite_writer_commit(void *ctx, const struct position *pos, size_t n,
                                 uint64_t *ret_number, struct error *err);
bool sqlite_writer_idle(const void *ctx);
void sqlite_writer_close(void *ctx);

/* A lease was lost: what is in the batch cannot be committed. */
void writer_abort_batch(struct sqlite_writer *writer, const struct error *why);

/* --- retention --- */

/* Deletes what the options allow, in short transactions; stops early when `*quit` is set. */
enum status retain_run(struct db *db, const struct broker_options *opt, bool force,
                       int64_t *ret_deleted, struct error *err) MUST_CHECK;

#endif

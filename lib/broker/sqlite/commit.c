/* The transaction: fence and positions, outputs, COMMIT; then the board is marked. Runs on the
 * writer's runner. While the write lock is held nothing is called but SQLite.
 *
 * Ensures: 1. One UPDATE by member and epoch both moves a position and proves the lease; unless it
 * changes exactly one row, nothing of the batch stays. 2. A full disk is waited for up to the
 * broker time-out, each time with the whole batch again. */
#include <string.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/point.h"
#include "lib/broker/sqlite/writer.h"

enum { FULL_RETRY_MS = 100, FRAMES_MAX = 16384 };

enum status commit_prepare(struct sqlite_writer *writer, struct error *err)
{
    struct db *db = &writer->db;
    enum status st = db_prepare(db, &writer->begin, err, "BEGIN IMMEDIATE");
    if (st == ST_OK)
        st = db_prepare(db, &writer->commit, err, "COMMIT");
    if (st != ST_OK || writer->reader == NULL || writer->reader->group == NULL)
        return st;
    const struct group *group = writer->reader->group;
    st = db_prepare(db, &writer->position, err,
                    "UPDATE positions SET offset = ?, metadata = ? WHERE group_id = %Q AND topic ="
                    " %Q AND partition = ? AND member = %lld AND epoch = ?",
                    group->name, writer->reader->topic_name, (long long)group->member);
    if (st == ST_OK)
        st = db_prepare(db, &writer->member, err, "SELECT 1 FROM members WHERE id = %lld",
                        (long long)group->member);
    return st;
}

void commit_unprepare(struct sqlite_writer *writer)
{
    sqlite3_finalize(writer->begin);
    sqlite3_finalize(writer->commit);
    sqlite3_finalize(writer->position);
    sqlite3_finalize(writer->member);
    for (size_t t = 0; t < writer->topic_count; t++) {
        for (int32_t p = 0; p < writer->topics[t].partitions && writer->lanes[t] != NULL; p++) {
            sqlite3_finalize(writer->lanes[t][p].insert);
            sqlite3_finalize(writer->lanes[t][p].last);
        }
    }
}

/* --- fence and positions --- */

static enum status lost_lease(struct batch *batch, struct error *err)
{
    const struct sqlite_reader *reader = batch->writer->reader;
    return error_set(err, ST_ABORT, ERR_FENCED,
                     "group '%s' of '%s': the lease of this member has been taken over",
                     reader->group->name, reader->topic_name);
}

static enum status check_member(struct batch *batch, struct error *err)
{
    struct sqlite_writer *writer = batch->writer;
    bool row = false;
    enum status st = db_step(&writer->db, writer->member, &row, err);
    sqlite3_reset(writer->member);
    return st == ST_OK && !row ? lost_lease(batch, err) : st;
}

static enum status write_positions(struct batch *batch, struct error *err)
{
    struct sqlite_writer *writer = batch->writer;
    sqlite3_stmt *stmt = writer->position;
    if (stmt == NULL)
        return ST_OK;
    if (batch->fence_count == 0)
        return check_member(batch, err);
    enum status st = ST_OK;
    for (size_t i = 0; i < batch->fence_count && st == ST_OK; i++) {
        const struct fence *fence = &batch->fences[i];
        sqlite3_bind_int64(stmt, 1, fence->offset);
        sqlite3_bind_text(stmt, 2, fence->metadata.p, (int)fence->metadata.n, SQLITE_STATIC);
        sqlite3_bind_int(stmt, 3, fence->partition);
        sqlite3_bind_int64(stmt, 4, fence->epoch);
        st = db_run(&writer->db, stmt, err);
        if (st == ST_OK && sqlite3_changes(writer->db.conn) != 1)
            batch->lost[batch->lost_count++] = fence->partition;
    }
    return st == ST_OK && batch->lost_count > 0 ? lost_lease(batch, err) : st;
}

/* --- outputs --- */

static enum status open_lane(struct sqlite_writer *writer, struct lane *lane, struct error *err)
{
    const char *topic = writer->topic_names[lane->topic];
    int p = (int)lane->partition;
    enum status st = ST_OK;
    if (lane->insert == NULL)
        st = db_prepare(&writer->db, &lane->insert, err,
                        "INSERT INTO \"%w/%d\" (offset, timestamp, key, headers, value)"
                        " VALUES (?, ?, ?, ?, ?)",
                        topic, p);
    if (st == ST_OK && lane->last == NULL)
        st = db_prepare(&writer->db, &lane->last, err, "SELECT max(offset) FROM \"%w/%d\"", topic,
                        p);
    return st;
}

/* The first use of a partition in a transaction: where does it end? */
static enum status touch(struct sqlite_writer *writer, struct lane *lane, struct error *err)
{
    bool row = false;
    enum status st = open_lane(writer, lane, err);
    if (st == ST_OK)
        st = db_step(&writer->db, lane->last, &row, err);
    bool empty = row && sqlite3_column_type(lane->last, 0) == SQLITE_NULL;
    if (row && !empty)
        lane->next = sqlite3_column_int64(lane->last, 0) + 1;
    sqlite3_reset(lane->last);
    if (st == ST_OK && empty) {
        struct watermark log;
        st = schema_watermark(&writer->db, writer->topic_names[lane->topic], lane->partition, &log,
                              err);
        if (st == ST_OK)
            lane->next = log.end;
    }
    if (st == ST_OK) {
        lane->touched = true;
        lane->next_touched = writer->touched;
        writer->touched = lane;
    }
    return st;
}

static void bind_span(sqlite3_stmt *stmt, int i, struct span s)
{
    if (s.p == NULL)
        sqlite3_bind_null(stmt, i);
    else
        sqlite3_bind_blob64(stmt, i, s.p, s.n, SQLITE_STATIC);
}

static enum status write_outputs(struct batch *batch, struct error *err)
{
    struct sqlite_writer *writer = batch->writer;
    for (size_t i = 0; i < batch->row_count; i++) {
        const struct row_out *row = &batch->rows[i];
        struct lane *lane = &writer->lanes[row->topic][row->partition];
        enum status st = lane->touched ? ST_OK : touch(writer, lane, err);
        if (st != ST_OK)
            return st;
        sqlite3_bind_int64(lane->insert, 1, lane->next++);
        sqlite3_bind_int64(lane->insert, 2, row->timestamp_ms);
        bind_span(lane->insert, 3, row->key);
        bind_span(lane->insert, 4, row->headers);
        bind_span(lane->insert, 5, row->value);
        st = db_run(&writer->db, lane->insert, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static void untouch(struct sqlite_writer *writer, bool mark)
{
    for (struct lane *lane; (lane = writer->touched) != NULL;) {
        writer->touched = lane->next_touched;
        lane->touched = false;
        if (mark)
            board_mark_partition(&writer->board, writer->topics[lane->topic].id, lane->partition);
    }
}

/* --- the transaction --- */

static enum status attempt(struct batch *batch, bool *ret_full, struct error *err)
{
    struct sqlite_writer *writer = batch->writer;
    const char *topic = writer->topic_count > 0 ? writer->topic_names[0] : "";
    int64_t number = (int64_t)batch->number;
    batch->lost_count = 0;
    POINT("sqlite.commit.begin", topic, -1, number);
    enum status st = db_run(&writer->db, writer->begin, err);
    if (st == ST_OK)
        st = write_positions(batch, err);
    POINT("sqlite.commit.positions", topic, -1, number);
    if (st == ST_OK)
        st = write_outputs(batch, err);
    POINT("sqlite.commit.outputs", topic, -1, number);
    if (st == ST_OK)
        st = db_run(&writer->db, writer->commit, err);
    POINT("sqlite.commit.end", topic, -1, number);
    *ret_full = st == ST_FATAL && db_is_full(&writer->db);
    if (st != ST_OK)
        db_rollback(&writer->db);
    untouch(writer, st == ST_OK);
    return st;
}

/* After a lost lease: has a process of our own name taken over? */
static void look_for_twin(struct batch *batch)
{
    struct sqlite_writer *writer = batch->writer;
    const struct sqlite_reader *reader = writer->reader;
    int64_t pid = 0;
    struct error err;
    if (db_number(&writer->db, 0, &pid, &err,
                  "SELECT pid FROM members WHERE group_id = %Q AND topic = %Q AND instance = %Q"
                  " AND worker = %d AND id != %lld",
                  reader->group->name, reader->topic_name, reader->group->instance,
                  reader->cfg.worker, (long long)reader->group->member) != ST_OK ||
        pid == 0)
        return;
    batch->twin = true;
    error_set(&batch->err, ST_FATAL, ERR_FENCED,
              "process %lld has taken over as '%s' worker %d of group '%s'", (long long)pid,
              reader->group->instance, reader->cfg.worker, reader->group->name);
}

void commit_work(struct job *job)
{
    struct batch *batch = (struct batch *)job;
    struct sqlite_writer *writer = batch->writer;
    int64_t deadline_ms = clock_mono_ms() + writer->db.timeout_ms;
    bool full = false;
    batch->twin = false;
    for (;;) {
        batch->st = attempt(batch, &full, &batch->err);
        if (!full || clock_mono_ms() > deadline_ms || atomic_load(&writer->db.quit))
            break;
        writer->db.on_stuck(writer->db.arg, &batch->err);
        struct timespec t = {0, FULL_RETRY_MS * 1000000L};
        nanosleep(&t, NULL);
    }
    batch->frames = writer->db.frames;
    if (batch->st == ST_ABORT)
        look_for_twin(batch);
}

void commit_upkeep(struct job *job)
{
    enum { PATIENCE_MS = 200 };
    struct upkeep *keep = (struct upkeep *)job;
    struct sqlite_writer *writer = keep->writer;
    struct db *db = &keep->db;
    struct error err; /* what fails here is tried again next time */
    if (db->conn == NULL && sqlite_connect(writer->broker, db, DB_WRITE, &err) != ST_OK) {
        db_close(db);
        return;
    }
    if (keep->frames >= CHECKPOINT_FRAMES) {
        /* PASSIVE waits for nobody; a WAL that grows all the same is begun anew by force. */
        int mode =
            keep->frames < FRAMES_MAX ? SQLITE_CHECKPOINT_PASSIVE : SQLITE_CHECKPOINT_RESTART;
        int64_t timeout_ms = db->timeout_ms;
        db->timeout_ms = timeout_ms < PATIENCE_MS ? timeout_ms : PATIENCE_MS;
        sqlite3_wal_checkpoint_v2(db->conn, NULL, mode, NULL, NULL);
        db->timeout_ms = timeout_ms;
    }
    int64_t deleted = 0;
    if (keep->retain && retain_run(db, writer->broker->opt, false, &deleted, &err) != ST_OK)
        db_rollback(db);
}

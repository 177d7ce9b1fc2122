/* Reading, on the loop thread. A partition is only asked when there is news of it: a mark on the
 * board has changed, or the 100 ms timer saw by PRAGMA data_version that the file has (written by
 * other means, or no inotify).
 *
 * Ensures: 1. No read transaction outlives a call, else the WAL could not be reused. 2. Marks are
 * read before the SELECT they lead to, so that no commit falls between. */
#include "lib/broker/sqlite/sqlite.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/broker/sqlite/headers.h"

enum { FALLBACK_MS = 100 };

/* --- news --- */

static void announce(struct sqlite_reader *reader)
{
    for (int32_t p = 0; p < reader->topic.partitions; p++) {
        if (reader->parts[p].open && reader->parts[p].news) {
            reader->cfg.events.readable(reader->cfg.events.arg);
            return;
        }
    }
}

static void look_at_board(struct sqlite_reader *reader)
{
    board_read(&reader->board, reader->topic.id, reader->marks, reader->topic.partitions);
    for (int32_t p = 0; p < reader->topic.partitions; p++) {
        struct part *part = &reader->parts[p];
        part->news = part->news || part->mark != reader->marks[p];
        part->mark = reader->marks[p];
    }
    struct group *group = reader->group;
    if (group == NULL)
        return;
    uint64_t mark = board_read_group(&reader->board, group->name, reader->topic_name);
    if (mark != group->mark)
        group_round(reader);
    group->mark = mark;
}

static void on_watch(void *arg, int events)
{
    struct sqlite_reader *reader = arg;
    UNUSED(events);
    bool closed = board_drain(&reader->board);
    if (reader->failed)
        return;
    look_at_board(reader);
    /* The kernel reports the end of a process just before it drops the locks. */
    if (closed && reader->group != NULL)
        loop_timer_start(reader->group->timer, 20);
    announce(reader);
}

static void look_at_version(struct sqlite_reader *reader)
{
    struct error err;
    bool row = false;
    if (db_step(&reader->db, reader->version, &row, &err) == ST_OK && row) {
        int64_t version = sqlite3_column_int64(reader->version, 0);
        for (int32_t p = 0; p < reader->topic.partitions && version != reader->seen_version; p++)
            reader->parts[p].news = true;
        reader->seen_version = version;
    }
    sqlite3_reset(reader->version);
}

static void on_timer(void *arg)
{
    struct sqlite_reader *reader = arg;
    if (reader->failed)
        return;
    loop_timer_start(reader->timer, FALLBACK_MS);
    look_at_board(reader);
    look_at_version(reader);
    announce(reader);
}

void reader_fail(struct sqlite_reader *reader, const struct error *err)
{
    if (reader->failed || reader->closing)
        return;
    reader->failed = true;
    for (int32_t p = 0; p < reader->topic.partitions; p++)
        reader->parts[p].open = false;
    reader->cfg.events.failed(reader->cfg.events.arg, err);
}

void reader_begin(struct sqlite_reader *reader, int32_t p, int64_t offset, int64_t end,
                  uint32_t epoch)
{
    struct part *part = &reader->parts[p];
    part->next = offset;
    part->end = end;
    part->epoch = epoch;
    part->open = part->news = true;
}

/* --- open and close --- */

/* The first events of a reader without a group: from the loop, not from inside reader_open. */
static void on_start(void *arg)
{
    struct sqlite_reader *reader = arg;
    struct position *pos = mem_array((size_t)reader->topic.partitions, sizeof *pos);
    size_t n = 0;
    for (int32_t p = 0; p < reader->topic.partitions; p++) {
        if (reader->parts[p].open)
            pos[n++] = (struct position){p, reader->parts[p].next, ""};
    }
    reader->cfg.events.assigned(reader->cfg.events.arg, pos, n, 1);
    mem_free(pos);
    announce(reader);
}

static enum status begin_alone(struct sqlite_reader *reader, const struct reader_config *cfg,
                               struct error *err)
{
    for (size_t i = 0; i < cfg->start_count; i++) {
        const struct position *pos = &cfg->start[i];
        struct watermark log;
        if (pos->partition < 0 || pos->partition >= reader->topic.partitions)
            return error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' has no partition %d",
                             cfg->topic, (int)pos->partition);
        enum status st = schema_watermark(&reader->db, cfg->topic, pos->partition, &log, err);
        if (st != ST_OK)
            return st;
        reader_begin(reader, pos->partition, pos->offset, log.end, 1);
    }
    reader->start = loop_bell_new(cfg->loop, on_start, reader);
    loop_bell_ring(reader->start);
    return ST_OK;
}

enum status sqlite_reader_open(void *ctx, void *broker, const struct reader_config *cfg,
                               struct error *err)
{
    struct sqlite_reader *reader = ctx;
    reader->broker = broker;
    reader->cfg = *cfg;
    reader->topic_name = mem_strdup(cfg->topic);
    enum status st = sqlite_connect(broker, &reader->db, DB_READ, err);
    if (st == ST_OK)
        st = schema_need_topic(&reader->db, cfg->topic, &reader->topic, err);
    if (st == ST_OK)
        st = db_prepare(&reader->db, &reader->version, err, "PRAGMA data_version");
    if (st == ST_OK)
        st = board_open(&reader->board, reader->broker->path, true, err);
    if (st != ST_OK)
        return st;
    size_t count = (size_t)reader->topic.partitions;
    reader->parts = mem_array(count, sizeof *reader->parts);
    reader->marks = mem_array(count, sizeof *reader->marks);
    for (size_t p = 0; p < count; p++)
        reader->parts[p].end = -1;
    st = cfg->group == NULL ? begin_alone(reader, cfg, err) : group_start(reader, cfg, err);
    if (st != ST_OK)
        return st;
    if (reader->board.watch >= 0) {
        reader->watch = loop_watch_new(cfg->loop, reader->board.watch, on_watch, reader);
        loop_watch_set(reader->watch, LOOP_READABLE);
    }
    reader->timer = loop_timer_new(cfg->loop, on_timer, reader);
    loop_timer_start(reader->timer, FALLBACK_MS);
    return ST_OK;
}

void sqlite_reader_close(void *ctx)
{
    struct sqlite_reader *reader = ctx;
    reader->closing = true;
    group_stop(reader);
    loop_watch_free(reader->watch);
    loop_timer_free(reader->timer);
    loop_bell_free(reader->start);
    board_close(&reader->board);
    for (int32_t p = 0; p < reader->topic.partitions && reader->parts != NULL; p++)
        sqlite3_finalize(reader->parts[p].select);
    sqlite3_finalize(reader->version);
    db_close(&reader->db);
    pool_fini(&reader->pool);
    mem_free(reader->parts);
    mem_free(reader->marks);
    mem_free(reader->topic_name);
}

/* --- records --- */

static struct span column(sqlite3_stmt *stmt, int i)
{
    if (sqlite3_column_type(stmt, i) == SQLITE_NULL)
        return SPAN_NULL;
    const void *p = sqlite3_column_blob(stmt, i); /* NULL when it is empty */
    size_t n = (size_t)sqlite3_column_bytes(stmt, i);
    return span_make(n == 0 ? "" : p, n);
}

static struct span put(char **to, struct span s)
{
    if (s.p == NULL)
        return s;
    char *p = *to;
    if (s.n > 0)
        memcpy(p, s.p, s.n);
    *to += s.n;
    return span_make(p, s.n);
}

/* Columns: offset, timestamp, key, headers, value. */
static size_t copy_record(struct sqlite_reader *reader, sqlite3_stmt *stmt, struct record *rec)
{
    struct span key = column(stmt, 2), blob = column(stmt, 3), value = column(stmt, 4);
    size_t count = headers_count(blob);
    size_t list = count * sizeof(struct header);
    struct pool_chunk *chunk;
    char *to = pool_alloc(&reader->pool, list + key.n + blob.n + value.n, &chunk);
    struct header *headers = (struct header *)(void *)to;
    to += list;
    rec->key = put(&to, key);
    rec->value = put(&to, value);
    blob = put(&to, blob);
    rec->header_count = count > 0 && headers_read(blob, headers, count) ? count : 0;
    rec->headers = rec->header_count == 0 ? NULL : headers;
    rec->offset = sqlite3_column_int64(stmt, 0);
    rec->timestamp_ms =
        sqlite3_column_type(stmt, 1) == SQLITE_NULL ? -1 : sqlite3_column_int64(stmt, 1);
    rec->owner = chunk;
    return key.n + value.n + blob.n;
}

static enum status select_of(struct sqlite_reader *reader, int32_t p, sqlite3_stmt **ret,
                             struct error *err)
{
    struct part *part = &reader->parts[p];
    if (part->select == NULL) {
        enum status st = db_prepare(&reader->db, &part->select, err,
                                    "SELECT offset, timestamp, key, headers, value FROM \"%w/%d\""
                                    " WHERE offset >= ? ORDER BY offset LIMIT ?",
                                    reader->topic_name, (int)p);
        if (st != ST_OK)
            return st;
    }
    *ret = part->select;
    return ST_OK;
}

enum status sqlite_reader_poll(void *ctx, int32_t p, struct record *ret, size_t max,
                               size_t max_bytes, size_t *ret_n, struct error *err)
{
    struct sqlite_reader *reader = ctx;
    struct part *part = &reader->parts[p];
    if (!part->open || !part->news)
        return ST_AGAIN;
    sqlite3_stmt *stmt = NULL;
    enum status st = select_of(reader, p, &stmt, err);
    if (st != ST_OK)
        return st;
    sqlite3_bind_int64(stmt, 1, part->next);
    sqlite3_bind_int64(stmt, 2, (sqlite3_int64)max);
    size_t n = 0, bytes = 0;
    bool row = true;
    while (n < max && bytes < max_bytes && (st = db_step(&reader->db, stmt, &row, err)) == ST_OK &&
           row) {
        struct record *rec = &ret[n++];
        bytes += copy_record(reader, stmt, rec);
        rec->partition = p;
        rec->epoch = part->epoch;
    }
    sqlite3_reset(stmt);
    if (st != ST_OK) {
        sqlite_reader_release(reader, ret, n);
        return st;
    }
    if (n > 0)
        part->next = ret[n - 1].offset + 1;
    if (part->end < part->next || !row)
        part->end = part->next;
    part->news = row; /* no row left: wait for the next mark */
    if (n == 0)
        return ST_AGAIN;
    POINT("sqlite.read", reader->topic_name, p, ret[0].offset);
    *ret_n = n;
    return ST_OK;
}

void sqlite_reader_release(void *ctx, struct record *recs, size_t n)
{
    struct sqlite_reader *reader = ctx;
    for (size_t i = 0; i < n; i++)
        pool_release(&reader->pool, recs[i].owner);
}

int64_t sqlite_reader_end(const void *ctx, int32_t partition)
{
    const struct sqlite_reader *reader = ctx;
    return reader->parts[partition].end;
}

int64_t sqlite_reader_position(const void *ctx, int32_t partition)
{
    const struct sqlite_reader *reader = ctx;
    return reader->parts[partition].end < 0 ? -1 : reader->parts[partition].next;
}

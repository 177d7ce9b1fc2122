/* The embedded broker: opening the file, and the functions of the admin, which share one
 * connection under a mutex. */
#include "lib/broker/sqlite/sqlite.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/broker/sqlite/writer.h"

enum status sqlite_connect(struct sqlite_broker *broker, struct db *db, enum db_use use,
                           struct error *err)
{
    return db_open(db, broker->path, use, false, broker->opt->sqlite_sync == 1,
                   broker->opt->timeout_ms, err);
}

static enum status check_options(const struct broker_options *opt, const char *rest,
                                 struct error *err)
{
    UNUSED(opt);
    if (*rest == '\0')
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "broker 'sqlite:': the path of the file is missing");
    return ST_OK;
}

static enum status open_broker(void *ctx, const struct broker_options *opt, const char *rest,
                               struct error *err)
{
    struct sqlite_broker *broker = ctx;
    if (check_options(opt, rest, err) != ST_OK)
        return ST_FATAL;
    broker->opt = opt;
    broker->path = mem_strdup(rest);
    pthread_mutex_init(&broker->lock, NULL);
    broker->has_lock = true;
    enum status st = db_open(&broker->admin, broker->path, DB_WRITE, true, opt->sqlite_sync == 1,
                             opt->timeout_ms, err);
    if (st == ST_OK)
        st = schema_ensure(&broker->admin, err);
    if (st == ST_OK)
        st = board_open(&broker->board, broker->path, false, err);
    return st;
}

static void close_broker(void *ctx)
{
    struct sqlite_broker *broker = ctx;
    board_close(&broker->board);
    db_close(&broker->admin);
    if (broker->has_lock)
        pthread_mutex_destroy(&broker->lock);
    mem_free(broker->path);
}

static struct db *enter(struct sqlite_broker *broker)
{
    pthread_mutex_lock(&broker->lock);
    return &broker->admin;
}

/* Ends what a failed function has left open. */
static enum status leave(struct sqlite_broker *broker, enum status st)
{
    db_rollback(&broker->admin);
    pthread_mutex_unlock(&broker->lock);
    return st;
}

static enum status partitions(void *ctx, const char *topic, int32_t *ret_count, struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct topic found;
    enum status st = schema_find_topic(enter(broker), topic, &found, err);
    if (st == ST_OK)
        *ret_count = found.partitions;
    return leave(broker, st);
}

static enum status topic_ensure(void *ctx, const char *topic, enum topic_kind kind, int32_t wanted,
                                bool *ret_made, struct error *err)
{
    struct sqlite_broker *broker = ctx;
    int32_t count = wanted > 0 ? wanted : (int32_t)broker->opt->partitions;
    struct db *db = enter(broker);
    return leave(broker, schema_make_topic(db, topic, kind, count < 1 ? 1 : count, ret_made, err));
}

/* --- lists: copied first, so that fn may call the broker again --- */

struct name {
    char *text;
    int number;
};

static enum status read_names(struct db *db, const char *sql, struct name **ret, size_t *ret_count,
                              struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    struct name *names = NULL;
    size_t n = 0;
    bool row = false;
    enum status st = db_prepare(db, &stmt, err, "%s", sql);
    while (st == ST_OK && (st = db_step(db, stmt, &row, err)) == ST_OK && row) {
        names = mem_realloc(names, (n + 1) * sizeof *names);
        names[n++] = (struct name){mem_strdup((const char *)sqlite3_column_text(stmt, 0)),
                                   sqlite3_column_int(stmt, 1)};
    }
    sqlite3_finalize(stmt);
    *ret = names;
    *ret_count = n;
    return st;
}

static void free_names(struct name *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        mem_free(names[i].text);
    mem_free(names);
}

static enum status topics(void *ctx, void (*fn)(void *, const char *, int32_t), void *arg,
                          struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct name *names;
    size_t n;
    enum status st = read_names(
        enter(broker), "SELECT topic, partitions FROM topics ORDER BY topic COLLATE BINARY", &names,
        &n, err);
    leave(broker, st);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        fn(arg, names[i].text, names[i].number);
    free_names(names, n);
    return st;
}

static enum status groups(void *ctx, void (*fn)(void *, const char *, int), void *arg,
                          struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct db *db = enter(broker);
    struct name *names;
    size_t n;
    enum status st = read_names(db,
                                "SELECT group_id, 0 FROM positions UNION"
                                " SELECT group_id, 0 FROM members ORDER BY 1",
                                &names, &n, err);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        st = group_live_members(db, &broker->board, names[i].text, &names[i].number, err);
    leave(broker, st);
    for (size_t i = 0; i < n && st == ST_OK; i++)
        fn(arg, names[i].text, names[i].number);
    free_names(names, n);
    return st;
}

static enum status check_count(struct db *db, const char *topic, int64_t count, struct error *err)
{
    struct topic found;
    enum status st = schema_need_topic(db, topic, &found, err);
    if (st == ST_OK && count > found.partitions)
        return error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' has %d partitions, not %lld", topic,
                         (int)found.partitions, (long long)count);
    return st;
}

static enum status watermarks(void *ctx, const char *topic, struct watermark *ret, int32_t count,
                              struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct db *db = enter(broker);
    enum status st = check_count(db, topic, count, err);
    for (int32_t p = 0; p < count && st == ST_OK; p++)
        st = schema_watermark(db, topic, p, &ret[p], err);
    return leave(broker, st);
}

static enum status positions(void *ctx, const char *group, const char *topic, struct position *ret,
                             int32_t count, struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct db *db = enter(broker);
    for (int32_t p = 0; p < count; p++)
        ret[p] = (struct position){.partition = p, .offset = -1};
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum status st = db_prepare(db, &stmt, err,
                                "SELECT partition, offset, metadata FROM positions WHERE group_id "
                                "= %Q AND topic = %Q AND partition < %d AND offset NOT NULL",
                                group, topic, (int)count);
    while (st == ST_OK && (st = db_step(db, stmt, &row, err)) == ST_OK && row) {
        int32_t p = sqlite3_column_int(stmt, 0);
        ret[p].offset = sqlite3_column_int64(stmt, 1);
        ret[p].metadata = mem_strdup((const char *)sqlite3_column_text(stmt, 2));
    }
    sqlite3_finalize(stmt);
    for (int32_t p = 0; p < count && st == ST_OK; p++) {
        if (ret[p].metadata == NULL)
            ret[p].metadata = mem_strdup("");
    }
    if (st != ST_OK)
        positions_fini(ret, count);
    return leave(broker, st);
}

static enum status set_one(struct db *db, const char *group, const char *topic,
                           const struct position *pos, struct error *err)
{
    struct watermark log;
    enum status st = check_count(db, topic, pos->partition + (int64_t)1, err);
    if (st == ST_OK)
        st = schema_watermark(db, topic, pos->partition, &log, err);
    if (st == ST_OK && (pos->offset < log.start || pos->offset > log.end))
        return error_set(err, ST_FATAL, ERR_USAGE, "%s/%d has the offsets %lld to %lld, not %lld",
                         topic, (int)pos->partition, (long long)log.start, (long long)log.end,
                         (long long)pos->offset);
    if (st == ST_OK)
        st = db_exec(db, err,
                     "INSERT INTO positions (group_id, topic, partition, offset) VALUES (%Q, %Q, "
                     "%d, %lld) ON CONFLICT DO UPDATE SET offset = excluded.offset, metadata = '', "
                     "member = NULL",
                     group, topic, (int)pos->partition, (long long)pos->offset);
    return st;
}

static enum status positions_set(void *ctx, const char *group, const char *topic,
                                 const struct position *pos, size_t count, struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct db *db = enter(broker);
    int live = 0;
    enum status st = db_begin(db, err);
    if (st == ST_OK)
        st = group_live_members(db, &broker->board, group, &live, err);
    if (st == ST_OK && live > 0)
        st = error_set(err, ST_REJECT, ERR_FAILED,
                       "group '%s' has %d live member%s; stop %s before its positions are set",
                       group, live, live == 1 ? "" : "s", live == 1 ? "it" : "them");
    for (size_t i = 0; i < count && st == ST_OK; i++)
        st = set_one(db, group, topic, &pos[i], err);
    if (st == ST_OK)
        st = db_commit(db, err);
    return leave(broker, st);
}

static enum status offset_at(void *ctx, const char *topic, int32_t partition, int64_t timestamp_ms,
                             int64_t *ret_offset, struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct db *db = enter(broker);
    struct watermark log = {0};
    int64_t found = -1;
    enum status st = check_count(db, topic, partition + (int64_t)1, err);
    if (st == ST_OK)
        st = schema_watermark(db, topic, partition, &log, err);
    if (st == ST_OK)
        st = db_number(db, log.end, &found, err,
                       "SELECT offset FROM \"%w/%d\" WHERE timestamp >= %lld"
                       " ORDER BY offset LIMIT 1",
                       topic, (int)partition, (long long)timestamp_ms);
    if (st == ST_OK)
        *ret_offset = found;
    return leave(broker, st);
}

static enum status retain(void *ctx, bool force, int64_t *ret_deleted, struct error *err)
{
    struct sqlite_broker *broker = ctx;
    struct db *db = enter(broker);
    return leave(broker, retain_run(db, broker->opt, force, ret_deleted, err));
}

static const char *library(void)
{
    return "SQLite " SQLITE_VERSION;
}

const struct broker_ops sqlite_broker_ops = {
    .scheme = "sqlite",
    .library = library,
    .broker_size = sizeof(struct sqlite_broker),
    .reader_size = sizeof(struct sqlite_reader),
    .writer_size = sizeof(struct sqlite_writer),
    .open = open_broker,
    .close = close_broker,
    .check = check_options,
    .partitions = partitions,
    .topic_ensure = topic_ensure,
    .topics = topics,
    .groups = groups,
    .watermarks = watermarks,
    .positions = positions,
    .positions_set = positions_set,
    .offset_at = offset_at,
    .retain = retain,
    .reader_open = sqlite_reader_open,
    .reader_poll = sqlite_reader_poll,
    .reader_release = sqlite_reader_release,
    .reader_give_up = sqlite_reader_give_up,
    .reader_end = sqlite_reader_end,
    .reader_position = sqlite_reader_position,
    .reader_close = sqlite_reader_close,
    .writer_open = sqlite_writer_open,
    .writer_partitions = sqlite_writer_partitions,
    .writer_send = sqlite_writer_send,
    .writer_can_commit = sqlite_writer_can_commit,
    .writer_commit = sqlite_writer_commit,
    .writer_idle = sqlite_writer_idle,
    .writer_close = sqlite_writer_close,
};

/* See schema.h. */
#include "lib/broker/sqlite/schema.h"

#include <string.h>
#include <time.h>

#include "lib/base/clock.h"

enum { APPLICATION_ID = 0x736c6365 /* "slce" */, SCHEMA_VERSION = 1, VIEW_PARTITIONS_MAX = 400 };

static const char tables[] =
    "CREATE TABLE topics (id INTEGER PRIMARY KEY, topic TEXT NOT NULL UNIQUE COLLATE NOCASE,"
    " partitions INTEGER NOT NULL, kind TEXT NOT NULL);"
    "CREATE TABLE partitions (topic TEXT NOT NULL, partition INTEGER NOT NULL,"
    " start INTEGER NOT NULL DEFAULT 0, counted INTEGER NOT NULL DEFAULT 0,"
    " bytes INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (topic, partition)) WITHOUT ROWID;"
    "CREATE TABLE groups (group_id TEXT NOT NULL, topic TEXT NOT NULL,"
    " epoch INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (group_id, topic)) WITHOUT ROWID;"
    "CREATE TABLE positions (group_id TEXT NOT NULL, topic TEXT NOT NULL,"
    " partition INTEGER NOT NULL, offset INTEGER, metadata TEXT NOT NULL DEFAULT '',"
    " member INTEGER, epoch INTEGER NOT NULL DEFAULT 0,"
    " PRIMARY KEY (group_id, topic, partition)) WITHOUT ROWID;"
    "CREATE TABLE members (id INTEGER PRIMARY KEY, group_id TEXT NOT NULL, topic TEXT NOT NULL,"
    " instance TEXT NOT NULL, worker INTEGER NOT NULL, pid INTEGER NOT NULL, boot TEXT NOT NULL,"
    " renewed_ms INTEGER NOT NULL);";

static const char *const own_names[] = {"topics", "partitions", "groups", "positions", "members"};

static enum status check(struct db *db, bool *ret_empty, struct error *err)
{
    int64_t app = 0, version = 0, objects = 0;
    enum status st = db_number(db, 0, &app, err, "PRAGMA application_id");
    if (st == ST_OK)
        st = db_number(db, 0, &version, err, "PRAGMA user_version");
    if (st == ST_OK)
        st = db_number(db, 0, &objects, err, "SELECT count(*) FROM sqlite_schema");
    if (st != ST_OK)
        return st;
    *ret_empty = app == 0 && version == 0 && objects == 0;
    if (*ret_empty)
        return ST_OK;
    if (app != APPLICATION_ID)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "'%s' is the SQLite file of another program; name another file with "
                         "--broker sqlite:PATH",
                         db->path);
    if (version > SCHEMA_VERSION)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "'%s' was written by a newer sluice (version %lld of its tables, this "
                         "one knows %d)",
                         db->path, (long long)version, SCHEMA_VERSION);
    return ST_OK;
}

static enum status make_tables(struct db *db, struct error *err)
{
    bool empty = true;
    enum status st = db_begin(db, err);
    if (st == ST_OK)
        st = check(db, &empty, err);
    if (st == ST_OK && empty)
        st = db_exec(db, err, "%s PRAGMA application_id=%d; PRAGMA user_version=%d", tables,
                     APPLICATION_ID, SCHEMA_VERSION);
    if (st == ST_OK)
        st = db_commit(db, err);
    if (st != ST_OK)
        db_rollback(db);
    return st;
}

/* Changing to WAL wants the file for itself, and SQLite does not always ask the busy handler. */
static enum status set_wal(struct db *db, struct error *err)
{
    int64_t deadline_ms = clock_mono_ms() + db->timeout_ms;
    for (;;) {
        enum status st = db_exec(db, err, "PRAGMA journal_mode=WAL");
        bool busy = (sqlite3_errcode(db->conn) & 0xff) == SQLITE_BUSY;
        if (st == ST_OK || !busy || clock_mono_ms() > deadline_ms)
            return st;
        struct timespec t = {0, 2000000};
        nanosleep(&t, NULL);
    }
}

enum status schema_ensure(struct db *db, struct error *err)
{
    bool empty = false;
    enum status st = check(db, &empty, err);
    if (st == ST_OK)
        st = set_wal(db, err);
    if (st == ST_OK && empty)
        st = make_tables(db, err);
    return st;
}

enum status schema_find_topic(struct db *db, const char *topic, struct topic *ret,
                              struct error *err)
{
    *ret = (struct topic){0};
    sqlite3_stmt *stmt = NULL;
    enum status st = db_prepare(
        db, &stmt, err,
        "SELECT id, partitions FROM topics WHERE topic = %Q AND topic = %Q COLLATE BINARY", topic,
        topic);
    bool row = false;
    if (st == ST_OK)
        st = db_step(db, stmt, &row, err);
    if (st == ST_OK && row)
        *ret = (struct topic){sqlite3_column_int64(stmt, 0), sqlite3_column_int(stmt, 1)};
    sqlite3_finalize(stmt);
    return st;
}

enum status schema_need_topic(struct db *db, const char *topic, struct topic *ret,
                              struct error *err)
{
    enum status st = schema_find_topic(db, topic, ret, err);
    if (st == ST_OK && ret->partitions == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG, "there is no topic '%s' in '%s'", topic,
                         db->path);
    return st;
}

static enum status check_name(const char *topic, struct error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t n = strlen(topic);
    if (n == 0 || n > 249 || strspn(topic, allowed) != n || strcmp(topic, ".") == 0 ||
        strcmp(topic, "..") == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "topic '%s': a name has 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'",
                         topic);
    if (sqlite3_strnicmp(topic, "sqlite_", 7) == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "topic '%s': names that begin with sqlite_ are SQLite's own", topic);
    return ST_OK;
}

static bool may_have_view(const char *topic, int32_t partitions)
{
    for (size_t i = 0; i < sizeof own_names / sizeof *own_names; i++)
        if (sqlite3_stricmp(topic, own_names[i]) == 0)
            return false;
    return partitions <= VIEW_PARTITIONS_MAX;
}

static enum status make_view(struct db *db, const char *topic, int32_t partitions,
                             struct error *err)
{
    sqlite3_str *sql = sqlite3_str_new(db->conn);
    sqlite3_str_appendf(sql, "CREATE VIEW \"%w\" AS ", topic);
    for (int32_t p = 0; p < partitions; p++)
        sqlite3_str_appendf(sql,
                            "%sSELECT %d AS partition, offset, timestamp, CAST(key AS TEXT) AS key,"
                            " CAST(value AS TEXT) AS value FROM \"%w/%d\"",
                            p == 0 ? "" : " UNION ALL ", (int)p, topic, (int)p);
    char *text = sqlite3_str_finish(sql);
    enum status st = db_exec(db, err, "%s", text);
    sqlite3_free(text);
    return st;
}

static const char *const kind_names[] = {
    [TOPIC_PLAIN] = "plain", [TOPIC_INPUT] = "input", [TOPIC_COMPACTED] = "compacted"};

/* A file of an earlier version, or a topic that another pipeline writes and this one reads. */
static enum status make_input(struct db *db, const char *topic, struct error *err)
{
    int64_t plain = 0;
    enum status st =
        db_number(db, 0, &plain, err,
                  "SELECT count(*) FROM topics WHERE topic = %Q AND kind = 'plain'", topic);
    if (st != ST_OK || plain == 0)
        return st;
    return db_exec(db, err, "UPDATE topics SET kind = 'input' WHERE topic = %Q AND kind = 'plain'",
                   topic);
}

static enum status add_topic(struct db *db, const char *topic, enum topic_kind kind,
                             int32_t partitions, struct error *err)
{
    int64_t similar = 0;
    enum status st =
        db_number(db, 0, &similar, err, "SELECT count(*) FROM topics WHERE topic = %Q", topic);
    if (st == ST_OK && similar > 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "topic '%s': another one differs only by upper and lower case", topic);
    if (st == ST_OK)
        st = db_exec(db, err, "INSERT INTO topics (topic, partitions, kind) VALUES (%Q, %d, %Q)",
                     topic, (int)partitions, kind_names[kind]);
    for (int32_t p = 0; p < partitions && st == ST_OK; p++)
        st = db_exec(db, err,
                     "CREATE TABLE \"%w/%d\" (offset INTEGER PRIMARY KEY, timestamp INTEGER,"
                     " key BLOB, headers BLOB, value BLOB);"
                     "INSERT INTO partitions (topic, partition) VALUES (%Q, %d)",
                     topic, (int)p, topic, (int)p);
    if (st == ST_OK && may_have_view(topic, partitions))
        st = make_view(db, topic, partitions, err);
    return st;
}

enum status schema_make_topic(struct db *db, const char *topic, enum topic_kind kind,
                              int32_t partitions, bool *ret_made, struct error *err)
{
    enum status st = check_name(topic, err);
    if (st != ST_OK)
        return st;
    struct topic found;
    st = schema_find_topic(db, topic, &found, err);
    bool made = false;
    if (st == ST_OK && found.partitions == 0)
        st = db_begin(db, err);
    if (st == ST_OK && found.partitions == 0)
        st = schema_find_topic(db, topic, &found, err); /* somebody else may have been faster */
    if (st == ST_OK && found.partitions == 0) {
        st = add_topic(db, topic, kind, partitions, err);
        made = true;
    }
    if (st == ST_OK && !sqlite3_get_autocommit(db->conn))
        st = db_commit(db, err);
    db_rollback(db);
    if (st == ST_OK && !made && kind == TOPIC_INPUT)
        st = make_input(db, topic, err);
    if (st == ST_OK)
        *ret_made = made;
    return st;
}

enum status schema_watermark(struct db *db, const char *topic, int32_t partition,
                             struct watermark *ret, struct error *err)
{
    int64_t start = 0, last = 0;
    enum status st = db_number(db, 0, &start, err,
                               "SELECT start FROM partitions WHERE topic = %Q AND partition = %d",
                               topic, (int)partition);
    if (st == ST_OK)
        st = db_number(db, -1, &last, err, "SELECT max(offset) FROM \"%w/%d\"", topic,
                       (int)partition);
    if (st != ST_OK)
        return st;
    int64_t end = last + 1 > start ? last + 1 : start;
    *ret = (struct watermark){.start = start, .end = end, .high = end};
    return ST_OK;
}

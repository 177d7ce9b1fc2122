/* Retention: the oldest records of a partition go when they are too old, or when the partition is
 * too large, and when every known group has read them. Of an input topic there must be a group: its
 * posts would be lost before anybody has come to read them. Compacted topics are left alone.
 *
 * Each record is added up once (`partitions.bytes` is the size of those below `counted`) and
 * subtracted once, so that knowing the size costs no scan of the partition. Records go in slices,
 * each in a transaction of its own: the write lock is never held for long.
 *
 * Ensures: `partitions.start` moves together with the records, so no offset is used twice. */
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/broker/sqlite/sqlite.h"

enum { SLICE = 1000, COUNT_SLICE = 10000 };

#define SIZE_OF_RECORD                                                                             \
    "(coalesce(length(key), 0) + coalesce(length(headers), 0) + coalesce(length(value), 0) + 16)"

struct retention {
    struct db *db;
    const struct broker_options *opt;
    const char *topic;
    int32_t partition;
    bool force, input;
    int64_t start, counted, bytes, limit; /* as the slice found them */
};

/* Add up what is new, some at a time. */
static enum status count_bytes(const struct retention *r, struct error *err)
{
    for (;;) {
        int64_t moved = 0;
        enum status st = db_exec(
            r->db, err,
            "UPDATE partitions SET (bytes, counted) = (SELECT bytes + coalesce(sum" SIZE_OF_RECORD
            ", 0), coalesce(max(offset) + 1, counted) FROM (SELECT * FROM \"%w/%d\""
            " WHERE offset >= partitions.counted ORDER BY offset LIMIT %d))"
            " WHERE topic = %Q AND partition = %d",
            r->topic, (int)r->partition, COUNT_SLICE, r->topic, (int)r->partition);
        if (st == ST_OK)
            st = db_number(r->db, 0, &moved, err,
                           "SELECT EXISTS (SELECT 1 FROM \"%w/%d\" WHERE offset >= (SELECT counted"
                           " FROM partitions WHERE topic = %Q AND partition = %d))",
                           r->topic, (int)r->partition, r->topic, (int)r->partition);
        if (st != ST_OK || moved == 0)
            return st;
    }
}

static enum status look(struct retention *r, struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum status st = db_prepare(
        r->db, &stmt, err,
        "SELECT start, counted, bytes, (SELECT min(coalesce(offset, start)) FROM positions WHERE"
        " positions.topic = partitions.topic AND positions.partition = partitions.partition)"
        " FROM partitions WHERE topic = %Q AND partition = %d",
        r->topic, (int)r->partition);
    if (st == ST_OK)
        st = db_step(r->db, stmt, &row, err);
    if (st == ST_OK && row) {
        r->start = sqlite3_column_int64(stmt, 0);
        r->counted = sqlite3_column_int64(stmt, 1);
        r->bytes = sqlite3_column_int64(stmt, 2);
        bool unread = sqlite3_column_type(stmt, 3) == SQLITE_NULL; /* by any group */
        r->limit = unread ? r->start : sqlite3_column_int64(stmt, 3);
        if (r->force || (unread && !r->input))
            r->limit = INT64_MAX;
    }
    sqlite3_finalize(stmt);
    return st;
}

/* How far this slice may go: *ret_cut is the first offset that stays. */
static enum status find_cut(struct retention *r, int64_t *ret_cut, int64_t *ret_count,
                            struct error *err)
{
    const struct broker_options *opt = r->opt;
    int64_t oldest_ms = opt->retention_ms > 0 ? clock_wall_ms() - opt->retention_ms : INT64_MIN;
    int64_t bytes_max = opt->retention_bytes > 0 ? opt->retention_bytes : INT64_MAX;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum status st = db_prepare(r->db, &stmt, err,
                                "SELECT offset, timestamp, " SIZE_OF_RECORD " FROM \"%w/%d\""
                                " WHERE offset < %lld ORDER BY offset LIMIT %d",
                                r->topic, (int)r->partition, (long long)r->limit, SLICE);
    *ret_cut = r->start;
    *ret_count = 0;
    while (st == ST_OK && (st = db_step(r->db, stmt, &row, err)) == ST_OK && row) {
        if (sqlite3_column_int64(stmt, 1) >= oldest_ms && r->bytes <= bytes_max)
            break;
        *ret_cut = sqlite3_column_int64(stmt, 0) + 1;
        if (*ret_cut <= r->counted)
            r->bytes -= sqlite3_column_int64(stmt, 2);
        ++*ret_count;
    }
    sqlite3_finalize(stmt);
    return st;
}

static enum status delete_slice(struct retention *r, int64_t *ret_count, struct error *err)
{
    int64_t cut = 0;
    enum status st = db_begin(r->db, err);
    if (st == ST_OK)
        st = look(r, err);
    if (st == ST_OK)
        st = find_cut(r, &cut, ret_count, err);
    if (st == ST_OK && *ret_count > 0)
        st = db_exec(r->db, err,
                     "DELETE FROM \"%w/%d\" WHERE offset < %lld;"
                     "UPDATE partitions SET start = %lld, counted = max(counted, %lld),"
                     " bytes = %lld WHERE topic = %Q AND partition = %d",
                     r->topic, (int)r->partition, (long long)cut, (long long)cut, (long long)cut,
                     (long long)r->bytes, r->topic, (int)r->partition);
    if (st == ST_OK)
        st = db_commit(r->db, err);
    if (st != ST_OK)
        db_rollback(r->db);
    return st;
}

static enum status retain_partition(struct retention *r, int64_t *deleted, struct error *err)
{
    enum status st = r->opt->retention_bytes > 0 ? count_bytes(r, err) : ST_OK;
    int64_t count = SLICE;
    while (st == ST_OK && count == SLICE && !atomic_load(&r->db->quit)) {
        st = delete_slice(r, &count, err);
        if (st == ST_OK)
            *deleted += count;
    }
    return st;
}

/* All partitions of plain and input topics, read first: nothing may be changed under a running
 * query. */
static enum status list_partitions(struct db *db, struct retention **ret, size_t *ret_count,
                                   struct error *err)
{
    sqlite3_stmt *stmt = NULL;
    struct retention *list = NULL;
    size_t n = 0;
    bool row = false;
    enum status st = db_prepare(db, &stmt, err,
                                "SELECT p.topic, p.partition, t.kind = 'input' FROM partitions p"
                                " JOIN topics t ON t.topic = p.topic"
                                " WHERE t.kind IN ('plain', 'input')");
    while (st == ST_OK && (st = db_step(db, stmt, &row, err)) == ST_OK && row) {
        list = mem_realloc(list, (n + 1) * sizeof *list);
        list[n++] =
            (struct retention){.topic = mem_strdup((const char *)sqlite3_column_text(stmt, 0)),
                               .partition = sqlite3_column_int(stmt, 1),
                               .input = sqlite3_column_int(stmt, 2) != 0};
    }
    sqlite3_finalize(stmt);
    *ret = list;
    *ret_count = n;
    return st;
}

enum status retain_run(struct db *db, const struct broker_options *opt, bool force,
                       int64_t *ret_deleted, struct error *err)
{
    struct retention *list = NULL;
    size_t n = 0;
    int64_t deleted = 0;
    enum status st = ST_OK;
    if (opt->retention_ms > 0 || opt->retention_bytes > 0)
        st = list_partitions(db, &list, &n, err);
    for (size_t i = 0; i < n; i++) {
        list[i].db = db;
        list[i].opt = opt;
        list[i].force = force;
        if (st == ST_OK && !atomic_load(&db->quit))
            st = retain_partition(&list[i], &deleted, err);
        mem_free((void *)list[i].topic);
    }
    mem_free(list);
    if (st == ST_OK)
        *ret_deleted = deleted;
    return st;
}

/* Tables of an SQLite file, read as a whole in one statement and so of one moment. "Line" N in
 * messages is the N-th row. */
#include <jansson.h>
#include <sqlite3.h>

#include "lib/base/mem.h"
#include "lib/enrich/lookup_table.h"
#include "lib/json/tree.h"

enum { BUSY_MS = 5000 };

static enum status failed(struct lookup_reader *r, sqlite3 *conn)
{
    return lookup_refuse(r, 0, "SQLite: %.200s",
                         conn == NULL ? "out of memory" : sqlite3_errmsg(conn));
}

static struct span column_text(sqlite3_stmt *stmt, int i)
{
    const char *p = (const char *)sqlite3_column_text(stmt, i);
    return span_make(p == NULL ? "" : p, (size_t)sqlite3_column_bytes(stmt, i));
}

/* The only table of the file, when none was named. */
static enum status choose_table(struct lookup_reader *r, sqlite3 *conn, char **ret)
{
    static const char sql[] = "SELECT name FROM sqlite_master WHERE type IN ('table','view') AND "
                              "name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    sqlite3_stmt *stmt = NULL;
    struct buf names = {0};
    size_t n = 0;
    if (sqlite3_prepare_v2(conn, sql, -1, &stmt, NULL) != SQLITE_OK)
        return failed(r, conn);
    int rc;
    while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
        buf_add_str(&names, n++ == 0 ? "" : ", ");
        buf_add_span(&names, column_text(stmt, 0));
    }
    enum status st = rc != SQLITE_DONE ? failed(r, conn) : ST_OK;
    if (st == ST_OK && n == 1)
        *ret = mem_strdup(buf_str(&names));
    else if (st == ST_OK)
        st = lookup_refuse(r, 0, "which table? There are: %.200s",
                           n == 0 ? "none" : buf_str(&names));
    sqlite3_finalize(stmt);
    buf_fini(&names);
    return st;
}

/* False for a blob. */
static bool add_value(struct lookup_reader *r, sqlite3_stmt *stmt, int i)
{
    json_t *real;
    switch (sqlite3_column_type(stmt, i)) {
    case SQLITE_INTEGER:
        buf_printf(&r->answer, "%lld", (long long)sqlite3_column_int64(stmt, i));
        return true;
    case SQLITE_FLOAT:
        real = json_real(sqlite3_column_double(stmt, i)); /* NULL for infinity */
        json_tree_write(real == NULL ? json_null() : real, &r->answer);
        json_decref(real);
        return true;
    case SQLITE_NULL:
        buf_add_str(&r->answer, "null");
        return true;
    case SQLITE_TEXT:
        buf_add_char(&r->answer, '"');
        buf_add_json(&r->answer, column_text(stmt, i));
        buf_add_char(&r->answer, '"');
        return true;
    default:
        return false;
    }
}

static enum status put_row(struct lookup_reader *r, sqlite3_stmt *stmt, const struct span *names,
                           size_t n, size_t key, size_t row)
{
    buf_reset(&r->key, 0);
    buf_reset(&r->answer, 0);
    for (size_t i = 0; i < n; i++) {
        if (i == key)
            continue;
        lookup_add_name(r, names[i]);
        if (!add_value(r, stmt, (int)i))
            return lookup_refuse(r, row, "the column '%.*s' holds a blob", (int)names[i].n,
                                 names[i].p);
    }
    buf_add_str(&r->answer, r->answer.n == 0 ? "{}" : "}");
    int type = sqlite3_column_type(stmt, (int)key);
    if (type == SQLITE_NULL || type == SQLITE_BLOB)
        return lookup_refuse(r, row, "the key is null or a blob");
    buf_add_span(&r->key, column_text(stmt, (int)key));
    return lookup_put(r, row);
}

static enum status read_rows(struct lookup_reader *r, sqlite3 *conn, sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt); /* which may prepare it anew, so the names come after it */
    size_t n = (size_t)sqlite3_column_count(stmt), key, row = 0;
    struct span *names = mem_array(n, sizeof *names);
    for (size_t i = 0; i < n; i++)
        names[i] = span_of(sqlite3_column_name(stmt, (int)i));
    enum status st = lookup_find_column(r, names, n, &key);
    for (; st == ST_OK && rc == SQLITE_ROW; rc = sqlite3_step(stmt))
        st = put_row(r, stmt, names, n, key, ++row);
    if (st == ST_OK && rc != SQLITE_DONE)
        st = failed(r, conn);
    mem_free(names);
    return st;
}

static enum status read_table(struct lookup_reader *r, sqlite3 *conn, const char *table)
{
    sqlite3_stmt *stmt = NULL;
    char *sql = sqlite3_mprintf("SELECT * FROM \"%w\"", table);
    int rc = sqlite3_prepare_v2(conn, sql, -1, &stmt, NULL);
    enum status st = rc == SQLITE_OK ? read_rows(r, conn, stmt) : failed(r, conn);
    sqlite3_finalize(stmt);
    sqlite3_free(sql);
    return st;
}

enum status lookup_read_sqlite(struct lookup_reader *r)
{
    sqlite3 *conn = NULL;
    char *table = mem_strdup(r->src->table);
    enum status st = ST_OK;
    if (sqlite3_open_v2(r->src->file, &conn, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK)
        st = failed(r, conn);
    if (st == ST_OK) {
        sqlite3_busy_timeout(conn, BUSY_MS);
        st = table != NULL ? ST_OK : choose_table(r, conn, &table);
    }
    if (st == ST_OK)
        st = read_table(r, conn, table);
    mem_free(table);
    sqlite3_close(conn);
    return st;
}

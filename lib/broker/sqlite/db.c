/* See db.h. The write lock is waited for in short sleeps, because a transaction of ours lasts less
 * than a millisecond or a few; SQLite's own busy time-out sleeps up to 100 ms at a time.
 *
 * Who holds the lock is read from /proc/locks: asking with F_GETLK would need a descriptor of the
 * -shm file, and closing that would drop all locks of this process (POSIX, fcntl(2)). The byte
 * is WAL_WRITE_LOCK, 120, of the file format, https://www.sqlite.org/walformat.html (2.3.1). */
#include "lib/broker/sqlite/db.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum { STUCK_MS = 5000, WAL_WRITE_LOCK = 120 };

int db_lock_holder(const char *path)
{
    char *shm = mem_printf("%s-shm", path);
    struct stat info;
    int rc = stat(shm, &info);
    mem_free(shm);
    FILE *locks = rc == 0 ? fopen("/proc/locks", "re") : NULL;
    if (locks == NULL)
        return 0;
    char line[256];
    int holder = 0;
    while (holder == 0 && fgets(line, sizeof line, locks) != NULL) {
        int pid;
        unsigned long inode;
        long first, last;
        if (sscanf(line, "%*s POSIX %*s WRITE %d %*x:%*x:%lu %ld %ld", &pid, &inode, &first,
                   &last) == 4 &&
            inode == info.st_ino && first <= WAL_WRITE_LOCK && last >= WAL_WRITE_LOCK)
            holder = pid;
    }
    fclose(locks);
    return holder;
}

static void locked_text(struct db *db, struct error *err)
{
    long long seconds = (long long)(clock_mono_ms() - db->waiting_since_ms) / 1000;
    int pid = db_lock_holder(db->path);
    if (pid > 0)
        error_set(err, ST_FATAL, ERR_TEMPORARY,
                  "'%s' has been locked by process %d for %lld s; is it stopped?", db->path, pid,
                  seconds);
    else
        error_set(err, ST_FATAL, ERR_TEMPORARY,
                  "'%s' has been locked by another process for %lld s", db->path, seconds);
}

static int on_busy(void *arg, int count)
{
    struct db *db = arg;
    int64_t now = clock_mono_ms();
    if (count == 0) {
        db->waiting_since_ms = now;
        db->told = false;
    }
    int64_t waited = now - db->waiting_since_ms;
    if (waited >= db->timeout_ms || atomic_load(&db->quit))
        return 0;
    if (waited >= STUCK_MS && !db->told && db->on_stuck != NULL) {
        struct error err;
        locked_text(db, &err);
        db->told = true;
        db->on_stuck(db->arg, &err);
    }
    long us = count < 10 ? 50 : count < 50 ? 200 : count < 200 ? 1000 : 5000;
    struct timespec t = {0, us * 1000};
    nanosleep(&t, NULL);
    return 1;
}

static int on_wal(void *arg, sqlite3 *conn, const char *name, int frames)
{
    UNUSED(conn);
    UNUSED(name);
    ((struct db *)arg)->frames = frames;
    return SQLITE_OK;
}

enum status db_failed(struct db *db, int rc, struct error *err)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
        locked_text(db, err);
        return ST_FATAL;
    case SQLITE_NOTADB:
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "'%s' is not a SQLite file; name another one with --broker sqlite:PATH",
                         db->path);
    case SQLITE_CORRUPT:
        return error_set(err, ST_FATAL, ERR_IO,
                         "'%s' is damaged (%s); sqlite3's .recover may save its records", db->path,
                         sqlite3_errmsg(db->conn));
    case SQLITE_FULL:
        return error_set(err, ST_FATAL, ERR_IO, "'%s': no space left on the disk", db->path);
    default:
        break;
    }
    int system = sqlite3_system_errno(db->conn);
    bool told = system != 0 && (rc & 0xff) != SQLITE_ERROR;
    return error_set(err, ST_FATAL, ERR_IO, "'%s': %s%s%s", db->path, sqlite3_errmsg(db->conn),
                     told ? ": " : "", told ? strerror(system) : "");
}

bool db_is_full(const struct db *db)
{
    int rc = sqlite3_errcode(db->conn) & 0xff;
    int system = sqlite3_system_errno(db->conn);
    return rc == SQLITE_FULL ||
           (rc == SQLITE_IOERR && (system == ENOSPC || system == EDQUOT || system == EFBIG));
}

enum status db_open(struct db *db, const char *path, enum db_use use, bool create, bool sync_full,
                    int64_t timeout_ms, struct error *err)
{
    db->path = path;
    db->timeout_ms = timeout_ms;
    db->waiting_since_ms = clock_mono_ms();
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(path, &db->conn, flags, NULL);
    if (rc != SQLITE_OK)
        return db_failed(db, rc, err);
    sqlite3_extended_result_codes(db->conn, 1);
    sqlite3_busy_handler(db->conn, on_busy, db);
    enum status st = db_exec(
        db, err,
        "PRAGMA synchronous=%s; PRAGMA cache_size=-%d; PRAGMA wal_autocheckpoint=0;"
        "PRAGMA journal_size_limit=67108864; PRAGMA secure_delete=off; PRAGMA temp_store=memory",
        sync_full ? "full" : "normal", use == DB_WRITE ? 2000 : 1000);
    if (st == ST_OK && use == DB_READ)
        st = db_exec(db, err, "PRAGMA query_only=on");
    sqlite3_wal_hook(db->conn, on_wal, db);
    return st;
}

void db_close(struct db *db)
{
    sqlite3_close(db->conn);
    db->conn = NULL;
}

enum status db_exec(struct db *db, struct error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    char *sql = sqlite3_vmprintf(fmt, ap);
    va_end(ap);
    int rc = sqlite3_exec(db->conn, sql, NULL, NULL, NULL);
    sqlite3_free(sql);
    return rc == SQLITE_OK ? ST_OK : db_failed(db, rc, err);
}

static enum status prepare(struct db *db, sqlite3_stmt **ret, struct error *err, const char *fmt,
                           va_list ap)
{
    char *sql = sqlite3_vmprintf(fmt, ap);
    sqlite3_stmt *stmt = NULL;
    int rc = sqlite3_prepare_v3(db->conn, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL);
    sqlite3_free(sql);
    if (rc != SQLITE_OK)
        return db_failed(db, rc, err);
    *ret = stmt;
    return ST_OK;
}

enum status db_prepare(struct db *db, sqlite3_stmt **ret, struct error *err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status st = prepare(db, ret, err, fmt, ap);
    va_end(ap);
    return st;
}

enum status db_run(struct db *db, sqlite3_stmt *stmt, struct error *err)
{
    int rc = sqlite3_step(stmt);
    enum status st = rc == SQLITE_DONE || rc == SQLITE_ROW ? ST_OK : db_failed(db, rc, err);
    sqlite3_reset(stmt);
    return st;
}

enum status db_step(struct db *db, sqlite3_stmt *stmt, bool *ret_row, struct error *err)
{
    int rc = sqlite3_step(stmt);
    *ret_row = rc == SQLITE_ROW;
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? ST_OK : db_failed(db, rc, err);
}

enum status db_number(struct db *db, int64_t absent, int64_t *ret, struct error *err,
                      const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    sqlite3_stmt *stmt = NULL;
    enum status st = prepare(db, &stmt, err, fmt, ap);
    va_end(ap);
    bool row = false;
    if (st == ST_OK)
        st = db_step(db, stmt, &row, err);
    if (st == ST_OK) {
        bool null = !row || sqlite3_column_type(stmt, 0) == SQLITE_NULL;
        *ret = null ? absent : sqlite3_column_int64(stmt, 0);
    }
    sqlite3_finalize(stmt);
    return st;
}

enum status db_begin(struct db *db, struct error *err)
{
    return db_exec(db, err, "BEGIN IMMEDIATE");
}

enum status db_commit(struct db *db, struct error *err)
{
    return db_exec(db, err, "COMMIT");
}

void db_rollback(struct db *db)
{
    if (db->conn != NULL && !sqlite3_get_autocommit(db->conn))
        sqlite3_exec(db->conn, "ROLLBACK", NULL, NULL, NULL);
}

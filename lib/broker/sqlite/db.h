/* One SQLite connection with our settings, our way to wait for the write lock, and SQLite's
 * result codes turned into statuses and words. A connection belongs to one thread at a time. */
#ifndef SLUICE_BROKER_SQLITE_DB_H
#define SLUICE_BROKER_SQLITE_DB_H

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"

enum db_use { DB_WRITE, DB_READ };

struct db {
    sqlite3 *conn;
    const char *path; /* borrowed */
    int64_t timeout_ms;
    int64_t waiting_since_ms; /* of the wait that runs or was the last */
    bool told;                /* on_stuck was called for it */
    _Atomic bool quit;        /* set from another thread: stop waiting */
    int frames;               /* length of the WAL after the last commit made here */

    /* After 5 s of waiting for the write lock, once a wait: err names who holds it. On the thread
     * that waits; may be NULL. */
    void (*on_stuck)(void *arg, const struct error *err);
    void *arg;
};

/* Opens the file (which must exist unless `create`). No schema check. ST_FATAL: see db_failed. */
enum status db_open(struct db *db, const char *path, enum db_use use, bool create, bool sync_full,
                    int64_t timeout_ms, struct error *err) MUST_CHECK;
void db_close(struct db *db); /* all statements finalized before; a zeroed db is accepted */

/* printf as SQLite knows it: %w inside "identifiers", %Q for 'literals'. */
enum status db_exec(struct db *db, struct error *err, const char *fmt, ...) MUST_CHECK;
enum status db_prepare(struct db *db, sqlite3_stmt **ret, struct error *err, const char *fmt,
                       ...) MUST_CHECK;

/* Step a statement without rows to its end, and reset it. */
enum status db_run(struct db *db, sqlite3_stmt *stmt, struct error *err) MUST_CHECK;

/* Step once: *ret_row tells whether a row is there; reset or finalize it afterwards. */
enum status db_step(struct db *db, sqlite3_stmt *stmt, bool *ret_row, struct error *err) MUST_CHECK;

/* The first column of the first row of a query, `absent` when there is none or it is NULL. */
enum status db_number(struct db *db, int64_t absent, int64_t *ret, struct error *err,
                      const char *fmt, ...) MUST_CHECK;

enum status db_begin(struct db *db, struct error *err) MUST_CHECK; /* with the write lock */
enum status db_commit(struct db *db, struct error *err) MUST_CHECK;
void db_rollback(struct db *db); /* also when SQLite has rolled back by itself */

/* ST_FATAL and what SQLite's last result code means: ERR_TEMPORARY (locked past the time-out),
 * ERR_IO (disk full, unreadable, damaged), ERR_CONFIG (not an SQLite file). */
enum status db_failed(struct db *db, int rc, struct error *err);

/* Whether a failure was for want of space on the disk: worth waiting. */
bool db_is_full(const struct db *db);

/* Process that holds the write lock of this file, 0 when it cannot be told. */
int db_lock_holder(const char *path);

#endif

/* Statements are prepared once. A writer that meets another process waits for it (busy time-out):
 * its steps are short. */
#include "lib/enrich/answers_file.h"

#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { APPLICATION_ID = 0x736c7561, VERSION = 2, BUSY_MS = 30000 };

#define ANSWERS                                                                                    \
    "CREATE TABLE answers(question BLOB NOT NULL UNIQUE, reason TEXT, answer TEXT NOT NULL, "      \
    "tokens_in INTEGER NOT NULL, tokens_out INTEGER NOT NULL, cost_nano INTEGER NOT NULL, "        \
    "attempts INTEGER NOT NULL, at_ms INTEGER NOT NULL);"

static const char schema[] = ANSWERS
    "CREATE TABLE IF NOT EXISTS notes(name TEXT PRIMARY KEY, text TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS spent(period TEXT PRIMARY KEY, nano INTEGER NOT NULL) WITHOUT "
    "ROWID;";

enum {
    GET,
    PUT,
    REPLACE,
    DELETE,
    NOTE,
    READ_NOTE,
    SPEND,
    SPENT,
    BEGIN,
    COMMIT,
    ROLLBACK,
    STATEMENTS
};
static const char *const texts[STATEMENTS] = {
    [GET] = "SELECT reason, answer, tokens_in, tokens_out, cost_nano, attempts, at_ms FROM answers "
            "WHERE question = ?1",
    [PUT] = "INSERT OR IGNORE INTO answers VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [REPLACE] = "INSERT OR REPLACE INTO answers VALUES(?1,?2,?3,?4,?5,?6,?7,?8)",
    [DELETE] = "DELETE FROM answers WHERE question = ?1",
    [NOTE] = "INSERT OR REPLACE INTO notes VALUES(?1,?2)",
    [READ_NOTE] = "SELECT text FROM notes WHERE name = ?1",
    [SPEND] = "INSERT INTO spent SELECT ?1, max(0, ?2) WHERE ?2 <= ?3 ON CONFLICT(period) DO "
              "UPDATE SET nano = max(0, nano + ?2) WHERE nano + ?2 <= ?3",
    [SPENT] = "SELECT nano FROM spent WHERE period = ?1",
    [BEGIN] = "BEGIN IMMEDIATE",
    [COMMIT] = "COMMIT",
    [ROLLBACK] = "ROLLBACK",
};

struct answers_file {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[STATEMENTS];
    bool open; /* between begin and commit */
};

/* --- errors --- */

static enum status fail(struct answers_file *f, const char *what, struct error *err)
{
    int rc = sqlite3_errcode(f->db) & 0xff;
    enum error_kind kind = rc == SQLITE_NOTADB || rc == SQLITE_CORRUPT ? ERR_CONFIG
                           : rc == SQLITE_BUSY                         ? ERR_TEMPORARY
                                                                       : ERR_IO;
    return error_set(err, ST_FATAL, kind, "answers file %s: cannot %s: %s", f->path, what,
                     sqlite3_errmsg(f->db));
}

/* --- open --- */

static int64_t pragma(struct answers_file *f, const char *text)
{
    sqlite3_stmt *st = NULL;
    int64_t n = -1;
    if (sqlite3_prepare_v2(f->db, text, -1, &st, NULL) == SQLITE_OK &&
        sqlite3_step(st) == SQLITE_ROW)
        n = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    return n;
}

static enum status run(struct answers_file *f, const char *text, struct error *err)
{
    return sqlite3_exec(f->db, text, NULL, NULL, NULL) == SQLITE_OK ? ST_OK
                                                                    : fail(f, "be used", err);
}

/* A process of an older sluice that has it open goes on: names and columns are the same. */
static enum status write_anew(struct answers_file *f, struct error *err)
{
    static const char anew[] = "ALTER TABLE answers RENAME TO answers_1;" ANSWERS
                               "INSERT INTO answers SELECT * FROM answers_1 ORDER BY at_ms;"
                               "DROP TABLE answers_1;";
    log_line(LOG_INFO, "answers", "file %s: %lld answers are written anew, once, in a new format",
             f->path, (long long)pragma(f, "SELECT count(*) FROM answers"));
    return run(f, anew, err);
}

static enum status set_version(struct answers_file *f, struct error *err)
{
    char text[128];
    snprintf(text, sizeof text, "PRAGMA application_id=%d; PRAGMA user_version=%d", APPLICATION_ID,
             VERSION);
    return run(f, text, err);
}

/* Inside a transaction: several processes may start at once. */
static enum status make_schema(struct answers_file *f, struct error *err)
{
    int64_t id = pragma(f, "PRAGMA application_id"), version = pragma(f, "PRAGMA user_version");
    if (id < 0)
        return fail(f, "be read", err);
    if (id == APPLICATION_ID && version == VERSION)
        return ST_OK;
    enum status st = ST_OK;
    if (id == APPLICATION_ID && version == 1) {
        st = write_anew(f, err);
        return st == ST_OK ? set_version(f, err) : st;
    }
    if (id == APPLICATION_ID)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "answers file %s has format %lld, this sluice knows %d", f->path,
                         (long long)version, VERSION);
    if (id != 0 || pragma(f, "SELECT count(*) FROM sqlite_schema") != 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "%s is an SQLite file of another program, not a file of answers", f->path);
    st = run(f, schema, err);
    return st == ST_OK ? set_version(f, err) : st;
}

static enum status make_schema_once(struct answers_file *f, struct error *err)
{
    if (pragma(f, "PRAGMA application_id") == APPLICATION_ID &&
        pragma(f, "PRAGMA user_version") == VERSION)
        return ST_OK;
    enum status st = run(f, "BEGIN IMMEDIATE", err);
    if (st != ST_OK)
        return st;
    st = make_schema(f, err);
    if (st == ST_OK)
        return run(f, "COMMIT", err);
    sqlite3_exec(f->db, "ROLLBACK", NULL, NULL, NULL);
    return st;
}

enum status answers_file_open(const char *path, bool sync_full, struct answers_file **ret,
                              struct error *err)
{
    struct answers_file *f = mem_zalloc(sizeof *f);
    f->path = mem_strdup(path);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    enum status st = ST_OK;
    if (sqlite3_open_v2(path, &f->db, flags, NULL) != SQLITE_OK)
        st = fail(f, "open it", err);
    sqlite3_busy_timeout(f->db, BUSY_MS);
    if (st == ST_OK)
        st = run(f, "PRAGMA journal_mode=WAL; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0", err);
    if (st == ST_OK)
        st = run(f, sync_full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL", err);
    if (st == ST_OK)
        st = make_schema_once(f, err);
    for (int i = 0; i < STATEMENTS && st == ST_OK; i++)
        if (sqlite3_prepare_v3(f->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &f->statements[i],
                               NULL) != SQLITE_OK)
            st = fail(f, "be prepared", err);
    if (st == ST_OK)
        *ret = f;
    else
        answers_file_close(f);
    return st;
}

/* Keys are hashes, so each put lands on another page of the index: pages should stay in memory
 * while they are written again and again, and checkpoints should find many changes of a page as
 * one. */
enum status answers_file_make_room(struct answers_file *f, struct error *err)
{
    return run(f, "PRAGMA cache_size=-16384; PRAGMA wal_autocheckpoint=4000", err);
}

void answers_file_close(struct answers_file *f)
{
    if (f == NULL)
        return;
    for (int i = 0; i < STATEMENTS; i++)
        sqlite3_finalize(f->statements[i]);
    sqlite3_close(f->db);
    mem_free(f->path);
    mem_free(f);
}

/* --- use --- */

static struct span column_text(sqlite3_stmt *st, int i)
{
    const void *p = sqlite3_column_text(st, i);
    return p == NULL ? SPAN_NULL : span_make(p, (size_t)sqlite3_column_bytes(st, i));
}

static struct kept_answer *read_row(sqlite3_stmt *st)
{
    struct span reason = column_text(st, 0);
    char word[64] = "";
    if (reason.p != NULL)
        snprintf(word, sizeof word, "%.*s", (int)reason.n, reason.p);
    return answer_keep(&(struct answer){
        .reason = reason.p == NULL ? REASON_NONE : reason_find(word),
        .text = column_text(st, 1),
        .tokens_in = sqlite3_column_int64(st, 2),
        .tokens_out = sqlite3_column_int64(st, 3),
        .cost_nano = sqlite3_column_int64(st, 4),
        .attempts = sqlite3_column_int(st, 5),
        .at_ms = sqlite3_column_int64(st, 6),
    });
}

/* The reset ends the read transaction: an open one would see nothing new and let the log grow. */
enum status answers_file_get(struct answers_file *f, const struct question *q,
                             struct kept_answer **ret, struct error *err)
{
    sqlite3_stmt *st = f->statements[GET];
    sqlite3_bind_blob(st, 1, q->key, QUESTION_BYTES, SQLITE_STATIC);
    int rc = sqlite3_step(st);
    enum status res = ST_AGAIN;
    if (rc == SQLITE_ROW) {
        *ret = read_row(st);
        res = ST_OK;
    } else if (rc != SQLITE_DONE) {
        res = fail(f, "be read", err);
    }
    sqlite3_reset(st);
    return res;
}

enum status answers_file_each(struct answers_file *f, void (*count)(void *arg, int64_t n),
                              void (*fn)(void *arg, const struct question *q), void *arg,
                              struct error *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(f->db, "SELECT question FROM answers", -1, &st, NULL);
    count(arg, pragma(f, "SELECT count(*) FROM answers"));
    while (rc == SQLITE_OK && (rc = sqlite3_step(st)) == SQLITE_ROW) {
        struct question q;
        if (sqlite3_column_bytes(st, 0) == QUESTION_BYTES) {
            memcpy(q.key, sqlite3_column_blob(st, 0), QUESTION_BYTES);
            fn(arg, &q);
        }
        rc = SQLITE_OK;
    }
    sqlite3_finalize(st);
    return rc == SQLITE_DONE ? ST_OK : fail(f, "be read", err);
}

static enum status step(struct answers_file *f, int which, const char *what, struct error *err)
{
    int rc = sqlite3_step(f->statements[which]);
    if (rc == SQLITE_DONE || rc == SQLITE_ROW) {
        sqlite3_reset(f->statements[which]);
        return ST_OK;
    }
    enum status st = fail(f, what, err);
    sqlite3_reset(f->statements[which]);
    return st;
}

enum status answers_file_begin(struct answers_file *f, struct error *err)
{
    enum status st = step(f, BEGIN, "be locked", err);
    f->open = st == ST_OK;
    return st;
}

enum status answers_file_put(struct answers_file *f, const struct question *q,
                             const struct answer *a, bool replace, bool *ret_known,
                             struct error *err)
{
    sqlite3_stmt *st = f->statements[replace ? REPLACE : PUT];
    const char *reason = a->reason == REASON_NONE ? NULL : reason_word(a->reason);
    sqlite3_bind_blob(st, 1, q->key, QUESTION_BYTES, SQLITE_STATIC);
    sqlite3_bind_text(st, 2, reason, -1, SQLITE_STATIC);
    sqlite3_bind_text(st, 3, a->text.n == 0 ? "" : a->text.p, (int)a->text.n, SQLITE_STATIC);
    sqlite3_bind_int64(st, 4, a->tokens_in);
    sqlite3_bind_int64(st, 5, a->tokens_out);
    sqlite3_bind_int64(st, 6, a->cost_nano);
    sqlite3_bind_int(st, 7, a->attempts);
    sqlite3_bind_int64(st, 8, a->at_ms);
    enum status res = step(f, replace ? REPLACE : PUT, "be written", err);
    *ret_known = res == ST_OK && sqlite3_changes(f->db) == 0;
    return res;
}

enum status answers_file_delete(struct answers_file *f, const struct question *q, struct error *err)
{
    sqlite3_bind_blob(f->statements[DELETE], 1, q->key, QUESTION_BYTES, SQLITE_STATIC);
    return step(f, DELETE, "be written", err);
}

enum status answers_file_note(struct answers_file *f, const char *name, const char *text,
                              struct error *err)
{
    sqlite3_bind_text(f->statements[NOTE], 1, name, -1, SQLITE_STATIC);
    sqlite3_bind_text(f->statements[NOTE], 2, text, -1, SQLITE_STATIC);
    return step(f, NOTE, "be written", err);
}

enum status answers_file_commit(struct answers_file *f, struct error *err)
{
    enum status st = step(f, COMMIT, "be committed", err);
    f->open = st != ST_OK;
    return st;
}

void answers_file_abort(struct answers_file *f)
{
    struct error ignored;
    if (f->open && step(f, ROLLBACK, "be rolled back", &ignored) == ST_OK)
        f->open = false;
}

char *answers_file_read_note(struct answers_file *f, const char *name)
{
    sqlite3_stmt *st = f->statements[READ_NOTE];
    sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
    char *text = sqlite3_step(st) == SQLITE_ROW ? mem_spandup(column_text(st, 0)) : NULL;
    sqlite3_reset(st);
    return text;
}

enum status answers_file_spend(struct answers_file *f, const char *period, int64_t delta,
                               int64_t cap_nano, int64_t *ret_spent, struct error *err)
{
    sqlite3_stmt *spend = f->statements[SPEND], *spent = f->statements[SPENT];
    sqlite3_bind_text(spend, 1, period, -1, SQLITE_STATIC);
    sqlite3_bind_int64(spend, 2, delta);
    sqlite3_bind_int64(spend, 3, cap_nano);
    enum status st = step(f, SPEND, "be written", err);
    if (st != ST_OK)
        return st;
    bool done = sqlite3_changes(f->db) > 0;
    sqlite3_bind_text(spent, 1, period, -1, SQLITE_STATIC);
    *ret_spent = sqlite3_step(spent) == SQLITE_ROW ? sqlite3_column_int64(spent, 0) : 0;
    sqlite3_reset(spent);
    return done ? ST_OK : ST_AGAIN;
}

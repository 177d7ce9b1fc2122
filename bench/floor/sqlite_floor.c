/* The least that the embedded pipeline can cost: SQLite and nothing of ours.
 *
 * Three processes on one file in WAL mode: one writes posts, one puts a fixed enrichment into each
 * and stores outputs and its position in one transaction, one reads the outputs. Each record keeps
 * key, value, headers and timestamp, as sluice's does.
 *
 *     sqlite_floor FILE throughput COUNT           batches of 1,000, as fast as it goes
 *     sqlite_floor FILE latency RATE SECONDS       open loop, one transaction a post; readers are
 *                                                  woken by inotify on the -wal file
 *
 * Prints one line of JSON. The writer's times are when a post was due, not when it was sent. */
#include <poll.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench/floor/bare.h"

enum { BATCH = 1000, VALUE_MAX = 512, HEADERS_MAX = 128 };

static const char ENRICHMENT[] =
    ",\"enrichment\":{\"topics\":[\"AI\",\"Coffee Beans\",\"Sunny Beaches\"],\"by\":\"mock\"}";

/* Shared by the three processes. Sizes of took_us: one for each post. */
struct shared {
    double cpu_s[3];
    int64_t end_us;
    int64_t took_us[];
};

struct floor {
    const char *path;
    long count, rate; /* rate 0: as fast as it goes */
    struct shared *shared;
};

struct row {
    char key[24], value[VALUE_MAX], headers[HEADERS_MAX];
    int key_size, value_size, headers_size;
    int64_t timestamp;
};

/* --- SQLite --- */

static void check(sqlite3 *db, int rc, const char *what)
{
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW)
        die(what, sqlite3_errmsg(db));
}

static sqlite3 *open_file(const char *path)
{
    sqlite3 *db;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    check(NULL, sqlite3_open_v2(path, &db, flags, NULL), path);
    sqlite3_busy_timeout(db, 20000);
    check(db,
          sqlite3_exec(db,
                       "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
                       "PRAGMA cache_size=-32768; PRAGMA mmap_size=268435456;",
                       NULL, NULL, NULL),
          "pragma");
    return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    check(db, sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL), sql);
    return stmt;
}

static void execute(sqlite3 *db, sqlite3_stmt *stmt)
{
    check(db, sqlite3_step(stmt), sqlite3_sql(stmt));
    sqlite3_reset(stmt);
}

static void make_tables(const char *path)
{
    static const char columns[] = "(id INTEGER PRIMARY KEY, key BLOB, value BLOB, headers BLOB, "
                                  "timestamp INTEGER)";
    char sql[512];
    sqlite3 *db = open_file(path);
    snprintf(sql, sizeof sql,
             "CREATE TABLE raw%s; CREATE TABLE enhanced%s;"
             "CREATE TABLE position(id INTEGER); INSERT INTO position VALUES (0)",
             columns, columns);
    check(db, sqlite3_exec(db, sql, NULL, NULL, NULL), "tables");
    sqlite3_close(db);
}

static void insert(sqlite3 *db, sqlite3_stmt *stmt, const struct row *row)
{
    sqlite3_bind_blob(stmt, 1, row->key, row->key_size, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 2, row->value, row->value_size, SQLITE_STATIC);
    sqlite3_bind_blob(stmt, 3, row->headers, row->headers_size, SQLITE_STATIC);
    sqlite3_bind_int64(stmt, 4, row->timestamp);
    execute(db, stmt);
}

/* --- waking up --- */

static int watch_open(const char *path)
{
    char wal[1024];
    snprintf(wal, sizeof wal, "%s-wal", path);
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, wal, IN_MODIFY) < 0)
        die(wal, "cannot be watched");
    return fd;
}

/* The write that wakes us comes before its commit can be seen: after a wake-up that found nothing
 * (`again`) look soon again. */
static bool watch_wait(int fd, bool again)
{
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    char events[4096];
    bool woken = poll(&ready, 1, again ? 1 : 100) > 0;
    while (read(fd, events, sizeof events) > 0) {
    }
    return woken;
}

/* --- the three stages --- */

static void post_make(struct row *row, long id, int64_t timestamp)
{
    static const char text[] = "just had a great coffee and read about trends on a sunny morning";
    row->key_size = snprintf(row->key, sizeof row->key, "%ld", id);
    row->value_size =
        snprintf(row->value, sizeof row->value, "{\"id\": %ld, \"text\": \"%s\"}", id, text);
    row->headers_size = snprintf(row->headers, sizeof row->headers, "sluice-sent-us%c%lld", 0,
                                 (long long)timestamp);
    row->timestamp = timestamp;
}

static void write_posts(const struct floor *fl)
{
    sqlite3 *db = open_file(fl->path);
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *put =
        prepare(db, "INSERT INTO raw(key, value, headers, timestamp) VALUES (?, ?, ?, ?)");
    struct row row;
    int64_t start = now_us() + 200000;
    for (long id = 1; id <= fl->count;) {
        long last = id + BATCH - 1;
        if (fl->rate > 0) {
            int64_t due = start + id * 1000000 / fl->rate;
            struct timespec t = {.tv_sec = due / 1000000, .tv_nsec = due % 1000000 * 1000};
            clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
            last = (now_us() - start) * fl->rate / 1000000;
        }
        execute(db, begin);
        for (; id <= last && id <= fl->count; id++) {
            post_make(&row, id, fl->rate > 0 ? start + id * 1000000 / fl->rate : now_us());
            insert(db, put, &row);
        }
        execute(db, commit);
    }
}

static void column_copy(sqlite3_stmt *from, int column, char *to, int *ret_size, int max)
{
    *ret_size = sqlite3_column_bytes(from, column);
    if (*ret_size > max)
        die("record", "too large");
    memcpy(to, sqlite3_column_blob(from, column), (size_t)*ret_size);
}

static void splice(sqlite3_stmt *from, struct row *row)
{
    const int added = (int)sizeof ENRICHMENT - 1;
    const char *value = sqlite3_column_blob(from, 2);
    int n = sqlite3_column_bytes(from, 2);
    const char *brace = memrchr(value, '}', (size_t)n);
    if (brace == NULL || n + added > VALUE_MAX)
        die("post", "no object, or too large");
    size_t head = (size_t)(brace - value);
    memcpy(row->value, value, head);
    memcpy(row->value + head, ENRICHMENT, (size_t)added);
    memcpy(row->value + head + added, brace, (size_t)n - head);
    row->value_size = n + added;
}

/* Reads up to a batch after *position into rows. */
static int read_enriched(sqlite3 *db, sqlite3_stmt *get, struct row *rows, int64_t *position)
{
    int n = 0, rc;
    sqlite3_bind_int64(get, 1, *position);
    while ((rc = sqlite3_step(get)) == SQLITE_ROW) {
        struct row *row = &rows[n++];
        *position = sqlite3_column_int64(get, 0);
        column_copy(get, 1, row->key, &row->key_size, (int)sizeof row->key);
        splice(get, row);
        column_copy(get, 3, row->headers, &row->headers_size, HEADERS_MAX - 40);
        row->headers_size += 1 + snprintf(row->headers + row->headers_size + 1, 39,
                                          "sluice-src%craw/0/%lld", 0, (long long)*position);
        row->timestamp = sqlite3_column_int64(get, 4);
    }
    check(db, rc, "read");
    sqlite3_reset(get);
    return n;
}

static void enrich_posts(const struct floor *fl)
{
    sqlite3 *db = open_file(fl->path);
    sqlite3_stmt *begin = prepare(db, "BEGIN IMMEDIATE"), *commit = prepare(db, "COMMIT");
    sqlite3_stmt *get = prepare(db, "SELECT id, key, value, headers, timestamp FROM raw "
                                    "WHERE id > ? ORDER BY id LIMIT 1000");
    sqlite3_stmt *put =
        prepare(db, "INSERT INTO enhanced(key, value, headers, timestamp) VALUES (?, ?, ?, ?)");
    sqlite3_stmt *move = prepare(db, "UPDATE position SET id = ?");
    struct row *rows = calloc(BATCH, sizeof *rows);
    int fd = watch_open(fl->path);
    bool woken = false;
    for (int64_t position = 0; position < fl->count;) {
        int n = read_enriched(db, get, rows, &position);
        if (n == 0) {
            woken = watch_wait(fd, woken);
            continue;
        }
        execute(db, begin);
        for (int i = 0; i < n; i++)
            insert(db, put, &rows[i]);
        sqlite3_bind_int64(move, 1, position);
        execute(db, move);
        execute(db, commit);
    }
    free(rows);
}

static void read_outputs(const struct floor *fl)
{
    sqlite3 *db = open_file(fl->path);
    sqlite3_stmt *get = prepare(db, "SELECT id, key, value, headers, timestamp FROM enhanced "
                                    "WHERE id > ? ORDER BY id LIMIT 1000");
    struct row row;
    int fd = watch_open(fl->path);
    bool woken = false;
    for (int64_t position = 0; position < fl->count;) {
        int64_t before = position;
        int rc;
        sqlite3_bind_int64(get, 1, position);
        while ((rc = sqlite3_step(get)) == SQLITE_ROW) {
            position = sqlite3_column_int64(get, 0);
            column_copy(get, 2, row.value, &row.value_size, VALUE_MAX);
            fl->shared->took_us[position - 1] = now_us() - sqlite3_column_int64(get, 4);
        }
        check(db, rc, "read");
        sqlite3_reset(get);
        if (position == before)
            woken = watch_wait(fd, woken);
    }
    fl->shared->end_us = now_us();
}

/* --- the whole --- */

static pid_t start(const struct floor *fl, int number, void (*stage)(const struct floor *))
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    stage(fl);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    fl->shared->cpu_s[number] = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
                                (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    _exit(0);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const int64_t *sorted, long n, double q)
{
    return (double)sorted[(long)(q * (double)(n - 1))] / 1e3;
}

/* The first tenth of the latencies is left out: caches fill. */
static void report(const struct floor *fl, int64_t begun_us)
{
    struct shared *sh = fl->shared;
    int64_t *took = sh->took_us + fl->count / 10;
    long n = fl->count - fl->count / 10;
    double seconds = (double)(sh->end_us - begun_us) / 1e6;
    double scale = 1e6 / (double)fl->count;
    qsort(took, (size_t)n, sizeof *took, by_value);
    printf("{\"posts\": %ld, \"posts_per_s\": %.0f, \"cpu_us\": %.3f, \"cpu_us_write\": %.3f, "
           "\"cpu_us_enrich\": %.3f, \"cpu_us_read\": %.3f, \"p50_ms\": %.3f, \"p90_ms\": %.3f, "
           "\"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           fl->count, (double)fl->count / seconds,
           (sh->cpu_s[0] + sh->cpu_s[1] + sh->cpu_s[2]) * scale, sh->cpu_s[0] * scale,
           sh->cpu_s[1] * scale, sh->cpu_s[2] * scale, quantile_ms(took, n, 0.5),
           quantile_ms(took, n, 0.9), quantile_ms(took, n, 0.99), quantile_ms(took, n, 1));
}

int main(int argc, char **argv)
{
    struct floor fl = {.path = argc > 1 ? argv[1] : NULL};
    if (argc == 4 && strcmp(argv[2], "throughput") == 0) {
        fl.count = strtol(argv[3], NULL, 10);
    } else if (argc == 5 && strcmp(argv[2], "latency") == 0) {
        fl.rate = strtol(argv[3], NULL, 10);
        fl.count = fl.rate * strtol(argv[4], NULL, 10);
    }
    if (fl.count < 10)
        die("usage", "FILE throughput COUNT | FILE latency RATE SECONDS");
    size_t size = sizeof *fl.shared + (size_t)fl.count * sizeof(int64_t);
    fl.shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (fl.shared == MAP_FAILED)
        die("memory", "none left");

    make_tables(fl.path);
    /* While one handle stays open the -wal file stays, so that it can be watched. */
    sqlite3 *keeper = open_file(fl.path);
    check(keeper, sqlite3_exec(keeper, "UPDATE position SET id = 0", NULL, NULL, NULL), "keeper");
    int64_t begun_us = now_us();
    pid_t stages[3] = {start(&fl, 2, read_outputs), start(&fl, 1, enrich_posts),
                       start(&fl, 0, write_posts)};
    int bad = 0;
    for (int i = 0; i < 3; i++) {
        int status;
        waitpid(stages[i], &status, 0);
        bad |= status;
    }
    sqlite3_close(keeper);
    if (bad == 0)
        report(&fl, begun_us);
    return bad == 0 ? 0 : 1;
}

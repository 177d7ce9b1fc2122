/* Power loss: what is in the file after any prefix of its writes, with the last one torn, and with
 * any of those lost that were not synced yet.
 *
 * A VFS below SQLite writes down every write, truncation and sync of the file, its WAL and the
 * rollback journal it is made under, from the moment the file is made, while a member of a group
 * copies records (outputs and positions are one commit each) and the WAL is checkpointed now and
 * then. Afterwards the file is built anew from parts of that log, opened by an untouched SQLite,
 * and asked:
 *
 *     is it whole; are there as many outputs as the positions say; and, with --sqlite-sync full,
 *     are all commits in it that had been reported before */
#include <dirent.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "tests/support/party.h"

enum { BATCHES = 24, BATCH = 5, PARTITIONS = 2, SUBSETS = 3 };
enum { DATABASE, WAL, ROLLBACK, FILES };
enum kind { WRITE, TRUNCATE, SYNC, REPORTED };

/* One line of the log. */
struct step {
    enum kind kind;
    int file;
    sqlite3_int64 at;
    size_t n; /* bytes; REPORTED: records whose commit was reported */
    char *bytes;
};

static struct {
    pthread_mutex_t lock;
    struct step *steps;
    size_t n, cap;
    bool on;
} journal = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void note(enum kind kind, int file, sqlite3_int64 at, const void *bytes, size_t n)
{
    if (file < 0)
        return;
    pthread_mutex_lock(&journal.lock);
    if (journal.on) {
        if (journal.n == journal.cap) {
            journal.cap = journal.cap == 0 ? 1024 : 2 * journal.cap;
            journal.steps = mem_realloc(journal.steps, journal.cap * sizeof *journal.steps);
        }
        char *copy = bytes == NULL ? NULL : mem_alloc(n);
        if (copy != NULL)
            memcpy(copy, bytes, n);
        journal.steps[journal.n++] = (struct step){kind, file, at, n, copy};
    }
    pthread_mutex_unlock(&journal.lock);
}

/* --- the VFS --- */

struct file {
    sqlite3_file base;
    int number; /* -1: not ours to write down */
    sqlite3_file *real;
};

static sqlite3_vfs *below;

#define REAL(f)              (((struct file *)(f))->real)
#define CALL(f, method, ...) REAL(f)->pMethods->method(REAL(f), __VA_ARGS__)

static int f_close(sqlite3_file *f)
{
    return REAL(f)->pMethods->xClose(REAL(f));
}

static int f_read(sqlite3_file *f, void *to, int n, sqlite3_int64 at)
{
    return CALL(f, xRead, to, n, at);
}

static int f_write(sqlite3_file *f, const void *bytes, int n, sqlite3_int64 at)
{
    note(WRITE, ((struct file *)f)->number, at, bytes, (size_t)n);
    return CALL(f, xWrite, bytes, n, at);
}

static int f_truncate(sqlite3_file *f, sqlite3_int64 size)
{
    note(TRUNCATE, ((struct file *)f)->number, size, NULL, 0);
    return CALL(f, xTruncate, size);
}

static int f_sync(sqlite3_file *f, int flags)
{
    int rc = CALL(f, xSync, flags);
    note(SYNC, ((struct file *)f)->number, 0, NULL, 0);
    return rc;
}

static int f_size(sqlite3_file *f, sqlite3_int64 *ret)
{
    return CALL(f, xFileSize, ret);
}

static int f_lock(sqlite3_file *f, int level)
{
    return CALL(f, xLock, level);
}

static int f_unlock(sqlite3_file *f, int level)
{
    return CALL(f, xUnlock, level);
}

static int f_reserved(sqlite3_file *f, int *ret)
{
    return CALL(f, xCheckReservedLock, ret);
}

static int f_control(sqlite3_file *f, int op, void *arg)
{
    return CALL(f, xFileControl, op, arg);
}

static int f_sector(sqlite3_file *f)
{
    return REAL(f)->pMethods->xSectorSize(REAL(f));
}

static int f_device(sqlite3_file *f)
{
    return REAL(f)->pMethods->xDeviceCharacteristics(REAL(f));
}

static int f_shm_map(sqlite3_file *f, int page, int size, int extend, void volatile **ret)
{
    return CALL(f, xShmMap, page, size, extend, ret);
}

static int f_shm_lock(sqlite3_file *f, int offset, int n, int flags)
{
    return CALL(f, xShmLock, offset, n, flags);
}

static void f_shm_barrier(sqlite3_file *f)
{
    REAL(f)->pMethods->xShmBarrier(REAL(f));
}

static int f_shm_unmap(sqlite3_file *f, int remove)
{
    return CALL(f, xShmUnmap, remove);
}

/* Version 2: no memory map of the database, whose writes could not be seen. */
static const sqlite3_io_methods methods = {.iVersion = 2,
                                           .xClose = f_close,
                                           .xRead = f_read,
                                           .xWrite = f_write,
                                           .xTruncate = f_truncate,
                                           .xSync = f_sync,
                                           .xFileSize = f_size,
                                           .xLock = f_lock,
                                           .xUnlock = f_unlock,
                                           .xCheckReservedLock = f_reserved,
                                           .xFileControl = f_control,
                                           .xSectorSize = f_sector,
                                           .xDeviceCharacteristics = f_device,
                                           .xShmMap = f_shm_map,
                                           .xShmLock = f_shm_lock,
                                           .xShmBarrier = f_shm_barrier,
                                           .xShmUnmap = f_shm_unmap};

static int v_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *f, int flags, int *ret_flags)
{
    struct file *file = (struct file *)f;
    (void)vfs;
    *file = (struct file){.number = (flags & SQLITE_OPEN_MAIN_DB) != 0        ? DATABASE
                                    : (flags & SQLITE_OPEN_WAL) != 0          ? WAL
                                    : (flags & SQLITE_OPEN_MAIN_JOURNAL) != 0 ? ROLLBACK
                                                                              : -1,
                          .real = (sqlite3_file *)(file + 1)};
    memset(file->real, 0, (size_t)below->szOsFile);
    int rc = below->xOpen(below, name, file->real, flags, ret_flags);
    file->base.pMethods = file->real->pMethods == NULL ? NULL : &methods;
    return rc;
}

/* A journal removed is one without content: neither is rolled back. */
static int v_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    static const char ending[] = "-journal";
    (void)vfs;
    int rc = below->xDelete(below, name, sync_folder);
    size_t n = strlen(name), n_ending = strlen(ending);
    if (rc == SQLITE_OK && n > n_ending && strcmp(name + n - n_ending, ending) == 0)
        note(TRUNCATE, ROLLBACK, 0, NULL, 0);
    return rc;
}

static sqlite3_vfs recorder;

static void put_recorder(void)
{
    below = sqlite3_vfs_find(NULL);
    recorder = *below;
    recorder.pNext = NULL;
    recorder.zName = "recorder";
    recorder.szOsFile = (int)sizeof(struct file) + below->szOsFile;
    recorder.xOpen = v_open;
    recorder.xDelete = v_delete;
    assert_int_equal(sqlite3_vfs_register(&recorder, 1), SQLITE_OK);
}

/* --- what is written down --- */

static void feed(struct scene *scene)
{
    bool made;
    struct error err = {0};
    assert_int_equal(broker_topic_ensure(scene->broker, "in", TOPIC_PLAIN, 0, &made, &err), ST_OK);
    assert_int_equal(broker_topic_ensure(scene->broker, "out", TOPIC_PLAIN, 0, &made, &err), ST_OK);
    struct party party = {0};
    party_write(&party, scene, (struct writer_config){.topics = {"in"}});
    for (int i = 0; i < BATCHES * BATCH; i++)
        party_send(&party, i % PARTITIONS, "k",
                   "a value that is not so short as to hide in a page");
    party_commit(&party, NULL, 0);
    party_close(&party);
}

static void checkpoint(const char *path, const char *mode)
{
    sqlite3 *db;
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA wal_checkpoint(%s)", mode);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void copy_all(struct scene *scene, const char *path)
{
    struct party party = {0};
    party_read(&party, scene,
               (struct reader_config){.topic = "in", .group = "g", .instance = "one"});
    party_write(&party, scene, (struct writer_config){.topics = {"out"}});
    party_own(&party, PARTITIONS);
    size_t sent = 0;
    for (int b = 1; b <= BATCHES; b++) {
        struct position pos[PARTITIONS];
        party_want(&party, (size_t)b * BATCH);
        for (; sent < party.got_count; sent++)
            party_send(&party, party.got[sent].partition, "k", got_value(&party.got[sent]));
        for (int32_t p = 0; p < PARTITIONS; p++)
            pos[p] = (struct position){.partition = p, .offset = party.next[p], .metadata = ""};
        party_commit(&party, pos, PARTITIONS);
        note(REPORTED, 0, 0, NULL, sent);
        if (b % 7 == 0)
            checkpoint(path, b % 14 == 0 ? "RESTART" : "PASSIVE");
    }
    party_close(&party);
}

static void remove_all(const char *dir)
{
    DIR *d = opendir(dir);
    assert_non_null(d);
    for (struct dirent *entry; (entry = readdir(d)) != NULL;)
        unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    assert_int_equal(rmdir(dir), 0);
}

static void record_a_run(bool full)
{
    char dir[] = "/tmp/sluice-torn-XXXXXX", url[80], *path;
    assert_non_null(mkdtemp(dir));
    snprintf(url, sizeof url, "sqlite:%s/broker.db", dir);
    path = url + strlen("sqlite:");
    struct broker_options opt = {
        .url = url, .partitions = PARTITIONS, .timeout_ms = 30000, .sqlite_sync = full ? 1 : 0};
    journal.on = true;
    struct scene scene;
    scene_open(&scene, &opt);
    feed(&scene);
    copy_all(&scene, path);
    journal.on = false;
    scene_close(&scene);
    remove_all(dir);
}

/* --- the disk after a power loss --- */

static void apply(struct buf disk[FILES], const struct step *step, size_t n)
{
    struct buf *to = &disk[step->file];
    size_t at = (size_t)step->at;
    if (step->kind == TRUNCATE && to->n > at)
        to->n = at;
    if (step->kind != WRITE)
        return;
    while (to->n < at + n)
        buf_add_char(to, '\0');
    memcpy(to->p + at, step->bytes, n);
}

static void write_file(const char *path, const struct buf *bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    if (bytes->n > 0)
        assert_int_equal(fwrite(bytes->p, 1, bytes->n, file), bytes->n);
    assert_int_equal(fclose(file), 0);
}

static int64_t number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *stmt;
    int64_t v = -1;
    if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK)
        return -1; /* there is no such table yet */
    if (sqlite3_step(stmt) == SQLITE_ROW)
        v = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return v;
}

static void expect_whole(sqlite3 *db, const char *what)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "PRAGMA integrity_check", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW || strcmp((const char *)sqlite3_column_text(stmt, 0), "ok") != 0)
        fail_msg("%s: %s", what, rc == SQLITE_ROW ? "damaged" : sqlite3_errmsg(db));
    sqlite3_finalize(stmt);
}

/* reported: records whose commit must be there; 0: none must. */
static void judge(const char *dir, const struct buf disk[FILES], int64_t reported, const char *what)
{
    static const char *const endings[FILES] = {[WAL] = "-wal", [ROLLBACK] = "-journal"};
    char path[100], beside[110];
    sqlite3 *db;
    snprintf(path, sizeof path, "%s/broker.db", dir);
    snprintf(beside, sizeof beside, "%s-shm", path);
    unlink(beside);
    write_file(path, &disk[DATABASE]);
    for (int f = WAL; f < FILES; f++) {
        snprintf(beside, sizeof beside, "%s%s", path, endings[f]);
        write_file(beside, &disk[f]);
    }
    assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, below->zName), SQLITE_OK);
    sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL); /* only for this look */
    expect_whole(db, what);
    int64_t outputs = number(db, "SELECT (SELECT count(*) FROM \"out/0\") + "
                                 "(SELECT count(*) FROM \"out/1\")");
    int64_t passed = number(db, "SELECT coalesce(sum(offset), 0) FROM positions "
                                "WHERE group_id = 'g' AND topic = 'in' AND offset > 0");
    if (outputs > 0 || passed > 0)
        assert_int_equal(outputs, passed);
    if (reported > 0 && outputs < reported)
        fail_msg("%s: %lld outputs, but %lld were reported as durable", what, (long long)outputs,
                 (long long)reported);
    sqlite3_close(db);
}

static void clear_disk(struct buf disk[FILES])
{
    for (int f = 0; f < FILES; f++)
        disk[f].n = 0;
}

/* The end of what each file has surely on the disk when the power goes before step `end`. The first
 * sync of a new WAL syncs the folder too (UNIXFILE_DIRSYNC in SQLite's os_unix.c), and so makes the
 * removal of the rollback journal last. */
static void find_synced(size_t end, size_t ret[FILES])
{
    for (int f = 0; f < FILES; f++)
        ret[f] = 0;
    for (size_t i = 0; i < end; i++) {
        if (journal.steps[i].kind != SYNC)
            continue;
        ret[journal.steps[i].file] = i;
        if (journal.steps[i].file == WAL)
            ret[ROLLBACK] = i;
    }
}

/* Of the writes that were not synced, any may be there or not. */
static void build_subset(struct buf disk[FILES], size_t end, unsigned *seed)
{
    size_t synced[FILES];
    find_synced(end, synced);
    clear_disk(disk);
    for (size_t i = 0; i < end; i++) {
        const struct step *step = &journal.steps[i];
        if (i < synced[step->file] || rand_r(seed) % 2 == 0)
            apply(disk, step, step->n);
    }
}

static int64_t reported_before(size_t end)
{
    for (size_t i = end; i > 0; i--)
        if (journal.steps[i - 1].kind == REPORTED)
            return (int64_t)journal.steps[i - 1].n;
    return 0;
}

/* A write torn anywhere, and within what headers hold: few bytes, on which everything hangs. */
static void judge_torn(const char *dir, struct buf disk[FILES], const struct step *step,
                       int64_t reported, unsigned *seed, const char *what)
{
    enum { HEADER = 100 };
    size_t within = step->n < HEADER ? step->n : HEADER;
    apply(disk, step, (size_t)rand_r(seed) % within);
    judge(dir, disk, reported, what);
    apply(disk, step, (size_t)rand_r(seed) % step->n);
    judge(dir, disk, reported, what);
}

/* Every prefix, each also with its last write torn, and some of what was not synced lost. */
static void replay(bool full, unsigned seed)
{
    char shm[] = "/dev/shm/sluice-torn-XXXXXX", disk_dir[] = "/tmp/sluice-torn-XXXXXX", what[120];
    char *dir = access("/dev/shm", W_OK) == 0 ? shm : disk_dir;
    struct buf disk[FILES] = {{0}}, other[FILES] = {{0}};
    assert_non_null(mkdtemp(dir));
    for (size_t end = 0; end <= journal.n; end++) {
        int64_t reported = full ? reported_before(end) : 0;
        snprintf(what, sizeof what, "after %zu of %zu steps (seed %u)", end, journal.n, seed);
        judge(dir, disk, reported, what);
        for (int i = 0; i < SUBSETS && end % 3 == 0; i++) {
            build_subset(other, end, &seed);
            judge(dir, other, reported, what);
        }
        if (end == journal.n)
            break;
        const struct step *step = &journal.steps[end];
        if (step->kind == WRITE && step->n > 1)
            judge_torn(dir, disk, step, reported, &seed, what);
        apply(disk, step, step->n);
    }
    for (int f = 0; f < FILES; f++) {
        buf_fini(&disk[f]);
        buf_fini(&other[f]);
    }
    remove_all(dir);
}

static void forget(void)
{
    for (size_t i = 0; i < journal.n; i++)
        mem_free(journal.steps[i].bytes);
    mem_free(journal.steps);
    journal.steps = NULL;
    journal.n = journal.cap = 0;
}

static unsigned seed_of_this_run(void)
{
    const char *given = getenv("SLUICE_SEED_TORN");
    unsigned seed = given != NULL ? (unsigned)strtoul(given, NULL, 10) : (unsigned)getpid();
    print_message("seed %u (again with SLUICE_SEED_TORN=%u)\n", seed, seed);
    return seed;
}

static void with_sync_full_every_reported_commit_survives_a_power_loss(void **state)
{
    (void)state;
    record_a_run(true);
    assert_true(reported_before(journal.n) == (int64_t)BATCHES * BATCH);
    replay(true, seed_of_this_run());
    forget();
}

static void with_sync_normal_a_power_loss_takes_whole_commits_only(void **state)
{
    (void)state;
    record_a_run(false);
    replay(false, seed_of_this_run());
    forget();
}

int main(void)
{
    put_recorder();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_sync_full_every_reported_commit_survives_a_power_loss),
        cmocka_unit_test(with_sync_normal_a_power_loss_takes_whole_commits_only),
    };
    return cmocka_run_group_tests_name("sqlite: power loss", tests, NULL, NULL);
}

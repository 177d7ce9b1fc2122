/* Sharing the partitions of a topic among the members of a group. There is no coordinator: each
 * member makes a round every two seconds, and when the board tells that something has changed, in
 * one transaction on its runner's thread.
 *
 *     renew        our row in `members`; gone: somebody has buried us, so join again, unless a
 *                  twin (same instance and worker) is there: then we are fenced
 *     bury         members whose byte on the board is not locked, whose lease was not renewed for
 *                  10 s, or who are of an earlier boot; their partitions become free
 *     release      what the stage has given up
 *     share        with P partitions and n members: P / n each, one more for the first P % n,
 *                  where those that hold most come first, so that little moves. Too many: ask the
 *                  stage to give some up. Too few: take free ones, each time with a new epoch
 *
 * Ensures: 1. A partition has at most one member, and each change of hands a higher epoch.
 * 2. A commit that does not find (member, epoch) in its row leaves nothing behind (commit.c). */
#include "lib/broker/sqlite/sqlite.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum { RENEW_MS = 2000, EXPIRE_MS = 10000, RETRY_MS = 500 };

static void read_boot_id(char *ret, size_t size)
{
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "re");
    if (file == NULL || fgets(ret, (int)size, file) == NULL)
        snprintf(ret, size, "unknown");
    ret[strcspn(ret, "\n")] = '\0';
    if (file != NULL)
        fclose(file);
}

/* --- who is alive --- */

/* Columns: id, boot, renewed_ms. */
static bool is_dead(const struct board *board, const char *boot, sqlite3_stmt *stmt)
{
    if (strcmp((const char *)sqlite3_column_text(stmt, 1), boot) != 0)
        return true;
    return clock_boot_ms() - sqlite3_column_int64(stmt, 2) > EXPIRE_MS ||
           !board_is_held(board, sqlite3_column_int64(stmt, 0));
}

enum status group_live_members(struct db *db, const struct board *board, const char *group,
                               int *ret_count, struct error *err)
{
    char boot[40];
    read_boot_id(boot, sizeof boot);
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    int n = 0;
    enum status st = db_prepare(
        db, &stmt, err, "SELECT id, boot, renewed_ms FROM members WHERE group_id = %Q", group);
    while (st == ST_OK && (st = db_step(db, stmt, &row, err)) == ST_OK && row)
        n += !is_dead(board, boot, stmt);
    sqlite3_finalize(stmt);
    if (st == ST_OK)
        *ret_count = n;
    return st;
}

static enum status bury(struct sqlite_reader *reader, struct error *err)
{
    struct group *group = reader->group;
    struct db *db = &group->db;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum status st =
        db_prepare(db, &stmt, err,
                   "SELECT id, boot, renewed_ms FROM members WHERE group_id = %Q AND topic = %Q"
                   " AND id != %lld",
                   group->name, reader->topic_name, (long long)group->member);
    while (st == ST_OK && (st = db_step(db, stmt, &row, err)) == ST_OK && row) {
        if (!is_dead(&reader->board, group->boot, stmt))
            continue;
        group->round.changed = true;
        st = db_exec(db, err, "DELETE FROM members WHERE id = %lld",
                     (long long)sqlite3_column_int64(stmt, 0));
        if (st != ST_OK)
            break;
    }
    sqlite3_finalize(stmt);
    if (st == ST_OK)
        st = db_exec(db, err,
                     "UPDATE positions SET member = NULL WHERE group_id = %Q AND topic = %Q"
                     " AND member NOT NULL AND member NOT IN (SELECT id FROM members)",
                     group->name, reader->topic_name);
    return st;
}

/* --- joining --- */

static enum status find_twin(struct sqlite_reader *reader, int64_t *ret_pid, struct error *err)
{
    struct group *group = reader->group;
    return db_number(&group->db, 0, ret_pid, err,
                     "SELECT pid FROM members WHERE group_id = %Q AND topic = %Q AND instance = %Q"
                     " AND worker = %d AND id != %lld",
                     group->name, reader->topic_name, group->instance, reader->cfg.worker,
                     (long long)group->member);
}

static enum status join(struct sqlite_reader *reader, struct error *err)
{
    struct group *group = reader->group;
    struct db *db = &group->db;
    group->round.changed = true;
    enum status st = db_exec(
        db, err,
        "DELETE FROM members WHERE group_id = %Q AND topic = %Q AND instance = %Q AND worker = %d;"
        "INSERT INTO members VALUES (%lld, %Q, %Q, %Q, %d, %d, %Q, %lld);"
        "INSERT OR IGNORE INTO groups (group_id, topic) VALUES (%Q, %Q)",
        group->name, reader->topic_name, group->instance, reader->cfg.worker,
        (long long)group->member, group->name, reader->topic_name, group->instance,
        reader->cfg.worker, (int)getpid(), group->boot, (long long)clock_boot_ms(), group->name,
        reader->topic_name);
    for (int32_t p = 0; p < reader->topic.partitions && st == ST_OK; p++)
        st = db_exec(db, err,
                     "INSERT OR IGNORE INTO positions (group_id, topic, partition)"
                     " VALUES (%Q, %Q, %d)",
                     group->name, reader->topic_name, (int)p);
    return st;
}

static enum status renew(struct sqlite_reader *reader, struct error *err)
{
    struct group *group = reader->group;
    enum status st =
        db_exec(&group->db, err, "UPDATE members SET renewed_ms = %lld WHERE id = %lld",
                (long long)clock_boot_ms(), (long long)group->member);
    if (st != ST_OK || sqlite3_changes(group->db.conn) == 1)
        return st;
    int64_t twin = 0;
    if (group->joined)
        st = find_twin(reader, &twin, err);
    if (st == ST_OK && twin != 0)
        return error_set(err, ST_FATAL, ERR_FENCED,
                         "process %lld has taken over as '%s' worker %d of group '%s'",
                         (long long)twin, group->instance, reader->cfg.worker, group->name);
    return st == ST_OK ? join(reader, err) : st;
}

/* --- sharing --- */

static enum status release(struct sqlite_reader *reader, struct error *err)
{
    struct group *group = reader->group;
    struct round *round = &group->round;
    enum status st = ST_OK;
    for (int32_t p = 0; p < reader->topic.partitions && st == ST_OK; p++) {
        if (!round->leases[p].released)
            continue;
        round->changed = true;
        st = db_exec(&group->db, err,
                     "UPDATE positions SET member = NULL WHERE group_id = %Q AND topic = %Q"
                     " AND partition = %d AND member = %lld",
                     group->name, reader->topic_name, (int)p, (long long)group->member);
    }
    return st;
}

/* How many partitions this member should hold. */
static enum status find_share(struct sqlite_reader *reader, int *ret, struct error *err)
{
    struct group *group = reader->group;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    int members = 0, rank = 0;
    enum status st = db_prepare(
        &group->db, &stmt, err,
        "SELECT id, (SELECT count(*) FROM positions WHERE group_id = %Q AND topic = %Q"
        " AND member = members.id) AS held FROM members WHERE group_id = %Q AND topic = %Q"
        " ORDER BY held DESC, id",
        group->name, reader->topic_name, group->name, reader->topic_name);
    while (st == ST_OK && (st = db_step(&group->db, stmt, &row, err)) == ST_OK && row) {
        if (sqlite3_column_int64(stmt, 0) == group->member)
            rank = members;
        members++;
    }
    sqlite3_finalize(stmt);
    if (st == ST_OK && members > 0)
        *ret = reader->topic.partitions / members + (rank < reader->topic.partitions % members);
    return st;
}

/* A partition as the table `positions` has it. */
struct row {
    struct position pos;
    int64_t member; /* 0: free */
    uint32_t epoch;
};

static enum status read_rows(struct sqlite_reader *reader, struct row *rows, struct error *err)
{
    struct group *group = reader->group;
    sqlite3_stmt *stmt = NULL;
    bool row = false;
    enum status st = db_prepare(&group->db, &stmt, err,
                                "SELECT partition, coalesce(offset, -1), metadata, "
                                "coalesce(member, 0), epoch FROM positions "
                                "WHERE group_id = %Q AND topic = %Q AND partition < %d",
                                group->name, reader->topic_name, (int)reader->topic.partitions);
    while (st == ST_OK && (st = db_step(&group->db, stmt, &row, err)) == ST_OK && row) {
        struct row *to = &rows[sqlite3_column_int(stmt, 0)];
        to->pos.offset = sqlite3_column_int64(stmt, 1);
        to->pos.metadata = mem_strdup((const char *)sqlite3_column_text(stmt, 2));
        to->member = sqlite3_column_int64(stmt, 3);
        to->epoch = (uint32_t)sqlite3_column_int64(stmt, 4);
    }
    sqlite3_finalize(stmt);
    return st;
}

static enum status is_filled(struct db *db, const char *topic, bool *ret, struct error *err)
{
    struct topic found;
    enum status st = schema_find_topic(db, topic, &found, err);
    *ret = false;
    for (int32_t p = 0; p < found.partitions && st == ST_OK && !*ret; p++) {
        struct watermark log = {0};
        st = schema_watermark(db, topic, p, &log, err);
        *ret = log.end > 0;
    }
    return st;
}

static enum status claim(struct sqlite_reader *reader, const struct row *rows, int wanted,
                         struct error *err)
{
    struct group *group = reader->group;
    struct round *round = &group->round;
    int32_t count = reader->topic.partitions;
    struct watermark *log = mem_array((size_t)count, sizeof *log);
    struct position *committed = mem_array((size_t)count, sizeof *committed);
    bool filled = false;
    int64_t epoch = 0;
    enum status st = group->guard_topic == NULL
                         ? ST_OK
                         : is_filled(&group->db, group->guard_topic, &filled, err);
    for (int32_t p = 0; p < count && st == ST_OK; p++) {
        committed[p] = rows[p].pos;
        st = schema_watermark(&group->db, reader->topic_name, p, &log[p], err);
    }
    if (st == ST_OK)
        st = db_number(&group->db, 0, &epoch, err,
                       "UPDATE groups SET epoch = epoch + 1 WHERE group_id = %Q AND topic = %Q"
                       " RETURNING epoch",
                       group->name, reader->topic_name);
    round->epoch = (uint32_t)epoch;
    for (int32_t p = 0; p < count && wanted > 0 && st == ST_OK; p++) {
        if (rows[p].member != 0)
            continue;
        int64_t offset = 0;
        st = start_resolve(group->name, reader->topic_name, committed, log, count, p, filled,
                           group->guard_topic, reader->cfg.on_missing, &offset, err);
        if (st != ST_OK)
            break;
        round->claims[round->claim_count++] =
            (struct claim){{p, offset, mem_strdup(committed[p].metadata)}, log[p].end};
        st = db_exec(&group->db, err,
                     "UPDATE positions SET member = %lld, epoch = %lld WHERE group_id = %Q"
                     " AND topic = %Q AND partition = %d",
                     (long long)group->member, (long long)epoch, group->name, reader->topic_name,
                     (int)p);
        wanted--;
    }
    mem_free(log);
    mem_free(committed);
    return st;
}

/* The partitions with the highest numbers, one after the other. */
static void revoke_surplus(struct sqlite_reader *reader, const struct row *rows, int surplus)
{
    struct round *round = &reader->group->round;
    for (int32_t p = reader->topic.partitions; p-- > 0 && surplus > 0;) {
        if (rows[p].member == reader->group->member && round->leases[p].held) {
            round->revoke[round->revoke_count++] = p;
            surplus--;
        }
    }
}

static bool is_ours(const struct group *group, const struct row *row, const struct lease *lease)
{
    return row->member == group->member && lease->held && row->epoch == lease->epoch;
}

static enum status share(struct sqlite_reader *reader, struct row *rows, struct error *err)
{
    struct group *group = reader->group;
    struct round *round = &group->round;
    int wanted = 0, held = 0;
    bool leaving = false, available = false;
    enum status st = read_rows(reader, rows, err);
    if (st == ST_OK)
        st = find_share(reader, &wanted, err);
    if (st != ST_OK)
        return st;
    for (int32_t p = 0; p < reader->topic.partitions; p++) {
        const struct lease *lease = &round->leases[p];
        bool ours = is_ours(group, &rows[p], lease);
        if (lease->held && !lease->released && !ours)
            round->lost[round->lost_count++] = p;
        held += ours;
        leaving = leaving || (ours && lease->leaving && !lease->released);
        available = available || rows[p].member == 0;
    }
    if (!leaving)
        revoke_surplus(reader, rows, held - wanted);
    return held < wanted && available ? claim(reader, rows, wanted - held, err) : ST_OK;
}

/* --- a round --- */

static enum status play(struct sqlite_reader *reader, struct row *rows, struct error *err)
{
    struct db *db = &reader->group->db;
    enum status st = db_begin(db, err);
    if (st == ST_OK)
        st = renew(reader, err);
    if (st == ST_OK)
        st = bury(reader, err);
    if (st == ST_OK)
        st = release(reader, err);
    if (st == ST_OK)
        st = share(reader, rows, err);
    if (st == ST_OK)
        st = db_commit(db, err);
    if (st != ST_OK)
        db_rollback(db);
    return st;
}

static void work(struct job *job)
{
    struct round *round = (struct round *)job;
    struct group *group = (struct group *)((char *)round - offsetof(struct group, round));
    struct sqlite_reader *reader = group->reader;
    size_t count = (size_t)reader->topic.partitions;
    struct row *rows = mem_array(count, sizeof *rows);
    round->st = play(reader, rows, &round->err);
    for (size_t p = 0; p < count; p++)
        mem_free((void *)rows[p].pos.metadata);
    mem_free(rows);
    if (round->st == ST_OK) {
        group->joined = true;
        if (round->changed || round->claim_count > 0)
            board_mark_group(&reader->board, group->name, reader->topic_name);
    }
}

static void drop_claims(struct round *round)
{
    for (size_t i = 0; i < round->claim_count; i++)
        mem_free((void *)round->claims[i].pos.metadata);
    round->claim_count = 0;
}

static void report_lost(struct sqlite_reader *reader, const int32_t *partitions, size_t n)
{
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        reader->group->leases[partitions[i]] = (struct lease){0};
        reader->parts[partitions[i]].open = false;
    }
    struct error err;
    error_set(&err, ST_ABORT, ERR_FENCED, "another member of group '%s' has taken %s/%d",
              reader->group->name, reader->topic_name, (int)partitions[0]);
    reader->cfg.events.lost(reader->cfg.events.arg, partitions, n);
    if (reader->writer != NULL)
        writer_abort_batch(reader->writer, &err);
}

static void report_assigned(struct sqlite_reader *reader)
{
    struct round *round = &reader->group->round;
    size_t n = round->claim_count;
    if (n == 0 && reader->group->assigned)
        return;
    reader->group->assigned = true;
    struct position *pos = mem_array(n, sizeof *pos);
    for (size_t i = 0; i < n; i++) {
        const struct claim *claim = &round->claims[i];
        pos[i] = claim->pos;
        reader->group->leases[pos[i].partition] =
            (struct lease){.held = true, .epoch = round->epoch};
        reader_begin(reader, pos[i].partition, pos[i].offset, claim->end, round->epoch);
    }
    reader->cfg.events.assigned(reader->cfg.events.arg, pos, n, round->epoch);
    mem_free(pos);
    reader->cfg.events.readable(reader->cfg.events.arg);
}

static void report_revoking(struct sqlite_reader *reader)
{
    struct round *round = &reader->group->round;
    if (round->revoke_count == 0)
        return;
    for (size_t i = 0; i < round->revoke_count; i++) {
        reader->group->leases[round->revoke[i]].leaving = true;
        reader->parts[round->revoke[i]].open = false;
    }
    reader->cfg.events.revoking(reader->cfg.events.arg, round->revoke, round->revoke_count);
}

/* Trouble with the disk may pass; what the user has to mend does not. */
static void report_failed(struct sqlite_reader *reader)
{
    struct group *group = reader->group;
    const struct error *err = &group->round.err;
    int64_t now = clock_mono_ms();
    if (err->kind != ERR_IO || (group->failing_since_ms > 0 &&
                                now - group->failing_since_ms > reader->broker->opt->timeout_ms)) {
        reader_fail(reader, err);
        return;
    }
    if (group->failing_since_ms == 0) {
        group->failing_since_ms = now;
        reader->cfg.events.connection(reader->cfg.events.arg, false, err);
    }
    loop_timer_start(group->timer, RETRY_MS);
}

void group_file_works(struct sqlite_reader *reader)
{
    if (reader->group->failing_since_ms > 0)
        reader->group->failing_since_ms = clock_mono_ms();
}

static void report_done(struct sqlite_reader *reader)
{
    struct group *group = reader->group;
    struct round *round = &group->round;
    if (group->failing_since_ms > 0)
        reader->cfg.events.connection(reader->cfg.events.arg, true, NULL);
    group->failing_since_ms = 0;
    for (int32_t p = 0; p < reader->topic.partitions; p++) {
        if (round->leases[p].released)
            group->leases[p] = (struct lease){0};
    }
    report_lost(reader, round->lost, round->lost_count);
    report_assigned(reader);
    report_revoking(reader);
    loop_timer_start(group->timer, RENEW_MS);
}

static void done(struct job *job)
{
    struct round *round = (struct round *)job;
    struct group *group = (struct group *)((char *)round - offsetof(struct group, round));
    struct sqlite_reader *reader = group->reader;
    group->running = false;
    if (!reader->closing && !reader->failed) {
        if (round->st == ST_OK)
            report_done(reader);
        else
            report_failed(reader);
    }
    drop_claims(round);
    if (group->again)
        group_round(reader);
}

void group_round(struct sqlite_reader *reader)
{
    struct group *group = reader->group;
    struct round *round = &group->round;
    group->again = group->running;
    if (group->running || reader->closing || reader->failed)
        return;
    group->running = true;
    memcpy(round->leases, group->leases, (size_t)reader->topic.partitions * sizeof *round->leases);
    round->lost_count = round->revoke_count = round->claim_count = 0;
    round->changed = false;
    runner_submit(group->runner, &round->job);
}

void group_lost(struct sqlite_reader *reader, const int32_t *partitions, size_t n)
{
    report_lost(reader, partitions, n);
    group_round(reader);
}

void sqlite_reader_give_up(void *ctx)
{
    struct sqlite_reader *reader = ctx;
    if (reader->group == NULL)
        return;
    for (int32_t p = 0; p < reader->topic.partitions; p++) {
        struct lease *lease = &reader->group->leases[p];
        lease->released = lease->released || lease->leaving;
    }
    group_round(reader);
}

static void on_timer(void *arg)
{
    group_round(arg);
}

/* In the group from now on, and a process of our own name is out of it: as Kafka fences one when
 * its successor opens, not some time later. */
static enum status enter(struct sqlite_reader *reader, struct error *err)
{
    struct db *db = &reader->group->db;
    enum status st = db_begin(db, err);
    if (st == ST_OK)
        st = join(reader, err);
    if (st == ST_OK)
        st = bury(reader, err);
    if (st == ST_OK)
        st = db_commit(db, err);
    if (st != ST_OK)
        db_rollback(db);
    reader->group->joined = st == ST_OK;
    return st;
}

enum status group_start(struct sqlite_reader *reader, const struct reader_config *cfg,
                        struct error *err)
{
    struct group *group = reader->group = mem_zalloc(sizeof *group);
    size_t count = (size_t)reader->topic.partitions;
    group->reader = reader;
    group->name = mem_strdup(cfg->group);
    group->instance = mem_strdup(cfg->instance == NULL ? "" : cfg->instance);
    group->guard_topic = mem_strdup(cfg->guard_topic);
    group->leases = mem_array(count, sizeof *group->leases);
    group->round = (struct round){.job = {.work = work, .done = done},
                                  .leases = mem_array(count, sizeof(struct lease)),
                                  .lost = mem_array(count, sizeof(int32_t)),
                                  .revoke = mem_array(count, sizeof(int32_t)),
                                  .claims = mem_array(count, sizeof(struct claim))};
    read_boot_id(group->boot, sizeof group->boot);
    enum status st = sqlite_connect(reader->broker, &group->db, DB_WRITE, err);
    if (st == ST_OK)
        st = board_join(&reader->board, &group->member, err);
    if (st == ST_OK)
        st = enter(reader, err);
    if (st != ST_OK)
        return st;
    board_mark_group(&reader->board, group->name, reader->topic_name);
    group->timer = loop_timer_new(cfg->loop, on_timer, reader);
    group->runner = runner_start(cfg->loop, "sqlite-group");
    group_round(reader);
    return ST_OK;
}

static void leave(struct sqlite_reader *reader)
{
    struct group *group = reader->group;
    struct error err; /* what stays is freed by the unlocked byte */
    if (group->joined &&
        db_exec(&group->db, &err,
                "BEGIN IMMEDIATE; UPDATE positions SET member = NULL WHERE member = %lld;"
                "DELETE FROM members WHERE id = %lld; COMMIT",
                (long long)group->member, (long long)group->member) == ST_OK)
        board_mark_group(&reader->board, group->name, reader->topic_name);
    db_rollback(&group->db);
}

void group_stop(struct sqlite_reader *reader)
{
    struct group *group = reader->group;
    if (group == NULL)
        return;
    atomic_store(&group->db.quit, true);
    runner_stop(group->runner);
    atomic_store(&group->db.quit, false);
    if (group->db.timeout_ms > 3000)
        group->db.timeout_ms = 3000;
    leave(reader);
    loop_timer_free(group->timer);
    db_close(&group->db);
    mem_free(group->name);
    mem_free(group->instance);
    mem_free(group->guard_topic);
    mem_free(group->leases);
    mem_free(group->round.leases);
    mem_free(group->round.lost);
    mem_free(group->round.revoke);
    mem_free(group->round.claims);
    mem_free(group);
    reader->group = NULL;
}

/* Writing, on the loop thread: records are copied once, into the batch being filled; the other
 * batch may be in its transaction meanwhile. See writer.h. */
#include "lib/broker/sqlite/writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/broker/sqlite/headers.h"

enum { BATCH_BYTES = 8 << 20, BATCH_ROWS = 50000, ROW_OVERHEAD = 100 };

static void batch_reset(struct batch *batch)
{
    arena_reset(&batch->arena);
    batch->row_count = batch->fence_count = 0;
}

/* --- what a transaction came to --- */

static void fail(struct sqlite_writer *writer, const struct error *err)
{
    if (writer->failed)
        return;
    writer->failed = true;
    writer->failure = *err;
    writer->events.failed(writer->events.arg, err);
}

static void abort_from(struct sqlite_writer *writer, uint64_t first, const struct error *why)
{
    writer->abort_later = false;
    writer->number = first;
    batch_reset(writer->filling);
    writer->events.aborted(writer->events.arg, first, why);
}

void writer_abort_batch(struct sqlite_writer *writer, const struct error *why)
{
    if (writer->closing || writer->failed)
        return;
    if (writer->running) {
        writer->abort_later = true;
        writer->abort_why = *why;
    } else if (writer->filling->row_count > 0) {
        abort_from(writer, writer->number, why);
    }
}

static void on_fenced(struct sqlite_writer *writer, struct batch *batch)
{
    struct error why = batch->err;
    if (batch->twin) {
        reader_fail(writer->reader, &why);
        fail(writer, &why);
        return;
    }
    group_lost(writer->reader, batch->lost, batch->lost_count);
    batch_reset(batch);
    writer->running = false;
    abort_from(writer, batch->number, &why);
}

static void on_committed(struct sqlite_writer *writer, struct batch *batch)
{
    batch_reset(batch);
    writer->running = false;
    writer->events.committed(writer->events.arg, batch->number);
    if (writer->abort_later && !writer->running) {
        writer->abort_later = false;
        writer_abort_batch(writer, &writer->abort_why);
    }
}

static void start_upkeep(struct sqlite_writer *writer, int frames)
{
    const struct broker_options *opt = writer->broker->opt;
    struct upkeep *keep = &writer->upkeep;
    int64_t now = clock_mono_ms();
    bool retain = (opt->retention_ms > 0 || opt->retention_bytes > 0) &&
                  now - writer->retained_ms >= RETAIN_EVERY_MS;
    if (writer->upkeep_running || (frames < CHECKPOINT_FRAMES && !retain))
        return;
    if (writer->keeper == NULL)
        writer->keeper = runner_start(writer->loop, "sqlite-keep");
    writer->upkeep_running = true;
    keep->frames = frames;
    keep->retain = retain;
    if (retain)
        writer->retained_ms = now;
    runner_submit(writer->keeper, &keep->job);
}

static void on_upkeep_done(struct job *job)
{
    ((struct upkeep *)job)->writer->upkeep_running = false;
}

static void report_back(struct sqlite_writer *writer)
{
    if (writer->reader == NULL)
        return;
    group_file_works(writer->reader);
    if (writer->away)
        writer->reader->cfg.events.connection(writer->reader->cfg.events.arg, true, NULL);
    writer->away = false;
}

static void on_done(struct job *job)
{
    struct batch *batch = (struct batch *)job;
    struct sqlite_writer *writer = batch->writer;
    if (writer->closing)
        return;
    int frames = batch->frames;
    start_upkeep(writer, frames);
    bool blocked = writer->blocked;
    writer->blocked = false;
    if (batch->st == ST_OK || batch->st == ST_ABORT)
        report_back(writer);
    if (batch->st == ST_OK)
        on_committed(writer, batch);
    else if (batch->st == ST_ABORT)
        on_fenced(writer, batch);
    else
        fail(writer, &batch->err);
    if ((blocked || (writer->blocked && !writer->running)) && !writer->failed) {
        writer->blocked = writer->blocked && writer->running;
        writer->events.writable(writer->events.arg);
    }
}

/* --- waiting for the lock or for room on the disk: told once --- */

static void on_stuck(void *arg, const struct error *err) /* runner's thread */
{
    struct sqlite_writer *writer = arg;
    pthread_mutex_lock(&writer->lock);
    writer->stuck = *err;
    pthread_mutex_unlock(&writer->lock);
    loop_bell_ring(writer->stuck_bell);
}

static void on_stuck_bell(void *arg)
{
    struct sqlite_writer *writer = arg;
    if (writer->away || writer->reader == NULL || !writer->running)
        return;
    writer->away = true;
    pthread_mutex_lock(&writer->lock);
    struct error err = writer->stuck;
    pthread_mutex_unlock(&writer->lock);
    writer->reader->cfg.events.connection(writer->reader->cfg.events.arg, false, &err);
}

/* --- open and close --- */

static void make_start_id(struct sqlite_writer *writer)
{
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        id = (uint64_t)clock_wall_us();
    snprintf(writer->start_id, sizeof writer->start_id, "%016" PRIx64, id);
}

static enum status open_topic(struct sqlite_writer *writer, size_t t, const char *topic,
                              struct error *err)
{
    enum status st = schema_need_topic(&writer->db, topic, &writer->topics[t], err);
    if (st != ST_OK)
        return st;
    int32_t count = writer->topics[t].partitions;
    writer->topic_names[t] = mem_strdup(topic);
    writer->lanes[t] = mem_array((size_t)count, sizeof *writer->lanes[t]);
    writer->topic_count = t + 1;
    for (int32_t p = 0; p < count; p++) {
        writer->lanes[t][p].partition = p;
        writer->lanes[t][p].topic = (int)t;
    }
    return ST_OK;
}

static void open_batches(struct sqlite_writer *writer)
{
    size_t count = writer->reader == NULL ? 0 : (size_t)writer->reader->topic.partitions;
    for (int b = 0; b < 2; b++) {
        writer->batches[b].writer = writer;
        writer->batches[b].job = (struct job){.work = commit_work, .done = on_done};
        writer->batches[b].fences = mem_array(count, sizeof(struct fence));
        writer->batches[b].fence_cap = count;
        writer->batches[b].lost = mem_array(count, sizeof(int32_t));
    }
    writer->filling = &writer->batches[0];
    writer->number = 1;
}

enum status sqlite_writer_open(void *ctx, void *broker, void *reader,
                               const struct writer_config *cfg, struct error *err)
{
    struct sqlite_writer *writer = ctx;
    writer->broker = broker;
    writer->reader = reader;
    writer->loop = cfg->loop;
    writer->events = cfg->events;
    writer->upkeep.job = (struct job){.work = commit_upkeep, .done = on_upkeep_done};
    writer->upkeep.writer = writer;
    writer->retained_ms = clock_mono_ms();
    make_start_id(writer);
    enum status st = sqlite_connect(broker, &writer->db, DB_WRITE, err);
    for (size_t t = 0; t < cfg->topic_count && st == ST_OK; t++)
        st = open_topic(writer, t, cfg->topics[t], err);
    if (st == ST_OK)
        st = commit_prepare(writer, err);
    if (st == ST_OK)
        st = board_open(&writer->board, writer->broker->path, false, err);
    if (st != ST_OK)
        return st;
    writer->length_max = sqlite3_limit(writer->db.conn, SQLITE_LIMIT_LENGTH, -1) - 100;
    pthread_mutex_init(&writer->lock, NULL);
    writer->has_lock = true;
    writer->db.on_stuck = on_stuck;
    writer->db.arg = writer;
    open_batches(writer);
    writer->stuck_bell = loop_bell_new(cfg->loop, on_stuck_bell, writer);
    writer->runner = runner_start(cfg->loop, "sqlite-commit");
    if (writer->reader != NULL)
        writer->reader->writer = writer;
    return ST_OK;
}

void sqlite_writer_close(void *ctx)
{
    struct sqlite_writer *writer = ctx;
    writer->closing = true;
    atomic_store(&writer->db.quit, true);
    atomic_store(&writer->upkeep.db.quit, true);
    runner_stop(writer->runner);
    runner_stop(writer->keeper);
    if (writer->reader != NULL && writer->reader->writer == writer)
        writer->reader->writer = NULL;
    loop_bell_free(writer->stuck_bell);
    commit_unprepare(writer);
    db_close(&writer->db);
    db_close(&writer->upkeep.db);
    board_close(&writer->board);
    if (writer->has_lock)
        pthread_mutex_destroy(&writer->lock);
    for (size_t t = 0; t < writer->topic_count; t++) {
        mem_free(writer->lanes[t]);
        mem_free(writer->topic_names[t]);
    }
    for (int b = 0; b < 2; b++) {
        arena_fini(&writer->batches[b].arena);
        mem_free(writer->batches[b].rows);
        mem_free(writer->batches[b].fences);
        mem_free(writer->batches[b].lost);
    }
}

/* --- filling --- */

int32_t sqlite_writer_partitions(const void *ctx, int topic)
{
    const struct sqlite_writer *writer = ctx;
    return writer->topics[topic].partitions;
}

/* `out`'s headers with sluice-txn set, in the batch's memory. */
static const struct header *with_txn(struct sqlite_writer *writer, const struct out *out,
                                     size_t *ret_count)
{
    const struct span name = SPAN_LIT("sluice-txn");
    struct arena *arena = &writer->filling->arena;
    struct header *list = arena_alloc(arena, (out->header_count + 1) * sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < out->header_count; i++) {
        if (!span_equal(out->headers[i].name, name))
            list[n++] = out->headers[i];
    }
    char text[64];
    snprintf(text, sizeof text, "%s/%" PRIu64, writer->start_id, writer->txn);
    list[n++] = (struct header){name, arena_copy(arena, span_of(text))};
    *ret_count = n;
    return list;
}

static struct span copy_headers(struct sqlite_writer *writer, const struct out *out)
{
    const struct header *headers = out->headers;
    size_t count = out->header_count;
    if (writer->broker->opt->trace_txn)
        headers = with_txn(writer, out, &count);
    if (count == 0)
        return SPAN_NULL;
    char *to = arena_alloc(&writer->filling->arena, headers_size(headers, count));
    return span_make(to, headers_write(to, headers, count));
}

static struct row_out *add_row(struct batch *batch)
{
    if (batch->row_count == batch->row_cap) {
        batch->row_cap = batch->row_cap == 0 ? 64 : 2 * batch->row_cap;
        batch->rows = mem_realloc(batch->rows, batch->row_cap * sizeof *batch->rows);
    }
    return &batch->rows[batch->row_count++];
}

static struct span copy_span(struct arena *arena, struct span s)
{
    return s.p != NULL && s.n == 0 ? span_make("", 0) : arena_copy(arena, s);
}

enum status sqlite_writer_send(void *ctx, const struct out *out, struct error *err)
{
    struct sqlite_writer *writer = ctx;
    if (writer->failed) {
        if (err != NULL)
            *err = writer->failure;
        return ST_FATAL;
    }
    struct batch *batch = writer->filling;
    if (batch->row_count >= BATCH_ROWS || batch->arena.used >= BATCH_BYTES) {
        writer->blocked = true;
        return ST_AGAIN;
    }
    size_t bytes = out->key.n + out->value.n + headers_size(out->headers, out->header_count);
    if (bytes > (size_t)writer->length_max)
        return error_reject(err, REASON_output_too_large,
                            "a record of %zu bytes; SQLite's limit is %lld", bytes,
                            (long long)writer->length_max);
    if (batch->row_count == 0)
        writer->txn++;
    struct row_out *row = add_row(batch);
    row->key = copy_span(&batch->arena, out->key);
    row->value = copy_span(&batch->arena, out->value);
    row->headers = copy_headers(writer, out);
    row->timestamp_ms = out->timestamp_ms < 0 ? clock_wall_ms() : out->timestamp_ms;
    row->partition = out->partition;
    row->topic = out->topic;
    return ST_OK;
}

/* --- handing over --- */

bool sqlite_writer_can_commit(const void *ctx)
{
    const struct sqlite_writer *writer = ctx;
    return !writer->running && !writer->abort_later && !writer->failed;
}

bool sqlite_writer_idle(const void *ctx)
{
    const struct sqlite_writer *writer = ctx;
    return !writer->running;
}

static enum status add_fence(struct sqlite_writer *writer, const struct position *pos,
                             struct error *err)
{
    struct batch *batch = writer->filling;
    const struct sqlite_reader *reader = writer->reader;
    if (reader == NULL || reader->group == NULL || batch->fence_count == batch->fence_cap ||
        pos->partition < 0 || pos->partition >= reader->topic.partitions)
        return error_set(err, ST_FATAL, ERR_BUG, "position of partition %d without a lease",
                         (int)pos->partition);
    const char *metadata = pos->metadata == NULL ? "" : pos->metadata;
    if (strlen(metadata) > POSITION_METADATA_MAX)
        return error_set(err, ST_FATAL, ERR_BUG, "metadata of a position is longer than %d bytes",
                         POSITION_METADATA_MAX);
    batch->fences[batch->fence_count++] =
        (struct fence){.metadata = copy_span(&batch->arena, span_of(metadata)),
                       .offset = pos->offset,
                       .partition = pos->partition,
                       .epoch = reader->group->leases[pos->partition].epoch};
    return ST_OK;
}

enum status sqlite_writer_commit(void *ctx, const struct position *pos, size_t n,
                                 uint64_t *ret_number, struct error *err)
{
    struct sqlite_writer *writer = ctx;
    if (writer->failed) {
        if (err != NULL)
            *err = writer->failure;
        return ST_FATAL;
    }
    /* A batch that is to be aborted may be asked for from inside `committed` of the one before. */
    if (writer->running || writer->abort_later) {
        writer->blocked = true;
        return ST_AGAIN;
    }
    struct batch *batch = writer->filling;
    batch->fence_count = 0;
    for (size_t i = 0; i < n; i++) {
        enum status st = add_fence(writer, &pos[i], err);
        if (st != ST_OK)
            return st;
    }
    batch->number = writer->number++;
    writer->filling = batch == &writer->batches[0] ? &writer->batches[1] : &writer->batches[0];
    writer->running = true;
    *ret_number = batch->number;
    runner_submit(writer->runner, &batch->job);
    return ST_OK;
}

/* The sink worker, in the shape of all stages: take -> put -> flush -> commit. Records are put and
 * flushed in the turn they are read in, so there is no window: the position of a partition is one
 * past the last record that was put.
 *
 * Ensures: a position is committed only after the store was flushed; what the store refuses is in
 * the dead letters before the position passes it.
 *
 * With setup->letters the same way is gone by this sink's dead letters, up to the ends that they
 * had at start: one that is refused again is a new letter, behind them. */
#include "stages/sink/sink.h"

#include <assert.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/stage/headers.h"
#include "stages/sink/store.h"

enum { TOPIC_NAME_MAX = 256, TAKE_MAX = 256, TAKE_BYTES = 4 << 20, TAKE_ROUNDS = 8 };

struct part {
    bool ours, dry, revoking;
    bool closed;    /* the end of the letters is reached */
    int64_t next;   /* one past the last record put */
    int64_t handed; /* the position in the last batch handed over */
};

struct sink {
    struct worker w; /* first: the stage hands this out */
    const struct sink_setup *setup;
    struct reader *reader;
    struct writer *writer;
    const struct store_ops *store;
    void *store_ctx;
    struct part *parts;
    struct position *positions;
    struct gauge **lag;
    int32_t part_count;
    struct record recs[TAKE_MAX]; /* read; [at, n) is still to be put */
    size_t at, n;
    struct headers headers;
    struct loop_idle *more;
    bool stopping, revoking;
    size_t letters; /* in batches that are not confirmed */
    struct counter *in, *dead, *commits, *aborts;
    struct hist *latency;
};

static void schedule(struct sink *s)
{
    loop_idle_start(s->more);
}

/* --- which records --- */

static const char *topic_of(const struct sink *s)
{
    const struct stage_options *opt = s->w.env->opt;
    return s->setup->letters != NULL ? opt->dead_topic : opt->enhanced_topic;
}

static const char *group_of(const struct sink *s)
{
    return s->setup->letters != NULL ? s->setup->letters->group : s->setup->opt->group;
}

/* Where the letters end; INT64_MAX for enriched posts. */
static int64_t end_of(const struct sink *s, int32_t partition)
{
    const struct drain *letters = s->setup->letters;
    if (letters == NULL)
        return INT64_MAX;
    return partition < letters->count ? letters->ends[partition].end : 0;
}

/* Letters of other stages and other sinks are passed by, and those without their value. */
static bool is_wanted(const struct sink *s, const struct record *rec)
{
    struct letter_view letter;
    if (s->setup->letters == NULL)
        return true;
    headers_read_letter(rec, &letter);
    return span_is(letter.stage, "sink") && !letter.bare &&
           (letter.group.p == NULL || span_is(letter.group, s->setup->opt->group));
}

/* --- take and put --- */

/* Where the record was read first: a letter that is refused again says so too. */
static void fill_place(const struct sink *s, const struct record *rec, struct letter *ret,
                       char topic[TOPIC_NAME_MAX])
{
    struct letter_view old;
    snprintf(topic, TOPIC_NAME_MAX, "%s", s->w.env->opt->enhanced_topic);
    ret->topic = topic;
    ret->partition = rec->partition;
    ret->offset = rec->offset;
    if (s->setup->letters == NULL)
        return;
    headers_read_letter(rec, &old);
    snprintf(topic, TOPIC_NAME_MAX, "%.*s", (int)old.topic.n,
             old.topic.p == NULL ? "" : old.topic.p);
    ret->partition = old.partition;
    ret->offset = old.offset;
}

/* A record that the store will never take, and with it (in one commit) its position. False: the
 * writer has no room yet, the record is to be read again. */
static bool refuse(struct sink *s, const struct record *rec, const struct error *why)
{
    char topic[TOPIC_NAME_MAX];
    struct letter letter = {.reason = why->reason,
                            .message = why->text,
                            .stage = "sink",
                            .group = s->setup->opt->group};
    struct error err;
    fill_place(s, rec, &letter, topic);
    headers_reset(&s->headers);
    headers_pass(&s->headers, rec, NULL);
    headers_add_source(&s->headers, topic, letter.partition, letter.offset);
    headers_add_letter(&s->headers, &letter);
    struct out out = {.key = rec->key,
                      .value = rec->value,
                      .headers = s->headers.items,
                      .header_count = s->headers.n,
                      .timestamp_ms = rec->timestamp_ms,
                      .partition = rec->partition % writer_partitions(s->writer, 0)};
    enum status st = writer_send(s->writer, &out, &err);
    if (st == ST_REJECT) {
        out.value = SPAN_LIT("");
        headers_add(&s->headers, SPAN_LIT("sluice-error-truncated"), SPAN_LIT("true"));
        out.headers = s->headers.items;
        out.header_count = s->headers.n;
        st = writer_send(s->writer, &out, &err);
    }
    if (st == ST_OK) {
        s->letters++;
        counter_add(s->dead, 1);
        atomic_fetch_add(&s->setup->tally->refused, 1);
    }
    return st == ST_OK;
}

static void count(struct sink *s, const struct record *rec, int64_t now_us)
{
    struct sink_tally *tally = s->setup->tally;
    int64_t sent_us = headers_find_int(rec, "sluice-sent-us", -1);
    bool ours =
        s->setup->run_id == NULL || span_is(headers_find(rec, "sluice-run"), s->setup->run_id);
    atomic_fetch_add_explicit(ours ? &tally->ours : &tally->leftover, 1, memory_order_relaxed);
    if (sent_us < 0)
        return;
    hist_add(s->latency, now_us - sent_us);
    if (ours)
        hist_add(&tally->latency, now_us - sent_us);
}

/* Puts what was read. False: the rest waits until the writer has room for a letter again. */
static bool put(struct sink *s)
{
    struct error err;
    int64_t now_us = clock_wall_us();
    for (; s->at < s->n; s->at++) {
        const struct record *rec = &s->recs[s->at];
        bool wanted = is_wanted(s, rec);
        enum status st = wanted ? s->store->put(s->store_ctx, rec, &err) : ST_OK;
        if (st == ST_REJECT && !refuse(s, rec, &err))
            return false;
        if (st == ST_OK && wanted)
            count(s, rec, now_us);
        else if (st != ST_OK && st != ST_REJECT) {
            worker_fail(&s->w, &err);
            return false;
        }
        POINT("sink.put", topic_of(s), rec->partition, rec->offset);
        s->parts[rec->partition].next = rec->offset + 1;
    }
    reader_release(s->reader, s->recs, s->n);
    s->n = s->at = 0;
    return true;
}

/* What lies behind the end of the letters is given back unread. */
static void cut_off(struct sink *s, int32_t partition)
{
    int64_t end = end_of(s, partition);
    size_t keep = s->n;
    while (keep > 0 && s->recs[keep - 1].offset >= end)
        keep--;
    reader_release(s->reader, &s->recs[keep], s->n - keep);
    s->parts[partition].closed = keep < s->n;
    s->n = keep;
}

static bool take_some(struct sink *s, int32_t partition)
{
    struct part *part = &s->parts[partition];
    struct error err;
    if (!part->ours || part->dry || part->revoking || part->closed)
        return false;
    enum status st = reader_poll(s->reader, partition, s->recs, TAKE_MAX, TAKE_BYTES, &s->n, &err);
    if (st == ST_AGAIN)
        part->dry = true;
    else if (st != ST_OK)
        worker_fail(&s->w, &err);
    if (st != ST_OK)
        return false;
    cut_off(s, partition);
    counter_add(s->in, s->n);
    return put(s);
}

static bool take(struct sink *s)
{
    bool more = false;
    if (s->stopping || !put(s))
        return false;
    for (int round = 0; round < TAKE_ROUNDS && (round == 0 || more); round++) {
        more = false;
        for (int32_t i = 0; i < s->part_count && s->n == 0; i++)
            if (take_some(s, i))
                more = true;
    }
    return more;
}

/* --- commit --- */

static void commit(struct sink *s)
{
    size_t n = 0;
    struct error err;
    uint64_t number;
    if (!writer_can_commit(s->writer))
        return;
    for (int32_t i = 0; i < s->part_count; i++) {
        struct part *part = &s->parts[i];
        int64_t read_to = part->ours && s->n == 0 ? reader_position(s->reader, i) : -1;
        if (read_to > end_of(s, i))
            read_to = end_of(s, i);
        if (read_to > part->next)
            part->next = read_to;
        if (!part->ours || part->next <= part->handed)
            continue;
        s->positions[n++] = (struct position){.partition = i, .offset = part->next, .metadata = ""};
        part->handed = part->next;
        int64_t end = reader_end(s->reader, i);
        gauge_set(s->lag[i], end > part->next ? end - part->next : 0);
    }
    if (n == 0)
        return;
    if (writer_commit(s->writer, s->positions, n, &number, &err) != ST_OK)
        worker_fail(&s->w, &err);
    else
        POINT("sink.handed", topic_of(s), -1, (int64_t)number);
}

static bool settled(const struct sink *s)
{
    for (int32_t i = 0; i < s->part_count; i++)
        if (s->parts[i].ours && s->parts[i].next > s->parts[i].handed)
            return false;
    return writer_idle(s->writer);
}

/* Another member counts what is left there from now on. */
static void forget(struct sink *s, int32_t partition)
{
    s->parts[partition] = (struct part){0};
    gauge_set(s->lag[partition], 0);
}

static void settle(struct sink *s)
{
    if ((!s->revoking && !s->stopping) || !settled(s))
        return;
    if (s->revoking) {
        for (int32_t i = 0; i < s->part_count; i++)
            if (s->parts[i].revoking)
                forget(s, i);
        s->revoking = false;
        reader_give_up(s->reader);
    }
    if (s->stopping)
        worker_finished(&s->w);
}

static void pump(void *arg)
{
    struct sink *s = arg;
    struct error err;
    bool more = take(s);
    if (s->store->flush(s->store_ctx, &err) != ST_OK) {
        worker_fail(&s->w, &err);
        return;
    }
    commit(s);
    settle(s);
    if (!more)
        loop_idle_stop(s->more);
}

/* --- events --- */

static void grow(struct sink *s, int32_t n)
{
    if (n <= s->part_count)
        return;
    s->parts = mem_realloc(s->parts, (size_t)n * sizeof *s->parts);
    s->positions = mem_realloc(s->positions, (size_t)n * sizeof *s->positions);
    s->lag = mem_realloc(s->lag, (size_t)n * sizeof(struct gauge *));
    for (int32_t i = s->part_count; i < n; i++) {
        char *labels =
            mem_printf("stage=\"sink\",topic=\"%s\",partition=\"%d\"", topic_of(s), (int)i);
        s->parts[i] = (struct part){0};
        s->lag[i] = metrics_gauge(s->w.env->metrics, "sluice_lag", labels,
                                  "Records between the committed position and the log's end");
        mem_free(labels);
    }
    s->part_count = n;
}

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    struct sink *s = arg;
    UNUSED(epoch);
    for (size_t i = 0; i < n; i++) {
        grow(s, pos[i].partition + 1);
        s->parts[pos[i].partition] =
            (struct part){.ours = true, .next = pos[i].offset, .handed = pos[i].offset};
    }
    worker_ready(&s->w, true);
    schedule(s);
}

static void on_revoking(void *arg, const int32_t *partitions, size_t n)
{
    struct sink *s = arg;
    for (size_t i = 0; i < n; i++)
        if (partitions[i] < s->part_count)
            s->parts[partitions[i]].revoking = true;
    s->revoking = true;
    schedule(s);
}

static void on_lost(void *arg, const int32_t *partitions, size_t n)
{
    struct sink *s = arg;
    log_line(LOG_WARN, "sink",
             "%zu partition(s) were lost, to another member or because this one was not heard", n);
    for (size_t i = 0; i < n; i++)
        if (partitions[i] < s->part_count)
            forget(s, partitions[i]);
    schedule(s);
}

static void on_readable(void *arg)
{
    struct sink *s = arg;
    for (int32_t i = 0; i < s->part_count; i++)
        s->parts[i].dry = false;
    schedule(s);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    struct sink *s = arg;
    worker_ready(&s->w, up);
    if (up)
        log_line(LOG_INFO, "sink", "broker is back");
    else
        log_line(LOG_WARN, "sink", "broker is away, trying again: %s", err->text);
}

static void on_failed(void *arg, const struct error *err)
{
    worker_fail(&((struct sink *)arg)->w, err);
}

static void on_committed(void *arg, uint64_t number)
{
    struct sink *s = arg;
    POINT("sink.committed", topic_of(s), -1, (int64_t)number);
    if (writer_idle(s->writer))
        s->letters = 0;
    counter_add(s->commits, 1);
    schedule(s);
}

/* The records were stored already, so only their positions are committed anew. Letters are gone
 * with the batch, and their records can only be read again by a new start. */
static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    struct sink *s = arg;
    log_line(LOG_WARN, "sink", "batch %llu was aborted and is committed again: %s",
             (unsigned long long)first, why->text);
    counter_add(s->aborts, 1);
    if (s->letters > 0) {
        struct error err;
        error_set(&err, ST_FATAL, ERR_TEMPORARY,
                  "%zu dead letter(s) could not be written: start the sink again to read them anew",
                  s->letters);
        worker_fail(&s->w, &err);
        return;
    }
    for (int32_t i = 0; i < s->part_count; i++)
        s->parts[i].handed = -1;
    schedule(s);
}

static void on_writable(void *arg)
{
    schedule(arg);
}

/* --- open and close --- */

static void open_metrics(struct sink *s)
{
    struct metrics *m = s->w.env->metrics;
    const char *stage = "stage=\"sink\"";
    s->in = metrics_counter(m, "sluice_records_in_total", stage, "Records read");
    s->dead =
        metrics_counter(m, "sluice_dead_letters_total", "stage=\"sink\",reason=\"sink_refused\"",
                        "Posts that became dead letters");
    s->commits = metrics_counter(m, "sluice_commits_total", stage, "Batches made durable");
    s->aborts = metrics_counter(m, "sluice_aborts_total", stage, "Batches that were sent again");
    s->latency = metrics_hist(m, "sluice_latency_seconds", stage, "From source to sink");
}

static enum status open_broker(struct sink *s, struct error *err)
{
    const struct stage_env *env = s->w.env;
    struct reader_config in = {
        .loop = s->w.loop,
        .topic = topic_of(s),
        .group = group_of(s),
        .instance = env->instance,
        .worker = s->w.index,
        .events = {.arg = s,
                   .assigned = on_assigned,
                   .revoking = on_revoking,
                   .lost = on_lost,
                   .readable = on_readable,
                   .connection = on_connection,
                   .failed = on_failed},
    };
    enum status st = reader_open(env->broker, &in, &s->reader, err);
    if (st != ST_OK)
        return st;
    struct writer_config out = {
        .loop = s->w.loop,
        .reader = s->reader,
        .topics = {env->opt->dead_topic},
        .topic_count = 1,
        .delivery = AT_LEAST_ONCE,
        .instance = env->instance,
        .group = group_of(s),
        .worker = s->w.index,
        .events = {.arg = s,
                   .committed = on_committed,
                   .aborted = on_aborted,
                   .writable = on_writable,
                   .failed = on_failed},
    };
    return writer_open(env->broker, &out, &s->writer, err);
}

static enum status sink_open(struct worker *w, struct error *err)
{
    struct sink *s = (struct sink *)w;
    s->setup = w->env->stage_opt;
    s->store = stores[s->setup->opt->to];
    s->store_ctx = mem_zalloc(s->store->ctx_size);
    s->more = loop_idle_new(w->loop, pump, s);
    headers_init(&s->headers);
    open_metrics(s);
    enum status st = open_broker(s, err);
    if (st == ST_OK)
        st = s->store->open(s->store_ctx, w->env->opt->enhanced_topic, s->setup->quiet, err);
    return st;
}

static void sink_stop(struct worker *w)
{
    struct sink *s = (struct sink *)w;
    s->stopping = true;
    schedule(s);
}

static void sink_close(struct worker *w)
{
    struct sink *s = (struct sink *)w;
    writer_close(s->writer);
    if (s->n > 0)
        reader_release(s->reader, s->recs, s->n);
    reader_close(s->reader);
    if (s->store != NULL)
        s->store->close(s->store_ctx);
    mem_free(s->store_ctx);
    headers_fini(&s->headers);
    loop_idle_free(s->more);
    mem_free(s->parts);
    mem_free(s->positions);
    mem_free(s->lag);
}

const struct stage_ops sink_ops = {
    .name = "sink",
    .worker_size = sizeof(struct sink),
    .open = sink_open,
    .stop = sink_stop,
    .close = sink_close,
};

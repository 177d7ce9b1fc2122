/* The topic on its way into the file. Records are taken in batches; while one is being written by
 * the storing thread (a flush, on the runner) the next is taken, and no more than a bounded number
 * waits. Positions go into the file with the answers, as its note: "0=1234 1=1200 ...". */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "stages/enhance/journal_worker.h"

enum {
    TAKE = 512,
    UNFLUSHED_MAX = 16384,
    FLUSH_AT = 8192,
    FLUSH_MS = 1000, /* while nobody waits for it */
    TAKE_BYTES = 4 << 20,
    TICK_MS = 500,
    SHOW_MS = 3000
};

/* --- records --- */

static bool is_ours(const struct journal_worker *jw, struct span value)
{
    return value.n > BY_BYTES && memcmp(value.p + value.n - BY_BYTES, jw->j->by, BY_BYTES) == 0;
}

/* What others may have written there is left alone, and said once. */
static void note_odd(struct journal_worker *jw, const struct record *rec, const char *why)
{
    if (jw->odd++ == 0)
        log_line(LOG_WARN, "answers", "%s/%d/%lld %s; such records are skipped", jw->topic,
                 (int)rec->partition, (long long)rec->offset, why);
}

static void take_record(struct journal_worker *jw, const struct record *rec)
{
    struct question q;
    struct answer answer;
    struct error err;
    struct answers *answers = jw->j->answers;
    bool ours = is_ours(jw, rec->value);
    if (rec->key.p == NULL || !question_read(rec->key, &q)) {
        note_odd(jw, rec, "has no question as its key");
        return;
    }
    if (rec->value.p == NULL) {
        answers_unlearn(answers, &q);
        return;
    }
    if (ours && answers_learn_own(answers, &q, NULL))
        return;
    if (answer_read(rec->value, &answer, &jw->text, &err) != ST_OK) {
        note_odd(jw, rec, "is no answer of sluice");
        return;
    }
    if (ours)
        answers_learn_own(answers, &q, &answer);
    else
        answers_learn(answers, &q, &answer);
}

/* Returns whether there may be more right now. */
static bool take_some(struct journal_worker *jw, int32_t p)
{
    struct error err;
    size_t n = 0;
    enum status st = reader_poll(jw->reader, p, jw->recs, TAKE, TAKE_BYTES, &n, &err);
    if (st == ST_OK) {
        for (size_t i = 0; i < n; i++)
            take_record(jw, &jw->recs[i]);
        reader_release(jw->reader, jw->recs, n);
        jw->unflushed += n;
    } else if (st != ST_AGAIN) {
        worker_fail(&jw->w, &err);
        return false;
    }
    int64_t at = reader_position(jw->reader, p);
    if (at > jw->parts[p].read)
        jw->parts[p].read = at;
    return st == ST_OK;
}

/* --- progress --- */

static int64_t sum(const struct journal_worker *jw, size_t field, size_t minus)
{
    int64_t n = 0;
    for (int32_t p = 0; p < jw->part_count; p++) {
        const char *part = (const char *)&jw->parts[p];
        int64_t left = *(const int64_t *)(const void *)(part + field) -
                       *(const int64_t *)(const void *)(part + minus);
        n += left > 0 ? left : 0;
    }
    return n;
}

#define SUM(jw, field, minus)                                                                      \
    sum(jw, offsetof(struct tail_part, field), offsetof(struct tail_part, minus))

static void show_progress(struct journal_worker *jw)
{
    int64_t now_ms = clock_mono_ms(), done = SUM(jw, applied, start);
    int64_t all = SUM(jw, target, start);
    if (SUM(jw, target, applied) == 0 || now_ms - jw->shown_ms < SHOW_MS)
        return;
    log_line(LOG_INFO, "answers", "read %lld of %lld records of topic '%s', %lld/s",
             (long long)done, (long long)all, jw->topic,
             (long long)((done - jw->shown) * 1000 / (now_ms - jw->shown_ms)));
    jw->shown_ms = now_ms;
    jw->shown = done;
}

static void get_warm(struct journal_worker *jw)
{
    if (jw->warm || SUM(jw, target, applied) > 0)
        return;
    jw->warm = true;
    log_line(LOG_INFO, "answers", "read %lld records of topic '%s' in %lld ms: up to date",
             (long long)SUM(jw, applied, start), jw->topic,
             (long long)(clock_mono_ms() - jw->opened_ms));
    worker_ready(&jw->w, true);
}

/* --- where the topic ends --- */

static void look_work(struct job *job)
{
    struct journal_worker *jw =
        (struct journal_worker *)((char *)job - offsetof(struct journal_worker, look));
    jw->look_status =
        broker_watermarks(jw->w.env->broker, jw->topic, jw->ends, jw->part_count, &jw->look_err);
}

static void look_done(struct job *job)
{
    struct journal_worker *jw =
        (struct journal_worker *)((char *)job - offsetof(struct journal_worker, look));
    jw->looking = false;
    if (jw->closing)
        return;
    if (jw->look_status != ST_OK) {
        worker_fail(&jw->w, &jw->look_err);
        return;
    }
    jw->target_of = jw->looks_for;
    for (int32_t p = 0; p < jw->part_count; p++)
        jw->parts[p].target = jw->ends[p].end;
    tail_pump(jw);
}

/* For gates that were shut since the last look. */
static void look(struct journal_worker *jw)
{
    pthread_mutex_lock(&jw->j->lock);
    uint64_t shut = jw->j->shut;
    pthread_mutex_unlock(&jw->j->lock);
    if (jw->looking || shut == jw->target_of)
        return;
    jw->looking = true;
    jw->looks_for = shut;
    jw->look = (struct job){.work = look_work, .done = look_done};
    runner_submit(jw->runner, &jw->look);
}

/* --- flush --- */

static void write_note(struct journal_worker *jw)
{
    buf_reset(&jw->note, 0);
    for (int32_t p = 0; p < jw->part_count; p++) {
        jw->parts[p].noted = jw->parts[p].read;
        buf_printf(&jw->note, "%s%d=%" PRId64, p == 0 ? "" : " ", (int)p, jw->parts[p].noted);
    }
}

static void flush_work(struct job *job)
{
    struct journal_worker *jw =
        (struct journal_worker *)((char *)job - offsetof(struct journal_worker, flush));
    jw->flush_status = answers_flush(jw->j->answers, buf_str(&jw->note), &jw->flush_err);
}

/* A file that cannot be written is tried again by its own thread, and by the next tick here:
 * nothing is asked at new partitions meanwhile, nothing that was paid is lost. */
static void flush_done(struct job *job)
{
    struct journal_worker *jw =
        (struct journal_worker *)((char *)job - offsetof(struct journal_worker, flush));
    jw->flushing = false;
    if (jw->closing)
        return;
    if (jw->flush_status != ST_OK) {
        if (!jw->complained)
            log_line(LOG_ERROR, "answers", "%s; trying again", jw->flush_err.text);
        jw->complained = true;
        return;
    }
    jw->complained = false;
    for (int32_t p = 0; p < jw->part_count; p++)
        jw->parts[p].applied = jw->parts[p].noted;
    tail_pump(jw);
}

static bool flush_is_due(const struct journal_worker *jw)
{
    return SUM(jw, target, applied) > 0 || jw->unflushed >= FLUSH_AT ||
           clock_mono_ms() - jw->flushed_ms >= FLUSH_MS;
}

static void flush(struct journal_worker *jw)
{
    if (jw->flushing || SUM(jw, read, applied) == 0 || !flush_is_due(jw))
        return;
    write_note(jw);
    jw->unflushed = 0;
    jw->flushed_ms = clock_mono_ms();
    jw->flushing = true;
    jw->flush = (struct job){.work = flush_work, .done = flush_done};
    runner_submit(jw->runner, &jw->flush);
}

/* --- all of it --- */

void tail_pump(struct journal_worker *jw)
{
    bool more = true;
    while (more && jw->unflushed < UNFLUSHED_MAX) {
        more = false;
        for (int32_t p = 0; p < jw->part_count; p++)
            more = take_some(jw, p) || more;
    }
    flush(jw);
    look(jw);
    if (SUM(jw, target, applied) == 0) {
        get_warm(jw);
        journal_open_gates(jw, jw->target_of);
    }
}

static void on_tick(void *arg)
{
    struct journal_worker *jw = arg;
    int64_t lag = 0;
    for (int32_t p = 0; p < jw->part_count; p++) {
        int64_t left = reader_end(jw->reader, p) - jw->parts[p].applied;
        lag += left > 0 ? left : 0;
    }
    gauge_set(jw->lag, lag);
    show_progress(jw);
    tail_pump(jw);
    loop_timer_start(jw->tick, TICK_MS);
}

static void on_readable(void *arg)
{
    tail_pump(arg);
}

static void on_failed(void *arg, const struct error *err)
{
    struct journal_worker *jw = arg;
    worker_fail(&jw->w, err);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    struct journal_worker *jw = arg;
    UNUSED(err); /* the workers' readers say it */
    worker_ready(&jw->w, up && jw->warm);
}

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    UNUSED(pos);
    UNUSED(n);
    UNUSED(epoch);
    tail_pump(arg);
}

/* --- where to begin --- */

static void read_note(struct journal_worker *jw)
{
    char *note = answers_note(jw->j->answers);
    for (char *at = note; at != NULL && *at != '\0';) {
        char *end;
        long p = strtol(at, &end, 10);
        if (*end != '=')
            break;
        int64_t offset = strtoll(end + 1, &at, 10);
        if (p >= 0 && p < jw->part_count)
            jw->parts[p].start = offset;
        at += *at == ' ';
    }
    mem_free(note);
}

/* A file that has read further than the topic goes has read another topic of that name. */
static bool is_another(const struct journal_worker *jw)
{
    for (int32_t p = 0; p < jw->part_count; p++)
        if (jw->parts[p].start > jw->ends[p].high)
            return true;
    return false;
}

static void choose_start(struct journal_worker *jw, bool anew)
{
    int64_t behind = 0;
    if (!anew)
        read_note(jw);
    if (is_another(jw)) {
        log_line(LOG_WARN, "answers",
                 "topic '%s' is shorter than what was read of it before: it was made anew, and is "
                 "read from its start",
                 jw->topic);
        for (int32_t p = 0; p < jw->part_count; p++)
            jw->parts[p].start = 0;
    }
    for (int32_t p = 0; p < jw->part_count; p++) {
        struct tail_part *part = &jw->parts[p];
        if (part->start < jw->ends[p].start)
            part->start = jw->ends[p].start;
        part->read = part->noted = part->applied = part->start;
        part->target = jw->ends[p].end;
        behind += part->target > part->start ? part->target - part->start : 0;
    }
    if (behind > 0)
        log_line(LOG_INFO, "answers", "%lld records of topic '%s' to read before anything is asked",
                 (long long)behind, jw->topic);
}

static enum status open_reader(struct journal_worker *jw, struct error *err)
{
    struct position *start = mem_array((size_t)jw->part_count, sizeof *start);
    for (int32_t p = 0; p < jw->part_count; p++)
        start[p] = (struct position){.partition = p, .offset = jw->parts[p].start, .metadata = ""};
    struct reader_config cfg = {
        .loop = jw->w.loop,
        .topic = jw->topic,
        .instance = jw->w.env->instance,
        .start = start,
        .start_count = (size_t)jw->part_count,
        .patient = true, /* most are our own, which are known already */
        .events = {.arg = jw,
                   .assigned = on_assigned,
                   .readable = on_readable,
                   .connection = on_connection,
                   .failed = on_failed},
    };
    enum status st = reader_open(jw->w.env->broker, &cfg, &jw->reader, err);
    mem_free(start);
    return st;
}

enum status tail_open(struct journal_worker *jw, bool anew, struct error *err)
{
    struct broker *broker = jw->w.env->broker;
    enum status st = broker_partitions(broker, jw->topic, &jw->part_count, err);
    if (st != ST_OK)
        return st;
    size_t n = (size_t)jw->part_count;
    jw->parts = mem_array(n, sizeof *jw->parts);
    jw->ends = mem_array(n, sizeof *jw->ends);
    jw->recs = mem_array(TAKE, sizeof *jw->recs);
    st = broker_watermarks(broker, jw->topic, jw->ends, jw->part_count, err);
    if (st != ST_OK)
        return st;
    choose_start(jw, anew);
    jw->opened_ms = jw->shown_ms = clock_mono_ms();
    jw->runner = runner_start(jw->w.loop, "answers-tail");
    jw->tick = loop_timer_new(jw->w.loop, on_tick, jw);
    jw->lag = metrics_gauge(jw->w.env->metrics, "sluice_answers_lag", "",
                            "Records of the topic of answers that are not in the file yet");
    st = open_reader(jw, err);
    if (st == ST_OK)
        loop_timer_start(jw->tick, 0);
    return st;
}

/* What was read is in the file before we end, so that the next start reads only what is new. */
void tail_close(struct journal_worker *jw)
{
    struct error ignored; /* then it is read again */
    jw->closing = true;
    runner_stop(jw->runner);
    if (jw->reader != NULL && SUM(jw, read, applied) > 0) {
        write_note(jw);
        if (answers_flush(jw->j->answers, buf_str(&jw->note), &ignored) != ST_OK)
            log_line(LOG_WARN, "answers", "%s; the next start reads it again", ignored.text);
    }
    reader_close(jw->reader);
    loop_timer_free(jw->tick);
    buf_fini(&jw->text);
    buf_fini(&jw->note);
    mem_free(jw->parts);
    mem_free(jw->ends);
    mem_free(jw->recs);
}

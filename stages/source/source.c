/* The source worker, in the shape of all stages: take (from the feed) -> send -> commit -> release,
 * where releasing is the line `[SOURCE] Sent post with ID 1`, printed only when the broker has
 * acknowledged that post.
 *
 * Ensures: every line of the feed is in the raw topic or, with its reason, in the dead letters;
 * what an abort takes back is sent again from the outbox. */
#include "stages/source/source.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/json/member.h"
#include "lib/json/post.h"
#include "lib/stage/headers.h"
#include "lib/stage/say.h"
#include "stages/source/feed.h"
#include "stages/source/outbox.h"

enum { TO_RAW, TO_DEAD };
enum { OUTBOX_ENTRIES = 16384, TAKE_MAX = 1024, MARKS = 4 };
enum { TOLD_FIRST = 10, TOLD_EACH = 1000 }; /* of many lines that are no posts */

struct source {
    struct worker w; /* first: the stage hands this out */
    const struct source_setup *setup;
    const struct source_options *opt;
    struct writer *writer;
    const struct feed_ops *feed;
    void *feed_ctx;
    struct post_limits limits;
    struct outbox box;
    struct headers headers;
    struct say say;
    struct buf key, id;
    struct loop_idle *more;
    struct loop_timer *rate_timer;
    struct {
        uint64_t batch, sent;
    } marks[MARKS];
    int mark_count;
    uint64_t handed;                            /* box.sent at the last hand-over */
    int64_t start_ns, taken, line, rounds, odd; /* odd: lines that are no posts */
    uint32_t turn;                              /* of posts without a key */
    bool waiting, blocked, ended, finished;
    struct counter *out, *refused, *commits, *aborts;
};

void source_run_id(char ret[37])
{
    unsigned char r[16];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
        mem_fail_system("random numbers", "getrandom");
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40);
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    char *p = ret;
    for (int i = 0; i < 16; i++)
        p += snprintf(p, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", r[i]);
}

static void schedule(struct source *s)
{
    loop_idle_start(s->more);
}

/* --- take --- */

static void refuse(struct source *s, struct span line, const struct error *err)
{
    char why[sizeof err->text + 64];
    snprintf(why, sizeof why, "line %lld: %s: %s", (long long)s->line, reason_word(err->reason),
             err->text);
    if (++s->odd <= TOLD_FIRST || s->odd % TOLD_EACH == 0)
        log_line(LOG_WARN, "source", "a line of %s is not a post and becomes a dead letter: %s%s",
                 s->opt->from, why,
                 s->odd == TOLD_FIRST ? "; from now on only each thousandth is told" : "");
    outbox_add(
        &s->box,
        &(struct entry){.value = line, .line = s->line, .reason = REASON_source_line, .why = why});
}

/* Splits KEY, delimiter, POST; without a delimiter option the line is the post. */
static enum status split(struct source *s, struct span *line, struct span *ret_key,
                         struct error *err)
{
    *ret_key = SPAN_NULL;
    if (s->opt->key_delim == NULL)
        return ST_OK;
    struct span delim = span_of(strcmp(s->opt->key_delim, "\\t") == 0 ? "\t" : s->opt->key_delim);
    const char *at = delim.n == 0 ? NULL : memmem(line->p, line->n, delim.p, delim.n);
    if (at == NULL)
        return error_reject(err, REASON_source_line, "no key delimiter in the line");
    *ret_key = span_make(line->p, (size_t)(at - line->p));
    *line = span_make(at + delim.n, line->n - ret_key->n - delim.n);
    return ST_OK;
}

static struct span choose_key(struct source *s, struct span value, struct span id)
{
    if (strcmp(s->opt->key, "id") == 0)
        return id;
    buf_reset(&s->key, 0);
    if (strcmp(s->opt->key, "none") != 0 && json_member_text(value, s->opt->key, &s->key))
        return buf_span(&s->key);
    return SPAN_NULL;
}

static void accept(struct source *s, struct span line)
{
    struct error err;
    struct span key;
    struct post post;
    struct span whole = line;
    enum status st = split(s, &line, &key, &err);
    if (st == ST_OK)
        st = post_scan(line, &s->limits, &post, &err);
    if (st != ST_OK) {
        refuse(s, whole, &err);
        return;
    }
    struct span id = post.id;
    if (post.id_escaped) {
        buf_reset(&s->id, 0);
        json_unescape(&s->id, post.id);
        id = buf_span(&s->id);
    }
    if (key.p == NULL)
        key = choose_key(s, line, id);
    POINT("source.taken", s->w.env->opt->raw_topic, -1, (int64_t)s->box.tail);
    outbox_add(&s->box, &(struct entry){.key = key, .value = line, .id = id, .line = s->line});
}

static bool is_blank(struct span line)
{
    for (size_t i = 0; i < line.n; i++)
        if (strchr(" \t\r", line.p[i]) == NULL || line.p[i] == '\0')
            return false;
    return true;
}

static void feed_ended(struct source *s)
{
    s->rounds++;
    bool again = s->opt->repeat == 0 || s->rounds < s->opt->repeat;
    if (again && s->taken > 0 && s->feed->rewind(s->feed_ctx)) {
        s->line = 0;
        return;
    }
    s->ended = true;
}

/* How many posts may be taken now, by rate and count; sets the timer when that is none. */
static int64_t allowance(struct source *s)
{
    int64_t n = TAKE_MAX;
    if (s->opt->count > 0 && s->opt->count - s->taken < n)
        n = s->opt->count - s->taken;
    if (n == 0)
        s->ended = true;
    if (s->opt->rate <= 0 || n == 0)
        return n;
    int64_t now = clock_mono_ns();
    if (s->start_ns == 0)
        s->start_ns = now;
    int64_t due = (int64_t)((double)(now - s->start_ns) * s->opt->rate / 1e9) + 1 - s->taken;
    if (due <= 0) {
        double wait_ms =
            ((double)s->taken / s->opt->rate) * 1e3 - (double)(now - s->start_ns) / 1e6;
        loop_timer_start(s->rate_timer, wait_ms < 1 ? 1 : (int64_t)wait_ms);
    }
    return due < n ? due : n;
}

static void take_line(struct source *s)
{
    struct span line;
    struct error err;
    enum line_result res = s->feed->next(s->feed_ctx, &line, &err);
    if (res == LINE_WAIT)
        s->waiting = true;
    else if (res == LINE_END)
        feed_ended(s);
    else if (res == LINE_ERROR)
        worker_fail(&s->w, &err);
    if (res != LINE_READ && res != LINE_TOO_LONG)
        return;
    s->line++;
    if (res == LINE_READ && is_blank(line))
        return;
    s->taken++;
    if (res == LINE_READ) {
        accept(s, line);
        return;
    }
    error_reject(&err, REASON_post_too_large, "the line is longer than %zu bytes", line.n);
    refuse(s, line, &err);
}

static bool take(struct source *s)
{
    int64_t n = s->ended ? 0 : allowance(s);
    bool more = n > 0;
    for (; n > 0 && !s->ended && !s->waiting && !outbox_full(&s->box); n--)
        take_line(s);
    return more && !s->ended && !s->waiting && !outbox_full(&s->box);
}

/* --- send --- */

static void build(struct source *s, struct entry *entry, struct out *out)
{
    struct headers *h = &s->headers;
    if (entry->sent_us == 0)
        entry->sent_us = clock_wall_us();
    headers_reset(h);
    headers_addf(h, SPAN_LIT("sluice-sent-us"), "%lld", (long long)entry->sent_us);
    headers_add(h, SPAN_LIT("sluice-run"), span_of(s->setup->run_id));
    if (entry->reason != REASON_NONE)
        headers_add_letter(h, &(struct letter){.reason = entry->reason,
                                               .message = entry->why,
                                               .stage = "source",
                                               .partition = -1,
                                               .topic = s->w.env->opt->raw_topic,
                                               .offset = entry->line});
    int topic = entry->reason == REASON_NONE ? TO_RAW : TO_DEAD;
    *out = (struct out){.key = entry->key,
                        .value = entry->value,
                        .headers = h->items,
                        .header_count = h->n,
                        .timestamp_ms = -1,
                        .topic = topic,
                        .partition = broker_partition_of(
                            entry->key, writer_partitions(s->writer, topic), &s->turn)};
}

static enum status send_entry(struct source *s, struct entry *entry)
{
    struct out out;
    struct error err;
    build(s, entry, &out);
    enum status st = writer_send(s->writer, &out, &err);
    if (st != ST_REJECT)
        return st;
    log_line(LOG_WARN, "source", "line %lld: %s: left out", (long long)entry->line, err.text);
    if (entry->reason == REASON_NONE) { /* its dead letter goes without the value */
        entry->reason = REASON_post_too_large;
        entry->why = "larger than the broker takes";
    }
    entry->value = SPAN_LIT("");
    return send_entry(s, entry);
}

static void send(struct source *s)
{
    struct entry *entry;
    while (!s->blocked && (entry = outbox_next(&s->box)) != NULL) {
        if (send_entry(s, entry) != ST_OK) {
            s->blocked = true;
            return;
        }
        POINT("source.sent", s->w.env->opt->raw_topic, -1, (int64_t)s->box.sent);
        s->box.sent++;
    }
}

/* --- commit --- */

/* Returns whether a batch was handed over: then there is room for the next one. */
static bool commit(struct source *s)
{
    if (s->box.sent == s->handed || !writer_can_commit(s->writer))
        return false;
    struct error err;
    uint64_t number = 0;
    enum status st = writer_commit(s->writer, NULL, 0, &number, &err);
    if (st != ST_OK) {
        assert(st != ST_AGAIN); /* writer_can_commit said yes */
        worker_fail(&s->w, &err);
        return false;
    }
    POINT("source.handed", s->w.env->opt->raw_topic, -1, (int64_t)number);
    assert(s->mark_count < MARKS);
    s->marks[s->mark_count].batch = number;
    s->marks[s->mark_count++].sent = s->handed = s->box.sent;
    s->blocked = false;
    return true;
}

/* --- release --- */

static void release(struct source *s)
{
    const struct entry *entry = outbox_first(&s->box);
    POINT("source.acknowledged", s->w.env->opt->raw_topic, -1, (int64_t)s->box.head);
    if (entry->reason == REASON_NONE) {
        atomic_fetch_add_explicit(s->setup->sent, 1, memory_order_relaxed);
        counter_add(s->out, 1);
        if (!s->setup->quiet) {
            say_text(&s->say, "[SOURCE] Sent post with ID ");
            say_span(&s->say, entry->id);
            say_text(&s->say, "\n");
        }
    } else {
        atomic_fetch_add_explicit(s->setup->refused, 1, memory_order_relaxed);
        counter_add(s->refused, 1);
    }
    outbox_pop(&s->box);
}

static void flush(struct source *s)
{
    struct error err;
    if (say_flush(&s->say, &err) != ST_OK)
        worker_fail(&s->w, &err);
}

static void on_committed(void *arg, uint64_t number)
{
    struct source *s = arg;
    assert(s->mark_count > 0 && s->marks[0].batch == number);
    uint64_t end = s->marks[0].sent;
    memmove(&s->marks[0], &s->marks[1], (size_t)--s->mark_count * sizeof s->marks[0]);
    while (s->box.head < end)
        release(s);
    flush(s);
    counter_add(s->commits, 1);
    schedule(s);
    UNUSED(number);
}

static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    struct source *s = arg;
    log_line(LOG_WARN, "source", "batch %llu was aborted and is sent again: %s",
             (unsigned long long)first, why->text);
    s->box.sent = s->handed = s->box.head;
    s->mark_count = 0;
    s->blocked = false;
    counter_add(s->aborts, 1);
    schedule(s);
}

/* --- all of it --- */

static void finish_if_over(struct source *s)
{
    if (!s->ended || s->finished || s->box.head < s->box.tail || !writer_idle(s->writer))
        return;
    s->finished = true;
    if (!s->setup->quiet)
        say_text(&s->say, "[SOURCE] All messages sent.\n");
    flush(s);
    worker_finished(&s->w);
}

static void pump(void *arg)
{
    struct source *s = arg;
    bool more = take(s);
    send(s);
    if (commit(s))
        send(s);
    finish_if_over(s);
    if (!more || s->blocked)
        loop_idle_stop(s->more);
}

static void on_rate_time(void *arg)
{
    schedule(arg);
}

static void on_writable(void *arg)
{
    ((struct source *)arg)->blocked = false;
    schedule(arg);
}

static void on_readable(void *arg)
{
    ((struct source *)arg)->waiting = false;
    schedule(arg);
}

static void on_failed(void *arg, const struct error *err)
{
    worker_fail(&((struct source *)arg)->w, err);
}

/* --- open and close --- */

static enum status open_feed(struct source *s, struct error *err)
{
    s->limits = stage_post_limits(s->w.env->opt);
    struct feed_config cfg = {.opt = s->opt,
                              .loop = s->w.loop,
                              .readable = on_readable,
                              .arg = s,
                              .max_bytes = s->limits.max_bytes};
    s->feed = feed_find(s->opt);
    s->feed_ctx = mem_zalloc(s->feed->ctx_size);
    return s->feed->open(s->feed_ctx, &cfg, err);
}

static enum status source_open(struct worker *w, struct error *err)
{
    struct source *s = (struct source *)w;
    const struct stage_env *env = w->env;
    s->setup = env->stage_opt;
    s->opt = s->setup->opt;
    s->say.only_loud = true;
    outbox_init(&s->box, OUTBOX_ENTRIES);
    headers_init(&s->headers);
    s->more = loop_idle_new(w->loop, pump, s);
    s->rate_timer = loop_timer_new(w->loop, on_rate_time, s);
    const char *stage = "stage=\"source\"";
    s->out = metrics_counter(env->metrics, "sluice_records_out_total", stage,
                             "Records written and committed, dead letters apart");
    s->refused = metrics_counter(env->metrics, "sluice_dead_letters_total",
                                 "stage=\"source\",reason=\"source_line\"",
                                 "Posts that became dead letters");
    s->commits =
        metrics_counter(env->metrics, "sluice_commits_total", stage, "Batches made durable");
    s->aborts =
        metrics_counter(env->metrics, "sluice_aborts_total", stage, "Batches that were sent again");
    struct writer_config cfg = {
        .loop = w->loop,
        .topics = {[TO_RAW] = env->opt->raw_topic, [TO_DEAD] = env->opt->dead_topic},
        .topic_count = 2,
        .delivery = (enum delivery)env->broker_opt->delivery,
        .instance = env->instance,
        .group = "sluice-source",
        .worker = w->index,
        .events = {.arg = s,
                   .committed = on_committed,
                   .aborted = on_aborted,
                   .writable = on_writable,
                   .failed = on_failed},
    };
    enum status st = open_feed(s, err);
    if (st == ST_OK)
        st = writer_open(env->broker, &cfg, &s->writer, err);
    if (st == ST_OK) {
        worker_ready(w, true);
        schedule(s);
    }
    return st;
}

/* What was read from the feed is still sent: a pipe cannot be asked for it again. */
static void source_stop(struct worker *w)
{
    struct source *s = (struct source *)w;
    s->ended = true;
    schedule(s);
}

static void source_close(struct worker *w)
{
    struct source *s = (struct source *)w;
    if (s->odd > TOLD_FIRST)
        log_line(LOG_WARN, "source", "in all, %lld lines of %s were not posts: see sluice dlq list",
                 (long long)s->odd, s->opt->from);
    writer_close(s->writer);
    if (s->feed != NULL)
        s->feed->close(s->feed_ctx);
    mem_free(s->feed_ctx);
    outbox_fini(&s->box);
    headers_fini(&s->headers);
    say_fini(&s->say);
    buf_fini(&s->key);
    buf_fini(&s->id);
    loop_idle_free(s->more);
    loop_timer_free(s->rate_timer);
}

const struct stage_ops source_ops = {
    .name = "source",
    .worker_size = sizeof(struct source),
    .open = source_open,
    .stop = source_stop,
    .close = source_close,
};

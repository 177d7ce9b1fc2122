/* The log is put into the order of the topics once, then both are walked side by side. Records are
 * compared as the text that tap prints, so the log's lines need not be read as JSON. */
#include "stages/verify/observed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/stage/lines.h"
#include "lib/stage/record_json.h"
#include "stages/verify/digest.h"

struct sight {
    int64_t offset;
    uint64_t digest;
    int32_t partition;
    bool gone; /* it is not there now */
    bool cut;  /* its line was too long: only its place is known */
};

struct log {
    const char *topic; /* borrowed */
    const struct sweep *now;
    struct sight *sights;
    size_t n, cap, at;
};

struct observed {
    struct log logs[OBSERVED_TOPICS];
    struct buf text;
    bool misses;
};

/* --- reading the log --- */

static bool skip_word(struct span *s, const char *word)
{
    struct span w = span_of(word);
    if (s->n < w.n || memcmp(s->p, w.p, w.n) != 0)
        return false;
    *s = span_make(s->p + w.n, s->n - w.n);
    return true;
}

static bool take_number(struct span *s, int64_t *ret)
{
    size_t n = 0;
    int64_t v = 0;
    while (n < s->n && n < 18 && s->p[n] >= '0' && s->p[n] <= '9')
        v = v * 10 + (s->p[n++] - '0');
    *s = span_make(s->p + n, s->n - n);
    *ret = v;
    return n > 0;
}

/* What tap begins a line with: topic, partition, offset, in that order. `cut`: without its end. */
static bool parse(struct span line, bool cut, struct span *ret_topic, struct sight *ret)
{
    struct span s = line;
    int64_t partition;
    if (!skip_word(&s, "{\"topic\":\""))
        return false;
    const char *quote = s.n == 0 ? NULL : memchr(s.p, '"', s.n);
    if (quote == NULL)
        return false;
    *ret_topic = span_make(s.p, (size_t)(quote - s.p));
    s = span_make(quote + 1, s.n - ret_topic->n - 1);
    if (!skip_word(&s, ",\"partition\":") || !take_number(&s, &partition) ||
        !skip_word(&s, ",\"offset\":") || !take_number(&s, &ret->offset) ||
        (!cut && line.p[line.n - 1] != '}'))
        return false;
    ret->partition = (int32_t)partition;
    ret->digest = digest_bytes(0, line);
    ret->gone = false;
    ret->cut = cut;
    return true;
}

static void add(struct log *log, const struct sight *sight)
{
    if (log->n == log->cap) {
        log->cap = log->cap == 0 ? 1024 : log->cap * 2;
        log->sights = mem_realloc(log->sights, log->cap * sizeof *log->sights);
    }
    log->sights[log->n++] = *sight;
}

static int compare(const void *a, const void *b)
{
    const struct sight *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static enum status read_lines(struct observed *o, struct lines *lines, const char *path,
                              struct error *err)
{
    struct span line, topic;
    struct sight sight;
    int64_t number = 0, bad = 0;
    enum line_result res;
    while (((res = lines_next(lines, &line, err)) == LINE_READ || res == LINE_TOO_LONG) &&
           bad == 0) {
        number++;
        if (!parse(line, res == LINE_TOO_LONG, &topic, &sight))
            bad = number;
        for (int t = 0; t < OBSERVED_TOPICS && bad == 0; t++)
            if (span_is(topic, o->logs[t].topic))
                add(&o->logs[t], &sight);
    }
    if (res == LINE_ERROR)
        return ST_FATAL;
    /* The last line may be cut: its reader was killed. */
    if (res == LINE_END && (bad == 0 || number > 1))
        return ST_OK;
    return error_set(err, ST_FATAL, ERR_CONFIG, "%s:%lld: not a line of `sluice tap --json`", path,
                     (long long)(bad > 0 ? bad : number + 1));
}

static void on_readable(void *arg)
{
    UNUSED(arg); /* a file never waits */
}

enum status observed_open(const char *path, const char *const topics[OBSERVED_TOPICS],
                          struct observed **ret, struct error *err)
{
    struct observed *o = mem_zalloc(sizeof *o);
    struct loop *loop = loop_new();
    struct lines *lines = NULL;
    for (int t = 0; t < OBSERVED_TOPICS; t++)
        o->logs[t].topic = topics[t];
    enum status st = lines_open(path, loop, on_readable, o, &lines, err);
    if (st == ST_OK)
        st = read_lines(o, lines, path, err);
    lines_close(lines);
    loop_free(loop);
    for (int t = 0; t < OBSERVED_TOPICS && st == ST_OK; t++)
        if (o->logs[t].n > 0)
            qsort(o->logs[t].sights, o->logs[t].n, sizeof *o->logs[t].sights, compare);
    if (st == ST_OK)
        *ret = o;
    else
        observed_free(o);
    return st;
}

void observed_free(struct observed *o)
{
    if (o == NULL)
        return;
    for (int t = 0; t < OBSERVED_TOPICS; t++)
        mem_free(o->logs[t].sights);
    buf_fini(&o->text);
    mem_free(o);
}

/* --- comparing --- */

void observed_begin(struct observed *o, int topic, const struct sweep *now)
{
    o->logs[topic].now = now;
}

/* What was seen and is not among the records that were read now. */
static void miss(struct observed *o, const struct log *log, struct sight *sight, struct verdict *v)
{
    assert(log->now != NULL); /* observed_begin was called */
    const struct watermark *bounds =
        sight->partition < log->now->count ? &log->now->log[sight->partition] : NULL;
    if (bounds != NULL && (sight->offset >= bounds->end || sight->offset < bounds->start))
        v->of[I4].undecided++; /* written after verify had begun, or removed by retention */
    else
        sight->gone = o->misses = true;
}

/* Passed over: the log has records of this partition on both sides of it. */
static bool was_passed_over(const struct log *log, const struct sight *now)
{
    return log->at > 0 && log->at < log->n &&
           log->sights[log->at - 1].partition == now->partition &&
           log->sights[log->at].partition == now->partition;
}

void observed_record(struct observed *o, int topic, const struct record *rec, struct verdict *v)
{
    struct log *log = &o->logs[topic];
    struct sight now = {.partition = rec->partition, .offset = rec->offset};
    for (; log->at < log->n && compare(&log->sights[log->at], &now) < 0; log->at++)
        miss(o, log, &log->sights[log->at], v);
    if (log->at == log->n || compare(&log->sights[log->at], &now) != 0) {
        if (was_passed_over(log, &now))
            verdict_fail(v, I4, log->topic, now.partition, now.offset,
                         "it is there now, and a reader passed over it");
        return;
    }
    buf_reset(&o->text, 0);
    record_add_json(&o->text, log->topic, rec);
    now.digest = digest_bytes(0, buf_span(&o->text));
    for (; log->at < log->n && compare(&log->sights[log->at], &now) == 0; log->at++) {
        if (log->sights[log->at].cut) {
            v->of[I4].undecided++;
            continue;
        }
        v->of[I4].checked++;
        if (log->sights[log->at].digest != now.digest)
            verdict_fail(v, I4, log->topic, now.partition, now.offset,
                         "a reader saw it with other bytes");
    }
}

void observed_end(struct observed *o, int topic, struct verdict *v)
{
    struct log *log = &o->logs[topic];
    for (; log->at < log->n; log->at++)
        miss(o, log, &log->sights[log->at], v);
}

/* --- what is gone --- */

bool observed_misses(const struct observed *o)
{
    return o->misses;
}

void observed_aborted(struct observed *o, int topic, const struct record *rec, struct verdict *v)
{
    struct log *log = &o->logs[topic];
    struct sight key = {.partition = rec->partition, .offset = rec->offset};
    struct sight *sight =
        log->n == 0 ? NULL : bsearch(&key, log->sights, log->n, sizeof key, compare);
    if (sight == NULL || !sight->gone)
        return;
    sight->gone = false;
    verdict_fail(v, I4, log->topic, rec->partition, rec->offset,
                 "a reader saw it, and it is not there now: its transaction was aborted");
}

void observed_judge(struct observed *o, struct verdict *v)
{
    for (int t = 0; t < OBSERVED_TOPICS; t++)
        for (size_t i = 0; i < o->logs[t].n; i++)
            if (o->logs[t].sights[i].gone)
                verdict_fail(v, I4, o->logs[t].topic, o->logs[t].sights[i].partition,
                             o->logs[t].sights[i].offset,
                             "a reader saw it, and it is not there now");
}

/* sluice dlq list, show, export: one sweep over the dead letters each, no group, no change. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cli/dlq.h"
#include "lib/base/base64.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"
#include "lib/json/post.h"
#include "lib/stage/headers.h"
#include "lib/stage/record_json.h"
#include "lib/stage/say.h"
#include "lib/stage/sweep.h"

enum { FLUSH_BYTES = 1 << 16 };

struct kind {
    char *reason, *stage, *message; /* message: of the first letter */
    int64_t count, first_offset;
    int32_t first_partition;
};

struct look {
    struct dlq *d;
    struct kind *kinds; /* list */
    size_t kind_count;
    struct say say;
    int64_t limit, shown, left_out;
    enum status st;
    struct error *err;
};

static bool is_wanted(const struct look *look, const struct letter_view *letter)
{
    const struct dlq_flags *own = look->d->own;
    return (own->reason == NULL || span_is(letter->reason, own->reason)) &&
           (own->stage == NULL || span_is(letter->stage, own->stage));
}

static enum status sweep_letters(struct look *look, bool (*fn)(void *arg, const struct record *rec),
                                 struct error *err)
{
    struct sweep sweep = {0};
    const struct app *app = look->d->app;
    look->err = err;
    enum status st =
        sweep_open(&sweep, look->d->broker, app->stage->dead_topic, app->broker->timeout_ms, err);
    if (st == ST_OK)
        st = sweep_run(&sweep, fn, look, err);
    if (st == ST_OK)
        st = look->st;
    sweep_close(&sweep);
    return st;
}

/* Ends the sweep when it is false. */
static bool flush(struct look *look)
{
    if (look->say.text.n > FLUSH_BYTES)
        look->st = say_flush(&look->say, look->err);
    return look->st == ST_OK && (look->limit == 0 || look->shown < look->limit);
}

/* --- list --- */

static struct kind *find_kind(struct look *look, const struct letter_view *letter)
{
    for (size_t i = 0; i < look->kind_count; i++)
        if (span_is(letter->reason, look->kinds[i].reason) &&
            span_is(letter->stage, look->kinds[i].stage))
            return &look->kinds[i];
    look->kinds = mem_realloc(look->kinds, (look->kind_count + 1) * sizeof *look->kinds);
    look->kinds[look->kind_count] = (struct kind){0};
    return &look->kinds[look->kind_count++];
}

static bool count_letter(void *arg, const struct record *rec)
{
    struct look *look = arg;
    struct letter_view letter;
    headers_read_letter(rec, &letter);
    if (letter.reason.p == NULL)
        letter.reason = SPAN_LIT("-");
    if (letter.stage.p == NULL)
        letter.stage = SPAN_LIT("-");
    if (!is_wanted(look, &letter))
        return true;
    struct kind *kind = find_kind(look, &letter);
    if (kind->count++ > 0)
        return true;
    kind->reason = mem_spandup(letter.reason);
    kind->stage = mem_spandup(letter.stage);
    kind->message = mem_spandup(letter.message.p == NULL ? SPAN_LIT("") : letter.message);
    kind->first_partition = rec->partition;
    kind->first_offset = rec->offset;
    return true;
}

static int by_count(const void *a, const void *b)
{
    const struct kind *x = a, *y = b;
    return x->count == y->count ? strcmp(x->reason, y->reason) : x->count < y->count ? 1 : -1;
}

/* Bytes of others on a terminal: control characters stay outside. */
static void say_safe(struct look *look, const char *text)
{
    struct buf *b = &look->say.text;
    buf_add_json(b, span_of(text));
}

static void say_kind(struct look *look, const struct kind *kind)
{
    struct buf *b = &look->say.text;
    const char *topic = look->d->app->stage->dead_topic;
    bool json = look->d->own->json;
    buf_printf(b, json ? "{\"reason\":\"" : "%s", "");
    size_t from = b->n;
    say_safe(look, kind->reason);
    if (json)
        buf_add_str(b, "\",\"stage\":\"");
    else
        buf_printf(b, "%*s", (int)(b->n - from < 20 ? 20 - (b->n - from) : 0) + 1, "");
    from = b->n;
    say_safe(look, kind->stage);
    if (json)
        buf_printf(b, "\",\"count\":%lld,\"first\":\"%s/%d/%lld\",\"message\":\"",
                   (long long)kind->count, topic, (int)kind->first_partition,
                   (long long)kind->first_offset);
    else
        buf_printf(b, "%*s %10lld  %s/%d/%lld: ", (int)(b->n - from < 8 ? 8 - (b->n - from) : 0),
                   "", (long long)kind->count, topic, (int)kind->first_partition,
                   (long long)kind->first_offset);
    say_safe(look, kind->message);
    buf_add_str(b, json ? "\"}\n" : "\n");
}

enum status dlq_list(struct dlq *d, struct error *err)
{
    struct look look = {.d = d};
    enum status st = sweep_letters(&look, count_letter, err);
    if (look.kind_count > 1)
        qsort(look.kinds, look.kind_count, sizeof *look.kinds, by_count);
    if (st == ST_OK && !d->own->json)
        buf_printf(&look.say.text,
                   look.kind_count > 0 ? "%-20s %-8s %10s  %s\n" : "there are no dead letters%s\n",
                   look.kind_count > 0 ? "REASON" : "", "STAGE", "COUNT", "FIRST");
    for (size_t i = 0; i < look.kind_count; i++) {
        if (st == ST_OK)
            say_kind(&look, &look.kinds[i]);
        mem_free(look.kinds[i].reason);
        mem_free(look.kinds[i].stage);
        mem_free(look.kinds[i].message);
    }
    if (st == ST_OK)
        st = say_flush(&look.say, err);
    mem_free(look.kinds);
    say_fini(&look.say);
    return st;
}

/* --- show --- */

static void say_header(struct buf *b, const struct header *h)
{
    buf_add_str(b, "  ");
    buf_add_json(b, h->name);
    buf_add_str(b, ": ");
    if (h->value.p == NULL)
        buf_add_str(b, "(null)");
    else
        buf_add_json(b, h->value);
    buf_add_char(b, '\n');
}

static bool is_printable(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 && s.p[i] != '\n' && s.p[i] != '\t' && s.p[i] != '\r')
            return false;
    return utf8_valid(s.p, s.n);
}

static void say_value(struct buf *b, struct span value)
{
    if (value.p == NULL) {
        buf_add_str(b, "  value: none (a tombstone)\n\n");
    } else if (is_printable(value)) {
        buf_add_str(b, "\n");
        buf_add_span(b, value);
        buf_add_str(b, "\n\n");
    } else {
        buf_add_str(b, "  value in base 64, since it is not printable text:\n\n");
        base64_encode(b, value);
        buf_add_str(b, "\n\n");
    }
}

static bool show_letter(void *arg, const struct record *rec)
{
    struct look *look = arg;
    struct letter_view letter;
    struct buf *b = &look->say.text;
    headers_read_letter(rec, &letter);
    if (!is_wanted(look, &letter))
        return true;
    char when[32] = "no time";
    time_t seconds = (time_t)(rec->timestamp_ms / 1000);
    struct tm tm;
    if (rec->timestamp_ms >= 0 && gmtime_r(&seconds, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &tm);
    buf_printf(b, "%s/%d/%lld  %s  key ", look->d->app->stage->dead_topic, (int)rec->partition,
               (long long)rec->offset, when);
    buf_add_json(b, rec->key.p == NULL ? SPAN_LIT("(null)") : rec->key);
    buf_add_char(b, '\n');
    for (size_t i = 0; i < rec->header_count; i++)
        say_header(b, &rec->headers[i]);
    say_value(b, rec->value);
    look->shown++;
    return flush(look);
}

/* The one record at TOPIC/PARTITION/OFFSET. */
static enum status show_place(struct look *look, const char *place, struct error *err)
{
    struct origin at;
    const char *topic = look->d->app->stage->dead_topic;
    struct sweep sweep = {0};
    if (!origin_parse(span_of(place), &at) || !span_is(at.topic, topic))
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "'%s' is not a dead letter's place, such as %s/0/42", place, topic);
    look->err = err;
    enum status st =
        sweep_open(&sweep, look->d->broker, topic, look->d->app->broker->timeout_ms, err);
    for (int32_t p = 0; st == ST_OK && p < sweep.count; p++) {
        bool here =
            p == at.partition && at.offset >= sweep.log[p].start && at.offset < sweep.log[p].end;
        sweep.log[p].start = here ? at.offset : sweep.log[p].end;
        sweep.log[p].end = here ? at.offset + 1 : sweep.log[p].end;
    }
    if (st == ST_OK)
        st = sweep_run(&sweep, show_letter, look, err);
    if (st == ST_OK)
        st = look->st;
    sweep_close(&sweep);
    return st;
}

enum status dlq_show(struct dlq *d, struct error *err)
{
    struct look look = {.d = d, .limit = d->own->limit > 0 ? d->own->limit : 1};
    enum status st = d->place != NULL ? show_place(&look, d->place, err)
                                      : sweep_letters(&look, show_letter, err);
    if (st == ST_OK)
        st = say_flush(&look.say, err);
    if (st == ST_OK && look.shown == 0)
        st = error_set(err, ST_FATAL, ERR_FAILED, "there is no such dead letter");
    say_fini(&look.say);
    return st;
}

/* --- export --- */

/* One line that a source takes as the same post: line breaks between the tokens of JSON become
 * spaces; within anything else they cannot be kept. */
static bool add_line(struct buf *b, struct span value)
{
    static const struct post_limits limits = {.max_bytes = (size_t)1 << 30, .max_depth = 4096};
    if (value.p == NULL)
        return false;
    bool broken = memchr(value.p, '\n', value.n) != NULL || memchr(value.p, '\r', value.n) != NULL;
    if (broken && json_check(value, &limits, NULL) != ST_OK)
        return false;
    size_t from = b->n;
    buf_add_span(b, value);
    for (size_t i = from; broken && i < b->n; i++)
        if (b->p[i] == '\n' || b->p[i] == '\r')
            b->p[i] = ' ';
    return true;
}

static bool export_letter(void *arg, const struct record *rec)
{
    struct look *look = arg;
    struct letter_view letter;
    headers_read_letter(rec, &letter);
    if (!is_wanted(look, &letter))
        return true;
    if (!look->d->own->values) {
        record_add_json(&look->say.text, look->d->app->stage->dead_topic, rec);
    } else if (letter.bare || !add_line(&look->say.text, rec->value)) {
        look->left_out++;
        return true;
    }
    buf_add_char(&look->say.text, '\n');
    look->shown++;
    return flush(look);
}

enum status dlq_export(struct dlq *d, struct error *err)
{
    struct look look = {.d = d, .limit = d->own->limit};
    enum status st = sweep_letters(&look, export_letter, err);
    if (st == ST_OK)
        st = say_flush(&look.say, err);
    if (look.left_out > 0)
        fprintf(stderr,
                "sluice dlq: %lld letter(s) left out: they have no value, or one that does not fit "
                "a line; without --values they come as JSON\n",
                (long long)look.left_out);
    say_fini(&look.say);
    return st;
}

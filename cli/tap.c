/* sluice tap: look at the records of a topic, as they come or from a place on. Reads without a
 * group, so it changes nothing. */
#include <errno.h>
#include <stdio.h>

#include "cli/command.h"
#include "cli/look.h"
#include "cli/place.h"
#include "lib/base/mem.h"
#include "lib/stage/life.h"
#include "lib/stage/record_json.h"
#include "lib/stage/say.h"

enum { POLL_MAX = 256, POLL_BYTES = 4 << 20, SIGNAL_MS = 100 };

struct tap_flags {
    const char *from;
    int64_t partition, count;
    bool json;
};

static const struct option rows[] = {
    {.key = "from",
     .arg = "PLACE",
     OPTION_AT_TEXT(struct tap_flags, from),
     .fallback = "end",
     .flag_only = true,
     .help = "start, end (live), OFFSET, -N (the last N of each partition) or a time; unless live, "
             "ends where the topic ends now"},
    {.key = "partition",
     .arg = "P",
     OPTION_AT_INT(struct tap_flags, partition),
     .fallback = "-1",
     .min = -1,
     .max = 1e6,
     .flag_only = true,
     .help = "only this partition; -1: all"},
    {.key = "count",
     .arg = "N",
     OPTION_AT_INT(struct tap_flags, count),
     .fallback = "0",
     .min = 0,
     .max = 1e15,
     .flag_only = true,
     .help = "end after N records; 0: no limit"},
    {.key = "json",
     OPTION_AT_BOOL(struct tap_flags, json),
     .fallback = "false",
     .flag_only = true,
     .help = "whole records: topic, partition, offset, timestamp, key, headers, value"},
};
static const struct option_table flags = OPTION_TABLE("Tap", rows, struct tap_flags);

struct tap {
    const struct tap_flags *own;
    const char *topic;
    struct loop *loop;
    struct life *life;
    struct loop_idle *more;
    struct loop_timer *signal_timer;
    struct broker *broker;
    struct reader *reader;
    int32_t count;
    struct watermark *log;
    struct position *at; /* next offset of each tapped partition */
    size_t parts;
    int64_t shown;
    bool live;
    struct say say;
    struct record recs[POLL_MAX];
    enum status status;
    struct error err;
};

static void end(struct tap *t, enum status st)
{
    if (t->status == ST_OK)
        t->status = st;
    loop_stop(t->loop);
}

/* --- one record --- */

static void show(struct tap *t, const struct record *rec)
{
    if (t->own->json) {
        record_add_json(&t->say.text, t->topic, rec);
        say_text(&t->say, "\n");
    } else {
        say_span(&t->say, rec->value);
        say_text(&t->say, "\n");
    }
    t->shown++;
}

/* --- reading --- */

static bool enough(const struct tap *t)
{
    if (t->own->count > 0 && t->shown >= t->own->count)
        return true;
    for (size_t i = 0; i < t->parts && !t->live; i++)
        if (t->at[i].offset < t->log[t->at[i].partition].end)
            return false;
    return !t->live;
}

static bool take(struct tap *t, struct position *at)
{
    size_t n = 0;
    enum status st =
        reader_poll(t->reader, at->partition, t->recs, POLL_MAX, POLL_BYTES, &n, &t->err);
    if (st == ST_AGAIN) { /* behind the last record there may be markers of transactions */
        int64_t position = reader_position(t->reader, at->partition);
        at->offset = position > at->offset ? position : at->offset;
        return false;
    }
    if (st != ST_OK) {
        end(t, st);
        return false;
    }
    int64_t stop = t->live ? INT64_MAX : t->log[at->partition].end;
    for (size_t i = 0; i < n; i++) {
        if (t->recs[i].offset < stop && !(t->own->count > 0 && t->shown >= t->own->count))
            show(t, &t->recs[i]);
        at->offset = t->recs[i].offset + 1;
    }
    reader_release(t->reader, t->recs, n);
    return true;
}

static void pump(void *arg)
{
    struct tap *t = arg;
    bool more = false;
    for (size_t i = 0; i < t->parts; i++)
        if (take(t, &t->at[i]))
            more = true;
    if (say_flush(&t->say, &t->err) != ST_OK)
        end(t, ST_FATAL);
    if (enough(t))
        end(t, ST_OK);
    if (!more)
        loop_idle_stop(t->more);
}

static void on_readable(void *arg)
{
    loop_idle_start(((struct tap *)arg)->more);
}

static void on_failed(void *arg, const struct error *err)
{
    struct tap *t = arg;
    t->err = *err;
    end(t, ST_FATAL);
}

static void on_signal_time(void *arg)
{
    struct tap *t = arg;
    if (life_signal(t->life) != 0)
        end(t, ST_OK);
    else
        loop_timer_start(t->signal_timer, SIGNAL_MS);
}

static void on_partitions(void *arg, const int32_t *partitions, size_t n)
{
    (void)arg;
    (void)partitions;
    (void)n;
}

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    (void)pos;
    (void)n;
    (void)epoch;
    on_readable(arg);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    (void)arg;
    if (!up)
        fprintf(stderr, "sluice tap: broker is away, trying again: %s\n", err->text);
}

static enum status locate(struct tap *t, struct error *err)
{
    struct place place;
    enum status st = place_parse("--from", t->own->from, &place, err);
    if (st == ST_OK)
        st = broker_partitions(t->broker, t->topic, &t->count, err);
    if (st == ST_OK && t->count == 0)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' does not exist on %s", t->topic,
                       broker_name(t->broker));
    if (st == ST_OK && t->own->partition >= t->count)
        st = error_set(err, ST_FATAL, ERR_USAGE, "--partition %lld: topic '%s' has %d partition(s)",
                       (long long)t->own->partition, t->topic, (int)t->count);
    if (st != ST_OK)
        return st;
    t->live = place.kind == PLACE_END;
    t->log = mem_array((size_t)t->count, sizeof *t->log);
    t->at = mem_array((size_t)t->count, sizeof *t->at);
    st = broker_watermarks(t->broker, t->topic, t->log, t->count, err);
    for (int32_t p = 0; st == ST_OK && p < t->count; p++) {
        if (t->own->partition >= 0 && t->own->partition != p)
            continue;
        struct position *at = &t->at[t->parts++];
        *at = (struct position){.partition = p, .metadata = ""};
        st = place_resolve(t->broker, t->topic, p, &t->log[p], &place, &at->offset, err);
    }
    return st;
}

static enum status open_reader(struct tap *t, struct error *err)
{
    t->loop = loop_new();
    t->more = loop_idle_new(t->loop, pump, t);
    t->signal_timer = loop_timer_new(t->loop, on_signal_time, t);
    loop_timer_start(t->signal_timer, SIGNAL_MS);
    struct reader_config cfg = {.loop = t->loop,
                                .topic = t->topic,
                                .start = t->at,
                                .start_count = t->parts,
                                .instance = "tap",
                                .events = {.arg = t,
                                           .assigned = on_assigned,
                                           .revoking = on_partitions,
                                           .lost = on_partitions,
                                           .readable = on_readable,
                                           .connection = on_connection,
                                           .failed = on_failed}};
    return reader_open(t->broker, &cfg, &t->reader, err);
}

static void close_tap(struct tap *t)
{
    reader_close(t->reader);
    loop_idle_free(t->more);
    loop_timer_free(t->signal_timer);
    loop_free(t->loop);
    broker_close(t->broker);
    say_fini(&t->say);
    mem_free(t->log);
    mem_free(t->at);
    life_close(t->life);
    mem_free(t);
}

static enum status run(struct app *app, struct error *err)
{
    if (config_argument_count(app->cfg) != 1)
        return error_set(err, ST_FATAL, ERR_USAGE, "which topic? for example: sluice tap %s",
                         app->stage->enhanced_topic);
    struct tap *t = mem_zalloc(sizeof *t);
    t->own = app->own;
    t->topic = config_argument(app->cfg, 0);
    t->life = life_open();
    enum status st = look_open(app->broker, &t->broker, err);
    if (st == ST_OK)
        st = locate(t, err);
    if (st == ST_OK && !enough(t)) {
        st = open_reader(t, err);
        if (st == ST_OK) {
            loop_idle_start(t->more);
            loop_run(t->loop);
            st = t->status;
            *err = t->err;
        }
    }
    close_tap(t);
    return st;
}

const struct command tap_command = {
    .name = "tap",
    .summary = "print the records of a topic, live or from a place on",
    .synopsis = "tap TOPIC [--from PLACE] [--partition P] [--count N] [--json]",
    .examples = "  sluice tap enhanced_posts\n"
                "  sluice tap enhanced_posts --from start | head\n"
                "  sluice tap dead_posts --from -10 --json\n\n",
    .tables = {&general_option_table, &broker_option_table},
    .own = &flags,
    .max_arguments = 1,
    .run = run,
};

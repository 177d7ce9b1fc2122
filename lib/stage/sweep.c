/* A reader without a group on a loop that runs until every partition has reached its end: see
 * sweep.h. The partitions are read one after another, so that the order of a run is always the
 * same; the broker's own queues bound what is fetched of the others meanwhile. */
#include "lib/stage/sweep.h"

#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum { POLL_MAX = 256, POLL_BYTES = 4 << 20, ROUNDS = 16, WAIT_NS = 20 * 1000000 };

struct run {
    const struct sweep *sweep;
    struct loop *loop;
    struct loop_idle *more;
    struct reader *reader;
    struct position *at; /* next offset of each partition */
    int32_t turn;        /* the partition that is read now */
    bool (*fn)(void *arg, const struct record *rec);
    void *arg;
    struct record recs[POLL_MAX];
    bool over; /* nothing more is read */
    enum status status;
    struct error err;
};

/* --- bounds --- */

static bool decided(const struct watermark *log, const int64_t *high, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (log[i].end < high[i])
            return false;
    return true;
}

/* The log's end is taken first; then wait until readers can reach it. */
static enum status take_bounds(struct sweep *s, int64_t *high, int64_t timeout_ms,
                               struct error *err)
{
    int64_t deadline = clock_mono_ms() + timeout_ms;
    for (bool first = true;; first = false) {
        enum status st = broker_watermarks(s->broker, s->topic, s->log, s->count, err);
        for (int32_t i = 0; st == ST_OK && first && i < s->count; i++)
            high[i] = s->log[i].high;
        if (st != ST_OK || decided(s->log, high, s->count))
            return st;
        if (clock_mono_ms() > deadline)
            return error_set(err, ST_FATAL, ERR_TEMPORARY,
                             "a transaction stays open on topic '%s': its writer hangs or has "
                             "died; try again when its time-out has passed",
                             s->topic);
        nanosleep(&(struct timespec){.tv_nsec = WAIT_NS}, NULL);
    }
}

enum status sweep_open(struct sweep *s, struct broker *broker, const char *topic,
                       int64_t timeout_ms, struct error *err)
{
    *s = (struct sweep){.broker = broker, .topic = topic};
    enum status st = broker_partitions(broker, topic, &s->count, err);
    if (st == ST_OK && s->count == 0)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' does not exist on %s", topic,
                       broker_name(broker));
    if (st != ST_OK)
        return st;
    s->log = mem_array((size_t)s->count, sizeof *s->log);
    int64_t *high = mem_array((size_t)s->count, sizeof *high);
    st = take_bounds(s, high, timeout_ms, err);
    mem_free(high);
    return st;
}

void sweep_close(struct sweep *s)
{
    mem_free(s->log);
    s->log = NULL;
}

/* --- reading --- */

static void end(struct run *r, enum status st)
{
    if (r->status == ST_OK)
        r->status = st;
    r->over = true;
    loop_stop(r->loop);
}

/* Hands records on; false when fn has had enough. */
static bool hand_on(struct run *r, struct position *at, size_t n)
{
    int64_t stop = r->sweep->log[at->partition].end;
    bool go_on = true;
    for (size_t i = 0; i < n && go_on; i++) {
        if (r->recs[i].offset < stop)
            go_on = r->fn(r->arg, &r->recs[i]);
        at->offset = r->recs[i].offset + 1;
    }
    reader_release(r->reader, r->recs, n);
    return go_on;
}

/* One poll of the partition whose turn it is. False: nothing more now. */
static bool take(struct run *r)
{
    struct position *at = &r->at[r->turn];
    size_t n = 0;
    enum status st =
        reader_poll(r->reader, at->partition, r->recs, POLL_MAX, POLL_BYTES, &n, &r->err);
    if (st == ST_OK && !hand_on(r, at, n))
        end(r, ST_OK);
    else if (st != ST_OK && st != ST_AGAIN)
        end(r, st);
    if (st == ST_AGAIN) { /* behind the last record there may be markers of transactions */
        int64_t position = reader_position(r->reader, at->partition);
        at->offset = position > at->offset ? position : at->offset;
    }
    return st == ST_OK;
}

static bool all_read(struct run *r)
{
    const struct sweep *s = r->sweep;
    while (r->turn < s->count && r->at[r->turn].offset >= s->log[r->turn].end)
        r->turn++;
    return r->turn == s->count;
}

static void pump(void *arg)
{
    struct run *r = arg;
    for (int i = 0; i < ROUNDS && !r->over && !all_read(r); i++) {
        int32_t turn = r->turn;
        if (!take(r) && !r->over && !all_read(r) && r->turn == turn) {
            loop_idle_stop(r->more);
            return;
        }
    }
    if (all_read(r))
        end(r, ST_OK);
}

static void on_readable(void *arg)
{
    loop_idle_start(((struct run *)arg)->more);
}

static void on_failed(void *arg, const struct error *err)
{
    struct run *r = arg;
    r->err = *err;
    end(r, ST_FATAL);
}

static void on_partitions(void *arg, const int32_t *partitions, size_t n)
{
    UNUSED(arg);
    UNUSED(partitions);
    UNUSED(n);
}

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    UNUSED(pos);
    UNUSED(n);
    UNUSED(epoch);
    on_readable(arg);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    UNUSED(arg); /* the reader goes on trying by itself */
    UNUSED(up);
    UNUSED(err);
}

static enum status read_all(struct run *r, struct error *err)
{
    struct reader_config cfg = {.loop = r->loop,
                                .topic = r->sweep->topic,
                                .start = r->at,
                                .start_count = (size_t)r->sweep->count,
                                .instance = "sweep",
                                .uncommitted = r->sweep->uncommitted,
                                .events = {.arg = r,
                                           .assigned = on_assigned,
                                           .revoking = on_partitions,
                                           .lost = on_partitions,
                                           .readable = on_readable,
                                           .connection = on_connection,
                                           .failed = on_failed}};
    enum status st = reader_open(r->sweep->broker, &cfg, &r->reader, err);
    if (st != ST_OK)
        return st;
    loop_idle_start(r->more);
    loop_run(r->loop);
    if (r->status != ST_OK)
        *err = r->err;
    return r->status;
}

enum status sweep_run(struct sweep *s, bool (*fn)(void *arg, const struct record *rec), void *arg,
                      struct error *err)
{
    struct run *r = mem_zalloc(sizeof *r);
    *r = (struct run){.sweep = s, .loop = loop_new(), .fn = fn, .arg = arg};
    r->more = loop_idle_new(r->loop, pump, r);
    r->at = mem_array((size_t)s->count, sizeof *r->at);
    for (int32_t p = 0; p < s->count; p++)
        r->at[p] = (struct position){.partition = p, .offset = s->log[p].start, .metadata = ""};
    enum status st = all_read(r) ? ST_OK : read_all(r, err);
    reader_close(r->reader);
    loop_idle_free(r->more);
    loop_free(r->loop);
    mem_free(r->at);
    mem_free(r);
    return st;
}

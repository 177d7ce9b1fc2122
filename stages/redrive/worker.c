/* A redrive worker: opens reader and writer on its loop and turns their events into calls of
 * flow.c.
 */
#include "stages/redrive/worker.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

/* --- events --- */

static void grow(struct redrive *r, int32_t n)
{
    if (n <= r->part_count)
        return;
    r->parts = mem_realloc(r->parts, (size_t)n * sizeof *r->parts);
    r->positions = mem_realloc(r->positions, (size_t)n * sizeof *r->positions);
    for (int32_t i = r->part_count; i < n; i++)
        r->parts[i] = (struct part){0};
    r->part_count = n;
}

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    struct redrive *r = arg;
    UNUSED(epoch);
    for (size_t i = 0; i < n; i++) {
        int32_t p = pos[i].partition;
        grow(r, p + 1);
        redrive_drop(r, p, r->head);
        r->parts[p] = (struct part){.ours = true,
                                    .closed = pos[i].offset >= redrive_end(r, p),
                                    .next = pos[i].offset,
                                    .handed = pos[i].offset};
    }
    worker_ready(&r->w, true);
    redrive_schedule(r);
}

static void on_revoking(void *arg, const int32_t *partitions, size_t n)
{
    struct redrive *r = arg;
    for (size_t i = 0; i < n; i++) {
        if (partitions[i] >= r->part_count)
            continue;
        r->parts[partitions[i]].revoking = true;
        redrive_drop(r, partitions[i], r->sent);
    }
    r->revoking = true;
    redrive_schedule(r);
}

static void on_lost(void *arg, const int32_t *partitions, size_t n)
{
    struct redrive *r = arg;
    log_line(LOG_WARN, "redrive",
             "%zu partition(s) were lost, to another member or because this one was not heard", n);
    for (size_t i = 0; i < n; i++) {
        redrive_drop(r, partitions[i], r->head);
        if (partitions[i] < r->part_count)
            r->parts[partitions[i]] = (struct part){0};
    }
    redrive_schedule(r);
}

static void on_readable(void *arg)
{
    struct redrive *r = arg;
    for (int32_t i = 0; i < r->part_count; i++)
        r->parts[i].dry = false;
    redrive_schedule(r);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    UNUSED(arg);
    if (up)
        log_line(LOG_INFO, "redrive", "broker is back");
    else
        log_line(LOG_WARN, "redrive", "broker is away, trying again: %s", err->text);
}

static void on_failed(void *arg, const struct error *err)
{
    worker_fail(&((struct redrive *)arg)->w, err);
}

static void on_committed(void *arg, uint64_t number)
{
    redrive_confirm(arg, number);
    redrive_schedule(arg);
}

static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    log_line(LOG_WARN, "redrive", "batch %llu was aborted and is sent again: %s",
             (unsigned long long)first, why->text);
    redrive_resend(arg);
}

static void on_writable(void *arg)
{
    ((struct redrive *)arg)->blocked = false;
    redrive_schedule(arg);
}

static void on_rate_time(void *arg)
{
    redrive_schedule(arg);
}

static void on_retry_time(void *arg)
{
    ((struct redrive *)arg)->paused = false;
    redrive_schedule(arg);
}

/* --- open and close --- */

static enum status open_reader(struct redrive *r, struct error *err)
{
    const struct stage_env *env = r->w.env;
    struct reader_config cfg = {
        .loop = r->w.loop,
        .topic = env->opt->dead_topic,
        .group = r->setup->group,
        .instance = env->instance,
        .worker = r->w.index,
        .events = {.arg = r,
                   .assigned = on_assigned,
                   .revoking = on_revoking,
                   .lost = on_lost,
                   .readable = on_readable,
                   .connection = on_connection,
                   .failed = on_failed},
    };
    return reader_open(env->broker, &cfg, &r->reader, err);
}

static enum status open_writer(struct redrive *r, struct error *err)
{
    const struct stage_env *env = r->w.env;
    const struct redrive_plan *plan = r->setup->plan;
    struct writer_config cfg = {
        .loop = r->w.loop,
        .reader = r->reader,
        .topic_count = plan->topic_count,
        .delivery = EXACTLY_ONCE,
        .instance = env->instance,
        .group = r->setup->group,
        .worker = r->w.index,
        .events = {.arg = r,
                   .committed = on_committed,
                   .aborted = on_aborted,
                   .writable = on_writable,
                   .failed = on_failed},
    };
    for (size_t i = 0; i < plan->topic_count; i++)
        cfg.topics[i] = plan->topics[i];
    return writer_open(env->broker, &cfg, &r->writer, err);
}

static enum status redrive_open(struct worker *w, struct error *err)
{
    struct redrive *r = (struct redrive *)w;
    r->setup = w->env->stage_opt;
    r->more = loop_idle_new(w->loop, redrive_pump, r);
    r->rate_timer = loop_timer_new(w->loop, on_rate_time, r);
    r->retry_timer = loop_timer_new(w->loop, on_retry_time, r);
    headers_init(&r->headers);
    backoff_init(&r->retry, 10, 2000, (uint64_t)clock_mono_ns());
    enum status st = open_reader(r, err);
    if (st == ST_OK)
        st = open_writer(r, err);
    return st;
}

static void redrive_stop(struct worker *w)
{
    struct redrive *r = (struct redrive *)w;
    r->stopping = true;
    redrive_schedule(r);
}

static void redrive_close(struct worker *w)
{
    struct redrive *r = (struct redrive *)w;
    writer_close(r->writer);
    while (r->head < r->tail)
        redrive_pop(r);
    reader_close(r->reader);
    headers_fini(&r->headers);
    loop_idle_free(r->more);
    loop_timer_free(r->rate_timer);
    loop_timer_free(r->retry_timer);
    mem_free(r->parts);
    mem_free(r->positions);
}

const struct stage_ops redrive_ops = {
    .name = "redrive",
    .worker_size = sizeof(struct redrive),
    .open = redrive_open,
    .stop = redrive_stop,
    .close = redrive_close,
};

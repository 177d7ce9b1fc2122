/* An enhance worker: opens reader, writer and enricher on its loop and turns their events into
 * calls of flow.c and handback.c. Nothing is decided here. */
#include "stages/enhance/worker.h"

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

/* Between commits where answers are paid for: of brokers that gather, and that do not. A commit on
 * Kafka costs as much CPU as some 20 calls: where there are many, it waits for more of them.
 * Outputs wait for the commit unless --commit-records asks for batches smaller than what comes
 * meanwhile. */
enum { PATIENT_RECORDS = 256 };

/* --- events --- */

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    enhance_assign(arg, pos, n, epoch);
}

static void on_revoking(void *arg, const int32_t *partitions, size_t n)
{
    enhance_revoke(arg, partitions, n);
}

static void on_lost(void *arg, const int32_t *partitions, size_t n)
{
    enhance_lose(arg, partitions, n);
}

static void on_readable(void *arg)
{
    struct enhance *e = arg;
    for (int32_t i = 0; i < e->win_count; i++)
        if (e->wins[i] != NULL)
            e->wins[i]->polled_dry = false;
    enhance_schedule(e);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    struct enhance *e = arg;
    worker_ready(&e->w, up);
    if (up)
        log_line(LOG_INFO, "enhance", "broker is back");
    else
        log_line(LOG_WARN, "enhance", "broker is away, trying again: %s", err->text);
}

static void on_failed(void *arg, const struct error *err)
{
    struct enhance *e = arg;
    worker_fail(&e->w, err);
}

static void on_committed(void *arg, uint64_t number)
{
    enhance_confirm(arg, number);
    enhance_schedule(arg);
}

static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    log_line(LOG_WARN, "enhance", "batch %llu was aborted and is sent again: %s",
             (unsigned long long)first, why->text);
    enhance_resend(arg);
    enhance_schedule(arg);
}

static void on_writable(void *arg)
{
    struct enhance *e = arg;
    e->blocked = false;
    enhance_schedule(e);
}

static void on_commit_time(void *arg)
{
    enhance_schedule(arg);
}

static void on_gate(void *arg)
{
    struct enhance *e = arg;
    e->barred = false;
    worker_ready(&e->w, true);
    enhance_schedule(e);
}

static void on_journal_failed(void *arg, const struct error *err)
{
    struct enhance *e = arg;
    worker_fail(&e->w, err);
}

static void on_give_up_time(void *arg)
{
    struct enhance *e = arg;
    e->given_up = true;
    enhance_schedule(e);
}

/* --- open and close --- */

static void open_metrics(struct enhance *e)
{
    struct metrics *m = e->w.env->metrics;
    const char *stage = "stage=\"enhance\"";
    e->in = metrics_counter(m, "sluice_records_in_total", stage, "Records read");
    e->enhanced = metrics_counter(m, "sluice_records_out_total", stage,
                                  "Records written and committed, dead letters apart");
    e->commits = metrics_counter(m, "sluice_commits_total", stage, "Batches made durable");
    e->aborts = metrics_counter(m, "sluice_aborts_total", stage, "Batches that were sent again");
    e->abandoned = metrics_counter(m, "sluice_abandoned_asks_total", stage,
                                   "Paid asks cut off at a stop or hand-over");
    e->in_flight = metrics_gauge(m, "sluice_in_flight", stage, "Posts from poll to commit");
    e->latency = metrics_hist(m, "sluice_latency_seconds", stage,
                              "From a record's timestamp to the commit of its output");
}

static enum status open_reader(struct enhance *e, struct error *err)
{
    const struct stage_env *env = e->w.env;
    struct reader_config cfg = {
        .loop = e->w.loop,
        .topic = env->opt->raw_topic,
        .group = e->opt->group,
        .instance = env->instance,
        .worker = e->w.index,
        .guard_topic = env->opt->enhanced_topic,
        .on_missing = (enum missing_position)env->broker_opt->on_missing_position,
        .events = {.arg = e,
                   .assigned = on_assigned,
                   .revoking = on_revoking,
                   .lost = on_lost,
                   .readable = on_readable,
                   .connection = on_connection,
                   .failed = on_failed},
    };
    return reader_open(env->broker, &cfg, &e->reader, err);
}

static enum status open_writer(struct enhance *e, struct error *err)
{
    const struct stage_env *env = e->w.env;
    struct writer_config cfg = {
        .loop = e->w.loop,
        .reader = e->reader,
        .topics = {[OUT_ENHANCED] = env->opt->enhanced_topic, [OUT_DEAD] = env->opt->dead_topic},
        .topic_count = 2,
        .delivery = (enum delivery)env->broker_opt->delivery,
        .instance = env->instance,
        .group = e->opt->group,
        .worker = e->w.index,
        .events = {.arg = e,
                   .committed = on_committed,
                   .aborted = on_aborted,
                   .writable = on_writable,
                   .failed = on_failed},
    };
    return writer_open(env->broker, &cfg, &e->writer, err);
}

/* Calls that are paid for take far longer than a commit, which costs as much as twenty of them. */
static void set_commit_interval(struct enhance *e)
{
    static const int paid_ms[PACES] = {10, 30, 100, 250}, paid_at_once_ms[PACES] = {5, 5, 5, 5};
    int64_t usual_ms = broker_commit_interval_ms(e->w.env->broker);
    bool said = e->w.env->broker_opt->commit_interval_ms > 0;
    bool paid = !said && enricher_is_paid(e->enricher);
    const int *paid_for = usual_ms > 0 ? paid_ms : paid_at_once_ms;
    for (int i = 0; i < PACES; i++)
        e->commit_interval_ns[i] = (paid ? paid_for[i] : usual_ms) * 1000000;
}

static enum status enhance_open(struct worker *w, struct error *err)
{
    struct enhance *e = (struct enhance *)w;
    const struct enhance_setup *setup = w->env->stage_opt;
    e->opt = setup->opt;
    e->limits = stage_post_limits(w->env->opt);
    backoff_init(&e->retry, 5, 1000, (uint64_t)clock_mono_ns());
    e->more = loop_idle_new(w->loop, enhance_pump, e);
    e->commit_timer = loop_timer_new(w->loop, on_commit_time, e);
    e->give_up_timer = loop_timer_new(w->loop, on_give_up_time, e);
    open_metrics(e);
    enum status st = enricher_open(setup->engine, w->loop, &e->enricher, err);
    const struct journal_gate_events events = {on_gate, on_journal_failed, e};
    if (setup->journal != NULL)
        e->gate = journal_gate_open(setup->journal, w->loop, &events);
    if (st == ST_OK) {
        set_commit_interval(e);
        e->patient =
            enricher_is_paid(e->enricher) && w->env->broker_opt->commit_records >= PATIENT_RECORDS;
        if (enricher_is_paid(e->enricher))
            spending_open(&e->spending, w->env->metrics, setup->engine,
                          w->index == 0 ? w->loop : NULL);
        output_init(&e->out, w->env->opt->raw_topic,
                    enricher_is_paid(e->enricher) ? enricher_name(e->enricher) : NULL);
        st = open_reader(e, err);
    }
    if (st == ST_OK)
        st = open_writer(e, err);
    return st;
}

static void enhance_stop_worker(struct worker *w)
{
    enhance_stop((struct enhance *)w);
}

static void enhance_close(struct worker *w)
{
    struct enhance *e = (struct enhance *)w;
    writer_close(e->writer);
    for (int32_t i = 0; i < e->win_count; i++)
        enhance_drop(e, i);
    reader_close(e->reader);
    enricher_close(e->enricher);
    journal_gate_close(e->gate);
    slot_pool_fini(&e->pool);
    output_fini(&e->out);
    spending_close(&e->spending);
    loop_idle_free(e->more);
    loop_timer_free(e->commit_timer);
    loop_timer_free(e->give_up_timer);
    mem_free(e->wins);
    mem_free(e->positions);
    buf_fini(&e->metadata);
    mem_free(e->lag);
}

const struct stage_ops enhance_ops = {
    .name = "enhance",
    .worker_size = sizeof(struct enhance),
    .open = enhance_open,
    .stop = enhance_stop_worker,
    .close = enhance_close,
};

/* sluice run: the whole pipeline in one process, until what it sent has come out; then a table. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "cli/pipeline.h"
#include "lib/base/clock.h"

enum { PORT_RUN = 9404 };

static enum status start_all(struct pipeline *p, struct stage **ret_source, struct error *err)
{
    struct stage *stage;
    enum status st = pipeline_start_sink(p, p->run_id, &stage, err);
    if (st == ST_OK)
        st = pipeline_start_enhance(p, &stage, err);
    if (st == ST_OK)
        st = pipeline_start_source(p, ret_source, err);
    return st;
}

static enum status flow(struct pipeline *p, struct stage *source, struct error *err)
{
    enum status st = pipeline_wait(p, source, err);
    if (st == ST_OK)
        st = pipeline_drain(p, p->app->enhance->group, p->app->stage->raw_topic, err);
    if (st == ST_OK)
        st = pipeline_drain(p, p->app->sink->group, p->app->stage->enhanced_topic, err);
    return st;
}

static void row(const char *name, const char *fmt, ...) PRINTF_LIKE(2, 3);

static void row(const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "  %-22s ", name);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
}

/* On stderr: stdout holds nothing but the lines of source and sink. */
static void print_table(struct pipeline *p, int64_t elapsed_us)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    const struct sink_tally *t = &p->tally;
    double seconds = (double)elapsed_us / 1e6;
    int64_t sent = p->sent, out = t->ours, cpu_us = clock_cpu_us();
    double dead = metrics_sum(p->metrics, "sluice_dead_letters_total", "");
    fprintf(stderr, "\n  run %s\n", p->run_id);
    row("posts sent", "%lld", (long long)sent);
    row("enriched posts out", "%lld", (long long)out);
    if (dead > 0)
        row("dead letters", "%.0f  (sluice tap %s --from start --json)", dead,
            p->app->stage->dead_topic);
    else
        row("dead letters", "0");
    row("left over, now done", "%lld", (long long)t->leftover);
    row("posts/s", "%.0f", seconds > 0 ? (double)out / seconds : 0);
    row("source -> sink", "p50 %.2f ms, p99 %.2f ms", hist_quantile(&t->latency, 0.5) / 1e3,
        hist_quantile(&t->latency, 0.99) / 1e3);
    row("CPU", "%.2f s, %.1f us a post", (double)cpu_us / 1e6,
        out > 0 ? (double)cpu_us / (double)out : 0);
    row("memory", "%.1f MB at most", (double)use.ru_maxrss / 1024);
    row("answers from memory", "%.0f",
        metrics_sum(p->metrics, "sluice_asks_total", "cache=\"hit\"") +
            metrics_sum(p->metrics, "sluice_asks_total", "cache=\"coalesced\""));
    row("cost", "$%.6f", metrics_sum(p->metrics, "sluice_cost_microdollars_total", "") / 1e6);
}

static enum status run(struct app *app, struct error *err)
{
    struct pipeline p = {0};
    struct stage *source = NULL;
    struct error late;
    enum status st = pipeline_open(&p, app, "run", PORT_RUN, TOPICS_ALL, true, err);
    int64_t start_us = clock_mono_ns() / 1000;
    if (st == ST_OK)
        st = start_all(&p, &source, err);
    if (st == ST_OK)
        st = flow(&p, source, err);
    int64_t elapsed_us = clock_mono_ns() / 1000 - start_us;
    if (atomic_load(&p.started) > 0 && pipeline_stop(&p, &late) != ST_OK && st == ST_OK) {
        *err = late;
        st = ST_FATAL;
    }
    if (st == ST_OK)
        print_table(&p, elapsed_us);
    pipeline_close(&p);
    return st;
}

const struct command run_command = {
    .name = "run",
    .summary = "source, enhance and sink in one process, until every post has come out",
    .synopsis = "run [OPTION]...",
    .examples = "  sluice run\n"
                "  sluice run --from posts.jsonl --to jsonl > enriched.jsonl\n"
                "  sluice run --from generate --count 100000 --quiet\n"
                "  sluice run --broker kafka://127.0.0.1:9092\n\n",
    .tables = {&source_option_table, &enhance_option_table, &enrich_option_table,
               &sink_option_table, &general_option_table, &broker_option_table,
               &stage_option_table},
    .run = run,
};

/* sluice source, enhance, sink: one stage in a process. */
#include "cli/pipeline.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"

enum { PORT_SOURCE = 9401, PORT_ENHANCE = 9402, PORT_SINK = 9403 };

/* Runs what `start` starts until it ends by itself, is drained, or is told to stop. `topics`: what
 * the stage reads and writes; it needs no rights on the others. */
static enum status
run_stage(struct app *app, int port, unsigned topics, const char *group, const char *topic,
          enum status (*start)(struct pipeline *, struct stage **, struct error *),
          struct error *err)
{
    struct pipeline p = {0};
    struct stage *stage = NULL;
    struct error late;
    enum status st = pipeline_open(&p, app, app->command->name, port, topics, false, err);
    if (st == ST_OK)
        st = start(&p, &stage, err);
    if (st == ST_OK && group != NULL && app->stage->drain)
        st = pipeline_drain(&p, group, topic, err);
    else if (st == ST_OK)
        st = pipeline_wait(&p, stage, err);
    if (stage != NULL && pipeline_stop(&p, &late) != ST_OK && st == ST_OK) {
        *err = late;
        st = ST_FATAL;
    }
    pipeline_close(&p);
    return st;
}

static enum status run_source(struct app *app, struct error *err)
{
    return run_stage(app, PORT_SOURCE, TOPIC_RAW | TOPIC_DEAD, NULL, NULL, pipeline_start_source,
                     err);
}

static enum status run_enhance(struct app *app, struct error *err)
{
    return run_stage(app, PORT_ENHANCE, TOPICS_ALL, app->enhance->group, app->stage->raw_topic,
                     pipeline_start_enhance, err);
}

static enum status start_sink(struct pipeline *p, struct stage **ret, struct error *err)
{
    return pipeline_start_sink(p, NULL, ret, err);
}

/* --- sink --redrive --- */

struct sink_flags {
    bool redrive;
};

static const struct option sink_rows[] = {
    {.key = "redrive",
     OPTION_AT_BOOL(struct sink_flags, redrive),
     .fallback = "false",
     .flag_only = true,
     .help = "put the dead letters of this sink into the store again, instead of enriched posts, "
             "and end"},
};
static const struct option_table sink_flag_table =
    OPTION_TABLE("Dead letters", sink_rows, struct sink_flags);

static enum status put_letters(struct pipeline *p, struct drain *d, struct error *err)
{
    const struct app *app = p->app;
    struct stage *stage = NULL;
    struct error late;
    p->sink.letters = d;
    enum status st =
        drain_begin(d, p->broker, d->group, app->stage->dead_topic, app->broker->timeout_ms, err);
    if (st == ST_OK)
        st = pipeline_start_sink(p, NULL, &stage, err);
    if (st == ST_OK)
        st = pipeline_drain_to(p, d, err);
    if (stage != NULL && pipeline_stop(p, &late) != ST_OK && st == ST_OK) {
        *err = late;
        st = ST_FATAL;
    }
    if (st == ST_OK)
        log_line(LOG_INFO, "sink", "%lld dead letter(s) put, %lld refused again",
                 (long long)p->tally.ours, (long long)p->tally.refused);
    return st;
}

static enum status run_sink_redrive(struct app *app, struct error *err)
{
    struct pipeline p = {0};
    struct drain d = {0};
    char *group = mem_printf("%s.redrive", app->sink->group);
    enum status st = pipeline_open(&p, app, app->command->name, PORT_SINK, TOPIC_DEAD, false, err);
    d.group = group;
    if (st == ST_OK)
        st = put_letters(&p, &d, err);
    if (st == ST_OK && p.tally.refused > 0)
        app->exit_code = 1;
    pipeline_close(&p);
    drain_fini(&d);
    mem_free(group);
    return st;
}

static enum status run_sink(struct app *app, struct error *err)
{
    if (((const struct sink_flags *)app->own)->redrive)
        return run_sink_redrive(app, err);
    return run_stage(app, PORT_SINK, TOPIC_ENHANCED | TOPIC_DEAD, app->sink->group,
                     app->stage->enhanced_topic, start_sink, err);
}

const struct command source_command = {
    .name = "source",
    .summary = "send posts to the topic raw_posts, and end with the feed",
    .synopsis = "source [--from FILE|-|sample|generate] [OPTION]...",
    .examples = "  sluice source --from posts.jsonl\n"
                "  tail -F app.log | sluice source --from - --broker kafka://127.0.0.1:9092\n"
                "  sluice source --from generate --rate 1000 --count 60000 --quiet\n\n",
    .tables = {&source_option_table, &general_option_table, &broker_option_table,
               &stage_option_table},
    .run = run_source,
};

const struct command enhance_command = {
    .name = "enhance",
    .summary = "read raw_posts, ask the enricher, write enhanced_posts (and dead_posts)",
    .synopsis = "enhance [--drain] [OPTION]...",
    .examples = "  sluice enhance\n"
                "  sluice enhance --drain --mock-latency 50ms\n"
                "  sluice enhance --broker kafka://127.0.0.1:9092 --workers 2 --http on\n\n",
    .tables = {&enhance_option_table, &enrich_option_table, &general_option_table,
               &broker_option_table, &stage_option_table},
    .run = run_enhance,
};

const struct command sink_command = {
    .name = "sink",
    .summary = "read enhanced_posts and print the ID of each post, or store the posts",
    .synopsis = "sink [--to lines|jsonl|none] [--redrive] [OPTION]...",
    .examples = "  sluice sink\n"
                "  sluice sink --to jsonl --drain > enriched.jsonl\n"
                "  sluice sink --redrive\n\n",
    .tables = {&sink_option_table, &general_option_table, &broker_option_table,
               &stage_option_table},
    .own = &sink_flag_table,
    .run = run_sink,
};

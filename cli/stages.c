/* sluice source, enhance, sink: one stage in a process. */
#include "cli/pipeline.h"
#include "lib/base/log.h"

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

static enum status run_sink(struct app *app, struct error *err)
{
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
    .synopsis = "sink [--to lines|jsonl|none] [OPTION]...",
    .examples = "  sluice sink\n"
                "  sluice sink --to jsonl --drain > enriched.jsonl\n\n",
    .tables = {&sink_option_table, &general_option_table, &broker_option_table,
               &stage_option_table},
    .run = run_sink,
};

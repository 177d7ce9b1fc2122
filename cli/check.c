/* sluice check: says what is wrong before it goes wrong: the configuration (loading it is half of
 * the check), then broker, topics and enricher. Changes nothing. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/look.h"
#include "cli/pipeline.h"
#include "cli/try.h"
#include "lib/metrics/address.h"
#include "lib/stage/options.h"

struct check_flags {
    bool offline;
};

static const struct option rows[] = {
    {.key = "offline",
     OPTION_AT_BOOL(struct check_flags, offline),
     .fallback = "false",
     .flag_only = true,
     .help = "look at the options only, of broker and enricher too; connect to nothing, start and "
             "write nothing"},
};
static const struct option_table flags = OPTION_TABLE("Check", rows, struct check_flags);

static enum status check_http(const char *address, struct error *err)
{
    if (address == NULL || span_is(span_of(address), "on") || span_is(span_of(address), "off"))
        return ST_OK;
    enum status st = address_check(address, err);
    if (st != ST_OK)
        error_prefix(err, "--http");
    return st;
}

static enum status check_topic(struct app *app, struct broker *broker, const char *topic,
                               struct error *err)
{
    int32_t count = 0;
    enum status st = broker_partitions(broker, topic, &count, err);
    if (st == ST_OK && count > 0)
        printf("ok    topic %s: %d partition(s)\n", topic, (int)count);
    else if (st == ST_OK)
        printf(
            "note  topic %s: missing; it will be made with %lld partition(s) at the first start\n",
            topic, (long long)app->broker->partitions);
    return st;
}

static enum status check_broker(struct app *app, struct error *err)
{
    struct broker *broker = NULL;
    const char *missing = look_missing_file(app->broker);
    if (missing != NULL) {
        printf(
            "note  broker sqlite:%s: there is no such file; it will be made at the first start\n",
            missing);
        return ST_OK;
    }
    const struct stage_options *s = app->stage;
    enum status st = broker_open(app->broker, &broker, err);
    if (st == ST_OK) {
        printf("ok    broker %s answers\n", broker_name(broker));
        st = check_topic(app, broker, s->raw_topic, err);
    }
    if (st == ST_OK)
        st = check_topic(app, broker, s->enhanced_topic, err);
    if (st == ST_OK)
        st = check_topic(app, broker, s->dead_topic, err);
    broker_close(broker);
    return st;
}

static enum status run(struct app *app, struct error *err)
{
    const struct check_flags *own = app->own;
    enum status st = pipeline_check(app, err);
    if (st == ST_OK)
        st = broker_check(app->broker, err);
    if (st == ST_OK)
        st = check_http(app->stage->http, err);
    if (st == ST_OK)
        printf("ok    configuration\n");
    if (st == ST_OK && !own->offline)
        st = check_broker(app, err);
    if (st == ST_OK)
        st = try_enricher(app, own->offline, err);
    return st;
}

const struct command check_command = {
    .name = "check",
    .summary = "check the configuration, then broker, topics and enricher",
    .synopsis = "check [--offline] [OPTION]...",
    .examples = "  sluice check --config sluice.yaml\n"
                "  sluice check --broker kafka://127.0.0.1:9092\n\n",
    .tables = {&general_option_table, &broker_option_table, &stage_option_table,
               &source_option_table, &enhance_option_table, &enrich_option_table,
               &sink_option_table},
    .own = &flags,
    .run = run,
};

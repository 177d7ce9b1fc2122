/* sluice enrich: a filter. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "lib/stage/life.h"
#include "stages/enhance/answering.h"
#include "stages/enhance/filter.h"

struct enrich_flags {
    const char *dead;
};

static const struct option rows[] = {
    {.key = "dead",
     .arg = "FILE",
     OPTION_AT_TEXT(struct enrich_flags, dead),
     .flag_only = true,
     .help =
         "write refused lines there, as JSON lines with number and reason, instead of to stderr"},
};
static const struct option_table flags = OPTION_TABLE("Filter", rows, struct enrich_flags);

static enum status run(struct app *app, struct error *err)
{
    const struct enrich_flags *own = app->own;
    FILE *dead = NULL;
    if (own->dead != NULL && (dead = fopen(own->dead, "w")) == NULL)
        return error_set(err, ST_FATAL, ERR_IO, "%s: %s", own->dead, strerror(errno));
    struct answering how = {
        .opt = app->enrich, .chain = config_tree(app->cfg, "enrichers"), .stage = app->stage};
    struct engine *engine = NULL;
    enum status st = answering_open(&how, &engine, err);
    struct filter_config cfg = {
        .limits = stage_post_limits(app->stage),
        .engine = engine,
        .dead = dead,
        .from = config_argument_count(app->cfg) > 0 ? config_argument(app->cfg, 0) : "-"};
    int64_t refused = 0;
    if (st == ST_OK)
        st = filter_run(&cfg, &refused, err);
    answering_close(engine);
    if (dead != NULL && fclose(dead) != 0 && st == ST_OK)
        st = error_set(err, ST_FATAL, ERR_IO, "%s: %s", own->dead, strerror(errno));
    app->exit_code = refused > 0 ? 1 : 0;
    return st;
}

static const char *const of_pipeline[] = {"state-dir", "post-max-bytes", "post-max-depth", NULL};

const struct command enrich_command = {
    .name = "enrich",
    .summary = "filter: posts on stdin, enriched posts on stdout, no broker",
    .synopsis = "enrich [FILE] [--dead FILE] [OPTION]...",
    .examples = "  sluice enrich < posts.jsonl > enriched.jsonl\n"
                "  echo '{\"id\":1,\"text\":\"Just had a great coffee!\"}' | sluice enrich\n\n",
    .tables = {&enrich_option_table, &general_option_table, &stage_option_table},
    .of_pipeline = of_pipeline,
    .own = &flags,
    .max_arguments = 1,
    .run = run,
};

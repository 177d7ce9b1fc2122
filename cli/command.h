/* A command of the program: one file each, in this table's terms. Main thread. */
#ifndef SLUICE_CLI_COMMAND_H
#define SLUICE_CLI_COMMAND_H

#include <stdio.h>

#include "api/tables.h"
#include "lib/base/error.h"
#include "lib/broker/broker.h"
#include "lib/config/config.h"
#include "lib/config/general.h"
#include "lib/enrich/enrich.h"
#include "lib/enrich/options.h"
#include "lib/stage/options.h"
#include "stages/enhance/options.h"
#include "stages/sink/options.h"
#include "stages/source/options.h"

/* What a command runs with: the configuration, by owner. */
struct app {
    const struct command *command;
    struct config *cfg;
    const struct general_options *general;
    const struct broker_options *broker;
    const struct stage_options *stage;
    const struct source_options *source;
    const struct enhance_options *enhance;
    const struct enrich_options *enrich;
    const struct sink_options *sink;
    const void *own; /* of command->own */
    int exit_code;   /* when run returns ST_OK */
};

enum { COMMAND_TABLES_MAX = 10 };

struct command {
    const char *name;
    const char *summary;                                   /* one line */
    const char *synopsis;                                  /* what follows "sluice" */
    const char *examples;                                  /* lines */
    const struct option_table *tables[COMMAND_TABLES_MAX]; /* whose flags it takes */
    const char *const *of_pipeline; /* the keys it takes of stage_option_table; NULL: all */
    const struct option_table *own; /* flags of this command alone, or NULL */
    size_t max_arguments;
    const char *words; /* what the first argument may be, for completions: "make reset", or NULL */
    enum status (*run)(struct app *app, struct error *err);
};

extern const struct command run_command, source_command, enhance_command, sink_command,
    enrich_command, topics_command, tap_command, check_command, config_command, healthcheck_command,
    version_command, verify_command, dlq_command, completion_command;

/* The commands in the order of the overview; NULL past the last one. */
const struct command *command_at(size_t i);

/* The i-th table of the command's flags, its own first; NULL past the last one. */
const struct option_table *command_table(const struct command *command, size_t i);

/* Whether this option of one of those tables is a flag of the command. */
bool command_takes(const struct command *command, const struct option_table *table,
                   const char *key);

/* The man page sluice(1), in the mdoc-free roff that every man understands. */
void manual_print(FILE *out);

/* The exit code that belongs to an error, as DESIGN's contract and docs/DELIVERY.md list them. */
int exit_code_of(enum error_kind kind);

#endif

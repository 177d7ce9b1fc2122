/* The options every command has. The words stand in the order of the enums of lib/base/log.h, so
 * that their index is the enum's value. */
#include "lib/config/general.h"

#include <assert.h>

#include "lib/base/log.h"

static_assert(LOG_ERROR == 0 && LOG_TRACE == 4, "level_words follow enum log_level");
static_assert(LOG_AUTO == 0 && LOG_JSON == 2, "format_words follow enum log_format");

static const char *const level_words[] = {"error", "warn", "info", "debug", "trace", NULL};
static const char *const format_words[] = {"auto", "text", "json", NULL};

#define ROW(field, kind) OPTION_AT_##kind(struct general_options, field)

static const struct option rows[] = {
    {.key = "config",
     .arg = "FILE",
     ROW(config, TEXT),
     .help = "read options from this YAML file; flags and environment win over it"},
    {.key = "log-level",
     .arg = "LEVEL",
     .fallback = "info",
     ROW(log_level, WORD),
     .words = level_words,
     .help = "how much to log on stderr"},
    {.key = "log-format",
     .arg = "FORMAT",
     .fallback = "auto",
     ROW(log_format, WORD),
     .words = format_words,
     .help = "auto: text on a terminal, JSON lines elsewhere"},
    {.key = "quiet",
     .letter = 'q',
     ROW(quiet, BOOL),
     .fallback = "false",
     .help = "do not print the [SOURCE] and [SINK] lines"},
};

const struct option_table general_option_table =
    OPTION_TABLE("General", rows, struct general_options);

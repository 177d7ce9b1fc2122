/* Rows of the options of sink. */
#include "stages/sink/options.h"

#include "stages/sink/store.h"

#define ROW(field, kind) OPTION_AT_##kind(struct sink_options, field)

static const struct option rows[] = {
    {.key = "sink-group",
     .arg = "NAME",
     .fallback = "sluice-sink",
     ROW(group, TEXT),
     .filled = true,
     .help = "consumer group of the sink"},
    {.key = "to",
     .arg = "STORE",
     .fallback = "lines",
     ROW(to, WORD),
     .words = store_names,
     .help = "lines: [SINK] Received Post ID=1; jsonl: the enriched posts themselves, one a line; "
             "none: count only"},
};

const struct option_table sink_option_table = OPTION_TABLE("Sink", rows, struct sink_options);

/* Rows of the options of source. */
#include "stages/source/options.h"

#define ROW(field, kind) OPTION_AT_##kind(struct source_options, field)

static const struct option rows[] = {
    {.key = "from",
     .arg = "FEED",
     .fallback = "sample",
     ROW(from, TEXT),
     .help = "where posts come from: FILE or - (standard input), one JSON post a line; sample (the "
             "bundled posts); generate (made up, without end unless --count)"},
    {.key = "rate",
     .arg = "N",
     .fallback = "0",
     ROW(rate, REAL),
     .min = 0,
     .max = 1e9,
     .help = "posts per second; 0: as fast as possible"},
    {.key = "count",
     .arg = "N",
     .fallback = "0",
     ROW(count, INT),
     .min = 0,
     .max = 1e15,
     .help = "end after so many posts; 0: when the feed ends"},
    {.key = "repeat",
     .arg = "N",
     .fallback = "1",
     ROW(repeat, INT),
     .min = 0,
     .max = 1e15,
     .help = "read a file or the sample so many times; 0: without end"},
    {.key = "key",
     .arg = "MEMBER",
     .fallback = "id",
     ROW(key, TEXT),
     .help = "the record's key: a top-level member of the post as text, or none"},
    {.key = "key-delim",
     .arg = "TEXT",
     ROW(key_delim, TEXT),
     .help = "lines are KEY, this text (\\t for a tab), POST"},
    {.key = "seed",
     .arg = "N",
     .fallback = "1",
     ROW(seed, INT),
     .help = "seed of the generator: equal seeds make equal posts"},
};

const struct option_table source_option_table = OPTION_TABLE("Source", rows, struct source_options);

/* Options of the source stage. Any thread: constant after load. */
#ifndef SLUICE_SOURCE_OPTIONS_H
#define SLUICE_SOURCE_OPTIONS_H

#include "lib/config/option.h"

struct source_options {
    const char *from;      /* FILE, "-", "sample", "generate" */
    double rate;           /* posts per second; 0: as fast as possible */
    int64_t count, repeat; /* 0: no limit */
    const char *key;       /* "id", "none", or a member's name */
    const char *key_delim; /* NULL: the line is the post */
    int64_t seed;          /* of the generator */
};
extern const struct option_table source_option_table;

#endif

/* Options of the sink stage. Any thread: constant after load. */
#ifndef SLUICE_SINK_OPTIONS_H
#define SLUICE_SINK_OPTIONS_H

#include "lib/config/option.h"

struct sink_options {
    const char *group;
    int to; /* index into the stores */
};
extern const struct option_table sink_option_table;

#endif

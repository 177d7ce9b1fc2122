/* Options of the enhance stage. Any thread: constant after load. */
#ifndef SLUICE_ENHANCE_OPTIONS_H
#define SLUICE_ENHANCE_OPTIONS_H

#include "lib/config/option.h"

struct enhance_options {
    const char *group;
    int64_t workers;
    int order; /* enum order of window.h */
    int64_t window_posts, window_bytes;
};
extern const struct option_table enhance_option_table;

#endif

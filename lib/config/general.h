/* The options every command has. Its table belongs into both lists of struct config_source:
 * the loader finds the YAML file by the key `config`. Threads: constant. */
#ifndef SLUICE_CONFIG_GENERAL_H
#define SLUICE_CONFIG_GENERAL_H

#include "lib/config/option.h"

struct general_options {
    const char *config; /* path of the YAML file, or NULL */
    int log_level;      /* enum log_level */
    int log_format;     /* enum log_format */
    bool quiet;         /* no [SOURCE] and [SINK] lines on stdout */
};

extern const struct option_table general_option_table;

#endif

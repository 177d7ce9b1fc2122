/* The effective configuration: flag > environment > YAML file (--config) > default, with the origin
 * of each value. Unknown keys, bad values and unreadable secrets are errors that name the key and
 * its origin. Threads: load on one thread; afterwards any thread may read. */
#ifndef SLUICE_CONFIG_CONFIG_H
#define SLUICE_CONFIG_CONFIG_H

#include <stdio.h>

#include "lib/base/error.h"
#include "lib/config/option.h"

struct config;

/* The flags of a command: those of these tables; of `narrowed`, where it is not NULL, only the ones
 * whose keys are in `only`, which ends with NULL. */
struct flag_choice {
    const struct option_table *const *tables;
    size_t n;
    const struct option_table *narrowed;
    const char *const *only;
};
bool flag_is_chosen(const struct flag_choice *choice, const struct option_table *table,
                    const char *key);

/* What a load reads. `tables` are all that exist: environment and file may set any of them, so
 * that one file serves all commands. Flags are accepted only where `flags` says so. */
struct config_source {
    const struct option_table *const *tables;
    size_t table_count;
    struct flag_choice flags;
    int argc; /* flags and arguments after the command's name */
    char **argv;
    char **env;                  /* "NAME=value", ends with NULL */
    const char *const *settings; /* "key=value" of a program, ends with NULL; as strong as flags */
    size_t max_arguments;        /* positional ones that the command takes */
};

/* Reads everything. Errors: ERR_USAGE for flags that do not exist (with the nearest one that does)
 * and superfluous arguments, ERR_CONFIG for all else. Caller owns *ret. */
enum status config_load(const struct config_source *src, struct config **ret,
                        struct error *err) MUST_CHECK;
void config_free(struct config *cfg);

/* The filled struct of a table, borrowed until config_free. Never NULL for a known table. */
const void *config_section(const struct config *cfg, const struct option_table *table);

/* The positional arguments. */
size_t config_argument_count(const struct config *cfg);
const char *config_argument(const struct config *cfg, size_t i);

/* Whether the value of `key` comes from anywhere but its default. */
bool config_is_set(const struct config *cfg, const char *key);

/* Whether any secret has a value. */
bool config_has_secret(const struct config *cfg);

/* Part of the YAML file that is no table's row but was announced by config_allow_tree
 * ("enrichers"): the subtree as JSON text, or NULL when absent. Borrowed. */
void config_allow_tree(const char *key); /* before config_load, main thread */
const char *config_tree(const struct config *cfg, const char *key);

/* Every value with its origin, as YAML with comments, or as JSON. Secrets show as "(hidden)". */
void config_print(const struct config *cfg, FILE *out);
void config_print_json(const struct config *cfg, FILE *out);

/* Help text of the flags, wrapped to `columns`; and of all tables as a Markdown document. */
void config_print_help(const struct flag_choice *choice, int columns, FILE *out);
void config_print_markdown(const struct option_table *const *tables, size_t n, FILE *out);

#endif

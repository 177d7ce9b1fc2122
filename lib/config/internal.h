/* What the files of this folder share: one setting per row, and the four sources that put values
 * into them.
 *
 * Ensures: (1) a value is put only when its rank is at least that of the value before; (2) every
 * value that is read is checked, also when a higher source hides it; (3) the value of a secret
 * never gets into an error or a print. Threads: one thread. */
#ifndef SLUICE_CONFIG_INTERNAL_H
#define SLUICE_CONFIG_INTERNAL_H

#include "lib/base/arena.h"
#include "lib/base/buf.h"
#include "lib/base/span.h"
#include "lib/config/config.h"

/* A higher rank wins. */
enum rank { RANK_NONE, RANK_DEFAULT, RANK_FILE, RANK_OTHER_VARIABLE, RANK_VARIABLE, RANK_FLAG };

struct setting {
    const struct option *row;
    const struct option_table *table;
    void *field;
    bool active; /* may be given as a flag */
    enum rank rank;
    const char *text; /* as it was written; NULL: no value. Not used by lists */
    const char *origin;
    struct option_list list; /* the memory of `items` is the setting's */
    size_t list_cap;
    int line; /* in the file; 0: not there */
};

enum { TREES_MAX = 8 };
struct tree {
    const char *key, *json, *origin;
};

struct config {
    struct arena arena;
    const struct config_source *src; /* while loading */
    const struct option_table **tables;
    void **sections;
    size_t table_count;
    struct setting *settings;
    size_t setting_count;
    const char **arguments;
    size_t argument_count;
    struct tree trees[TREES_MAX];
    size_t tree_count;
};

/* A copy that lives as long as the config. */
char *config_copy(struct config *cfg, struct span text);
char *config_format(struct config *cfg, const char *fmt, ...) PRINTF_LIKE(2, 3);

struct setting *config_find(const struct config *cfg, const char *key);

/* Check `text` and take it, unless a higher rank was here. For a list: one more item; a first item
 * of a higher rank replaces all. ERR_CONFIG names key, value, origin and what is accepted. */
enum status setting_put(struct config *cfg, struct setting *set, enum rank rank, const char *origin,
                        struct span text, struct error *err) MUST_CHECK;

/* The content of the file at `path` as the value: for secrets. */
enum status setting_put_file(struct config *cfg, struct setting *set, enum rank rank,
                             const char *origin, const char *path, struct error *err) MUST_CHECK;

/* Read at most `max` bytes of a file into *out (which is initialised; the caller ends it in any
 * case). NULL, or why it did not go. */
const char *config_read_bytes(const char *path, size_t max, struct buf *out);

/* The sources. */
enum status config_read_flags(struct config *cfg, struct error *err) MUST_CHECK;
enum status config_read_settings(struct config *cfg, struct error *err) MUST_CHECK;
enum status config_read_environment(struct config *cfg, struct error *err) MUST_CHECK;
enum status config_read_file(struct config *cfg, struct error *err) MUST_CHECK;
enum status config_read_yaml(struct config *cfg, struct span bytes, const char *name,
                             struct error *err) MUST_CHECK;

/* config_load with the YAML text in memory instead of a file; `name` stands in the origins. For
 * tests and fuzzing. */
enum status config_load_memory(const struct config_source *src, struct span yaml, const char *name,
                               struct config **ret, struct error *err) MUST_CHECK;

bool config_is_tree(const char *key);

#endif

/* Loads the effective configuration: flags, environment and file are read in this order, each into
 * the settings whose present value has no higher rank; then defaults fill what is left. */
#include "lib/config/config.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/config/internal.h"
#include "lib/config/names.h"
#include "lib/config/value.h"

enum { SECRET_MAX = 64 << 10, SHOWN_MAX = 80 };

static const char *allowed_trees[TREES_MAX];
static size_t allowed_tree_count;

void config_allow_tree(const char *key)
{
    if (config_is_tree(key))
        return;
    assert(allowed_tree_count < TREES_MAX);
    allowed_trees[allowed_tree_count++] = key;
}

bool config_is_tree(const char *key)
{
    for (size_t i = 0; i < allowed_tree_count; i++)
        if (strcmp(allowed_trees[i], key) == 0)
            return true;
    return false;
}

char *config_copy(struct config *cfg, struct span text)
{
    char *copy = arena_alloc(&cfg->arena, text.n + 1);
    if (text.n > 0)
        memcpy(copy, text.p, text.n);
    copy[text.n] = '\0';
    return copy;
}

char *config_format(struct config *cfg, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    size_t len = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    return config_copy(cfg, span_make(text, len));
}

struct setting *config_find(const struct config *cfg, const char *key)
{
    for (size_t i = 0; i < cfg->setting_count; i++)
        if (!cfg->settings[i].row->flag_only && strcmp(cfg->settings[i].row->key, key) == 0)
            return &cfg->settings[i];
    return NULL;
}

static enum status bad_value(const struct setting *set, const char *origin, struct span text,
                             struct error *err)
{
    char shown[SHOWN_MAX];
    size_t n = text.n < sizeof shown ? text.n : sizeof shown - 1;
    for (size_t i = 0; i < n; i++)
        shown[i] = iscntrl((unsigned char)text.p[i]) ? '?' : text.p[i];
    shown[n] = '\0';
    struct buf accepts = {0};
    value_describe(set->row, &accepts);
    error_set(err, ST_FATAL, ERR_CONFIG, "%s: bad value \"%s\" (%s): expected %s", set->row->key,
              set->row->secret ? "(hidden)" : shown, origin, buf_str(&accepts));
    buf_fini(&accepts);
    return ST_FATAL;
}

static void put_item(struct setting *set, enum rank rank, const char *text)
{
    struct option_list *list = &set->list;
    if (rank > set->rank)
        list->n = 0;
    if (list->n == set->list_cap) {
        set->list_cap = set->list_cap == 0 ? 4 : set->list_cap * 2;
        list->items = mem_realloc(list->items, set->list_cap * sizeof *list->items);
    }
    list->items[list->n++] = text;
    *(struct option_list *)set->field = *list;
}

static struct span trimmed(struct span text)
{
    while (text.n > 0 && isspace((unsigned char)text.p[0]))
        text = span_make(text.p + 1, text.n - 1);
    while (text.n > 0 && isspace((unsigned char)text.p[text.n - 1]))
        text.n--;
    return text;
}

enum status setting_put(struct config *cfg, struct setting *set, enum rank rank, const char *origin,
                        struct span text, struct error *err)
{
    bool is_text = set->row->type == OPTION_TEXT || set->row->type == OPTION_LIST;
    char *copy = config_copy(cfg, is_text ? text : trimmed(text));
    union value value;
    if (!value_parse(set->row, copy, &value))
        return bad_value(set, origin, text, err);
    if (rank < set->rank)
        return ST_OK;
    if (set->row->type == OPTION_LIST)
        put_item(set, rank, copy);
    else
        value_store(set->row, set->field, &value, copy);
    set->text = copy;
    set->rank = rank;
    set->origin = origin;
    return ST_OK;
}

const char *config_read_bytes(const char *path, size_t max, struct buf *out)
{
    buf_init(out, max + 1);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return strerror(errno);
    ssize_t got = 1;
    while (got > 0 && out->n <= max && !out->full) {
        char piece[4096];
        got = read(fd, piece, sizeof piece);
        if (got > 0)
            buf_add(out, piece, (size_t)got);
    }
    const char *why = got < 0 ? strerror(errno) : NULL;
    close(fd);
    return out->full || out->n > max ? "it is too large" : why;
}

/* Of a list: an item in each line, as request headers are written. */
static enum status put_lines(struct config *cfg, struct setting *set, enum rank rank,
                             const char *origin, struct span text, struct error *err)
{
    enum status st = ST_OK;
    while (text.n > 0 && st == ST_OK) {
        const char *end = memchr(text.p, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        struct span line = trimmed(span_make(text.p, n));
        if (line.n > 0)
            st = setting_put(cfg, set, rank, origin, line, err);
        n += end != NULL;
        text = span_make(text.p + n, text.n - n);
    }
    return st;
}

enum status setting_put_file(struct config *cfg, struct setting *set, enum rank rank,
                             const char *origin, const char *path, struct error *err)
{
    struct buf content;
    const char *why = config_read_bytes(path, SECRET_MAX, &content);
    if (why == NULL && content.n > 0 && content.p[content.n - 1] == '\n')
        content.n--;
    if (why == NULL && content.n == 0)
        why = "it is empty";
    else if (why == NULL && memchr(content.p, '\0', content.n) != NULL)
        why = "it holds a zero byte";
    enum status st = ST_OK;
    if (why == NULL && set->row->type == OPTION_LIST)
        st = put_lines(cfg, set, rank, origin, buf_span(&content), err);
    else if (why == NULL)
        st = setting_put(cfg, set, rank, origin, buf_span(&content), err);
    else
        st = error_set(err, ST_FATAL, ERR_CONFIG, "%s (%s): cannot use the file %s: %s",
                       set->row->key, origin, path, why);
    buf_fini(&content);
    return st;
}

static bool is_among(const char *key, const char *const *keys)
{
    while (*keys != NULL && strcmp(*keys, key) != 0)
        keys++;
    return *keys != NULL;
}

bool flag_is_chosen(const struct flag_choice *choice, const struct option_table *table,
                    const char *key)
{
    for (size_t i = 0; i < choice->n; i++)
        if (choice->tables[i] == table)
            return choice->narrowed != table || is_among(key, choice->only);
    return false;
}

static struct config *config_new(const struct config_source *src)
{
    struct config *cfg = mem_zalloc(sizeof *cfg);
    cfg->src = src;
    cfg->table_count = src->table_count;
    cfg->tables = mem_array(src->table_count + 1, sizeof *cfg->tables);
    cfg->sections = mem_array(src->table_count + 1, sizeof *cfg->sections);
    cfg->arguments = mem_array(src->max_arguments + 1, sizeof *cfg->arguments);
    size_t rows = 0;
    for (size_t i = 0; i < src->table_count; i++)
        rows += src->tables[i]->n;
    cfg->settings = mem_array(rows + 1, sizeof *cfg->settings);
    for (size_t i = 0; i < src->table_count; i++) {
        const struct option_table *table = cfg->tables[i] = src->tables[i];
        char *section = cfg->sections[i] = mem_zalloc(table->size);
        for (size_t r = 0; r < table->n; r++)
            cfg->settings[cfg->setting_count++] =
                (struct setting){.row = &table->rows[r],
                                 .table = table,
                                 .field = section + table->rows[r].offset,
                                 .active = flag_is_chosen(&src->flags, table, table->rows[r].key)};
    }
    return cfg;
}

static enum status put_defaults(struct config *cfg, struct error *err)
{
    for (size_t i = 0; i < cfg->setting_count; i++) {
        struct setting *set = &cfg->settings[i];
        if (set->rank != RANK_NONE)
            continue;
        set->origin = "default";
        if (set->row->fallback == NULL)
            continue;
        enum status st =
            setting_put(cfg, set, RANK_DEFAULT, "default", span_of(set->row->fallback), err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status load(struct config *cfg, const struct span *yaml, const char *name,
                        struct error *err)
{
    enum status st = config_read_flags(cfg, err);
    if (st == ST_OK)
        st = config_read_settings(cfg, err);
    if (st == ST_OK)
        st = config_read_environment(cfg, err);
    if (st == ST_OK)
        st = yaml == NULL ? config_read_file(cfg, err) : config_read_yaml(cfg, *yaml, name, err);
    if (st == ST_OK)
        st = put_defaults(cfg, err);
    return st;
}

static enum status load_new(const struct config_source *src, const struct span *yaml,
                            const char *name, struct config **ret, struct error *err)
{
    struct config *cfg = config_new(src);
    enum status st = load(cfg, yaml, name, err);
    cfg->src = NULL;
    if (st == ST_OK)
        *ret = cfg;
    else
        config_free(cfg);
    return st;
}

enum status config_load(const struct config_source *src, struct config **ret, struct error *err)
{
    return load_new(src, NULL, NULL, ret, err);
}

enum status config_load_memory(const struct config_source *src, struct span yaml, const char *name,
                               struct config **ret, struct error *err)
{
    return load_new(src, &yaml, name, ret, err);
}

void config_free(struct config *cfg)
{
    if (cfg == NULL)
        return;
    for (size_t i = 0; i < cfg->setting_count; i++)
        mem_free(cfg->settings[i].list.items);
    for (size_t i = 0; i < cfg->table_count; i++)
        mem_free(cfg->sections[i]);
    mem_free(cfg->settings);
    mem_free(cfg->sections);
    mem_free(cfg->tables);
    mem_free(cfg->arguments);
    arena_fini(&cfg->arena);
    mem_free(cfg);
}

const void *config_section(const struct config *cfg, const struct option_table *table)
{
    for (size_t i = 0; i < cfg->table_count; i++)
        if (cfg->tables[i] == table)
            return cfg->sections[i];
    return NULL;
}

size_t config_argument_count(const struct config *cfg)
{
    return cfg->argument_count;
}

const char *config_argument(const struct config *cfg, size_t i)
{
    return i < cfg->argument_count ? cfg->arguments[i] : NULL;
}

bool config_is_set(const struct config *cfg, const char *key)
{
    const struct setting *set = config_find(cfg, key);
    return set != NULL && set->rank > RANK_DEFAULT;
}

/* A link of a chain names the file of a secret. */
static bool tree_names(const struct config *cfg, const char *key)
{
    char member[NAME_SIZE + 16];
    snprintf(member, sizeof member, "\"%s-file\"", key);
    for (size_t i = 0; i < cfg->tree_count; i++)
        if (strstr(cfg->trees[i].json, member) != NULL)
            return true;
    return false;
}

bool config_has_secret(const struct config *cfg)
{
    for (size_t i = 0; i < cfg->setting_count; i++) {
        const struct setting *set = &cfg->settings[i];
        if (set->row->secret && (set->rank > RANK_DEFAULT || tree_names(cfg, set->row->key)))
            return true;
    }
    return false;
}

const char *config_tree(const struct config *cfg, const char *key)
{
    for (size_t i = 0; i < cfg->tree_count; i++)
        if (strcmp(cfg->trees[i].key, key) == 0)
            return cfg->trees[i].json;
    return NULL;
}

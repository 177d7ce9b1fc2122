/* Reads the YAML file. A row's key may be spelled as a path of maps (a: {b-c: v}), flat ("a.b-c:")
 * or, at the top, as its flag without dashes in front ("a-b-c:"). */
#include <stdio.h>
#include <string.h>

#include "lib/config/document.h"
#include "lib/config/internal.h"
#include "lib/config/names.h"

enum { PATH_SIZE = 256 };

struct walk {
    struct config *cfg;
    const char *name; /* of the file */
    struct arena arena;
};

static const char *origin_of(const struct walk *w, int line)
{
    return config_format(w->cfg, "%s line %d", w->name, line);
}

static enum status unknown_key(const struct walk *w, const char *path, int line, struct error *err)
{
    struct nearest near = {.wanted = path};
    for (size_t i = 0; i < w->cfg->setting_count; i++)
        nearest_offer(&near, w->cfg->settings[i].row->key);
    error_set(err, ST_FATAL, ERR_CONFIG, "%s line %d: unknown key %.100s", w->name, line, path);
    size_t n = err == NULL ? 0 : strlen(err->text);
    if (err != NULL && near.best != NULL)
        snprintf(err->text + n, sizeof err->text - n, "; did you mean %s?", near.best);
    return ST_FATAL;
}

static struct setting *find_setting(const struct config *cfg, const char *path, bool is_top)
{
    struct setting *set = config_find(cfg, path);
    for (size_t i = 0; set == NULL && is_top && i < cfg->setting_count; i++) {
        char dashed[NAME_SIZE];
        name_dashed(cfg->settings[i].row->key, dashed);
        if (!cfg->settings[i].row->flag_only && strcmp(dashed, path) == 0)
            set = &cfg->settings[i];
    }
    return set;
}

static bool is_group(const struct config *cfg, const char *path)
{
    size_t n = strlen(path);
    for (size_t i = 0; i < cfg->setting_count; i++) {
        const char *key = cfg->settings[i].row->key;
        if (strncmp(key, path, n) == 0 && key[n] == '.')
            return true;
    }
    return false;
}

/* Items of a list; those of a map become NAME=VALUE. */
static enum status put_items(struct walk *w, struct setting *set, const struct node *node,
                             const char *origin, struct error *err)
{
    for (const struct node *item = node->first; item != NULL; item = item->next) {
        if (item->kind != NODE_SCALAR)
            return error_set(err, ST_FATAL, ERR_CONFIG, "%s: expected a plain value (%s line %d)",
                             set->row->key, w->name, item->line);
        struct buf text = {0};
        if (item->key != NULL)
            buf_printf(&text, "%s=", item->key);
        buf_add_str(&text, item->text);
        enum status st = setting_put(w->cfg, set, RANK_FILE, origin, buf_span(&text), err);
        buf_fini(&text);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

static enum status refuse_secret(const struct walk *w, const struct setting *set, int line,
                                 struct error *err)
{
    char name[NAME_SIZE];
    name_variable(set->row->key, name);
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "%s (%s): a secret does not belong into this file: use the environment "
                     "variable %s, or %s-file with the path of a file",
                     set->row->key, origin_of(w, line), name, set->row->key);
}

static enum status put_node(struct walk *w, struct setting *set, const struct node *node,
                            struct error *err)
{
    const char *origin = origin_of(w, node->line);
    if (set->row->secret)
        return refuse_secret(w, set, node->line, err);
    if (set->line != 0)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s (%s): it stands on line %d too",
                         set->row->key, origin, set->line);
    set->line = node->line;
    if (node_is_null(node))
        return ST_OK;
    if (node->kind == NODE_SCALAR)
        return setting_put(w->cfg, set, RANK_FILE, origin, span_of(node->text), err);
    if (set->row->type == OPTION_LIST)
        return put_items(w, set, node, origin, err);
    return error_set(err, ST_FATAL, ERR_CONFIG, "%s (%s): expected one value, not a %s",
                     set->row->key, origin, node->kind == NODE_LIST ? "list" : "map");
}

/* KEY-file: PATH for the secret KEY. */
static struct setting *find_secret(const struct config *cfg, const char *path, bool is_top)
{
    static const char suffix[] = "-file";
    size_t n = strlen(path), cut = sizeof suffix - 1;
    if (n <= cut || strcmp(path + n - cut, suffix) != 0)
        return NULL;
    char key[PATH_SIZE];
    memcpy(key, path, n - cut);
    key[n - cut] = '\0';
    struct setting *set = find_setting(cfg, key, is_top);
    return set != NULL && set->row->secret ? set : NULL;
}

static enum status put_secret(struct walk *w, struct setting *set, const struct node *node,
                              struct error *err)
{
    if (node_is_null(node))
        return ST_OK;
    if (node->kind != NODE_SCALAR)
        return error_set(err, ST_FATAL, ERR_CONFIG, "%s-file (%s line %d): expected a path",
                         set->row->key, w->name, node->line);
    return setting_put_file(w->cfg, set, RANK_FILE, origin_of(w, node->line), node->text, err);
}

/* In a tree too, which is shown as it is. Recursion is bounded by DOCUMENT_MAX_DEPTH. */
static enum status refuse_secrets(const struct walk *w, const struct node *tree, struct error *err)
{
    enum status st = ST_OK;
    for (const struct node *node = tree->first; node != NULL && st == ST_OK; node = node->next) {
        const struct setting *set = node->key == NULL ? NULL : config_find(w->cfg, node->key);
        if (set != NULL && set->row->secret)
            return refuse_secret(w, set, node->line, err);
        st = refuse_secrets(w, node, err);
    }
    return st;
}

static enum status put_tree(struct walk *w, const struct node *node, struct error *err)
{
    struct config *cfg = w->cfg;
    if (cfg->tree_count == TREES_MAX)
        return unknown_key(w, node->key, node->line, err);
    enum status st = refuse_secrets(w, node, err);
    if (st != ST_OK)
        return st;
    struct buf json = {0};
    node_to_json(node, &json);
    cfg->trees[cfg->tree_count++] = (struct tree){.key = config_copy(cfg, span_of(node->key)),
                                                  .json = config_copy(cfg, buf_span(&json)),
                                                  .origin = origin_of(w, node->line)};
    buf_fini(&json);
    return ST_OK;
}

static enum status walk_map(struct walk *w, const struct node *map, const char *above,
                            struct error *err);

static enum status walk_node(struct walk *w, const struct node *node, const char *above,
                             struct error *err)
{
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s%s%s", above, *above == '\0' ? "" : ".", node->key);
    if (n < 0 || (size_t)n >= sizeof path)
        return unknown_key(w, node->key, node->line, err);
    bool is_top = *above == '\0';
    if (is_top && config_is_tree(node->key))
        return node_is_null(node) ? ST_OK : put_tree(w, node, err);
    struct setting *set = find_setting(w->cfg, path, is_top);
    bool group = is_group(w->cfg, path);
    if (group && node->kind == NODE_MAP && (set == NULL || set->row->type != OPTION_LIST))
        return walk_map(w, node, path, err);
    if (set != NULL)
        return put_node(w, set, node, err);
    set = find_secret(w->cfg, path, is_top);
    if (set != NULL)
        return put_secret(w, set, node, err);
    if (group && node_is_null(node))
        return ST_OK;
    return unknown_key(w, path, node->line, err);
}

/* Recursion is bounded by DOCUMENT_MAX_DEPTH. */
static enum status walk_map(struct walk *w, const struct node *map, const char *above,
                            struct error *err)
{
    for (const struct node *node = map->first; node != NULL; node = node->next) {
        enum status st = walk_node(w, node, above, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

enum status config_read_yaml(struct config *cfg, struct span bytes, const char *name,
                             struct error *err)
{
    struct walk w = {.cfg = cfg, .name = name};
    struct node *top = NULL;
    enum status st = document_parse(bytes, name, &w.arena, &top, err);
    if (st == ST_OK && top != NULL)
        st = walk_map(&w, top, "", err);
    arena_fini(&w.arena);
    return st;
}

enum status config_read_file(struct config *cfg, struct error *err)
{
    const struct setting *set = config_find(cfg, "config");
    if (set == NULL || set->text == NULL)
        return ST_OK;
    struct buf content;
    const char *why = config_read_bytes(set->text, DOCUMENT_MAX_BYTES, &content);
    enum status st = ST_OK;
    if (why == NULL)
        st = config_read_yaml(cfg, buf_span(&content), set->text, err);
    else
        st = error_set(err, ST_FATAL, ERR_CONFIG, "config (%s): cannot read %s: %s", set->origin,
                       set->text, why);
    buf_fini(&content);
    return st;
}

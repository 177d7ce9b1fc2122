/* The effective configuration with origins: as YAML that can be fed back with --config (flat keys,
 * so that a row may be the beginning of another's key), and as JSON. Secrets are never shown: in
 * YAML they are comments. */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/config/internal.h"

static void add_quoted(struct buf *out, const char *text)
{
    buf_add_char(out, '"');
    buf_add_json(out, span_of(text));
    buf_add_char(out, '"');
}

static void add_list(const struct setting *set, struct buf *out)
{
    buf_add_char(out, '[');
    for (size_t i = 0; i < set->list.n; i++) {
        buf_add_str(out, i == 0 ? "" : ", ");
        add_quoted(out, set->list.items[i]);
    }
    buf_add_char(out, ']');
}

/* A value that has a unit keeps the text it was written with. */
static void add_yaml_value(const struct setting *set, struct buf *out)
{
    switch (set->row->type) {
    case OPTION_LIST:
        add_list(set, out);
        break;
    case OPTION_TEXT:
        add_quoted(out, set->text);
        break;
    case OPTION_BOOL:
        buf_add_str(out, *(const bool *)set->field ? "true" : "false");
        break;
    default:
        buf_add_str(out, set->text);
        break;
    }
}

static void add_json_value(const struct setting *set, struct buf *out)
{
    switch (set->row->type) {
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        buf_printf(out, "%lld", (long long)*(const int64_t *)set->field);
        break;
    case OPTION_REAL:
        buf_printf(out, "%.17g", *(const double *)set->field);
        break;
    case OPTION_WORD:
        add_quoted(out, set->text);
        break;
    default:
        add_yaml_value(set, out);
        break;
    }
}

static void flush(struct buf *text, FILE *out)
{
    fwrite(buf_str(text), 1, text->n, out);
    buf_fini(text);
}

static void add_yaml_line(const struct setting *set, struct buf *out)
{
    const char *key = set->row->key;
    if (set->text == NULL) {
        buf_printf(out, "# %s: (not set)\n", key);
        return;
    }
    if (set->row->secret) {
        buf_printf(out, "# %s: (hidden)  # %s\n", key, set->origin);
        return;
    }
    size_t start = out->n;
    buf_printf(out, "%s: ", key);
    add_yaml_value(set, out);
    size_t width = out->n - start;
    buf_printf(out, "%*s  # %s\n", width < 40 ? (int)(40 - width) : 0, "", set->origin);
}

void config_print(const struct config *cfg, FILE *out)
{
    struct buf text = {0};
    const struct option_table *table = NULL;
    for (size_t i = 0; i < cfg->setting_count; i++) {
        const struct setting *set = &cfg->settings[i];
        if (set->row->flag_only)
            continue;
        if (set->table != table)
            buf_printf(&text, "%s# --- %s ---\n", table == NULL ? "" : "\n", set->table->title);
        table = set->table;
        add_yaml_line(set, &text);
    }
    for (size_t i = 0; i < cfg->tree_count; i++)
        buf_printf(&text, "\n# %s\n%s: %s\n", cfg->trees[i].origin, cfg->trees[i].key,
                   cfg->trees[i].json);
    flush(&text, out);
}

static void add_json_member(const struct setting *set, struct buf *out)
{
    add_quoted(out, set->row->key);
    buf_add_str(out, ": {\"value\": ");
    if (set->text == NULL)
        buf_add_str(out, "null");
    else if (set->row->secret)
        buf_add_str(out, "\"(hidden)\"");
    else
        add_json_value(set, out);
    if (set->text != NULL && (set->row->type == OPTION_SIZE || set->row->type == OPTION_DURATION)) {
        buf_add_str(out, ", \"text\": ");
        add_quoted(out, set->text);
    }
    buf_add_str(out, ", \"origin\": ");
    add_quoted(out, set->origin);
    buf_add_char(out, '}');
}

void config_print_json(const struct config *cfg, FILE *out)
{
    struct buf text = {0};
    buf_add_str(&text, "{");
    size_t n = 0;
    for (size_t i = 0; i < cfg->setting_count; i++) {
        if (cfg->settings[i].row->flag_only)
            continue;
        buf_add_str(&text, n++ == 0 ? "\n  " : ",\n  ");
        add_json_member(&cfg->settings[i], &text);
    }
    for (size_t i = 0; i < cfg->tree_count; i++) {
        buf_add_str(&text, n++ == 0 ? "\n  " : ",\n  ");
        add_quoted(&text, cfg->trees[i].key);
        buf_printf(&text, ": {\"value\": %s, \"origin\": ", cfg->trees[i].json);
        add_quoted(&text, cfg->trees[i].origin);
        buf_add_char(&text, '}');
    }
    buf_add_str(&text, "\n}\n");
    flush(&text, out);
}

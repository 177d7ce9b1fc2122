/* The option tables as help text and as docs/CONFIGURATION.md. Widths are counted in characters,
 * not bytes, since help texts may hold some that are not ASCII. */
#include <string.h>

#include "lib/base/buf.h"
#include "lib/config/config.h"
#include "lib/config/names.h"

enum { INDENT = 30, NARROWEST = 50 };

static size_t width_of(struct span text)
{
    size_t width = 0;
    for (size_t i = 0; i < text.n; i++)
        width += ((unsigned char)text.p[i] & 0xc0) != 0x80;
    return width;
}

/* Append words, breaking before `columns`; `at` is the column where the text begins. */
static void add_wrapped(struct buf *out, const char *text, size_t at, size_t columns)
{
    size_t column = at;
    while (*text != '\0') {
        struct span word = span_make(text, strcspn(text, " "));
        size_t width = width_of(word);
        if (column > INDENT && column + 1 + width > columns) {
            buf_printf(out, "\n%*s", INDENT, "");
            column = INDENT;
        } else if (column > INDENT) {
            buf_add_char(out, ' ');
            column++;
        }
        buf_add_span(out, word);
        column += width;
        text += word.n;
        text += strspn(text, " ");
    }
}

static void add_flag(const struct option *row, struct buf *out)
{
    char flag[NAME_SIZE];
    name_flag(row->key, flag);
    if (row->letter != 0)
        buf_printf(out, "-%c, ", row->letter);
    buf_add_str(out, flag);
    if (row->arg != NULL && row->type != OPTION_BOOL)
        buf_printf(out, " %s", row->arg);
}

static void add_variable(const struct option *row, const char *between, struct buf *out)
{
    char name[NAME_SIZE];
    name_variable(row->key, name);
    buf_add_str(out, name);
    if (row->secret)
        buf_printf(out, "%s%s_FILE", between, name);
    if (row->env != NULL)
        buf_printf(out, "%s%s", between, row->env);
}

/* The sentence and, in parentheses, the words and the default. */
static void add_meaning(const struct option *row, struct buf *out)
{
    buf_add_str(out, row->help);
    bool has_default = row->fallback != NULL && !row->secret;
    if (row->type != OPTION_WORD && !has_default)
        return;
    buf_add_str(out, " (");
    for (size_t i = 0; row->type == OPTION_WORD && row->words[i] != NULL; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", row->words[i]);
    if (has_default)
        buf_printf(out, "%sdefault: %s", row->type == OPTION_WORD ? "; " : "", row->fallback);
    buf_add_char(out, ')');
}

static void add_help_row(const struct option *row, size_t columns, struct buf *out)
{
    size_t start = out->n;
    buf_add_str(out, row->letter != 0 || row->secret ? "  " : "      ");
    if (row->secret)
        add_variable(row, ", ", out);
    else
        add_flag(row, out);
    size_t width = width_of(span_make(out->p + start, out->n - start));
    if (width + 2 > INDENT)
        buf_printf(out, "\n%*s", INDENT, "");
    else
        buf_printf(out, "%*s", (int)(INDENT - width), "");
    struct buf meaning = {0};
    add_meaning(row, &meaning);
    if (!row->secret && row->env != NULL)
        buf_printf(&meaning, " [also %s]", row->env);
    add_wrapped(out, buf_str(&meaning), INDENT, columns);
    buf_fini(&meaning);
    buf_add_char(out, '\n');
}

void config_print_help(const struct flag_choice *choice, int columns, FILE *out)
{
    struct buf text = {0};
    size_t wide = columns < NARROWEST ? NARROWEST : (size_t)columns;
    for (size_t t = 0; t < choice->n; t++) {
        const struct option_table *table = choice->tables[t];
        buf_printf(&text, "%s%s:\n", t == 0 ? "" : "\n", table->title);
        for (size_t r = 0; r < table->n; r++)
            if (flag_is_chosen(choice, table, table->rows[r].key))
                add_help_row(&table->rows[r], wide, &text);
    }
    fwrite(buf_str(&text), 1, text.n, out);
    buf_fini(&text);
}

static void add_cell(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '|')
            buf_add_char(out, '\\');
        buf_add_char(out, *text);
    }
}

static void add_code(struct buf *out, struct buf *text)
{
    buf_add_char(out, '`');
    add_cell(out, buf_str(text));
    buf_add_char(out, '`');
    buf_fini(text);
}

static void add_markdown_row(const struct option *row, struct buf *out)
{
    struct buf flag = {0}, variable = {0}, key = {0}, fallback = {0}, meaning = {0};
    buf_add_str(out, "| ");
    add_flag(row, &flag);
    if (row->secret) {
        buf_add_str(out, "(secret)");
        buf_fini(&flag);
    } else {
        add_code(out, &flag);
    }
    buf_add_str(out, " | ");
    add_variable(row, "` `", &variable);
    add_code(out, &variable);
    buf_add_str(out, " | ");
    buf_printf(&key, "%s%s", row->key, row->secret ? "-file" : "");
    add_code(out, &key);
    buf_add_str(out, " | ");
    buf_add_str(&fallback, row->fallback == NULL ? "" : row->fallback);
    if (fallback.n > 0)
        add_code(out, &fallback);
    buf_add_str(out, fallback.n > 0 ? " | " : "| ");
    buf_add_str(&meaning, row->help);
    for (size_t i = 0; row->type == OPTION_WORD && row->words[i] != NULL; i++)
        buf_printf(&meaning, "%s`%s`", i == 0 ? ": " : ", ", row->words[i]);
    add_cell(out, buf_str(&meaning));
    buf_fini(&meaning);
    buf_add_str(out, " |\n");
}

static const char markdown_top[] =
    "# Configuration\n"
    "\n"
    "This file is made by `sluice config --markdown` from the tables in the code; a check keeps "
    "it\n"
    "up to date.\n"
    "\n"
    "A value is taken from the first of these that has it: flag, environment variable, YAML file\n"
    "(`--config FILE` or `SLUICE_CONFIG`), default. `sluice config` shows every value with its\n"
    "origin. An unknown variable or key and a bad value, wherever it stands, are errors with exit\n"
    "code 78; a flag that is unknown, not of this command or without its value is one with 2.\n"
    "\n"
    "* **Flags**: `--key VALUE` or `--key=VALUE`; switches also as `--key` and `--no-key`; `--` "
    "ends\n"
    "  the flags.\n"
    "* **Environment**: an empty variable counts as not set. A list has semicolons or line breaks\n"
    "  between its items.\n"
    "* **YAML**: the dots of a key may be maps (`a: {b: 1}`) or stay (`a.b: 1`). Lists are lists; "
    "a\n"
    "  map in place of a list gives `NAME=VALUE` items. Anchors, aliases and tags are refused.\n"
    "* **Secrets** are never flags: set the variable, or name a file by the variable with `_FILE` "
    "or\n"
    "  by the YAML key with `-file`. One line break at the file's end is cut; of a\n"
    "  list, each line is an item.\n"
    "* **Sizes**: bytes, or with `B`, `kB`, `KiB`, `MB`, `MiB`, `GB`, `GiB`. **Times**: `ms`, "
    "`s`,\n"
    "  `m` or `min`, `h`, `d`; only `0` needs no unit. Both may have a fraction and a space:\n"
    "  `1.5 s`, `64MiB`.\n";

void config_print_markdown(const struct option_table *const *tables, size_t n, FILE *out)
{
    struct buf text = {0};
    buf_add_str(&text, markdown_top);
    for (size_t t = 0; t < n; t++) {
        buf_printf(&text, "\n## %s\n\n", tables[t]->title);
        buf_add_str(&text, "| Flag | Environment | YAML | Default | Meaning |\n");
        buf_add_str(&text, "|---|---|---|---|---|\n");
        for (size_t r = 0; r < tables[t]->n; r++)
            add_markdown_row(&tables[t]->rows[r], &text);
    }
    fwrite(buf_str(&text), 1, text.n, out);
    buf_fini(&text);
}

/* The man page sluice(1) from the commands and option tables. Plain man(7) macros, since both groff
 * and mandoc know them; hyphens are written \- so that flags can be copied from the page. */
#include <string.h>

#include "cli/command.h"
#include "lib/config/names.h"

static void put_bytes(FILE *out, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (text[i] == '\\' || text[i] == '-')
            putc('\\', out);
        putc(text[i] == '\\' ? 'e' : text[i], out);
    }
}

static void put(FILE *out, const char *text)
{
    put_bytes(out, text, strlen(text));
}

/* A line of its own: roff takes a dot or an apostrophe at its begin for a request. */
static void put_line(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    put(out, text);
    putc('\n', out);
}

static void put_flag(FILE *out, const struct option *row)
{
    char name[NAME_SIZE];
    fputs(".TP\n", out);
    if (row->secret) {
        name_variable(row->key, name);
        fprintf(out, "\\fB%s\\fR, \\fB%s_FILE\\fR\n", name, name);
        return;
    }
    name_flag(row->key, name);
    if (row->letter != 0)
        fprintf(out, "\\fB\\-%c\\fR, ", row->letter);
    fputs("\\fB", out);
    put(out, name);
    fputs("\\fR", out);
    if (row->arg != NULL && row->type != OPTION_BOOL) {
        fputs(" \\fI", out);
        put(out, row->arg);
        fputs("\\fR", out);
    }
    putc('\n', out);
}

static void put_option(FILE *out, const struct option *row)
{
    put_flag(out, row);
    put_line(out, row->help);
    if (row->words != NULL) {
        fputs("One of", out);
        for (size_t i = 0; row->words[i] != NULL; i++) {
            fputs(i == 0 ? " " : ", ", out);
            put(out, row->words[i]);
        }
        fputs(".\n", out);
    }
    if (row->fallback != NULL && !row->secret && row->type != OPTION_BOOL) {
        fputs("Default: ", out);
        put(out, row->fallback);
        fputs(".\n", out);
    }
}

static void put_table(FILE *out, const struct option_table *table)
{
    for (size_t i = 0; i < table->n; i++)
        put_option(out, &table->rows[i]);
}

static void put_commands(FILE *out)
{
    const struct command *command;
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        fputs(".TP\n\\fB", out);
        put(out, command->synopsis);
        fputs("\\fR\n", out);
        put_line(out, command->summary);
    }
}

static void put_options(FILE *out)
{
    const struct command *command;
    fputs(".SH OPTIONS\n"
          "A value is taken from the first of these that has it: flag, environment variable\n"
          "(\\fB\\-\\-a\\-b\\fR is \\fBSLUICE_A_B\\fR), the YAML file that \\fB\\-\\-config\\fR "
          "names,"
          " default.\n"
          "Secrets are no flags: set the variable, or name a file by the variable that ends with\n"
          "\\fB_FILE\\fR.\n",
          out);
    for (size_t t = 0; t < all_table_count; t++) {
        fprintf(out, ".SS %s\n", all_tables[t]->title);
        put_table(out, all_tables[t]);
    }
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        if (command->own != NULL) {
            fprintf(out, ".SS Only of sluice %s\n", command->name);
            put_table(out, command->own);
        }
    }
}

static void put_examples(FILE *out)
{
    const struct command *command;
    fputs(".SH EXAMPLES\n.nf\n", out);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        size_t n = strlen(command->examples);
        while (n > 0 && command->examples[n - 1] == '\n')
            n--;
        for (const char *line = command->examples, *end = line + n; line < end;) {
            size_t length = strcspn(line, "\n");
            size_t indent = strspn(line, " ");
            put_bytes(out, line + indent, length - indent);
            putc('\n', out);
            line += length + (line[length] == '\n');
        }
    }
    fputs(".fi\n", out);
}

static const char exit_codes[] =
    ".SH EXIT STATUS\n"
    ".TP\n0\ndone, or drained\n.TP\n1\nfailed\n.TP\n2\nwrong usage\n"
    ".TP\n69\nbroker or enricher cannot be reached\n.TP\n70\na bug\n.TP\n74\ninput or output\n"
    ".TP\n75\ntemporary: start it again\n.TP\n76\nfenced by another instance of the same name\n"
    ".TP\n77\nnot let in\n.TP\n78\nthe configuration is wrong\n"
    ".SH SIGNALS\n"
    "SIGTERM and SIGINT end a stage in order: it takes nothing new, waits for what is in flight "
    "up\n"
    "to \\fB\\-\\-drain\\-timeout\\fR, commits, and exits with 0. A second signal ends it at "
    "once.\n"
    ".SH ENVIRONMENT\n"
    "Besides the variables of the options, \\fBNOTIFY_SOCKET\\fR: a service manager that is told\n"
    "READY=1 and STOPPING=1, see\n.BR sd_notify (3).\n";

void manual_print(FILE *out)
{
    fprintf(out, ".\\\" made by sluice config \\-\\-man\n.TH SLUICE 1 \"\" \"sluice %s\"\n",
            SLUICE_VERSION);
    fputs(
        ".SH NAME\nsluice \\- run a stream of posts through an enricher, each exactly once\n"
        ".SH SYNOPSIS\n.B sluice\n.I COMMAND\n.RI [ OPTION ]...\n"
        ".SH DESCRIPTION\n"
        "source sends posts to raw_posts, enhance answers each and writes enhanced_posts (or\n"
        "dead_posts, with the reason), sink takes them. Between them stands a broker: one SQLite\n"
        "file, or Kafka.\n",
        out);
    put_commands(out);
    put_options(out);
    put_examples(out);
    fputs(exit_codes, out);
}

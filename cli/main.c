/* The program: finds the command, loads the configuration, runs it, and turns what went wrong into
 * one line and an exit code. Only cli/ exits and prints tables. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/command.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"

extern char **environ;

static const struct command *const commands[] = {
    &run_command,    &source_command,      &enhance_command, &sink_command,       &enrich_command,
    &topics_command, &tap_command,         &dlq_command,     &verify_command,     &check_command,
    &config_command, &healthcheck_command, &version_command, &completion_command,
};
enum { COMMANDS = sizeof commands / sizeof *commands };

int exit_code_of(enum error_kind kind)
{
    static const int codes[] = {
        [ERR_FAILED] = 1,  [ERR_USAGE] = 2, [ERR_UNAVAILABLE] = 69,
        [ERR_BUG] = 70,    [ERR_IO] = 74,   [ERR_TEMPORARY] = 75,
        [ERR_FENCED] = 76, [ERR_AUTH] = 77, [ERR_CONFIG] = 78,
    };
    return (unsigned)kind < sizeof codes / sizeof *codes ? codes[kind] : 1;
}

static int columns(void)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col >= 40)
        return size.ws_col < 120 ? size.ws_col : 120;
    return 100;
}

static void print_overview(FILE *out)
{
    fprintf(out, "sluice: source -> raw_posts -> enhance -> enhanced_posts -> sink\n\n"
                 "Usage: sluice COMMAND [OPTION]...\n\nCommands:\n");
    for (int i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-12s %s\n", commands[i]->name, commands[i]->summary);
    fprintf(out, "\nsluice COMMAND --help shows the options of a command and examples.\n"
                 "Begin with: sluice run\n");
}

static size_t table_count(const struct command *command)
{
    size_t n = 0;
    while (n < COMMAND_TABLES_MAX && command->tables[n] != NULL)
        n++;
    return n;
}

static struct flag_choice flags_of(const struct command *command)
{
    return (struct flag_choice){.tables = command->tables,
                                .n = table_count(command),
                                .narrowed =
                                    command->of_pipeline == NULL ? NULL : &stage_option_table,
                                .only = command->of_pipeline};
}

bool command_takes(const struct command *command, const struct option_table *table, const char *key)
{
    struct flag_choice flags = flags_of(command);
    return table == command->own || flag_is_chosen(&flags, table, key);
}

static void print_command_help(const struct command *command)
{
    struct flag_choice own = {.tables = &command->own, .n = 1}, flags = flags_of(command);
    printf("%s\n\nUsage: sluice %s\n\n%s%s", command->summary, command->synopsis,
           command->examples[0] == '\0' ? "" : "Examples:\n", command->examples);
    if (command->own != NULL)
        config_print_help(&own, columns(), stdout);
    config_print_help(&flags, columns(), stdout);
}

const struct command *command_at(size_t i)
{
    return i < COMMANDS ? commands[i] : NULL;
}

const struct option_table *command_table(const struct command *command, size_t i)
{
    if (command->own != NULL) {
        if (i == 0)
            return command->own;
        i--;
    }
    return i < COMMAND_TABLES_MAX ? command->tables[i] : NULL;
}

static const struct command *find_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static bool wants_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

static enum status load(struct app *app, int argc, char **argv, struct error *err)
{
    const struct command *command = app->command;
    const struct option_table *active[COMMAND_TABLES_MAX + 1];
    const struct option_table *known[COMMAND_TABLES_MAX + 1];
    struct flag_choice flags = flags_of(command);
    size_t all = all_table_count;
    memcpy(active, command->tables, flags.n * sizeof *active);
    memcpy(known, all_tables, all * sizeof *known);
    flags.tables = active;
    if (command->own != NULL)
        active[flags.n++] = known[all++] = command->own;
    struct config_source src = {.tables = known,
                                .table_count = all,
                                .flags = flags,
                                .argc = argc,
                                .argv = argv,
                                .env = environ,
                                .max_arguments = command->max_arguments};
    enum status st = config_load(&src, &app->cfg, err);
    if (st != ST_OK)
        return st;
    app->general = config_section(app->cfg, &general_option_table);
    app->broker = config_section(app->cfg, &broker_option_table);
    app->stage = config_section(app->cfg, &stage_option_table);
    app->source = config_section(app->cfg, &source_option_table);
    app->enhance = config_section(app->cfg, &enhance_option_table);
    app->enrich = config_section(app->cfg, &enrich_option_table);
    app->sink = config_section(app->cfg, &sink_option_table);
    app->own = command->own == NULL ? NULL : config_section(app->cfg, command->own);
    return ST_OK;
}

static void exhausted(const char *what)
{
    fprintf(stderr, "sluice: out of %s; what was not committed is done again after a restart\n",
            what);
    _exit(exit_code_of(ERR_TEMPORARY));
}

/* A core dump would hold the secrets: then it holds no memory at all (core(5), coredump_filter). */
static void keep_secrets_out_of_dumps(void)
{
    FILE *filter = fopen("/proc/self/coredump_filter", "w");
    if (filter == NULL)
        return; /* no such kernel, or /proc is hidden */
    fputs("0\n", filter);
    fclose(filter);
}

static int run(const struct command *command, int argc, char **argv)
{
    struct app app = {.command = command};
    struct error err = {0};
    enum status st = load(&app, argc, argv, &err);
    if (st == ST_OK) {
        if (config_has_secret(app.cfg))
            keep_secrets_out_of_dumps();
        log_setup((enum log_level)app.general->log_level, (enum log_format)app.general->log_format);
        point_setup();
        st = command->run(&app, &err);
    }
    config_free(app.cfg);
    if (st == ST_OK)
        return app.exit_code;
    fprintf(stderr, "sluice %s: %s\n", command->name, err.text);
    if (err.kind == ERR_USAGE)
        fprintf(stderr, "Try: sluice %s --help\n", command->name);
    return exit_code_of(err.kind);
}

/* stdio's, unless stdout is a terminal: what a command prints is written at its end in one piece,
 * if it is not more than this, and then the reason why it cannot be written is still known there.
 */
static char output[256 * 1024];

static int finish(const char *name, int code)
{
    bool failed = ferror(stdout) != 0; /* in an earlier piece: why is not known any more */
    errno = 0;
    if (fflush(stdout) == 0 && !failed)
        return code;
    fprintf(stderr, "sluice %s: standard output: %s\n", name,
            errno != 0 ? strerror(errno) : "not all could be written");
    return code == 0 ? exit_code_of(ERR_IO) : code;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

static int unknown_command(const char *name)
{
    fprintf(stderr, "sluice: no command '%s'; the commands are:", name);
    for (int i = 0; i < COMMANDS; i++)
        fprintf(stderr, " %s", commands[i]->name);
    fprintf(stderr, "\n");
    return exit_code_of(ERR_USAGE);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of writing, as a full disk is */
    if (!isatty(STDOUT_FILENO))
        setvbuf(stdout, output, _IOFBF, sizeof output);
    mem_on_exhausted(exhausted);
    mem_set_up();
    config_allow_tree("enrichers");
    if (argc < 2) {
        print_overview(stderr);
        return exit_code_of(ERR_USAGE);
    }
    const char *name = strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    bool help = strcmp(name, "help") == 0;
    if (is_one_of(name, "--help", "-h") || (help && argc == 2)) {
        print_overview(stdout);
        return finish("help", 0);
    }
    if (help)
        name = argv[2];
    const struct command *command = find_command(name);
    if (command == NULL)
        return unknown_command(name);
    if (help || wants_help(argc - 2, argv + 2)) {
        print_command_help(command);
        return finish(name, 0);
    }
    return finish(name, run(command, argc - 2, argv + 2));
}

/* sluice completion: scripts that complete commands, flags and their words, made from the tables of
 * this very binary, so that they cannot know other flags than it does. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "lib/config/names.h"

static bool wants_file(const struct option *row)
{
    static const char *const args[] = {"FILE", "DIR", "FEED", "PATH"};
    for (size_t i = 0; row->arg != NULL && i < sizeof args / sizeof *args; i++)
        if (strcmp(row->arg, args[i]) == 0)
            return true;
    return false;
}

/* What each shell's writer does with a flag of a command. */
typedef void flag_fn(const struct command *command, const struct option *row);

static void each_flag(const struct command *command, flag_fn *fn)
{
    const struct option_table *table;
    for (size_t t = 0; (table = command_table(command, t)) != NULL; t++)
        for (size_t r = 0; r < table->n; r++)
            if (!table->rows[r].secret && command_takes(command, table, table->rows[r].key))
                fn(command, &table->rows[r]);
}

static void print_words(const struct option *row)
{
    for (size_t i = 0; row->words[i] != NULL; i++)
        printf("%s%s", i == 0 ? "" : " ", row->words[i]);
}

/* The text within single quotes, where the shell allows none; brackets and colons have a meaning
 * for zsh. */
static void print_quoted(const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:", *text) != NULL)
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

/* --- bash --- */

static const char bash_top[] = "# bash completion of sluice, made by `sluice completion bash`\n"
                               "_sluice() {\n"
                               "    local cur=${COMP_WORDS[COMP_CWORD]} "
                               "flag=${COMP_WORDS[COMP_CWORD-1]} command='' words='' i\n"
                               "    COMPREPLY=()\n"
                               "    [[ $cur == '=' ]] && cur=''\n"
                               "    [[ $flag == '=' ]] && flag=${COMP_WORDS[COMP_CWORD-2]}\n"
                               "    ((COMP_CWORD > 1)) && command=${COMP_WORDS[1]}\n"
                               "    case $command$flag in\n";

static void bash_value(const struct command *command, const struct option *row)
{
    char flag[NAME_SIZE];
    if (row->type == OPTION_BOOL || (row->arg == NULL && row->words == NULL))
        return;
    name_flag(row->key, flag);
    printf("    %s%s) ", command->name, flag);
    if (row->words != NULL) {
        printf("mapfile -t COMPREPLY < <(compgen -W '");
        print_words(row);
        printf("' -- \"$cur\"); return ;;\n");
    } else if (wants_file(row)) {
        printf(
            "compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); "
            "return ;;\n");
    } else {
        printf("return ;;\n");
    }
}

static void bash_flag(const struct command *command, const struct option *row)
{
    char flag[NAME_SIZE];
    name_flag(row->key, flag);
    printf(" %s", flag);
    UNUSED(command);
}

static void print_bash(void)
{
    const struct command *command;
    fputs(bash_top, stdout);
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        each_flag(command, bash_value);
    printf("    esac\n    case $command in\n");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        printf("    %s) words='%s --help", command->name,
               command->words == NULL ? "" : command->words);
        each_flag(command, bash_flag);
        printf("' ;;\n");
    }
    printf("    '' | help) words='help");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++)
        printf(" %s", command->name);
    printf("' ;;\n    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
           "}\ncomplete -F _sluice sluice\n");
}

/* --- zsh --- */

static void zsh_flag(const struct command *command, const struct option *row)
{
    char flag[NAME_SIZE];
    name_flag(row->key, flag);
    printf("            '%s%s%s[", row->type == OPTION_LIST ? "*" : "", flag,
           row->type == OPTION_BOOL ? "" : "=");
    print_quoted(row->help);
    printf("]");
    if (row->words != NULL) {
        printf(":word:(");
        print_words(row);
        printf(")");
    } else if (row->type != OPTION_BOOL) {
        printf(":");
        print_quoted(row->arg == NULL ? "value" : row->arg);
        printf(":%s", wants_file(row) ? "_files" : " ");
    }
    printf("' \\\n");
    UNUSED(command);
}

static void print_zsh(void)
{
    const struct command *command;
    printf("#compdef sluice\n# zsh completion of sluice, made by `sluice completion zsh`\n"
           "_sluice() {\n    local -a commands\n    commands=(\n");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        printf("        '%s:", command->name);
        print_quoted(command->summary);
        printf("'\n");
    }
    printf("    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n"
           "        return\n    fi\n    local command=$words[2]\n    shift words\n"
           "    ((CURRENT--))\n    case $command in\n");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        printf("    %s)\n        _arguments \\\n", command->name);
        each_flag(command, zsh_flag);
        if (command->words != NULL)
            printf("            '1:what:(%s)' \\\n", command->words);
        printf("            '--help[show the options and examples]' ;;\n");
    }
    printf("    esac\n}\n_sluice \"$@\"\n");
}

/* --- fish --- */

static void fish_flag(const struct command *command, const struct option *row)
{
    char name[NAME_SIZE];
    name_dashed(row->key, name);
    printf("complete -c sluice -n '__fish_seen_subcommand_from %s' -l %s", command->name, name);
    if (row->words != NULL) {
        printf(" -x -a '");
        print_words(row);
        printf("'");
    } else if (row->type != OPTION_BOOL) {
        printf(wants_file(row) ? " -r -F" : " -x");
    }
    printf(" -d '");
    for (const char *p = row->help; *p != '\0'; p++)
        printf(*p == '\'' || *p == '\\' ? "\\%c" : "%c", *p);
    printf("'\n");
}

static void print_fish(void)
{
    const struct command *command;
    printf("# fish completion of sluice, made by `sluice completion fish`\n"
           "complete -c sluice -f\n");
    for (size_t i = 0; (command = command_at(i)) != NULL; i++) {
        printf("complete -c sluice -n __fish_use_subcommand -a %s -d '%s'\n", command->name,
               command->summary);
        if (command->words != NULL)
            printf("complete -c sluice -n '__fish_seen_subcommand_from %s' -a '%s'\n",
                   command->name, command->words);
        each_flag(command, fish_flag);
    }
}

/* --- the command --- */

static enum status run(struct app *app, struct error *err)
{
    const char *shell = config_argument_count(app->cfg) > 0 ? config_argument(app->cfg, 0) : "";
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(shell, shells[i].name) == 0) {
            shells[i].print();
            return ST_OK;
        }
    }
    return error_set(err, ST_FATAL, ERR_USAGE, "usage: completion bash|zsh|fish");
}

const struct command completion_command = {
    .name = "completion",
    .summary = "print a script that completes commands and flags in bash, zsh or fish",
    .synopsis = "completion bash|zsh|fish",
    .examples = "  source <(sluice completion bash)\n"
                "  sluice completion fish > ~/.config/fish/completions/sluice.fish\n\n",
    .tables = {&general_option_table},
    .max_arguments = 1,
    .words = "bash zsh fish",
    .run = run,
};

/* Where values come from, what is refused, and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/config/general.h"
#include "lib/config/internal.h"

struct sample {
    bool flag;
    int64_t count, size, time;
    double share;
    const char *name, *secret;
    int word;
    struct option_list list, keys;
};

static const char *const words[] = {"red", "green", NULL};

static const struct option rows[] = {
    {.key = "a.flag", OPTION_AT_BOOL(struct sample, flag), .fallback = "false", .help = "h"},
    {.key = "a.count",
     .arg = "N",
     OPTION_AT_INT(struct sample, count),
     .fallback = "7",
     .min = 1,
     .max = 100,
     .help = "h",
     .env = "OTHER_COUNT"},
    {.key = "size",
     .arg = "SIZE",
     OPTION_AT_SIZE(struct sample, size),
     .fallback = "64 MiB",
     .help = "h"},
    {.key = "time",
     .arg = "TIME",
     OPTION_AT_DURATION(struct sample, time),
     .fallback = "1.5 s",
     .help = "h"},
    {.key = "share",
     .arg = "X",
     OPTION_AT_REAL(struct sample, share),
     .fallback = "0.5",
     .min = 0,
     .max = 1,
     .help = "h"},
    {.key = "name", .arg = "NAME", OPTION_AT_TEXT(struct sample, name), .help = "h"},
    {.key = "a.key", OPTION_AT_TEXT(struct sample, secret), .secret = true, .help = "h"},
    {.key = "b.keys", OPTION_AT_LIST(struct sample, keys), .secret = true, .help = "h"},
    {.key = "word",
     .arg = "WORD",
     OPTION_AT_WORD(struct sample, word),
     .fallback = "red",
     .words = words,
     .help = "h"},
    {.key = "x", .letter = 'X', .arg = "K=V", OPTION_AT_LIST(struct sample, list), .help = "h"},
};
static const struct option_table table = OPTION_TABLE("Sample", rows, struct sample);

static const struct option other_rows[] = {
    {.key = "other", .arg = "N", OPTION_AT_INT(struct sample, count), .fallback = "1", .help = "h"},
};
static const struct option_table other = OPTION_TABLE("Other", other_rows, struct sample);

static const struct option_table *const all[] = {&general_option_table, &table, &other};
static const struct option_table *const active[] = {&general_option_table, &table};

enum { WORDS_MAX = 16 };
struct input {
    const char *flags[WORDS_MAX]; /* end with NULL */
    const char *env[WORDS_MAX];
    const char *yaml;
};

static enum status load(const struct input *in, struct config **ret, struct error *err)
{
    struct config_source src = {.tables = all,
                                .table_count = 3,
                                .flags = {.tables = active, .n = 2},
                                .argv = (char **)in->flags,
                                .env = (char **)in->env,
                                .max_arguments = 1};
    while (in->flags[src.argc] != NULL)
        src.argc++;
    if (in->yaml == NULL)
        return config_load(&src, ret, err);
    return config_load_memory(&src, span_of(in->yaml), "test.yaml", ret, err);
}

static const struct sample *must(const struct input *in, struct config **cfg)
{
    struct error err = {0};
    if (load(in, cfg, &err) != ST_OK)
        fail_msg("%s", err.text);
    return config_section(*cfg, &table);
}

static void refused(const struct input *in, enum error_kind kind, const char *words_in_text)
{
    struct config *cfg = NULL;
    struct error err = {0};
    assert_int_equal(load(in, &cfg, &err), ST_FATAL);
    assert_int_equal(err.kind, kind);
    if (strstr(err.text, words_in_text) == NULL)
        fail_msg("'%s' does not say '%s'", err.text, words_in_text);
}

static void defaults_are_read_as_a_user_would_type_them(void **state)
{
    (void)state;
    struct config *cfg;
    const struct sample *s = must(&(struct input){0}, &cfg);
    assert_int_equal(s->count, 7);
    assert_int_equal(s->size, 64 << 20);
    assert_int_equal(s->time, 1500);
    assert_true(s->share > 0.49 && s->share < 0.51);
    assert_null(s->name);
    assert_false(config_is_set(cfg, "a.count"));
    config_free(cfg);
}

static void a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
    (void)state;
    struct config *cfg;
    struct input in = {.flags = {"--a-count", "3"},
                       .env = {"SLUICE_A_COUNT=4", "OTHER_COUNT=5"},
                       .yaml = "a:\n  count: 6\n"};
    assert_int_equal(must(&in, &cfg)->count, 3);
    assert_true(config_is_set(cfg, "a.count"));
    config_free(cfg);
    in.flags[0] = NULL;
    assert_int_equal(must(&in, &cfg)->count, 4);
    config_free(cfg);
    in.env[0] = "OTHER_COUNT=5";
    in.env[1] = NULL;
    assert_int_equal(must(&in, &cfg)->count, 5);
    config_free(cfg);
    in.env[0] = NULL;
    assert_int_equal(must(&in, &cfg)->count, 6);
    config_free(cfg);
}

static void flags_come_in_every_usual_form(void **state)
{
    (void)state;
    struct config *cfg;
    struct input in = {.flags = {"--a-flag", "--name=x y", "--size=10kB", "--time", "10ms",
                                 "--word", "green", "-X", "a=1", "-Xb=2", "--", "--arg"}};
    const struct sample *s = must(&in, &cfg);
    assert_true(s->flag);
    assert_string_equal(s->name, "x y");
    assert_int_equal(s->size, 10000);
    assert_int_equal(s->time, 10);
    assert_int_equal(s->word, 1);
    assert_int_equal(s->list.n, 2);
    assert_string_equal(s->list.items[1], "b=2");
    assert_int_equal(config_argument_count(cfg), 1);
    assert_string_equal(config_argument(cfg, 0), "--arg");
    config_free(cfg);
    in = (struct input){.flags = {"--no-a-flag"}, .env = {"SLUICE_A_FLAG=yes"}};
    assert_false(must(&in, &cfg)->flag);
    config_free(cfg);
}

static void wrong_flags_are_named_with_what_may_have_been_meant(void **state)
{
    (void)state;
    refused(&(struct input){.flags = {"--a-cuont", "3"}}, ERR_USAGE, "--a-count");
    refused(&(struct input){.flags = {"--other", "3"}}, ERR_USAGE, "does not apply");
    refused(&(struct input){.flags = {"--a-key", "hush"}}, ERR_USAGE, "SLUICE_A_KEY_FILE");
    refused(&(struct input){.flags = {"one", "two"}}, ERR_USAGE, "two");
    refused(&(struct input){.flags = {"--name"}}, ERR_USAGE, "--name");
}

static void of_a_narrowed_table_only_some_keys_are_flags_but_all_may_be_set(void **state)
{
    (void)state;
    static const char *const only[] = {"share", NULL};
    struct error err;
    struct config *cfg = NULL;
    struct config_source src = {.tables = all,
                                .table_count = 3,
                                .flags = {active, 2, .narrowed = &table, .only = only},
                                .argc = 1,
                                .argv = (char *[]){"--share=1", NULL},
                                .env = (char *[]){"SLUICE_WORD=green", NULL}};
    assert_int_equal(config_load(&src, &cfg, &err), ST_OK);
    assert_true(config_is_set(cfg, "share"));
    assert_true(config_is_set(cfg, "word"));
    config_free(cfg);
    src.argv = (char *[]){"--word=green", NULL};
    assert_int_equal(config_load(&src, &cfg, &err), ST_FATAL);
    assert_non_null(strstr(err.text, "--word does not apply to this command"));
}

static void wrong_values_are_named_with_key_and_origin(void **state)
{
    (void)state;
    refused(&(struct input){.flags = {"--a-count", "101"}}, ERR_CONFIG, "--a-count");
    refused(&(struct input){.env = {"SLUICE_SHARE=1.5"}}, ERR_CONFIG, "SLUICE_SHARE");
    refused(&(struct input){.env = {"SLUICE_TIME=soon"}}, ERR_CONFIG, "soon");
    refused(&(struct input){.yaml = "size: 3\nword: blue\n"}, ERR_CONFIG, "test.yaml line 2");
    refused(&(struct input){.env = {"SLUICE_NO_SUCH=1"}}, ERR_CONFIG, "SLUICE_NO_SUCH");
    refused(&(struct input){.yaml = "sizes: 3\n"}, ERR_CONFIG, "size");
    refused(&(struct input){.yaml = "a: [1\n"}, ERR_CONFIG, "test.yaml");
    refused(&(struct input){.yaml = "size: 1\nsize: 2\n"}, ERR_CONFIG, "size");
}

static void a_secret_comes_from_the_environment_or_a_file_and_is_never_shown(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-secret-XXXXXX", variable[64], shown[4096];
    struct config *cfg;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "canary-7\n", 9), 9);
    close(fd);
    snprintf(variable, sizeof variable, "SLUICE_A_KEY_FILE=%s", path);
    struct input in = {.env = {variable}};
    assert_string_equal(must(&in, &cfg)->secret, "canary-7");
    FILE *out = fmemopen(shown, sizeof shown, "w");
    config_print(cfg, out);
    config_print_json(cfg, out);
    fclose(out);
    assert_null(strstr(shown, "canary"));
    assert_non_null(strstr(shown, "hidden"));
    config_free(cfg);
    unlink(path);
    refused(&in, ERR_CONFIG, path);
}

static void a_list_of_secrets_has_an_item_in_each_line_of_its_file(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-secret-XXXXXX", variable[64], shown[4096];
    struct config *cfg;
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "A: canary;8\r\n\n B: canary-9";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    snprintf(variable, sizeof variable, "SLUICE_B_KEYS_FILE=%s", path);
    struct input in = {.env = {variable}};
    const struct option_list *keys = &must(&in, &cfg)->keys;
    assert_int_equal(keys->n, 2);
    assert_string_equal(keys->items[0], "A: canary;8");
    assert_string_equal(keys->items[1], "B: canary-9");
    assert_true(config_has_secret(cfg));
    FILE *out = fmemopen(shown, sizeof shown, "w");
    config_print(cfg, out);
    config_print_json(cfg, out);
    fclose(out);
    assert_null(strstr(shown, "canary"));
    config_free(cfg);
    unlink(path);
}

static void a_tree_names_files_of_secrets_and_never_holds_one(void **state)
{
    (void)state;
    struct config *cfg;
    config_allow_tree("links");
    struct input named = {.yaml = "links: [{name: x, b.keys-file: /nowhere}]\n"};
    must(&named, &cfg);
    assert_true(config_has_secret(cfg));
    config_free(cfg);
    refused(&(struct input){.yaml = "links: [{name: x},\n  {name: y, a.key: canary}]\n"},
            ERR_CONFIG, "a.key (test.yaml line 2): a secret does not belong into this file");
}

static void what_is_printed_can_be_read_back(void **state)
{
    (void)state;
    char text[8192] = "";
    struct config *cfg;
    struct input in = {
        .flags = {"--a-count", "42", "--time", "3 s", "-Xa=b", "--name", "quote \" and #"}};
    must(&in, &cfg);
    FILE *out = fmemopen(text, sizeof text, "w");
    config_print(cfg, out);
    fclose(out);
    config_free(cfg);
    const struct sample *s = must(&(struct input){.yaml = text}, &cfg);
    assert_int_equal(s->count, 42);
    assert_int_equal(s->time, 3000);
    assert_string_equal(s->name, "quote \" and #");
    assert_int_equal(s->list.n, 1);
    config_free(cfg);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_read_as_a_user_would_type_them),
        cmocka_unit_test(a_flag_wins_over_the_environment_and_that_over_the_file),
        cmocka_unit_test(flags_come_in_every_usual_form),
        cmocka_unit_test(wrong_flags_are_named_with_what_may_have_been_meant),
        cmocka_unit_test(of_a_narrowed_table_only_some_keys_are_flags_but_all_may_be_set),
        cmocka_unit_test(wrong_values_are_named_with_key_and_origin),
        cmocka_unit_test(a_secret_comes_from_the_environment_or_a_file_and_is_never_shown),
        cmocka_unit_test(a_list_of_secrets_has_an_item_in_each_line_of_its_file),
        cmocka_unit_test(a_tree_names_files_of_secrets_and_never_holds_one),
        cmocka_unit_test(what_is_printed_can_be_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Where values come from, who wins, and what is said when a value is refused. */
#include "lib/config/fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void a_flag_wins_over_environment_over_file_over_default(void **state)
{
    (void)state;
    static const struct {
        struct inputs in;
        int64_t count;
    } steps[] = {
        {{.flags = {NULL}}, 4},
        {{.yaml = "count: 5"}, 5},
        {{.yaml = "count: 5", .env = {"SLUICE_COUNT=6"}}, 6},
        {{.yaml = "count: 5", .env = {"SLUICE_COUNT=6"}, .flags = {"--count", "7"}}, 7},
    };
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct config *cfg = fixture_ok(&steps[i].in);
        assert_int_equal(FEED_OF(cfg)->count, steps[i].count);
        assert_int_equal(config_is_set(cfg, "count"), i > 0);
        config_free(cfg);
    }
}

static void a_second_variable_stands_below_the_first(void **state)
{
    (void)state;
    struct config *cfg = LOAD(.env = {"SSL_CERT_FILE=b"}, .yaml = "tls.ca: c");
    assert_string_equal(FEED_OF(cfg)->tls_ca, "b");
    config_free(cfg);
    cfg = LOAD(.env = {"SSL_CERT_FILE=b", "SLUICE_TLS_CA=a"});
    assert_string_equal(FEED_OF(cfg)->tls_ca, "a");
    config_free(cfg);
}

static void every_spelling_of_a_flag_is_read(void **state)
{
    (void)state;
    struct config *cfg =
        LOAD(.flags = {"--loud", "--feed-wait=1.5s", "-X", "a=b", "-Xc=d", "one", "--x", "e=f",
                       "--no-tls", "--feed-max-bytes", "64KiB", "--", "--two"});
    const struct feed_options *feed = FEED_OF(cfg);
    assert_true(feed->loud);
    assert_false(feed->tls);
    assert_int_equal(feed->wait_ms, 1500);
    assert_int_equal(feed->bytes, 65536);
    assert_int_equal(feed->x.n, 3);
    assert_string_equal(feed->x.items[1], "c=d");
    assert_int_equal(config_argument_count(cfg), 2);
    assert_string_equal(config_argument(cfg, 0), "one");
    assert_string_equal(config_argument(cfg, 1), "--two");
    assert_null(config_argument(cfg, 2));
    config_free(cfg);
}

static void a_dash_is_an_argument_and_a_negative_number_a_value(void **state)
{
    (void)state;
    struct config *cfg = LOAD(.flags = {"-", "--any", "-5", "-q"});
    assert_string_equal(config_argument(cfg, 0), "-");
    assert_int_equal(FEED_OF(cfg)->any, -5);
    const struct general_options *general = config_section(cfg, &general_option_table);
    assert_true(general->quiet);
    config_free(cfg);
}

static void a_list_of_a_higher_source_replaces_the_lower_one(void **state)
{
    (void)state;
    struct config *cfg = LOAD(.env = {"SLUICE_X=a=1,2;b=3"}, .yaml = "x: [c=4, d=5, e=6]");
    assert_int_equal(FEED_OF(cfg)->x.n, 2);
    assert_string_equal(FEED_OF(cfg)->x.items[0], "a=1,2");
    config_free(cfg);
    cfg = LOAD(.env = {"SLUICE_X=a=1;b=3"}, .flags = {"-Xz=1"});
    assert_int_equal(FEED_OF(cfg)->x.n, 1);
    assert_string_equal(FEED_OF(cfg)->x.items[0], "z=1");
    config_free(cfg);
}

static void an_unknown_flag_names_the_nearest_one(void **state)
{
    (void)state;
    REFUSED(ERR_USAGE, "unknown option --cuont; did you mean --count?", .flags = {"--cuont=3"});
    REFUSED(ERR_USAGE, "unknown option --feedwait; did you mean --feed-wait?",
            .flags = {"--feedwait"});
    REFUSED(ERR_USAGE, "unknown option --nothing-like-it; --help lists all",
            .flags = {"--nothing-like-it"});
    REFUSED(ERR_USAGE, "unknown option -Z; --help lists all", .flags = {"-Z"});
}

static void a_flag_of_another_command_does_not_apply(void **state)
{
    (void)state;
    REFUSED(ERR_USAGE, "--workers does not apply to this command", .flags = {"--workers", "2"});
    struct config *cfg = LOAD(.env = {"SLUICE_WORKERS=3"});
    assert_int_equal(((const struct other_options *)config_section(cfg, &other_table))->workers, 3);
    config_free(cfg);
}

static void a_flag_without_its_value_is_refused(void **state)
{
    (void)state;
    REFUSED(ERR_USAGE, "--count needs a value: --count=N", .flags = {"--count"});
    REFUSED(ERR_USAGE, "--count needs a value: --count=N", .flags = {"--count", "--loud"});
    REFUSED(ERR_USAGE, "--no-loud takes no value", .flags = {"--no-loud=true"});
    REFUSED(ERR_USAGE, "unknown option --no-count; did you mean --count?", .flags = {"--no-count"});
    REFUSED(ERR_USAGE, "superfluous argument \"c\"", .flags = {"a", "b", "c"});
}

static void a_bad_value_names_key_value_origin_and_what_is_accepted(void **state)
{
    (void)state;
    REFUSED(ERR_CONFIG, "count: bad value \"0\" (--count): expected a whole number, from 1 to 100",
            .flags = {"--count=0"});
    REFUSED(ERR_CONFIG,
            "rate: bad value \"fast\" (environment SLUICE_RATE): expected a number, "
            "from 0 to 1",
            .env = {"SLUICE_RATE=fast"});
    REFUSED(ERR_CONFIG, "mode: bad value \"a?b\" (sluice.yaml line 2): expected one of fast, safe",
            .yaml = "\nmode: \"a\\nb\"\n");
}

static void a_bad_value_is_refused_even_when_a_higher_source_hides_it(void **state)
{
    (void)state;
    REFUSED(ERR_CONFIG,
            "count: bad value \"x\" (sluice.yaml line 1): expected a whole number, from 1 to 100",
            .yaml = "count: x", .flags = {"--count=3"});
}

static void an_unknown_variable_is_refused_and_reserved_ones_are_not(void **state)
{
    (void)state;
    REFUSED(ERR_CONFIG, "environment SLUICE_CUONT: no such option; did you mean SLUICE_COUNT?",
            .env = {"SLUICE_CUONT=3"});
    REFUSED(ERR_CONFIG, "environment SLUICE_COUNT_FILE: no such option",
            .env = {"SLUICE_COUNT_FILE=3"});
    struct config *cfg =
        LOAD(.env = {"SLUICE_FAULT=kill@a:1", "SLUICE_TEST_KAFKA=1", "SLUICE_SERVICE_HOST=10.0.0.1",
                     "SLUICE_PORT=tcp://10.0.0.1:80", "SLUICE_PORT_80_TCP_ADDR=10.0.0.1",
                     "SLUICE_ENHANCE_SERVICE_PORT_HTTP=80", "SLUICES=1", "SLUICE_COUNT="});
    assert_int_equal(FEED_OF(cfg)->count, 4);
    config_free(cfg);
}

static void a_secret_is_never_a_flag(void **state)
{
    (void)state;
    REFUSED(ERR_USAGE,
            "--llm-api-key is a secret and never a flag (others can read the command line): use "
            "the environment variable SLUICE_LLM_API_KEY, or SLUICE_LLM_API_KEY_FILE with the path "
            "of a file",
            .flags = {"--llm-api-key=sk-1"});
    REFUSED(ERR_CONFIG,
            "llm.api-key (sluice.yaml line 1): a secret does not belong into this file: use the "
            "environment variable SLUICE_LLM_API_KEY, or llm.api-key-file with the path of a file",
            .yaml = "llm: {api-key: sk-1}");
}

static void write_file(char *path, const char *text, size_t n)
{
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, n), n);
    close(fd);
}

static void a_secret_comes_from_environment_or_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-config-XXXXXX";
    char variable[100], other[100], yaml[100];
    write_file(path, "sk-2\n\n", 6);
    snprintf(variable, sizeof variable, "SLUICE_LLM_API_KEY_FILE=%s", path);
    snprintf(other, sizeof other, "OPENAI_API_KEY_FILE=%s", path);
    snprintf(yaml, sizeof yaml, "llm: {api-key-file: %s}", path);
    const struct inputs ways[] = {
        {.env = {variable}}, {.env = {other}}, {.yaml = yaml}, {.env = {"OPENAI_API_KEY=sk-2\n"}}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        struct config *cfg = fixture_ok(&ways[i]);
        assert_string_equal(FEED_OF(cfg)->api_key, "sk-2\n");
        config_free(cfg);
    }
    REFUSED(ERR_CONFIG,
            "llm.api-key: both SLUICE_LLM_API_KEY and SLUICE_LLM_API_KEY_FILE are set; keep one",
            .env = {variable, "SLUICE_LLM_API_KEY=sk-1"});
    unlink(path);
}

static void a_secret_file_that_cannot_be_used_is_named(void **state)
{
    (void)state;
    REFUSED(ERR_CONFIG,
            "llm.api-key (environment SLUICE_LLM_API_KEY_FILE): cannot use the file /nowhere/key: "
            "No such file or directory",
            .env = {"SLUICE_LLM_API_KEY_FILE=/nowhere/key"});
    REFUSED(ERR_CONFIG,
            "llm.api-key (environment SLUICE_LLM_API_KEY_FILE): cannot use the file /dev/zero: it "
            "is too large",
            .env = {"SLUICE_LLM_API_KEY_FILE=/dev/zero"});
    REFUSED(ERR_CONFIG,
            "llm.api-key (environment SLUICE_LLM_API_KEY_FILE): cannot use the file /dev/null: it "
            "is empty",
            .env = {"SLUICE_LLM_API_KEY_FILE=/dev/null"});
}

static void the_file_is_named_by_flag_or_environment(void **state)
{
    (void)state;
    char path[] = "/tmp/sluice-config-XXXXXX";
    char variable[100], expected[200];
    write_file(path, "count: 9\n", 9);
    snprintf(variable, sizeof variable, "SLUICE_CONFIG=%s", path);
    struct config *cfg = LOAD(.env = {variable});
    assert_int_equal(FEED_OF(cfg)->count, 9);
    config_free(cfg);
    cfg = LOAD(.flags = {"--config", path}, .env = {"SLUICE_CONFIG=/nowhere"});
    assert_int_equal(FEED_OF(cfg)->count, 9);
    config_free(cfg);
    snprintf(expected, sizeof expected,
             "config (--config): cannot read /nowhere/sluice.yaml: No such file or directory");
    REFUSED(ERR_CONFIG, expected, .flags = {"--config=/nowhere/sluice.yaml"});
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flag_wins_over_environment_over_file_over_default),
        cmocka_unit_test(a_second_variable_stands_below_the_first),
        cmocka_unit_test(every_spelling_of_a_flag_is_read),
        cmocka_unit_test(a_dash_is_an_argument_and_a_negative_number_a_value),
        cmocka_unit_test(a_list_of_a_higher_source_replaces_the_lower_one),
        cmocka_unit_test(an_unknown_flag_names_the_nearest_one),
        cmocka_unit_test(a_flag_of_another_command_does_not_apply),
        cmocka_unit_test(a_flag_without_its_value_is_refused),
        cmocka_unit_test(a_bad_value_names_key_value_origin_and_what_is_accepted),
        cmocka_unit_test(a_bad_value_is_refused_even_when_a_higher_source_hides_it),
        cmocka_unit_test(an_unknown_variable_is_refused_and_reserved_ones_are_not),
        cmocka_unit_test(a_secret_is_never_a_flag),
        cmocka_unit_test(a_secret_comes_from_environment_or_a_file),
        cmocka_unit_test(a_secret_file_that_cannot_be_used_is_named),
        cmocka_unit_test(the_file_is_named_by_flag_or_environment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* A small program's options and a loader for the tests of this folder: three tables, of which the
 * third belongs to another command. Threads: one thread. */
#ifndef SLUICE_CONFIG_FIXTURE_H
#define SLUICE_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/config/general.h"
#include "lib/config/internal.h"

struct feed_options {
    bool loud;
    int64_t count, bytes, wait_ms, any;
    double rate;
    const char *from, *api_key;
    int mode;
    struct option_list x;
    bool tls;
    const char *tls_ca;
};

struct other_options {
    int64_t workers;
};

#define FEED(field, kind) OPTION_AT_##kind(struct feed_options, field)

static const char *const feed_modes[] = {"fast", "safe", NULL};

static const struct option feed_rows[] = {
    {.key = "loud", FEED(loud, BOOL), .fallback = "false", .help = "say more"},
    {.key = "count",
     .arg = "N",
     FEED(count, INT),
     .fallback = "4",
     .min = 1,
     .max = 100,
     .help = "how many"},
    {.key = "any", .arg = "N", FEED(any, INT), .fallback = "-1", .help = "any number"},
    {.key = "feed.max-bytes",
     .arg = "SIZE",
     FEED(bytes, SIZE),
     .fallback = "1 MiB",
     .help = "how large"},
    {.key = "feed.wait",
     .arg = "TIME",
     FEED(wait_ms, DURATION),
     .fallback = "10 ms",
     .help = "how long"},
    {.key = "rate",
     .arg = "R",
     FEED(rate, REAL),
     .fallback = "0.5",
     .min = 0,
     .max = 1,
     .help = "how often"},
    {.key = "from", .arg = "FILE|-", FEED(from, TEXT), .help = "where from"},
    {.key = "mode",
     .arg = "MODE",
     FEED(mode, WORD),
     .fallback = "safe",
     .words = feed_modes,
     .help = "which way"},
    {.key = "x", .letter = 'X', .arg = "NAME=VALUE", FEED(x, LIST), .help = "set a property"},
    {.key = "llm.api-key",
     FEED(api_key, TEXT),
     .secret = true,
     .env = "OPENAI_API_KEY",
     .help = "key of the LLM"},
    {.key = "tls", FEED(tls, BOOL), .fallback = "false", .help = "use TLS"},
    {.key = "tls.ca",
     .arg = "FILE",
     FEED(tls_ca, TEXT),
     .env = "SSL_CERT_FILE",
     .help = "whom to trust"},
};
static const struct option other_rows[] = {
    {.key = "workers",
     .arg = "N",
     OPTION_AT_INT(struct other_options, workers),
     .fallback = "1",
     .min = 1,
     .max = 64,
     .help = "threads"},
};

static const struct option_table feed_table = OPTION_TABLE("Feed", feed_rows, struct feed_options);
static const struct option_table other_table =
    OPTION_TABLE("Other", other_rows, struct other_options);
static const struct option_table *const fixture_tables[] = {&general_option_table, &feed_table,
                                                            &other_table};

/* Up to 15 flags and variables each, ended by NULL; yaml NULL: none (and no file is read unless
 * --config names one). */
struct inputs {
    const char *flags[16];
    const char *env[16];
    const char *yaml;
};

static inline enum status fixture_load(const struct inputs *in, struct config **ret,
                                       struct error *err)
{
    char *argv[16], *env[16];
    memcpy(argv, in->flags, sizeof argv);
    memcpy(env, in->env, sizeof env);
    struct config_source src = {.tables = fixture_tables,
                                .table_count = 3,
                                .flags = {.tables = fixture_tables, .n = 2},
                                .argv = argv,
                                .env = env,
                                .max_arguments = 2};
    while (argv[src.argc] != NULL)
        src.argc++;
    if (in->yaml == NULL)
        return config_load(&src, ret, err);
    return config_load_memory(&src, span_of(in->yaml), "sluice.yaml", ret, err);
}

static inline struct config *fixture_ok(const struct inputs *in)
{
    struct error err = {0};
    struct config *cfg = NULL;
    if (fixture_load(in, &cfg, &err) != ST_OK)
        fail_msg("not loaded: %s", err.text);
    return cfg;
}

#define LOAD(...)    fixture_ok(&(struct inputs){__VA_ARGS__})
#define FEED_OF(cfg) ((const struct feed_options *)config_section((cfg), &feed_table))

static inline void fixture_refused(const struct inputs *in, enum error_kind kind, const char *text)
{
    struct error err = {0};
    struct config *cfg = NULL;
    assert_int_equal(fixture_load(in, &cfg, &err), ST_FATAL);
    assert_null(cfg);
    assert_string_equal(err.text, text);
    assert_int_equal(err.kind, kind);
}

#define REFUSED(kind, text, ...) fixture_refused(&(struct inputs){__VA_ARGS__}, (kind), (text))

#endif

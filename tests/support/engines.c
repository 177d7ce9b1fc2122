/* The defaults come from the option table itself, by loading an empty configuration. */
#include "tests/support/engines.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/config/config.h"
#include "prompt_txt.h"
#include "schema_json.h"
#include "system_txt.h"

void enrich_defaults(struct enrich_options *opt)
{
    static struct config *cfg; /* what the options point to lives as long as the test program */
    static const struct option_table *const tables[] = {&enrich_option_table};
    static char *no_env[] = {NULL};
    struct error err;
    struct config_source src = {
        .tables = tables, .table_count = 1, .flags = {.tables = tables, .n = 1}, .env = no_env};
    if (cfg == NULL)
        assert_int_equal(config_load(&src, &cfg, &err), ST_OK);
    *opt = *(const struct enrich_options *)config_section(cfg, &enrich_option_table);
}

struct engine *engine_make(const struct enrich_options *opt, const char *chain, const char *path)
{
    struct engine *engine = NULL;
    struct error err;
    struct engine_config cfg = {.opt = opt,
                                .chain = chain,
                                .schema = embedded_schema_json,
                                .system = embedded_system_txt,
                                .prompt = embedded_prompt_txt,
                                .path = path,
                                .shared = true};
    if (engine_open(&cfg, &engine, &err) != ST_OK)
        fail_msg("engine_open: %s", err.text);
    return engine;
}

void engine_end(struct engine *engine)
{
    struct error err;
    if (engine_close(engine, &err) != ST_OK)
        fail_msg("engine_close: %s", err.text);
}

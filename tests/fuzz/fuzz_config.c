/* A YAML file, a line "---", and flags, one a line: the real tables of the program. What is not
 * accepted is an error of configuration or usage with words; what is accepted can be printed. */
#include "lib/broker/broker.h"
#include "lib/config/general.h"
#include "lib/config/internal.h"
#include "lib/enrich/options.h"
#include "lib/stage/options.h"
#include "stages/enhance/options.h"
#include "stages/sink/options.h"
#include "stages/source/options.h"
#include "tests/fuzz/fuzz.h"

enum { FLAGS_MAX = 16 };

static const struct option_table *const tables[] = {
    &general_option_table, &broker_option_table,  &stage_option_table, &source_option_table,
    &enrich_option_table,  &enhance_option_table, &sink_option_table};
enum { TABLES = sizeof tables / sizeof *tables };

/* Lines to arguments, in place of a copy that ends with 0. */
static int split_flags(char *text, char *argv[FLAGS_MAX])
{
    int n = 0;
    for (char *rest = text; rest != NULL && n < FLAGS_MAX; n++)
        argv[n] = strsep(&rest, "\n");
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool allowed;
    if (!allowed)
        config_allow_tree("enrichers");
    allowed = true;
    struct span input = fuzz_copy(data, size), rest;
    struct span yaml = fuzz_split(input, &rest);
    char *flags = mem_spandup(rest), *argv[FLAGS_MAX], *env[] = {NULL};
    int argc = rest.n == 0 ? 0 : split_flags(flags, argv);
    struct config_source src = {.tables = tables,
                                .table_count = TABLES,
                                .flags = {.tables = tables, .n = TABLES},
                                .argc = argc,
                                .argv = argv,
                                .env = env,
                                .max_arguments = 1};
    struct config *cfg = NULL;
    struct error err = {0};
    enum status st = config_load_memory(&src, yaml, "sluice.yaml", &cfg, &err);
    if (st == ST_OK) {
        FILE *out = fopen("/dev/null", "w");
        MUST(out != NULL);
        config_print(cfg, out);
        config_print_json(cfg, out);
        fclose(out);
    } else {
        MUST(err.text[0] != '\0' && (err.kind == ERR_CONFIG || err.kind == ERR_USAGE));
    }
    config_free(cfg);
    mem_free(flags);
    mem_free((char *)input.p);
    return 0;
}

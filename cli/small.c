/* The commands that need no broker: config, healthcheck, version. */
#include <jansson.h>
#include <stdio.h>
#include <sys/utsname.h>

#include "cli/allocator.h"
#include "cli/command.h"
#include "lib/metrics/http.h"

/* --- config --- */

struct config_flags {
    bool json, markdown, man;
};

static const struct option config_rows[] = {
    {.key = "json",
     OPTION_AT_BOOL(struct config_flags, json),
     .fallback = "false",
     .flag_only = true,
     .help = "as JSON"},
    {.key = "markdown",
     OPTION_AT_BOOL(struct config_flags, markdown),
     .fallback = "false",
     .flag_only = true,
     .help = "print the reference of all options (docs/CONFIGURATION.md)"},
    {.key = "man",
     OPTION_AT_BOOL(struct config_flags, man),
     .fallback = "false",
     .flag_only = true,
     .help = "print the man page sluice(1)"},
};
static const struct option_table config_flags_table =
    OPTION_TABLE("Output", config_rows, struct config_flags);

/* `enrichers` is a tree, so no row of a table. */
static const char chains[] =
    "\n## Chains\n"
    "\n"
    "`enrichers` stands in the YAML file only. It is a list of links, each asked after the one\n"
    "before, and takes the place of `enricher`:\n"
    "\n"
    "    enrichers:\n"
    "      - name: place\n"
    "        kind: lookup\n"
    "        lookup-file: places.csv\n"
    "      - name: mood\n"
    "        kind: mock\n"
    "        when: /enrichment/place/place == Rome\n"
    "        optional: true\n"
    "\n"
    "| Member | Meaning |\n"
    "|---|---|\n"
    "| `name` | required, at most 63 bytes, each another: the member of `enrichment` that the "
    "answer becomes. The answer of a list of one link is the whole `enrichment` |\n"
    "| `kind` | required: a word of `enricher` |\n"
    "| `when` | a condition: the link is asked only about posts of which it holds |\n"
    "| `optional` | `true`: a link that fails leaves its member out; otherwise (`false`, the "
    "default) the post becomes a dead letter |\n"
    "| a key of the table Enricher | for this link alone; what it does not name it has from the "
    "options. Of a secret, the key with `-file` |\n"
    "\n"
    "One for all links, and refused in a link: `budget-*`, `answers*`, `record`, `replay`,\n"
    "`replay-missing`, `replicas`, `llm-ca`, `llm-proxy`, `llm-proxy-login`,\n"
    "`llm-connect-timeout`, `llm-max-reply`, `allow-link-local`.\n"
    "\n"
    "A condition is a JSON pointer into the post, an operator with spaces around it, and a\n"
    "literal: JSON, or one word, which is a string. Pointers below `/enrichment` look at the\n"
    "answers of earlier links, `/enrichment/NAME/...`.\n"
    "\n"
    "| Operator | Holds when the member |\n"
    "|---|---|\n"
    "| `/lang == en` | is equal as JSON: of the same type; 1 and 1.0 are equal |\n"
    "| `/lang != en` | is anything else, or missing |\n"
    "| `/likes < 10`, `/likes > 10` | is a smaller or greater number; of two strings their code "
    "points decide |\n"
    "| `/tags contains \"top news\"` | is a list with this element, or a string with this part "
    "|\n"
    "| `/lang exists` | is there, `null` as well; `/lang exists false`: is missing |\n"
    "\n"
    "Of a missing member only `!=` and `exists false` hold. A condition in quotes needs the\n"
    "other kind of quotes inside: `when: '/tags contains \"top news\"'`. More:\n"
    "[ENRICHERS.md](ENRICHERS.md#chains).\n";

static void print_markdown(void)
{
    config_print_markdown(all_tables, all_table_count, stdout);
    fputs(chains, stdout);
}

static enum status run_config(struct app *app, struct error *err)
{
    const struct config_flags *own = app->own;
    UNUSED(err);
    if (own->markdown)
        print_markdown();
    else if (own->man)
        manual_print(stdout);
    else if (own->json)
        config_print_json(app->cfg, stdout);
    else
        config_print(app->cfg, stdout);
    return ST_OK;
}

const struct command config_command = {
    .name = "config",
    .summary = "show the effective configuration and where each value comes from",
    .synopsis = "config [--json] [OPTION]...",
    .examples = "  sluice config\n"
                "  sluice config --config sluice.yaml --json\n\n",
    .tables = {&general_option_table, &broker_option_table, &stage_option_table,
               &source_option_table, &enhance_option_table, &enrich_option_table,
               &sink_option_table},
    .own = &config_flags_table,
    .run = run_config,
};

/* --- healthcheck --- */

struct health_flags {
    bool live;
    int64_t timeout_ms;
};

static const struct option health_rows[] = {
    {.key = "live",
     OPTION_AT_BOOL(struct health_flags, live),
     .fallback = "false",
     .flag_only = true,
     .help = "ask /healthz (is it alive) instead of /readyz (does it work)"},
    {.key = "timeout",
     .arg = "TIME",
     OPTION_AT_DURATION(struct health_flags, timeout_ms),
     .fallback = "3 s",
     .flag_only = true,
     .help = "how long to wait for the answer"},
};
static const struct option_table health_table =
    OPTION_TABLE("Health check", health_rows, struct health_flags);

static enum status run_health(struct app *app, struct error *err)
{
    const struct health_flags *own = app->own;
    const char *address =
        config_argument_count(app->cfg) > 0 ? config_argument(app->cfg, 0) : app->stage->http;
    struct buf body = {0};
    int code = 0;
    if (address == NULL)
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "which process? give its address: sluice healthcheck 127.0.0.1:9402");
    enum status st = http_get(address, own->live ? "/healthz" : "/readyz", (int)own->timeout_ms,
                              &code, &body, err);
    if (st == ST_OK && code != 200)
        st = error_set(err, ST_FATAL, ERR_FAILED, "%s answers %d: %.*s", address, code, (int)body.n,
                       body.p);
    if (st == ST_OK)
        fwrite(body.p, 1, body.n, stdout);
    buf_fini(&body);
    return st;
}

static const char *const of_health[] = {"http", NULL};

const struct command healthcheck_command = {
    .name = "healthcheck",
    .summary = "ask a running stage whether it is ready (for containers)",
    .synopsis = "healthcheck [ADDRESS:PORT] [--live]",
    .examples = "  sluice healthcheck 127.0.0.1:9402\n\n",
    .tables = {&general_option_table, &stage_option_table},
    .of_pipeline = of_health,
    .own = &health_table,
    .max_arguments = 1,
    .run = run_health,
};

/* --- version --- */

static enum status run_version(struct app *app, struct error *err)
{
    struct utsname u;
    UNUSED(app);
    UNUSED(err);
    printf("sluice %s\n", SLUICE_VERSION);
    broker_print_versions(stdout);
    printf("jansson %s\n", JANSSON_VERSION);
    allocator_print_version(stdout);
    if (uname(&u) == 0)
        printf("%s %s %s\n", u.sysname, u.release, u.machine);
    return ST_OK;
}

const struct command version_command = {
    .name = "version",
    .summary = "show the versions of sluice and its libraries (for bug reports)",
    .synopsis = "version",
    .examples = "",
    .tables = {&general_option_table},
    .run = run_version,
};

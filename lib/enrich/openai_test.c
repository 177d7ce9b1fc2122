/* The enricher contract on everything that asks over HTTP, with a real server; and on a program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/contract/enricher_contract.h"
#include "tests/support/llm_server.h"

static struct llm_server *server;
static const char *urls[1];
static char *http_url;

static void start(const struct llm_script *script)
{
    assert_int_equal(llm_server_start(script, &server), ST_OK);
    urls[0] = llm_server_url(server);
}

static void stop(void)
{
    llm_server_stop(server);
    server = NULL;
    mem_free(http_url);
    http_url = NULL;
}

static void ask_openai(struct enrich_options *opt)
{
    opt->kind = KIND_OPENAI;
    opt->llm.urls = (struct option_list){.items = urls, .n = 1};
    opt->governor.attempts = 100;
}

static void plain(struct enrich_options *opt)
{
    start(&(struct llm_script){.delay_ms = 1});
    ask_openai(opt);
}

static void not_kept(struct enrich_options *opt)
{
    plain(opt);
    opt->answers.on = false;
}

static void failing(struct enrich_options *opt)
{
    start(&(struct llm_script){.delay_ms = 1, .error_rate = 0.05, .error_status = 500, .seed = 3});
    ask_openai(opt);
}

static void bad(struct enrich_options *opt)
{
    start(&(struct llm_script){.delay_ms = 1, .mode = LLM_WRONG_TYPE});
    ask_openai(opt);
}

static void look_up(struct enrich_options *opt)
{
    start(&(struct llm_script){.delay_ms = 1});
    http_url = mem_printf("%s/lookup/{{id}}", llm_server_url(server));
    opt->kind = KIND_HTTP;
    opt->http.url = http_url;
    opt->http.body = "{\"text\":\"{{text}}\"}";
}

static void program(struct enrich_options *opt)
{
    opt->kind = KIND_EXEC;
    opt->exec.command = "exec sed -u 's/.*/{\"answer\":[1,2]}/'";
}

int main(void)
{
    const struct enricher_fixture fixtures[] = {
        {.name = "enricher: openai", .setup = plain, .teardown = stop},
        {.name = "enricher: openai, answers not kept", .setup = not_kept, .teardown = stop},
        {.name = "enricher: openai, failing", .setup = failing, .teardown = stop},
        {.name = "enricher: openai, answers that do not fit", .setup = bad, .teardown = stop},
        {.name = "enricher: http", .setup = look_up, .teardown = stop},
        {.name = "enricher: exec", .setup = program},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
        failed += enricher_contract_run(&fixtures[i]);
    return failed;
}

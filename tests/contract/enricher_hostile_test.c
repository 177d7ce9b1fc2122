/* Endpoints and programs that hang, drip, lie, flood and babble, beneath each enricher that asks
 * somebody else. */
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
static const char *urls[1], *command;
static char *http_url;
static enum llm_mode mode;

static void stop(void)
{
    llm_server_stop(server);
    server = NULL;
    mem_free(http_url);
    http_url = NULL;
}

static void be_short(struct enrich_options *opt)
{
    opt->answers.on = false;
    opt->governor.timeout_ms = 120;
    opt->governor.deadline_ms = 350;
    opt->governor.attempts = 2;
    opt->governor.max_reply = 1 << 20;
}

static void ask_openai(struct enrich_options *opt)
{
    assert_int_equal(llm_server_start(&(struct llm_script){.mode = mode}, &server), ST_OK);
    be_short(opt);
    opt->kind = KIND_OPENAI;
    urls[0] = llm_server_url(server);
    opt->llm.urls = (struct option_list){.items = urls, .n = 1};
}

static void look_up(struct enrich_options *opt)
{
    assert_int_equal(llm_server_start(&(struct llm_script){.mode = mode}, &server), ST_OK);
    be_short(opt);
    opt->kind = KIND_HTTP;
    http_url = mem_printf("%s/chat/completions", llm_server_url(server));
    opt->http.url = http_url;
    opt->http.body =
        "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"{{text}}\"}]}";
    opt->http.pointer = "/choices/0/message/content";
}

static void run_program(struct enrich_options *opt)
{
    opt->kind = KIND_EXEC;
    opt->exec.command = command;
    opt->exec.timeout_ms = 100;
    opt->exec.processes = 6; /* one for each ask: failures are not waited for in a row */
    opt->exec.in_flight = 1;
}

enum { STOPS = 1, ANSWERS = 2, HTTP_ANSWERS = 4 };

/* `http` hands on what stands at its pointer: there the content need not fit anything. */
static const struct {
    enum llm_mode mode;
    const char *name;
    int may;
} modes[] = {
    {LLM_WRONG_TYPE, "wrong schema", HTTP_ANSWERS},
    {LLM_EXTRA, "a member too many", HTTP_ANSWERS},
    {LLM_NOT_JSON, "prose", HTTP_ANSWERS},
    {LLM_BAD_UTF8, "no UTF-8", 0},
    {LLM_EMPTY, "nothing", 0},
    {LLM_ODD_ENVELOPE, "an odd envelope", 0},
    {LLM_INJECTED, "injected members", HTTP_ANSWERS},
    {LLM_QUOTES, "quotes and braces", ANSWERS | HTTP_ANSWERS},
    {LLM_HANG, "hang", 0},
    {LLM_STALL, "half, then nothing", 0},
    {LLM_DRIP, "slow drip", 0},
    {LLM_RESET_MID_BODY, "reset in the middle", 0},
    {LLM_CLOSE_EARLY, "closed after the request", 0},
    {LLM_HALF, "less than promised", 0},
    {LLM_GARBAGE, "garbage", 0},
    {LLM_HUGE, "100 MB", 0},
    {LLM_GZIP_BOMB, "gzip bomb", 0},
    {LLM_REDIRECT, "redirect to another host", STOPS},
};

static int run_modes(const char *who, void (*setup)(struct enrich_options *opt), bool http)
{
    int failed = 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        char name[96];
        snprintf(name, sizeof name, "%s: %s", who, modes[i].name);
        mode = modes[i].mode;
        struct hostile_fixture f = {.base = {.name = name, .setup = setup, .teardown = stop},
                                    .stops = (modes[i].may & STOPS) != 0,
                                    .refuses =
                                        (modes[i].may & (http ? HTTP_ANSWERS : ANSWERS)) == 0};
        failed += enricher_hostile_run(&f);
    }
    return failed;
}

static int run_programs(void)
{
    static const struct {
        const char *command, *name;
        bool stops;
    } programs[] = {
        {"exec sleep 100", "exec: hang", false},
        {"exec sed -u 's/.*/this is no answer/'", "exec: prose", false},
        {"exec sed -u 's/.*/{\"answer\":/'", "exec: half of an answer", false},
        {"exec sed -u 's/.*/\\xff\\xfe/'", "exec: no UTF-8", false},
        {"exec tr -d '\\n' </dev/zero", "exec: a line without an end", false},
        {"read line; exit 3", "exec: dies", false},
        {"exec /nonexistent/program 2>/dev/null", "exec: not there", true},
    };
    int failed = 0;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        struct hostile_fixture f = {.base = {.name = programs[i].name, .setup = run_program},
                                    .stops = programs[i].stops,
                                    .refuses = true};
        command = programs[i].command;
        failed += enricher_hostile_run(&f);
    }
    return failed;
}

int main(void)
{
    return run_modes("openai", ask_openai, false) + run_modes("http", look_up, true) +
           run_programs();
}

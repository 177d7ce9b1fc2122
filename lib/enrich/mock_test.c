/* The mock enricher: the contract with and without latency, errors and cost; and what its lexicon
 * makes of texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "tests/contract/enricher_contract.h"

static void plain(struct enrich_options *opt)
{
    opt->kind = KIND_MOCK;
}

static void late(struct enrich_options *opt)
{
    opt->mock.latency_ms = opt->mock.latency_spread_ms = 3;
}

static void unlucky(struct enrich_options *opt)
{
    opt->mock.latency_ms = 1;
    opt->mock.error_rate = opt->mock.bad_rate = 0.3;
    opt->mock.seed = 7;
}

static void paid(struct enrich_options *opt)
{
    unlucky(opt);
    opt->mock.cost_usd = 0.01;
}

static void paid_at_once(struct enrich_options *opt)
{
    opt->mock.cost_usd = 0.01;
}

static void on_done(struct ask *ask)
{
    loop_stop(ask->arg);
}

static struct span ask_about(const struct enrich_options *opt, const char *text, struct ask *ask)
{
    struct loop *loop = loop_new();
    struct engine *engine = engine_make(opt, NULL, NULL);
    struct enricher *e = NULL;
    struct error err;
    assert_int_equal(enricher_open(engine, loop, &e, &err), ST_OK);
    ask->text = span_of(text);
    ask->done = on_done;
    ask->arg = loop;
    if (enricher_submit(e, ask) == ST_AGAIN)
        loop_run(loop);
    enricher_close(e);
    loop_free(loop);
    engine_end(engine);
    return buf_span(&ask->answer);
}

static void the_lexicon_makes_sense_of_simple_posts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *answer;
    } cases[] = {
        {"Just had a great coffee!",
         "{\"topics\":[\"coffee\",\"food\"],\"sentiment\":\"positive\",\"language\":\"en\"}"},
        {"Reading about AI trends",
         "{\"topics\":[\"AI\",\"technology\"],\"sentiment\":\"neutral\",\"language\":\"en\"}"},
        {"Sunny day at the beach",
         "{\"topics\":[\"beach\",\"nature\"],\"sentiment\":\"positive\",\"language\":\"en\"}"},
        {"", "{\"topics\":[],\"sentiment\":\"neutral\",\"language\":\"und\"}"},
    };
    struct enrich_options opt;
    enrich_defaults(&opt);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ask ask = {0};
        struct span got = ask_about(&opt, cases[i].text, &ask);
        if (!span_is(got, cases[i].answer))
            fail_msg("%s: %.*s", cases[i].text, (int)got.n, got.p);
        ask_fini(&ask);
    }
}

static void languages_are_told_by_script_and_by_common_words(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Сегодня прекрасный день на пляже", "\"ru\""},
        {"今日は海がとてもきれいでした", "\"ja\""},
        {"오늘 바다가 정말 예뻐요", "\"ko\""},
        {"我们在海边看日落", "\"zh\""},
        {"يوم جميل على الشاطئ", "\"ar\""},
        {"Ich lerne gerade Geige und die Nachbarn leiden", "\"de\""},
        {"El café de la esquina es el mejor de la ciudad", "\"es\""},
    };
    struct enrich_options opt;
    enrich_defaults(&opt);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ask ask = {0};
        struct span got = ask_about(&opt, cases[i][0], &ask);
        if (memmem(got.p, got.n, cases[i][1], strlen(cases[i][1])) == NULL)
            fail_msg("%s: %.*s", cases[i][0], (int)got.n, got.p);
        ask_fini(&ask);
    }
}

static void cost_and_tokens_are_told_only_when_asked_for(void **state)
{
    (void)state;
    struct enrich_options opt;
    struct ask ask = {0};
    enrich_defaults(&opt);
    ask_about(&opt, "a coffee", &ask);
    assert_int_equal(ask.cache, CACHE_NONE);
    assert_int_equal(ask.tokens_in, 0);
    opt.mock.cost_usd = 0.25;
    ask_about(&opt, "a coffee", &ask);
    assert_int_equal(ask.cache, CACHE_MISS);
    assert_true(ask.cost_usd > 0.24 && ask.tokens_in > 0 && ask.tokens_out > 0);
    ask_fini(&ask);
}

static struct enricher *enricher_of(const struct enrich_options *opt, struct loop *loop,
                                    struct engine **ret_engine)
{
    struct enricher *e = NULL;
    struct error err;
    *ret_engine = engine_make(opt, NULL, NULL);
    assert_int_equal(enricher_open(*ret_engine, loop, &e, &err), ST_OK);
    return e;
}

static void what_costs_nothing_has_room_for_all(void **state)
{
    (void)state;
    struct enrich_options opt;
    struct engine *engine;
    struct loop *loop = loop_new();
    enrich_defaults(&opt);
    opt.mock.latency_ms = 1000;
    struct enricher *e = enricher_of(&opt, loop, &engine);
    assert_true(enricher_room(e) == SIZE_MAX);
    enricher_close(e);
    loop_free(loop);
    engine_end(engine);
}

/* 64 wait at least, in pieces of 16: so a 49th is the last one for now. */
static void there_is_room_for_as_many_as_may_soon_be_called(void **state)
{
    (void)state;
    enum { CALLS = 8, WAIT = 49 };
    static struct ask asks[CALLS + WAIT];
    static char texts[CALLS + WAIT][32];
    struct enrich_options opt;
    struct engine *engine;
    struct loop *loop = loop_new();
    enrich_defaults(&opt);
    opt.mock.latency_ms = 1000;
    opt.mock.cost_usd = 0.01;
    opt.governor.concurrency_min = opt.governor.concurrency_max = CALLS;
    struct enricher *e = enricher_of(&opt, loop, &engine);
    for (int i = 0; i < CALLS + WAIT; i++) {
        assert_int_equal(enricher_room(e), i < CALLS ? 64 : 64 - (i - CALLS));
        snprintf(texts[i], sizeof texts[i], "post %d", i);
        asks[i] = (struct ask){.text = span_of(texts[i]), .done = on_done, .arg = loop};
        assert_int_equal(enricher_submit(e, &asks[i]), ST_AGAIN);
        assert_int_equal(enricher_is_queued(e, &asks[i]), i >= CALLS);
    }
    assert_int_equal(enricher_room(e), 0);
    enricher_cancel(e, &asks[CALLS]);
    assert_int_equal(enricher_room(e), 16);
    enricher_cancel(e, &asks[CALLS + 1]);
    assert_int_equal(enricher_room(e), 17);
    loop_run(loop); /* until the first answer: one of those that waited is called */
    assert_true(enricher_room(e) >= 17);
    enricher_close(e);
    for (int i = 0; i < CALLS + WAIT; i++)
        ask_fini(&asks[i]);
    loop_free(loop);
    engine_end(engine);
}

int main(void)
{
    const struct enricher_fixture fixtures[] = {
        {.name = "enricher: mock", .setup = plain},
        {.name = "enricher: mock, late", .setup = late},
        {.name = "enricher: mock, unlucky", .setup = unlucky},
        {.name = "enricher: mock, paid and unlucky", .setup = paid},
        {.name = "enricher: mock, paid, at once", .setup = paid_at_once}};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_lexicon_makes_sense_of_simple_posts),
        cmocka_unit_test(languages_are_told_by_script_and_by_common_words),
        cmocka_unit_test(cost_and_tokens_are_told_only_when_asked_for),
        cmocka_unit_test(what_costs_nothing_has_room_for_all),
        cmocka_unit_test(there_is_room_for_as_many_as_may_soon_be_called),
    };
    int failed = cmocka_run_group_tests_name("mock and lexicon", tests, NULL, NULL);
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
        failed += enricher_contract_run(&fixtures[i]);
    return failed;
}

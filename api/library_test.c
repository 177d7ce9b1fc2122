/* The library through its public functions, with the mock and with a real HTTP server. That other
 * programs can compile against it, and that its bytes are those of `sluice enrich`, is shown by
 * tests/e2e/libsluice.bats. */
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/support/library.h"

enum { THREADS = 8 };

/* --- batches --- */

static void each_result_belongs_to_its_post_also_when_answers_come_late(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct sluice *s = OPEN("mock-latency=3ms", "mock-latency-spread=3ms");
    struct sluice_batch *batch = enrich(s, m->posts, MANY);
    assert_enriched(batch, 1, MANY);
    sluice_batch_free(batch);
    sluice_close(s);
    free(m);
}

static void a_batch_may_be_larger_than_the_window(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct sluice *s = OPEN("window=7", "mock-latency=1ms");
    struct sluice_batch *batch = enrich(s, m->posts, MANY);
    assert_enriched(batch, 1, MANY);
    sluice_batch_free(batch);
    sluice_close(s);
    free(m);
}

static void posts_that_cannot_be_enriched_are_dead_letters_with_reasons(void **state)
{
    (void)state;
    static const struct {
        const char *value, *reason;
    } rows[] = {{"{\"id\":1,\"text\":\"good\"}", ""},
                {"nonsense", "json_invalid"},
                {"{\"id\":2}", "text_missing"},
                {"{\"text\":\"a\"}", "id_missing"},
                {"[]", "post_not_object"},
                {"", "json_invalid"},
                {NULL, "value_null"},
                {"{\"id\":3,\"text\":\"also good\"}", ""}};
    enum { ROWS = sizeof rows / sizeof *rows };
    struct sluice_post posts[ROWS];
    for (int i = 0; i < ROWS; i++)
        posts[i] =
            (struct sluice_post){rows[i].value, rows[i].value == NULL ? 0 : strlen(rows[i].value)};
    struct sluice *s = OPEN(NULL);
    struct sluice_batch *batch = enrich(s, posts, ROWS);
    for (int i = 0; i < ROWS; i++) {
        const struct sluice_result *res = &sluice_results(batch)[i];
        assert_string_equal(res->reason, rows[i].reason);
        assert_int_equal(res->kind, rows[i].reason[0] == '\0' ? SLUICE_ENRICHED : SLUICE_DEAD);
        assert_int_equal(res->message[0] == '\0', res->kind == SLUICE_ENRICHED);
        if (res->kind == SLUICE_DEAD) {
            assert_int_equal(res->size, posts[i].size);
            assert_memory_equal(res->value, posts[i].size == 0 ? "" : posts[i].value, res->size);
        }
    }
    sluice_batch_free(batch);
    sluice_close(s);
}

static void an_empty_batch_is_answered_at_once(void **state)
{
    (void)state;
    struct sluice *s = OPEN(NULL);
    sluice_batch_free(enrich(s, NULL, 0));
    sluice_batch_free(NULL);
    sluice_close(s);
    sluice_close(NULL);
}

/* --- threads --- */

struct caller {
    struct sluice *s;
    struct made *made;
    int first, rounds, bad;
};

static void *call(void *arg)
{
    struct caller *c = arg;
    for (int r = 0; r < c->rounds; r++) {
        struct sluice_batch *batch = NULL;
        int n = MANY / (r + 1);
        if (sluice_enrich(c->s, c->made->posts, (size_t)n, &batch, NULL) != SLUICE_OK) {
            c->bad++;
            continue;
        }
        for (int i = 0; i < n; i++)
            c->bad += !is_enriched(&sluice_results(batch)[i], c->first + i);
        sluice_batch_free(batch);
    }
    return NULL;
}

/* Thread t has the posts from t * step on. The number of results that were not right. */
static int call_from_threads(struct sluice *s, int step, int rounds)
{
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    int bad = 0;
    for (int t = 0; t < THREADS; t++) {
        callers[t] = (struct caller){.s = s, .first = 1 + t * step, .rounds = rounds};
        callers[t].made = make_posts(callers[t].first);
        assert_int_equal(pthread_create(&threads[t], NULL, call, &callers[t]), 0);
    }
    for (int t = 0; t < THREADS; t++) {
        pthread_join(threads[t], NULL);
        bad += callers[t].bad;
        free(callers[t].made);
    }
    return bad;
}

static void many_threads_use_one_handle(void **state)
{
    (void)state;
    struct sluice *s = OPEN("workers=2", "window=100");
    assert_int_equal(call_from_threads(s, MANY, 10), 0);
    sluice_close(s);
    s = OPEN("workers=3", "mock-latency=1ms", "mock-latency-spread=2ms");
    assert_int_equal(call_from_threads(s, MANY, 2), 0);
    sluice_close(s);
}

/* --- an LLM --- */

static void calls_of_a_batch_run_side_by_side(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){.delay_ms = 300});
    struct sluice *s = OPEN_LLM(&llm, NULL);
    struct sluice_batch *batch = enrich(s, m->posts, 64);
    assert_enriched(batch, 1, 64);
    sluice_batch_free(batch);
    sluice_close(s);
    struct llm_stats stats = llm_end(&llm);
    assert_int_equal(stats.calls, 64);
    assert_true(stats.in_flight_max >= 8);
    free(m);
}

static void what_many_threads_ask_is_bought_once(void **state)
{
    (void)state;
    struct llm llm = llm_begin(&(struct llm_script){.delay_ms = 5});
    struct sluice *s = OPEN_LLM(&llm, "workers=2");
    assert_int_equal(call_from_threads(s, 0, 2), 0);
    sluice_close(s);
    struct llm_stats stats = llm_end(&llm);
    assert_int_equal(stats.calls, MANY);
    assert_int_equal(stats.repeated, 0);
}

static void a_wrong_key_fails_every_batch_and_says_why(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){.api_key = "right", .delay_ms = 20});
    struct sluice *s = OPEN_LLM(&llm, "llm-key=wrong");
    struct sluice_batch *batch = (struct sluice_batch *)m; /* stays as it is */
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sluice_enrich(s, m->posts, 100, &batch, why), SLUICE_AUTH);
        assert_ptr_equal(batch, m);
        assert_non_null(strstr(why, "key"));
        assert_null(strstr(why, "wrong"));
    }
    sluice_close(s);
    s = OPEN_LLM(&llm, "llm-key=right");
    batch = enrich(s, m->posts, 100);
    assert_enriched(batch, 1, 100);
    sluice_batch_free(batch);
    sluice_close(s);
    llm_end(&llm);
    free(m);
}

static void an_endpoint_that_stays_away_makes_dead_letters_at_the_deadline(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){.mode = LLM_CLOSE_EARLY});
    struct sluice *s = OPEN_LLM(&llm, "llm-deadline=300ms");
    struct sluice_batch *batch = enrich(s, m->posts, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sluice_results(batch)[i].kind, SLUICE_DEAD);
    sluice_batch_free(batch);
    sluice_close(s);
    llm_end(&llm);
    free(m);
}

/* Files may not grow any more: the disk is full. */
static void answers_that_cannot_be_stored_fail_the_batch_until_they_can(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct rlimit before, none = {0};
    struct llm llm = llm_begin(&(struct llm_script){0});
    struct sluice *s = OPEN_LLM(&llm, "broker-timeout=1s");
    sluice_batch_free(enrich(s, m->posts, 10));
    getrlimit(RLIMIT_FSIZE, &before);
    none.rlim_max = before.rlim_max;
    setrlimit(RLIMIT_FSIZE, &none);
    struct sluice_batch *batch = NULL;
    int rc = sluice_enrich(s, m->posts + 10, 10, &batch, why);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(rc, SLUICE_IO);
    assert_true(strlen(why) > 0);
    batch = enrich(s, m->posts, 30);
    assert_enriched(batch, 1, 30);
    sluice_batch_free(batch);
    sluice_close(s);
    assert_int_equal(llm_end(&llm).calls, 30);
    free(m);
}

/* --- configuration --- */

static char *write_file(const char *name, const char *text)
{
    static char path[160];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(fclose(f), 0);
    return path;
}

static void a_wrong_setting_is_named_with_its_origin_and_the_cure(void **state)
{
    (void)state;
    refused(NULL, "windw=3", SLUICE_CONFIG,
            "windw (setting of the program): no such option; did you mean window?");
    refused(NULL, "window=many", SLUICE_CONFIG,
            "window: bad value \"many\" (setting of the program): expected");
    refused(NULL, "no equals sign", SLUICE_CONFIG, "KEY=VALUE");
    refused(NULL, "=x", SLUICE_CONFIG, "KEY=VALUE");
    refused(NULL, "llm-key-file=/nonexistent", SLUICE_CONFIG, "llm-key");
    refused("/nonexistent.yml", NULL, SLUICE_CONFIG, "/nonexistent.yml");
    refused(write_file("bad.yml", "mock-latency: 1 ms\nenrichr: mock\n"), NULL, SLUICE_CONFIG,
            "bad.yml line 2");
    setenv("SLUICE_WINDOW", "none", 1);
    refused(NULL, NULL, SLUICE_CONFIG, "environment SLUICE_WINDOW");
    unsetenv("SLUICE_WINDOW");
    refused(NULL, "llm-schema=/nonexistent", SLUICE_CONFIG, "/nonexistent");
}

/* What post 1 is enriched with. */
static char *answer_of(const char *file, const char *const *settings)
{
    static char text[512];
    struct sluice_post post = {"{\"id\":1,\"text\":\"a\"}", 19};
    struct sluice *s = NULL;
    assert_int_equal(sluice_open(file, settings, &s, why), SLUICE_OK);
    struct sluice_batch *batch = enrich(s, &post, 1);
    snprintf(text, sizeof text, "%.*s", (int)sluice_results(batch)[0].size,
             sluice_results(batch)[0].value);
    sluice_batch_free(batch);
    sluice_close(s);
    return text;
}

static void settings_win_over_the_environment_over_the_file(void **state)
{
    (void)state;
    char csv[160];
    snprintf(csv, sizeof csv, "lookup-file=%s", write_file("x.csv", "id,place\n1,Rome\n"));
    const char *table[] = {csv, NULL}, *mock[] = {csv, "enricher=mock", NULL};
    char *file = write_file("lookup.yml", "enricher: lookup\n");
    assert_non_null(strstr(answer_of(file, table), "Rome"));
    assert_null(strstr(answer_of(file, mock), "Rome"));
    setenv("SLUICE_ENRICHER", "mock", 1);
    assert_null(strstr(answer_of(file, table), "Rome"));
    unsetenv("SLUICE_ENRICHER");
}

static void a_chain_of_the_file_is_used(void **state)
{
    (void)state;
    char *file = write_file("chain.yml", "enrichers:\n  - {name: one, kind: mock}\n"
                                         "  - {name: two, kind: mock}\n");
    char *text = answer_of(file, NULL);
    assert_non_null(strstr(text, "\"one\""));
    assert_non_null(strstr(text, "\"two\""));
}

static void the_library_says_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(sluice_abi(), SLUICE_ABI);
    assert_string_equal(sluice_version(), SLUICE_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_result_belongs_to_its_post_also_when_answers_come_late),
        cmocka_unit_test(a_batch_may_be_larger_than_the_window),
        cmocka_unit_test(posts_that_cannot_be_enriched_are_dead_letters_with_reasons),
        cmocka_unit_test(an_empty_batch_is_answered_at_once),
        cmocka_unit_test(many_threads_use_one_handle),
        cmocka_unit_test(calls_of_a_batch_run_side_by_side),
        cmocka_unit_test(what_many_threads_ask_is_bought_once),
        cmocka_unit_test(a_wrong_key_fails_every_batch_and_says_why),
        cmocka_unit_test(an_endpoint_that_stays_away_makes_dead_letters_at_the_deadline),
        cmocka_unit_test(answers_that_cannot_be_stored_fail_the_batch_until_they_can),
        cmocka_unit_test(a_wrong_setting_is_named_with_its_origin_and_the_cure),
        cmocka_unit_test(settings_win_over_the_environment_over_the_file),
        cmocka_unit_test(a_chain_of_the_file_is_used),
        cmocka_unit_test(the_library_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

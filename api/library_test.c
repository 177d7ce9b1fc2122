/* The library through its public functions, with the mock and with a real HTTP server. That other
 * programs can compile against it, and that its bytes are those of `sluice enrich`, is shown by
 * tests/e2e/libsluice.bats. */
#include "include/sluice.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/llm_server.h"

enum { POST_SIZE = 96, MANY = 1000, THREADS = 8 };

static char folder[] = "/tmp/sluice-library-XXXXXX";
static char why[SLUICE_WHY_MAX];

struct made { /* posts with the numbers from `first` on */
    char text[MANY][POST_SIZE];
    struct sluice_post posts[MANY];
};

static struct made *make_posts(int first)
{
    struct made *m = calloc(1, sizeof *m);
    assert_non_null(m);
    for (int i = 0; i < MANY; i++) {
        int n = snprintf(m->text[i], POST_SIZE, "{\"id\":%d,\"text\":\"post number %d\"}",
                         first + i, first + i);
        m->posts[i] = (struct sluice_post){m->text[i], (size_t)n};
    }
    return m;
}

static struct sluice *open_with(const char *const *settings)
{
    struct sluice *s = NULL;
    if (sluice_open(NULL, settings, &s, why) != SLUICE_OK)
        fail_msg("sluice_open: %s", why);
    return s;
}

#define OPEN(...) open_with((const char *const[]){__VA_ARGS__, NULL})

static struct sluice_batch *enrich(struct sluice *s, const struct sluice_post *posts, size_t n)
{
    struct sluice_batch *batch = NULL;
    if (sluice_enrich(s, posts, n, &batch, why) != SLUICE_OK)
        fail_msg("sluice_enrich: %s", why);
    return batch;
}

/* The result is the post of that number with an enrichment. */
static bool is_enriched(const struct sluice_result *res, int number)
{
    char begin[POST_SIZE];
    int n = snprintf(begin, sizeof begin, "{\"id\":%d,\"text\":\"post number %d\",\"enrichment\":{",
                     number, number);
    return res->kind == SLUICE_ENRICHED && res->size > (size_t)n &&
           memcmp(res->value, begin, (size_t)n) == 0 && res->reason[0] == '\0' &&
           res->message[0] == '\0';
}

static void assert_enriched(const struct sluice_batch *batch, int first, int n)
{
    for (int i = 0; i < n; i++)
        if (!is_enriched(&sluice_results(batch)[i], first + i))
            fail_msg("post %d: %.*s %s", first + i, (int)sluice_results(batch)[i].size,
                     sluice_results(batch)[i].value, sluice_results(batch)[i].message);
}

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

struct llm {
    struct llm_server *server;
    char url[96], state_dir[128];
};

static struct llm llm_begin(const struct llm_script *script)
{
    static int count;
    struct llm llm = {0};
    assert_int_equal(llm_server_start(script, &llm.server), ST_OK);
    snprintf(llm.url, sizeof llm.url, "llm-url=%s", llm_server_url(llm.server));
    snprintf(llm.state_dir, sizeof llm.state_dir, "state-dir=%s/%d", folder, ++count);
    return llm;
}

#define OPEN_LLM(llm, ...) OPEN("enricher=openai", (llm)->url, (llm)->state_dir, __VA_ARGS__)

static struct llm_stats llm_end(struct llm *llm)
{
    struct llm_stats stats;
    llm_server_stats(llm->server, &stats);
    llm_server_stop(llm->server);
    return stats;
}

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

static void refused(const char *file, const char *setting, int code, const char *words)
{
    struct sluice *s = (struct sluice *)folder; /* stays as it is */
    const char *settings[] = {setting, NULL};
    why[0] = '\0';
    assert_int_equal(sluice_open(file, settings, &s, why), code);
    assert_ptr_equal(s, folder);
    if (strstr(why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, words);
    assert_int_equal(sluice_open(file, settings, &s, NULL), code);
}

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

/* --- the process around it --- */

static int entries_of(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;
    assert_non_null(dir);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

static void opening_and_closing_a_hundred_times_leaves_no_thread_and_no_descriptor(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){0});
    int fds = 0, threads = 0;
    for (int i = 0; i < 100; i++) {
        struct sluice *s = OPEN_LLM(&llm, "workers=2");
        struct sluice_batch *batch = enrich(s, m->posts, 10);
        assert_enriched(batch, 1, 10);
        sluice_batch_free(batch);
        sluice_close(s);
        if (i == 0) { /* the libraries below have opened what they keep */
            fds = entries_of("/proc/self/fd");
            threads = entries_of("/proc/self/task");
        }
    }
    assert_int_equal(entries_of("/proc/self/task"), threads);
    assert_true(entries_of("/proc/self/fd") <= fds);
    llm_end(&llm);
    free(m);
}

static void a_failed_open_leaves_no_thread_and_no_descriptor(void **state)
{
    (void)state;
    int fds = entries_of("/proc/self/fd"), threads = entries_of("/proc/self/task");
    for (int i = 0; i < 20; i++) {
        refused(NULL, "window=many", SLUICE_CONFIG, "window");
        refused(NULL, "llm-schema=/nonexistent", SLUICE_CONFIG, "/nonexistent");
    }
    assert_int_equal(entries_of("/proc/self/task"), threads);
    assert_int_equal(entries_of("/proc/self/fd"), fds);
}

static void handler(int number)
{
    (void)number;
}

static void the_signals_of_the_program_stay_as_they_are(void **state)
{
    (void)state;
    struct sigaction before[NSIG], now;
    sigset_t mask, old;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &mask, &old);
    signal(SIGUSR1, handler);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, NULL, &before[i]);
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){0});
    struct sluice *s = OPEN_LLM(&llm, NULL);
    sluice_batch_free(enrich(s, m->posts, 20));
    for (int i = 1; i < NSIG; i++)
        if (sigaction(i, NULL, &now) == 0 && now.sa_handler != before[i].sa_handler)
            fail_msg("signal %d has another handler", i);
    sluice_close(s);
    pthread_sigmask(SIG_SETMASK, &old, &mask);
    for (int i = 1; i < NSIG; i++)
        assert_int_equal(sigismember(&mask, i) == 1, i == SIGUSR2);
    signal(SIGUSR1, SIG_DFL);
    llm_end(&llm);
    free(m);
}

/* Posts to an endpoint that ends the connection raise no SIGPIPE, although nobody ignores it. */
static void a_connection_that_breaks_raises_no_signal(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){.mode = LLM_RESET_MID_BODY, .mode_rate = 0.5});
    signal(SIGPIPE, SIG_DFL);
    struct sluice *s = OPEN_LLM(&llm, "llm-attempts=50");
    struct sluice_batch *batch = enrich(s, m->posts, 100);
    assert_enriched(batch, 1, 100);
    sluice_batch_free(batch);
    sluice_close(s);
    llm_end(&llm);
    free(m);
}

/* What an open, a failing batch and a close write to stderr, in bytes. */
static long said(const char *level)
{
    char log[160];
    struct made *m = make_posts(1);
    struct llm llm = llm_begin(&(struct llm_script){0});
    snprintf(log, sizeof log, "%s/stderr", folder);
    int file = open(log, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0600), saved = dup(STDERR_FILENO);
    fflush(stderr);
    dup2(file, STDERR_FILENO);
    /* The budget is spent at once, of which it warns. */
    struct sluice *s = OPEN_LLM(&llm, "llm-price=gpt-4o-mini=100/100", "llm-max-tokens=100",
                                "budget-run=0.1", "budget-action=dead-letter", level);
    struct sluice_batch *batch = enrich(s, m->posts, 50);
    sluice_batch_free(batch);
    sluice_close(s);
    fflush(stderr);
    dup2(saved, STDERR_FILENO);
    close(saved);
    long size = lseek(file, 0, SEEK_END);
    close(file);
    llm_end(&llm);
    free(m);
    return size;
}

static void nothing_is_written_to_stderr_unless_log_level_says_so(void **state)
{
    (void)state;
    assert_int_equal(said(NULL), 0);
    assert_true(said("log-level=warn") > 0);
}

static void a_handle_of_before_a_fork_is_refused_in_the_child(void **state)
{
    (void)state;
    struct made *m = make_posts(1);
    struct sluice *s = OPEN(NULL);
    sluice_batch_free(enrich(s, m->posts, 10));
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct sluice_batch *batch = NULL;
        char words[SLUICE_WHY_MAX] = "";
        int rc = sluice_enrich(s, m->posts, 10, &batch, words);
        sluice_close(s);
        _exit(rc == SLUICE_FAILED && strstr(words, "fork") != NULL ? 0 : 1);
    }
    int how = 0;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_int_equal(how, 0);
    sluice_batch_free(enrich(s, m->posts, 10));
    sluice_close(s);
    free(m);
}

static void the_library_says_what_it_is(void **state)
{
    (void)state;
    assert_int_equal(sluice_abi(), SLUICE_ABI);
    assert_string_equal(sluice_version(), SLUICE_VERSION);
}

static int make_folder(void **state)
{
    (void)state;
    unsetenv("KAFKA_BOOTSTRAP_SERVERS");
    return mkdtemp(folder) == NULL || setenv("XDG_STATE_HOME", folder, 1) != 0;
}

static int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
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
        cmocka_unit_test(opening_and_closing_a_hundred_times_leaves_no_thread_and_no_descriptor),
        cmocka_unit_test(a_failed_open_leaves_no_thread_and_no_descriptor),
        cmocka_unit_test(the_signals_of_the_program_stay_as_they_are),
        cmocka_unit_test(a_connection_that_breaks_raises_no_signal),
        cmocka_unit_test(nothing_is_written_to_stderr_unless_log_level_says_so),
        cmocka_unit_test(a_handle_of_before_a_fork_is_refused_in_the_child),
        cmocka_unit_test(the_library_says_what_it_is),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

/* The library as a guest in a process: what it leaves behind, and what it leaves alone. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/library.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(opening_and_closing_a_hundred_times_leaves_no_thread_and_no_descriptor),
        cmocka_unit_test(a_failed_open_leaves_no_thread_and_no_descriptor),
        cmocka_unit_test(the_signals_of_the_program_stay_as_they_are),
        cmocka_unit_test(a_connection_that_breaks_raises_no_signal),
        cmocka_unit_test(nothing_is_written_to_stderr_unless_log_level_says_so),
        cmocka_unit_test(a_handle_of_before_a_fork_is_refused_in_the_child),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}

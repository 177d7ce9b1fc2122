/* A program of somebody else: posts on stdin, enriched posts on stdout, dead letters on stderr.
 *
 *     user [--config FILE] [--set KEY=VALUE]... [--batch N] [--threads N] [--die]
 *
 * Thread t has the batches t, t + threads, ...; --die: killed by itself before it closes. */
#include <sluice.h>

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES_MAX = 100000, SETTINGS_MAX = 20, THREADS_MAX = 64 };

static struct sluice *handle;
static struct sluice_post posts[LINES_MAX];
static size_t count, batch_size = 100, thread_count = 1;
static pthread_mutex_t printing = PTHREAD_MUTEX_INITIALIZER;

static void print(size_t first, size_t n, const struct sluice_batch *batch)
{
    pthread_mutex_lock(&printing);
    for (size_t i = 0; i < n; i++) {
        const struct sluice_result *res = &sluice_results(batch)[i];
        if (res->kind == SLUICE_ENRICHED)
            printf("%.*s\n", (int)res->size, res->value);
        else
            fprintf(stderr, "%zu %s: %s\n", first + i + 1, res->reason, res->message);
    }
    pthread_mutex_unlock(&printing);
}

static void *work(void *arg)
{
    size_t step = batch_size * thread_count;
    for (size_t at = batch_size * *(size_t *)arg; at < count; at += step) {
        char why[SLUICE_WHY_MAX];
        size_t n = count - at < batch_size ? count - at : batch_size;
        struct sluice_batch *batch;
        int rc = sluice_enrich(handle, posts + at, n, &batch, why);
        if (rc != SLUICE_OK) {
            fprintf(stderr, "%s\n", why);
            exit(rc);
        }
        print(at, n, batch);
        sluice_batch_free(batch);
    }
    return NULL;
}

static void run_threads(void)
{
    pthread_t threads[THREADS_MAX];
    size_t numbers[THREADS_MAX];
    for (size_t t = 0; t < thread_count; t++) {
        numbers[t] = t;
        pthread_create(&threads[t], NULL, work, &numbers[t]);
    }
    for (size_t t = 0; t < thread_count; t++)
        pthread_join(threads[t], NULL);
}

static void read_posts(void)
{
    char *line = NULL;
    size_t size = 0;
    for (ssize_t n; count < LINES_MAX && (n = getline(&line, &size, stdin)) > 0; count++) {
        if (line[n - 1] == '\n')
            line[--n] = '\0';
        posts[count].value = strdup(line);
        posts[count].size = (size_t)n;
    }
    free(line);
}

int main(int argc, char **argv)
{
    const char *settings[SETTINGS_MAX + 1] = {NULL}, *config = NULL;
    char why[SLUICE_WHY_MAX];
    int set = 0, die = 0;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--die") == 0)
            die = 1;
        else if (strcmp(argv[i], "--config") == 0)
            config = argv[++i];
        else if (strcmp(argv[i], "--set") == 0 && set < SETTINGS_MAX)
            settings[set++] = argv[++i];
        else if (strcmp(argv[i], "--batch") == 0)
            batch_size = (size_t)atol(argv[++i]);
        else if (strcmp(argv[i], "--threads") == 0)
            thread_count = (size_t)atol(argv[++i]);
        else
            return 2;
    }
    int rc = sluice_open(config, settings, &handle, why);
    if (rc != SLUICE_OK) {
        fprintf(stderr, "%s\n", why);
        return rc;
    }
    read_posts();
    run_threads();
    if (die)
        raise(SIGKILL);
    sluice_close(handle);
    for (size_t i = 0; i < count; i++)
        free((char *)posts[i].value);
    return 0;
}

/* For the tests of the library: posts with numbers, handles in an empty folder, and a scripted LLM
 * server. Included by one file of each test program. Threads: one thread, but for what is asked. */
#ifndef SLUICE_TESTS_LIBRARY_H
#define SLUICE_TESTS_LIBRARY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "include/sluice.h"
#include "tests/support/llm_server.h"

enum { POST_SIZE = 96, MANY = 1000 };

static char folder[] = "/tmp/sluice-library-XXXXXX";
static char why[SLUICE_WHY_MAX];

struct made { /* posts with the numbers from `first` on */
    char text[MANY][POST_SIZE];
    struct sluice_post posts[MANY];
};

static inline struct made *make_posts(int first)
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

static inline struct sluice *open_with(const char *const *settings)
{
    struct sluice *s = NULL;
    if (sluice_open(NULL, settings, &s, why) != SLUICE_OK)
        fail_msg("sluice_open: %s", why);
    return s;
}

#define OPEN(...) open_with((const char *const[]){__VA_ARGS__, NULL})

static inline struct sluice_batch *enrich(struct sluice *s, const struct sluice_post *posts,
                                          size_t n)
{
    struct sluice_batch *batch = NULL;
    if (sluice_enrich(s, posts, n, &batch, why) != SLUICE_OK)
        fail_msg("sluice_enrich: %s", why);
    return batch;
}

/* The result is the post of that number with an enrichment. */
static inline bool is_enriched(const struct sluice_result *res, int number)
{
    char begin[POST_SIZE];
    int n = snprintf(begin, sizeof begin, "{\"id\":%d,\"text\":\"post number %d\",\"enrichment\":{",
                     number, number);
    return res->kind == SLUICE_ENRICHED && res->size > (size_t)n &&
           memcmp(res->value, begin, (size_t)n) == 0 && res->reason[0] == '\0' &&
           res->message[0] == '\0';
}

static inline void assert_enriched(const struct sluice_batch *batch, int first, int n)
{
    for (int i = 0; i < n; i++)
        if (!is_enriched(&sluice_results(batch)[i], first + i))
            fail_msg("post %d: %.*s %s", first + i, (int)sluice_results(batch)[i].size,
                     sluice_results(batch)[i].value, sluice_results(batch)[i].message);
}

/* --- an LLM --- */

struct llm {
    struct llm_server *server;
    char url[96], state_dir[128];
};

static inline struct llm llm_begin(const struct llm_script *script)
{
    static int count;
    struct llm llm = {0};
    assert_int_equal(llm_server_start(script, &llm.server), ST_OK);
    snprintf(llm.url, sizeof llm.url, "llm-url=%s", llm_server_url(llm.server));
    snprintf(llm.state_dir, sizeof llm.state_dir, "state-dir=%s/%d", folder, ++count);
    return llm;
}

#define OPEN_LLM(llm, ...) OPEN("enricher=openai", (llm)->url, (llm)->state_dir, __VA_ARGS__)

static inline struct llm_stats llm_end(struct llm *llm)
{
    struct llm_stats stats;
    llm_server_stats(llm->server, &stats);
    llm_server_stop(llm->server);
    return stats;
}

/* --- ends --- */

static inline void refused(const char *file, const char *setting, int code, const char *words)
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

static inline int make_folder(void **state)
{
    (void)state;
    unsetenv("KAFKA_BOOTSTRAP_SERVERS");
    return mkdtemp(folder) == NULL || setenv("XDG_STATE_HOME", folder, 1) != 0;
}

static inline int remove_folder(void **state)
{
    (void)state;
    char command[64];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

#endif

/* libsluice: the enrichment of `sluice enhance` for programs of other people, a batch at a time.
 * The only public interface of sluice; everything else may change at any time.
 *
 *     struct sluice *s;
 *     char why[SLUICE_WHY_MAX];
 *     if (sluice_open("sluice.yml", NULL, &s, why) != SLUICE_OK)
 *         ... why says what is wrong, and how to mend it ...
 *     sluice_enrich(s, posts, n, &batch, why);      the calls of a batch run side by side
 *     for (i = 0; i < n; i++)
 *         use(&sluice_results(batch)[i]);
 *     sluice_batch_free(batch);
 *     sluice_close(s);
 *
 * Ensures: result i belongs to post i; a result is an enriched post or a dead letter with the
 * reason words of docs/FORMAT.md; paid answers are stored before their batch returns, and are
 * bought once for all threads of the process.
 *
 * Threads: sluice_enrich may be called by any number of threads at once, also for one handle; open
 * and close by one. A process that forks opens its handle after the fork.
 * Versions: SLUICE_ABI grows when a program must be compiled again; structs never change their
 * size within one ABI. */
#ifndef SLUICE_H
#define SLUICE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define SLUICE_ABI 1

#if defined(__GNUC__)
#define SLUICE_API __attribute__((visibility("default")))
#else
#define SLUICE_API
#endif

enum { SLUICE_WHY_MAX = 512 };

/* What calls return: 0, or the exit code that the program `sluice` would end with. */
enum sluice_code {
    SLUICE_OK = 0,
    SLUICE_FAILED = 1,
    SLUICE_UNAVAILABLE = 69, /* an endpoint or broker cannot be reached */
    SLUICE_IO = 74,
    SLUICE_AUTH = 77,
    SLUICE_CONFIG = 78 /* a setting must change */
};

enum sluice_kind {
    SLUICE_ENRICHED = 0, /* value: the post with its enrichment */
    SLUICE_DEAD = 1      /* value: the post as it came; reason and message say why */
};

struct sluice;
struct sluice_batch;

/* One post: bytes that are JSON, need not end with 0, and are only read. */
struct sluice_post {
    const char *value;
    size_t size;
};

/* What became of it; valid until sluice_batch_free. `reason` ("text_missing", ...) and `message`
 * end with 0, and are "" for an enriched post. */
struct sluice_result {
    enum sluice_kind kind;
    const char *value;
    size_t size;
    const char *reason;
    const char *message;
};

/* Opens the enrichment as `config_file` (YAML, as for the program; NULL: none), the environment
 * (SLUICE_...) and `settings` ("key=value", ended by NULL; NULL: none; these win) say. On failure
 * *ret is untouched and why[SLUICE_WHY_MAX] names the setting, its origin and the cure. */
SLUICE_API int sluice_open(const char *config_file, const char *const *settings,
                           struct sluice **ret, char *why);

/* Enriches n posts and returns when all are answered. Fails only when no answer can ever come, or
 * what is paid for cannot be stored for longer than `broker-timeout` (then *ret is untouched);
 * posts that cannot be enriched are dead letters in the batch. */
SLUICE_API int sluice_enrich(struct sluice *s, const struct sluice_post *posts, size_t n,
                             struct sluice_batch **ret, char *why);

/* The n results of a batch, in the order of its posts. */
SLUICE_API const struct sluice_result *sluice_results(const struct sluice_batch *batch);
SLUICE_API void sluice_batch_free(struct sluice_batch *batch); /* NULL is accepted */

/* After the last sluice_enrich has returned. Stores what is to be stored. NULL is accepted. */
SLUICE_API void sluice_close(struct sluice *s);

SLUICE_API const char *sluice_version(void); /* "0.1.0" */
SLUICE_API int sluice_abi(void);             /* SLUICE_ABI of the library that is loaded */

#ifdef __cplusplus
}
#endif
#endif

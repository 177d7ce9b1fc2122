/* libcurl works on the memory that we give it: its own functions make, grow and free blocks of all
 * sizes here, on several threads. */
#include "lib/enrich/curl_memory.h"

#include <curl/curl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BLOCKS = 300, ROUNDS = 40000, LONGEST = 9000, THREADS = 4 };

struct held {
    char *text;
    size_t n;
    char fill;
};

/* curl_easy_escape copies what needs no escape, and grows its block as it goes. */
static struct held hold(CURL *curl, size_t n, char fill)
{
    char raw[LONGEST + 1];
    memset(raw, fill, n);
    raw[n] = '\0';
    return (struct held){.text = curl_easy_escape(curl, raw, (int)n), .n = n, .fill = fill};
}

static bool is_whole(const struct held *h)
{
    if (h->text == NULL || strlen(h->text) != h->n)
        return false;
    for (size_t i = 0; i < h->n; i++)
        if (h->text[i] != h->fill)
            return false;
    return true;
}

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 8;
}

static void blocks_of_all_sizes_stay_whole_whatever_comes_and_goes(void **state)
{
    (void)state;
    unsigned seed = 7;
    struct held held[BLOCKS] = {0};
    CURL *curl = curl_easy_init();
    for (int round = 0; round < ROUNDS; round++) {
        struct held *h = &held[next(&seed) % BLOCKS];
        assert_true(h->text == NULL || is_whole(h));
        curl_free(h->text);
        size_t n = 1 + next(&seed) % (round % 50 == 0 ? LONGEST : 300);
        *h = hold(curl, n, (char)('a' + next(&seed) % 26));
    }
    for (int i = 0; i < BLOCKS; i++) {
        assert_true(held[i].text == NULL || is_whole(&held[i]));
        curl_free(held[i].text);
    }
    curl_easy_cleanup(curl);
    curl_memory_drop();
}

/* --- threads --- */

static struct held passed[THREADS][BLOCKS];
static pthread_barrier_t barrier;

/* Frees what its neighbour made, and makes anew of it. Returns how many were damaged. */
static void *make_and_free(void *arg)
{
    uintptr_t me = (uintptr_t)arg, damaged = 0;
    CURL *curl = curl_easy_init();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < BLOCKS; i++)
            passed[me][i] = hold(curl, (size_t)(1 + i * 7 % 400), (char)('a' + me));
        pthread_barrier_wait(&barrier);
        struct held *others = passed[(me + 1) % THREADS];
        for (int i = 0; i < BLOCKS; i++) {
            damaged += !is_whole(&others[i]);
            curl_free(others[i].text);
        }
        pthread_barrier_wait(&barrier);
    }
    curl_easy_cleanup(curl);
    curl_memory_drop();
    return (void *)damaged;
}

static void a_block_may_be_freed_by_another_thread(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, make_and_free, (void *)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *damaged;
        pthread_join(threads[i], &damaged);
        assert_null(damaged);
    }
    pthread_barrier_destroy(&barrier);
}

/* A new handle is all zeros but for its defaults: on blocks that were full of something before. */
static void what_is_asked_for_as_zeros_is_zeros(void **state)
{
    (void)state;
    CURL *first = curl_easy_init();
    for (size_t n = 1; n < LONGEST; n += 32) {
        struct held h = hold(first, n, 'x');
        curl_free(h.text);
    }
    for (int i = 0; i < 100; i++) {
        CURL *curl = curl_easy_init();
        void *nothing = first;
        assert_int_equal(curl_easy_getinfo(curl, CURLINFO_PRIVATE, &nothing), CURLE_OK);
        assert_null(nothing);
        curl_easy_cleanup(curl);
    }
    curl_easy_cleanup(first);
    curl_memory_drop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_of_all_sizes_stay_whole_whatever_comes_and_goes),
        cmocka_unit_test(a_block_may_be_freed_by_another_thread),
        cmocka_unit_test(what_is_asked_for_as_zeros_is_zeros),
    };
    curl_memory_set_up();
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}

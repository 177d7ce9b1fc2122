/* Runs a fuzz target over its corpus, and over seeded mutations of it, without the fuzzer: one
 * program for each target (FUZZ_CORPUS), part of the unit tests. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/clock.h"
#include "tests/fuzz/fuzz.h"

enum { INPUT_MAX = 1 << 16, MUTATIONS = 2000, BUDGET_MS = 3000 };

static size_t read_file(const char *name, uint8_t *to, size_t max)
{
    char path[512];
    snprintf(path, sizeof path, FUZZ_CORPUS "/%s", name);
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    size_t n = fread(to, 1, max, f);
    fclose(f);
    return n;
}

/* Calls fn for each file of the corpus; how many there were. */
static int each_file(void (*fn)(const uint8_t *data, size_t n))
{
    DIR *dir = opendir(FUZZ_CORPUS);
    assert_non_null(dir);
    static uint8_t data[INPUT_MAX];
    int count = 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        fn(data, read_file(e->d_name, data, sizeof data));
        count++;
    }
    closedir(dir);
    return count;
}

static void replay(const uint8_t *data, size_t n)
{
    LLVMFuzzerTestOneInput(data, n);
}

static size_t mutate(uint8_t *data, size_t n, struct rng *rng)
{
    static const char bytes[] = "\"\\{}[]:,u0e-+.\x00\x1f\x7f\x80\xc0\xed\xf0\xff truefalsenull\n";
    for (uint64_t k = rng_next(rng) % 4 + 1; k > 0 && n > 1; k--) {
        size_t at = rng_next(rng) % n, other = rng_next(rng) % n;
        uint8_t c = (uint8_t)bytes[rng_next(rng) % (sizeof bytes - 1)];
        switch (rng_next(rng) % 4) {
        case 0:
            data[at] = c;
            break;
        case 1:
            memmove(data + at, data + at + 1, --n - at);
            break;
        case 2:
            data[at] = data[other];
            break;
        default:
            n = at + 1;
        }
    }
    return n;
}

/* The same mutations every time; slow targets get through fewer of them. */
static void replay_mutated(const uint8_t *data, size_t n)
{
    struct rng rng;
    rng_seed(&rng, n);
    static uint8_t copy[INPUT_MAX];
    int64_t end_ms = clock_mono_ms() + BUDGET_MS / 10;
    for (int i = 0; i < MUTATIONS && (i < 20 || clock_mono_ms() < end_ms); i++) {
        memcpy(copy, data, n);
        LLVMFuzzerTestOneInput(copy, mutate(copy, n, &rng));
    }
}

static void the_corpus_passes_the_fuzz_target(void **state)
{
    (void)state;
    assert_true(each_file(replay) >= 3);
}

static void mutations_of_the_corpus_pass_the_fuzz_target(void **state)
{
    (void)state;
    assert_true(each_file(replay_mutated) >= 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_corpus_passes_the_fuzz_target),
        cmocka_unit_test(mutations_of_the_corpus_pass_the_fuzz_target),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

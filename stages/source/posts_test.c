/* The bundled posts: what `sluice run` sends when nobody says otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "lib/json/post.h"
#include "stages/source/feed.h"

static void every_bundled_post_is_valid_and_ids_count_up(void **state)
{
    (void)state;
    struct error err;
    struct span line;
    int64_t n = 0;
    void *ctx = mem_zalloc(sample_feed.ctx_size);
    assert_int_equal(sample_feed.open(ctx, NULL, &err), ST_OK);
    while (sample_feed.next(ctx, &line, &err) == LINE_READ) {
        struct post post;
        char id[24];
        if (post_scan(line, &POST_LIMITS_DEFAULT, &post, &err) != ST_OK)
            fail_msg("line %lld: %s", (long long)n + 1, err.text);
        snprintf(id, sizeof id, "%lld", (long long)++n);
        assert_true(span_is(post.id, id));
        assert_false(post.id_is_string);
    }
    assert_in_range(n, 200, 10000);
    sample_feed.close(ctx);
    mem_free(ctx);
}

static void the_first_three_are_those_of_the_original(void **state)
{
    (void)state;
    static const char *const first[] = {"{\"id\": 1, \"text\": \"Just had a great coffee!\"}",
                                        "{\"id\": 2, \"text\": \"Reading about AI trends\"}",
                                        "{\"id\": 3, \"text\": \"Sunny day at the beach\"}"};
    struct error err;
    struct span line;
    void *ctx = mem_zalloc(sample_feed.ctx_size);
    assert_int_equal(sample_feed.open(ctx, NULL, &err), ST_OK);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sample_feed.next(ctx, &line, &err), LINE_READ);
        assert_true(span_is(line, first[i]));
    }
    sample_feed.close(ctx);
    mem_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_bundled_post_is_valid_and_ids_count_up),
        cmocka_unit_test(the_first_three_are_those_of_the_original),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

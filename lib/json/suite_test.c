/* Valid and invalid texts by the classes of the JSONTestSuite (Seriot, "Parsing JSON is a
 * Minefield", 2016): every valid one passes, every invalid one is refused, alone and inside other
 * values. Where the suite leaves the choice (i_ cases), ours is written down here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/json/post.h"
#include "lib/json/suite_cases.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const struct post_limits limits = {.max_bytes = 4 << 20, .max_depth = 512};

static void expect(struct span text, bool valid)
{
    /* A copy of exactly this size, so that sanitizers see a read behind the end. */
    char *value = mem_alloc(text.n);
    if (text.n > 0)
        memcpy(value, text.p, text.n);
    struct error err = {0};
    enum status st = json_check(span_make(value, text.n), &limits, &err);
    if ((st == ST_OK) != valid)
        print_error("%s: %.*s (%s)\n", valid ? "valid" : "invalid", (int)text.n, text.p, err.text);
    assert_int_equal(st, valid ? ST_OK : ST_REJECT);
    if (!valid)
        assert_int_equal(err.reason, REASON_json_invalid);
    mem_free(value);
}

/* The value where values stand: inside containers, at both ends. */
static void expect_inside(struct span text, bool valid)
{
    static const char *const around[][2] = {
        {"[", "]"},
        {"{\"a\":", "}"},
        {"[1,", "]"},
        {"[", ",1]"},
        {"[[[{\"a\":[", "]}]]]"},
        {"{\"a\":1,\"b\":", ",\"c\":2}"},
        {" \n[ ", " ]\t"},
        {"[\"0123456789abcdef\",", ",\"0123456789abcdef0123456789abcdef\"]"},
    };
    struct buf b = {0};
    for (size_t i = 0; i < COUNT(around); i++) {
        buf_reset(&b, 0);
        buf_add_str(&b, around[i][0]);
        buf_add_span(&b, text);
        buf_add_str(&b, around[i][1]);
        expect(buf_span(&b), valid);
    }
    buf_fini(&b);
}

static void every_valid_text_passes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_values); i++)
        expect(good_values[i], true);
}

static void every_valid_text_passes_inside_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_values); i++)
        expect_inside(good_values[i], true);
}

static void every_invalid_text_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_values); i++)
        expect(bad_values[i], false);
}

static bool harmless_in_a_list(struct span text)
{
    /* "[" T "]" can be valid though T is not: [ ] and [1,5] and [true,false]. */
    static const char *const lists[] = {"", " ", "1,5", "true,false", "1,", ",1", "\"a\":1", "]"};
    for (size_t i = 0; i < COUNT(lists); i++)
        if (span_is(text, lists[i]))
            return true;
    return false;
}

static void every_invalid_text_is_refused_inside_others(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(bad_values); i++)
        if (!harmless_in_a_list(bad_values[i]))
            expect_inside(bad_values[i], false);
}

static void every_prefix_of_a_valid_container_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(good_values); i++) {
        struct span t = good_values[i];
        bool closed = t.n > 0 && strchr("]}\"", t.p[t.n - 1]) != NULL && strchr("[{\"", t.p[0]);
        for (size_t n = 0; closed && n < t.n; n++)
            expect(span_make(t.p, n), false);
    }
}

static void every_byte_alone_is_judged(void **state)
{
    (void)state;
    for (int c = 0; c < 256; c++) {
        char text[4] = {'[', (char)c, ']', 0};
        expect(span_make(text, 3), strchr(" \t\r\n0123456789", c) != NULL && c != 0);
        char string[4] = {'"', (char)c, '"', 0};
        expect(span_make(string, 3), c >= 0x20 && c < 0x80 && c != '"' && c != '\\');
    }
}

static void fill(struct buf *b, const char *piece, int times)
{
    for (int i = 0; i < times; i++)
        buf_add_str(b, piece);
}

static enum reason nested(const char *open, const char *middle, const char *close, int depth,
                          int max_depth)
{
    struct buf b = {0};
    struct error err = {0};
    fill(&b, open, depth);
    buf_add_str(&b, middle);
    fill(&b, close, depth);
    struct post_limits lim = {.max_bytes = b.n, .max_depth = max_depth};
    enum status st = json_check(buf_span(&b), &lim, &err);
    buf_fini(&b);
    return st == ST_OK ? REASON_NONE : err.reason;
}

static void nesting_is_allowed_up_to_the_limit(void **state)
{
    (void)state;
    for (int limit = 1; limit <= 600; limit++) {
        assert_int_equal(nested("[", "", "]", limit, limit), REASON_NONE);
        assert_int_equal(nested("[", "", "]", limit + 1, limit), REASON_json_too_deep);
        assert_int_equal(nested("{\"a\":", "1", "}", limit, limit), REASON_NONE);
        assert_int_equal(nested("{\"a\":", "1", "}", limit + 1, limit), REASON_json_too_deep);
    }
}

static void nesting_is_bounded_whatever_the_limit_says(void **state)
{
    (void)state;
    assert_int_equal(nested("[", "", "]", 100000, 1 << 30), REASON_json_too_deep);
    assert_int_equal(nested("[", "", "", 100000, 1 << 30), REASON_json_too_deep);
    assert_int_equal(nested("{\"\":[", "0", "]}", 100000, 1 << 30), REASON_json_too_deep);
    assert_int_equal(nested("[", "", "]", 4000, 1 << 30), REASON_NONE);
}

static void mixed_nesting_closes_with_the_right_bracket(void **state)
{
    (void)state;
    assert_int_equal(nested("[{\"a\":", "1", "}]", 200, 512), REASON_NONE);
    assert_int_equal(nested("[{\"a\":", "1", "]}", 200, 512), REASON_json_invalid);
    assert_int_equal(nested("[", "1", "}", 65, 512), REASON_json_invalid);
}

static void a_number_may_have_a_million_digits(void **state)
{
    (void)state;
    struct buf b = {0};
    fill(&b, "1234567890", 100000);
    expect(buf_span(&b), true);
    buf_add_str(&b, ".");
    expect(buf_span(&b), false);
    fill(&b, "1234567890", 100000);
    buf_add_str(&b, "e");
    expect(buf_span(&b), false);
    fill(&b, "1234567890", 100000);
    expect(buf_span(&b), true);
    buf_fini(&b);
}

static void a_million_items_and_spaces_pass(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_add_str(&b, "[0");
    fill(&b, ", 0", 1000000);
    buf_add_str(&b, "]");
    expect(buf_span(&b), true);
    buf_reset(&b, 0);
    fill(&b, " \n\t\r", 500000);
    expect(buf_span(&b), false);
    buf_add_str(&b, "1");
    expect(buf_span(&b), true);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_valid_text_passes),
        cmocka_unit_test(every_valid_text_passes_inside_others),
        cmocka_unit_test(every_invalid_text_is_refused),
        cmocka_unit_test(every_invalid_text_is_refused_inside_others),
        cmocka_unit_test(every_prefix_of_a_valid_container_is_refused),
        cmocka_unit_test(every_byte_alone_is_judged),
        cmocka_unit_test(nesting_is_allowed_up_to_the_limit),
        cmocka_unit_test(nesting_is_bounded_whatever_the_limit_says),
        cmocka_unit_test(mixed_nesting_closes_with_the_right_bracket),
        cmocka_unit_test(a_number_may_have_a_million_digits),
        cmocka_unit_test(a_million_items_and_spaces_pass),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

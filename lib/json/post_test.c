/* What counts as a post, what is said about one that is none, and the splice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/backoff.h"
#include "lib/base/mem.h"
#include "lib/json/post.h"
#include "lib/json/run.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct post good(const char *text)
{
    struct post post;
    struct error err;
    enum status st = post_scan(span_of(text), &POST_LIMITS_DEFAULT, &post, &err);
    if (st != ST_OK)
        print_error("%s: %s\n", text, err.text);
    assert_int_equal(st, ST_OK);
    return post;
}

static void refused(struct span value, enum reason reason, const char *text)
{
    struct post post;
    memset(&post, 0x5a, sizeof post);
    struct post before = post;
    struct error err = {0};
    assert_int_equal(post_scan(value, &POST_LIMITS_DEFAULT, &post, &err), ST_REJECT);
    assert_string_equal(reason_word(err.reason), reason_word(reason));
    if (strstr(err.text, text) == NULL)
        fail_msg("'%s' is not in '%s'", text, err.text);
    assert_memory_equal(&post, &before, sizeof post);
}

static void bad(const char *value, enum reason reason, const char *text)
{
    refused(span_of(value), reason, text);
}

static void id_and_text_are_found_wherever_they_stand(void **state)
{
    (void)state;
    struct post p = good(" {\"x\":{\"id\":9,\"text\":1},\"text\" : \"a\\nb\", \"id\":-1.5e3 } ");
    assert_true(span_is(p.id, "-1.5e3"));
    assert_true(span_is(p.text, "a\\nb"));
    assert_false(p.id_is_string);
    assert_false(p.id_escaped);
    assert_true(p.text_escaped);
    assert_null(p.enrichment.p);
    assert_int_equal(p.close, 53);
    p = good("{\"id\":\"\",\"text\":\"\"}");
    assert_true(p.id_is_string);
    assert_true(span_is(p.id, "") && span_is(p.text, ""));
    assert_false(p.text_escaped);
    p = good("{\"id\":\"a\\/b\",\"text\":\"plain\"}");
    assert_true(p.id_escaped);
    assert_false(p.text_escaped);
}

static void names_are_compared_after_unescaping(void **state)
{
    (void)state;
    struct post p =
        good("{\"\\u0069\\u0064\":1,\"te\\u0078t\":\"a\",\"\\u0065nrichmen\\u0074\":[]}");
    assert_true(span_is(p.id, "1") && span_is(p.text, "a") && span_is(p.enrichment, "[]"));
    assert_false(p.id_escaped || p.text_escaped);
    bad("{\"id\":1,\"\\u0069d\":2,\"text\":\"a\"}", REASON_member_duplicate, "'id' stands twice");
    bad("{\"i\\u0064x\":1,\"text\":\"a\"}", REASON_id_missing, "no 'id'");
    bad("{\"i\\u0044\":1,\"text\":\"a\"}", REASON_id_missing, "no 'id'");
    bad("{\"i\\n\":1,\"\\u0069\":1,\"text\":\"a\"}", REASON_id_missing, "no 'id'");
}

static void a_member_that_means_something_stands_once(void **state)
{
    (void)state;
    bad("{\"id\":1,\"text\":\"a\",\"id\":1}", REASON_member_duplicate, "'id'");
    bad("{\"id\":1,\"text\":\"a\",\"text\":\"a\"}", REASON_member_duplicate, "'text'");
    bad("{\"enrichment\":1,\"id\":1,\"text\":\"a\",\"enrichment\":1}", REASON_member_duplicate,
        "'enrichment'");
    good("{\"id\":1,\"text\":\"a\",\"x\":1,\"x\":2}");
}

static void a_post_that_is_none_is_refused_with_its_reason(void **state)
{
    (void)state;
    refused(SPAN_NULL, REASON_value_null, "null");
    bad("[1]", REASON_post_not_object, "object");
    bad("\"id\"", REASON_post_not_object, "object");
    bad("null", REASON_post_not_object, "object");
    bad("{}", REASON_id_missing, "id");
    bad("{\"text\":\"a\"}", REASON_id_missing, "id");
    bad("{\"ID\":1,\"text\":\"a\"}", REASON_id_missing, "id");
    bad("{\"id\":1}", REASON_text_missing, "text");
    bad("{\"id\":null,\"text\":\"a\"}", REASON_id_type, "at byte 6");
    bad("{\"id\":true,\"text\":\"a\"}", REASON_id_type, "at byte 6");
    bad("{\"id\":[1],\"text\":\"a\"}", REASON_id_type, "at byte 6");
    bad("{\"id\":{},\"text\":\"a\"}", REASON_id_type, "at byte 6");
    bad("{\"id\":1,\"text\":null}", REASON_text_type, "at byte 15");
    bad("{\"id\":1,\"text\":7}", REASON_text_type, "at byte 15");
    bad("{\"id\":1,\"text\":[\"a\"]}", REASON_text_type, "at byte 15");
}

static void an_error_says_what_stands_where(void **state)
{
    (void)state;
    bad("", REASON_json_invalid, "expected a value at byte 0, where the value ends");
    bad("{\"id\":1,\"text\":\"a\"", REASON_json_invalid, "',' or '}' at byte 18, where the value");
    bad("{\"id\":01,\"text\":\"a\"}", REASON_json_invalid, "',' or '}' at byte 7, found '1'");
    bad("{\"id\":1,\"text\":\"a\\x\"}", REASON_json_invalid, "backslash at byte 18, found 'x'");
    bad("{\"id\":1,\"text\":\"a\xff\"}", REASON_json_invalid, "UTF-8 at byte 17, found 0xff");
    bad("{\"id\":1,\"text\":\"a\n\"}", REASON_json_invalid, "at byte 17, found 0x0a");
    bad("{\"id\":1,\"text\":\"a\"}{", REASON_json_invalid, "nothing more at byte 19, found '{'");
    bad("{\"id\":1,\"text\":\"a\",}", REASON_json_invalid, "name of a member in quotes at byte 19");
    bad("{id:1}", REASON_json_invalid, "name of a member in quotes at byte 1, found 'i'");
    bad("{\"id\" 1}", REASON_json_invalid, "':' after a member's name at byte 6");
    bad("[1 2]", REASON_json_invalid, "',' or ']' at byte 3");
    bad("hello", REASON_json_invalid, "expected a value at byte 0, found 'h'");
}

static void framing_and_byte_order_marks_are_called_by_name(void **state)
{
    (void)state;
    refused(SPAN_LIT("\x00\x00\x00\x00\x07{\"id\":1,\"text\":\"a\"}"), REASON_json_invalid,
            "looks like Schema Registry framing");
    bad("\xef\xbb\xbf{\"id\":1,\"text\":\"a\"}", REASON_json_invalid, "byte order mark");
}

static void broken_text_is_never_blamed_on_a_member(void **state)
{
    (void)state;
    bad("{\"id\":null,\"text\":1,\"id\":2", REASON_json_invalid, "at byte 26");
    bad("[1", REASON_json_invalid, "at byte 2");
}

static void limits_of_size_and_depth_are_exact(void **state)
{
    (void)state;
    struct span v = SPAN_LIT("{\"id\":1,\"text\":\"a\",\"x\":[[]]}");
    struct post post;
    struct error err = {0};
    struct post_limits lim = {.max_bytes = v.n, .max_depth = 3};
    assert_int_equal(post_scan(v, &lim, &post, &err), ST_OK);
    lim.max_depth = 2;
    assert_int_equal(post_scan(v, &lim, &post, &err), ST_REJECT);
    assert_int_equal(err.reason, REASON_json_too_deep);
    assert_string_equal(err.text, "nested deeper than 2 at byte 24");
    lim = (struct post_limits){.max_bytes = v.n - 1, .max_depth = 3};
    assert_int_equal(post_scan(v, &lim, &post, &err), ST_REJECT);
    assert_int_equal(err.reason, REASON_post_too_large);
    lim = (struct post_limits){.max_bytes = v.n, .max_depth = 0};
    assert_int_equal(post_scan(v, &lim, &post, &err), ST_REJECT);
    assert_int_equal(err.reason, REASON_json_too_deep);
}

static void a_splice_changes_nothing_but_the_enrichment(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{\"id\":1,\"text\":\"a\"}", "{\"id\":1,\"text\":\"a\",\"enrichment\":{\"n\":[]}}"},
        {" { \"id\" : 1.0e0 , \"text\":\"}\" \n} \n",
         " { \"id\" : 1.0e0 , \"text\":\"}\" \n,\"enrichment\":{\"n\":[]}} \n"},
        {"{\"id\":1,\"enrichment\" : null ,\"text\":\"a\"}",
         "{\"id\":1,\"enrichment\" : {\"n\":[]} ,\"text\":\"a\"}"},
        {"{\"enrichmen\\u0074\":[{\"enrichment\":1}],\"id\":\"\",\"text\":\"\"}\r\n",
         "{\"enrichmen\\u0074\":{\"n\":[]},\"id\":\"\",\"text\":\"\"}\r\n"},
        {"{\"a\":{\"enrichment\":1},\"id\":1,\"text\":\"a\"}",
         "{\"a\":{\"enrichment\":1},\"id\":1,\"text\":\"a\",\"enrichment\":{\"n\":[]}}"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span value = span_of(cases[i][0]), e = SPAN_LIT("{\"n\":[]}");
        struct post post = good(cases[i][0]);
        struct buf out = {0};
        buf_add_str(&out, ">");
        post_splice(&out, value, &post, e);
        assert_int_equal(out.n - 1, post_spliced_size(value, &post, e));
        assert_string_equal(buf_str(&out) + 1, cases[i][1]);
        struct post again = good(out.p + 1);
        assert_true(span_equal(again.enrichment, e));
        assert_true(span_equal(again.id, post.id) && span_equal(again.text, post.text));
        buf_fini(&out);
    }
}

static void a_splice_past_the_maximum_marks_the_buffer(void **state)
{
    (void)state;
    const char *text = "{\"id\":1,\"text\":\"a\"}";
    struct post post = good(text);
    struct buf out;
    buf_init(&out, 20);
    post_splice(&out, span_of(text), &post, SPAN_LIT("null"));
    assert_true(out.full);
    buf_fini(&out);
}

static void escapes_are_undone(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain", "plain"},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
        {"a\\u0041b\\u00e9c\\u20acd\\u00E9", "aAb\xc3\xa9"
                                             "c\xe2\x82\xac"
                                             "d\xc3\xa9"},
        {"\\ud83d\\ude00!", "\xf0\x9f\x98\x80!"},
        {"\\uDBFF\\uDFFF", "\xf4\x8f\xbf\xbf"},
        {"\\ud800", "\xef\xbf\xbd"},
        {"\\udc00x", "\xef\xbf\xbdx"},
        {"\\ud800\\ud800\\udc00", "\xef\xbf\xbd\xf0\x90\x80\x80"},
        {"\\ud800\\n", "\xef\xbf\xbd\n"},
        {"\\udc00\\ud800", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xe6\xbc\xa2\\u6f22", "\xe6\xbc\xa2\xe6\xbc\xa2"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf b = {0};
        json_unescape(&b, span_of(cases[i][0]));
        assert_string_equal(buf_str(&b), cases[i][1]);
        buf_fini(&b);
    }
    struct buf b = {0};
    json_unescape(&b, SPAN_LIT("a\\u0000b"));
    assert_int_equal(b.n, 3);
    assert_memory_equal(b.p, "a\0b", 3);
    buf_fini(&b);
}

static void every_variant_of_the_inner_loop_stops_at_the_same_byte(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    for (int i = 0; i < 20000; i++) {
        size_t n = rng_next(&rng) % 70;
        unsigned char *p = mem_alloc(n);
        for (size_t k = 0; k < n; k++)
            p[k] = (unsigned char)(rng_next(&rng) % 16 == 0 ? rng_next(&rng)
                                                            : 0x20 + rng_next(&rng) % 2);
        const unsigned char *want = json_run_bytes(p, p + n);
        assert_ptr_equal(json_run_words(p, p + n), want);
        assert_ptr_equal(json_run(p, p + n), want);
        mem_free(p);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_and_text_are_found_wherever_they_stand),
        cmocka_unit_test(names_are_compared_after_unescaping),
        cmocka_unit_test(a_member_that_means_something_stands_once),
        cmocka_unit_test(a_post_that_is_none_is_refused_with_its_reason),
        cmocka_unit_test(an_error_says_what_stands_where),
        cmocka_unit_test(framing_and_byte_order_marks_are_called_by_name),
        cmocka_unit_test(broken_text_is_never_blamed_on_a_member),
        cmocka_unit_test(limits_of_size_and_depth_are_exact),
        cmocka_unit_test(a_splice_changes_nothing_but_the_enrichment),
        cmocka_unit_test(a_splice_past_the_maximum_marks_the_buffer),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(every_variant_of_the_inner_loop_stops_at_the_same_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

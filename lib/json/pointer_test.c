/* The examples of RFC 6901, over a tree and over text alike, and what lies beyond them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/json/pointer.h"
#include "lib/json/tree.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* Section 5. */
static const char document[] = "{\"foo\":[\"bar\",\"baz\"],\"\":0,\"a/b\":1,\"c%d\":2,\"e^f\":3,"
                               "\"g|h\":4,\"i\\\\j\":5,\"k\\\"l\":6,\" \":7,\"m~n\":8}";

/* What both ways find, written alike; NULL: nothing. */
static void leads_to(const char *text, const char *pointer, const char *want)
{
    json_t *root = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(root);
    const json_t *got = json_pointer_get(root, pointer);
    struct span bytes = json_pointer_find(span_of(text), pointer);
    struct buf written = {0};
    if (got != NULL)
        json_tree_write(got, &written);
    if (want == NULL) {
        assert_null(got);
        assert_null(bytes.p);
    } else {
        assert_string_equal(buf_str(&written), want);
        if (!span_is(bytes, want))
            fail_msg("%s: '%.*s'", pointer, (int)bytes.n, bytes.p);
    }
    buf_fini(&written);
    json_decref(root);
}

static void the_examples_of_the_rfc_lead_where_it_says(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", document},        {"/foo", "[\"bar\",\"baz\"]"},
        {"/foo/0", "\"bar\""}, {"/", "0"},
        {"/a~1b", "1"},        {"/c%d", "2"},
        {"/e^f", "3"},         {"/g|h", "4"},
        {"/i\\j", "5"},        {"/k\"l", "6"},
        {"/ ", "7"},           {"/m~0n", "8"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        leads_to(document, cases[i][0], cases[i][1]);
}

static void what_is_not_there_is_nothing(void **state)
{
    (void)state;
    static const char *const pointers[] = {"/nope",
                                           "/foo/2",
                                           "/foo/-",
                                           "/foo/01",
                                           "/foo/",
                                           "/foo/0/x",
                                           "/foo/+1",
                                           "/foo/1e0",
                                           "foo",
                                           "/m~n",
                                           "/m~2n",
                                           "/m~",
                                           "/fo",
                                           "/fooo",
                                           "//",
                                           "/ /x",
                                           "/foo/x",
                                           "/foo/1/0",
                                           "/foo/4294967296"};
    for (size_t i = 0; i < COUNT(pointers); i++)
        leads_to(document, pointers[i], NULL);
    leads_to("{}", "/a", NULL);
    leads_to("[]", "/0", NULL);
    leads_to("{\"a\":{}}", "/a/a", NULL);
    assert_null(json_pointer_get(NULL, "/a"));
    assert_null(json_pointer_find(SPAN_NULL, "/a").p);
}

static void paths_go_through_objects_and_arrays(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1,[2,{\"b\":\"x\",\"~/\":true}]],\"a b\":null}";
    leads_to(text, "/a/1/1/b", "\"x\"");
    leads_to(text, "/a/1/1/~0~1", "true");
    leads_to(text, "/a/1/0", "2");
    leads_to(text, "/a b", "null");
    leads_to("{\"01\":1,\"0\":2}", "/01", "1");
    leads_to("{\"~01\":1,\"/\":2}", "/~001", "1");
    leads_to("7", "", "7");
}

static void escaped_names_are_compared_as_what_they_mean(void **state)
{
    (void)state;
    struct span text = SPAN_LIT(" { \"\\u0061\\/\" : [ 10 , 20 ] , \"x\":\"\\u0061\" } ");
    assert_true(span_is(json_pointer_find(text, "/a~1/1"), "20"));
    assert_true(span_is(json_pointer_find(text, "/a~1"), "[ 10 , 20 ]"));
    assert_true(span_is(json_pointer_find(text, "/x"), "\"\\u0061\""));
}

static void numbers_stay_as_they_are_written(void **state)
{
    (void)state;
    struct span text = SPAN_LIT("{\"a\":123456789012345678901234567890,\"b\":1e400,\"c\":1.50}");
    assert_true(span_is(json_pointer_find(text, "/a"), "123456789012345678901234567890"));
    assert_true(span_is(json_pointer_find(text, "/b"), "1e400"));
    assert_true(span_is(json_pointer_find(text, "/c"), "1.50"));
}

static void of_equal_names_the_last_one_counts(void **state)
{
    (void)state;
    struct span text = SPAN_LIT("{\"a\":1,\"a\":2,\"b\":3}");
    assert_true(span_is(json_pointer_find(text, "/a"), "2"));
}

static void several_members_are_found_in_one_pass(void **state)
{
    (void)state;
    static const struct span names[] = {{"a", 1}, {"b", 1}, {"c", 1}};
    struct span found[3];
    assert_true(
        json_members_find(SPAN_LIT(" {\"c\":[1,{\"a\":2}],\"\\u0062\":{} , \"a\": 1,\"a\":\"x\"} "),
                          names, 3, found));
    assert_true(span_is(found[0], "\"x\"")); /* the last one */
    assert_true(span_is(found[1], "{}"));
    assert_true(span_is(found[2], "[1,{\"a\":2}]"));
    static const char *const broken[] = {"",         "[1]",        "\"a\"",      "{",
                                         "{\"a\":1", "{\"a\":1,}", "{\"a\":1}}", "{\"a\" 1}",
                                         "{a:1}",    "{\"a\":1;}"};
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++)
        assert_false(json_members_find(span_of(broken[i]), names, 3, found));
    static const char *const without[] = {"{}", " {\"d\":{\"a\":1}} "};
    for (size_t i = 0; i < sizeof without / sizeof *without; i++) {
        assert_true(json_members_find(span_of(without[i]), names, 3, found));
        for (int k = 0; k < 3; k++)
            assert_null(found[k].p);
    }
    assert_false(json_members_find(SPAN_NULL, names, 3, found));
    assert_null(found[0].p);
}

static void broken_text_leads_nowhere(void **state)
{
    (void)state;
    static const char *const texts[] = {"",        "{",          "{\"a\"",
                                        "{\"a\":", "{\"a\":[1,", "{\"a\":[1 2]}"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_null(json_pointer_find(span_of(texts[i]), "/a/1").p);
}

static void a_tree_is_written_compact_and_exact(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"b\":[0.1,1.0,-2,1e+300,true,false,null],\"a\":{\"x\":\"\\\"\\u0001\"}}",
        "0.30000000000000004",
        "5e-324",
        "[]",
        "{}",
        "9223372036854775807",
        "1.0",
        "\"\"",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        json_t *root = json_loads(texts[i], JSON_DECODE_ANY, NULL);
        struct buf out = {0};
        assert_non_null(root);
        json_tree_write(root, &out);
        if (i == 2) /* 4.94065645841247e-324 reads back as the same number */
            assert_memory_equal(buf_str(&out), "4.94", 4);
        else
            assert_string_equal(buf_str(&out), texts[i]);
        buf_fini(&out);
        json_decref(root);
    }
}

static void values_are_compared_as_json_means_them(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        int equal;
    } cases[] = {
        {"1", "1.0", 1},
        {"1", "2", 0},
        {"1", "true", 0},
        {"9007199254740993", "9007199254740992", 0},
        {"{\"a\":1,\"b\":[2]}", "{\"b\":[2.0],\"a\":1}", 1},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}", 0},
        {"{\"a\":1}", "{\"b\":1}", 0},
        {"[1,2]", "[2,1]", 0},
        {"[1]", "[1,2]", 0},
        {"\"a\"", "\"a\"", 1},
        {"\"a\"", "\"ab\"", 0},
        {"null", "null", 1},
        {"true", "false", 0},
        {"[]", "{}", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *a = json_loads(cases[i].a, JSON_DECODE_ANY, NULL);
        json_t *b = json_loads(cases[i].b, JSON_DECODE_ANY, NULL);
        if (json_tree_equal(a, b) != cases[i].equal || json_tree_equal(b, a) != cases[i].equal)
            fail_msg("%s and %s", cases[i].a, cases[i].b);
        json_decref(a);
        json_decref(b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_examples_of_the_rfc_lead_where_it_says),
        cmocka_unit_test(what_is_not_there_is_nothing),
        cmocka_unit_test(paths_go_through_objects_and_arrays),
        cmocka_unit_test(escaped_names_are_compared_as_what_they_mean),
        cmocka_unit_test(numbers_stay_as_they_are_written),
        cmocka_unit_test(of_equal_names_the_last_one_counts),
        cmocka_unit_test(several_members_are_found_in_one_pass),
        cmocka_unit_test(broken_text_leads_nowhere),
        cmocka_unit_test(a_tree_is_written_compact_and_exact),
        cmocka_unit_test(values_are_compared_as_json_means_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

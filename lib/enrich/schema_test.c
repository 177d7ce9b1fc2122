/* The subset of JSON Schema: what fits, what does not and why, and schemas that are refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/enrich/schema.h"
#include "lib/json/tree.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct schema *opened(const char *text)
{
    struct schema *schema = NULL;
    struct error err = {0};
    if (schema_open(span_of(text), "--llm-schema x.json", &schema, &err) != ST_OK)
        fail_msg("%s: %s", text, err.text);
    return schema;
}

/* What the quick way lets through is what the long one accepts, and comes out as it would there.
 * Result: whether it let it through. */
static bool quick_agrees(const struct schema *schema, struct span text)
{
    struct buf quick = {0}, long_way = {0};
    struct error err;
    bool passes = schema_pass(schema, text, &quick);
    if (passes) {
        json_t *value = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        if (value == NULL || schema_check(schema, value, &err) != ST_OK)
            fail_msg("%.*s passed", (int)text.n, text.p);
        json_tree_write(value, &long_way);
        assert_string_equal(buf_str(&quick), buf_str(&long_way));
        json_decref(value);
    } else {
        assert_int_equal(quick.n, 0);
        assert_false(quick.full);
    }
    buf_fini(&quick);
    buf_fini(&long_way);
    return passes;
}

/* why NULL: it fits; else a part of the message. */
static void checked(const struct schema *schema, const char *text, const char *why)
{
    struct error err = {.reason = REASON_NONE};
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    enum status st = schema_check(schema, value, &err);
    json_decref(value);
    quick_agrees(schema, span_of(text));
    if (why == NULL && st != ST_OK)
        fail_msg("%s: %s", text, err.text);
    if (why == NULL)
        return;
    if (st != ST_REJECT)
        fail_msg("%s was accepted", text);
    assert_int_equal(err.reason, REASON_llm_schema);
    if (strstr(err.text, why) == NULL)
        fail_msg("%s: '%s' is not in '%s'", text, why, err.text);
}

struct sentence {
    const char *schema, *value, *why;
};

static void run(const struct sentence *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        struct schema *schema = opened(cases[i].schema);
        checked(schema, cases[i].value, cases[i].why);
        schema_free(schema);
    }
}

static void types_are_checked_and_named(void **state)
{
    (void)state;
    static const struct sentence cases[] = {
        {"{\"type\":\"object\"}", "{}", NULL},
        {"{\"type\":\"object\"}", "[]", "the answer: is an array, must be an object"},
        {"{\"type\":\"string\"}", "7", "is a number, must be a string"},
        {"{\"type\":\"string\"}", "null", "is null, must be a string"},
        {"{\"type\":\"integer\"}", "7", NULL},
        {"{\"type\":\"integer\"}", "7.0", NULL},
        {"{\"type\":\"integer\"}", "7.5", "is a number, must be an integer"},
        {"{\"type\":\"number\"}", "7", NULL},
        {"{\"type\":\"number\"}", "true", "is a boolean, must be a number"},
        {"{\"type\":[\"string\",\"null\"]}", "null", NULL},
        {"{\"type\":[\"string\",\"null\"]}", "false", "must be null or a string"},
        {"{}", "[1,{}]", NULL},
        {"true", "1", NULL},
        {"false", "1", "must not be there"},
    };
    run(cases, COUNT(cases));
}

static void fixed_values_are_compared_as_json(void **state)
{
    (void)state;
    static const struct sentence cases[] = {
        {"{\"enum\":[\"a\",1,null]}", "1.0", NULL},
        {"{\"enum\":[\"a\",1,null]}", "null", NULL},
        {"{\"enum\":[\"a\",\"b\"]}", "\"c\"", "is \"c\", must be one of [\"a\",\"b\"]"},
        {"{\"const\":{\"a\":1,\"b\":2}}", "{\"b\":2,\"a\":1}", NULL},
        {"{\"const\":null}", "0", "is 0, must be null"},
    };
    run(cases, COUNT(cases));
}

static void members_of_objects_are_checked(void **state)
{
    (void)state;
    const char *schema = "{\"type\":\"object\",\"properties\":{\"b\":{\"type\":\"string\"},"
                         "\"a\":{\"type\":\"array\",\"items\":{\"type\":\"string\"}}},"
                         "\"required\":[\"a\"],\"additionalProperties\":false}";
    const struct sentence cases[] = {
        {schema, "{\"a\":[]}", NULL},
        {schema, "{\"a\":[\"x\"],\"b\":\"y\"}", NULL},
        {schema, "{\"b\":\"y\"}", "the answer: has no member 'a'"},
        {schema, "{\"a\":[1]}", "/a/0: is a number, must be a string"},
        {schema, "{\"a\":[\"x\",null]}", "/a/1: is null, must be a string"},
        {schema, "{\"a\":[],\"c\":1}", "/c: must not be there"},
        {"{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"x\":1}", NULL},
        {"{\"additionalProperties\":{\"type\":\"integer\"}}", "{\"x\":\"1\"}", "/x: is a string"},
        {"{\"additionalProperties\":true}", "{\"x\":1}", NULL},
        {"{\"minProperties\":1}", "{}", "has 0 members, must have at least 1"},
        {"{\"maxProperties\":1}", "{\"a\":1,\"b\":1}", "has 2 members, must have at most 1"},
        {"{\"required\":[\"a\"]}", "[]", NULL},
    };
    run(cases, COUNT(cases));
}

static void elements_of_arrays_are_checked(void **state)
{
    (void)state;
    static const struct sentence cases[] = {
        {"{\"minItems\":1}", "[]", "has 0 elements, must have at least 1"},
        {"{\"maxItems\":2}", "[1,2,3]", "has 3 elements, must have at most 2"},
        {"{\"minItems\":1.0,\"maxItems\":2}", "[1,2]", NULL},
        {"{\"uniqueItems\":true}", "[1,\"1\",true,[1],{\"a\":1},{\"a\":2},null]", NULL},
        {"{\"uniqueItems\":true}", "[\"b\",\"a\",\"b\"]", "elements 0 and 2 are equal"},
        {"{\"uniqueItems\":true}", "[1,1.0]", "are equal"},
        {"{\"uniqueItems\":true}", "[0,-0.0]", "are equal"},
        {"{\"uniqueItems\":true}", "[{\"a\":[1],\"b\":2},{\"b\":2.0,\"a\":[1]}]", "are equal"},
        {"{\"uniqueItems\":true}", "[[1,2],[2,1]]", NULL},
        {"{\"uniqueItems\":false}", "[1,1]", NULL},
        {"{\"items\":false}", "[]", NULL},
        {"{\"items\":false}", "[1]", "/0: must not be there"},
    };
    run(cases, COUNT(cases));
}

static void numbers_have_bounds(void **state)
{
    (void)state;
    static const struct sentence cases[] = {
        {"{\"minimum\":0,\"maximum\":1}", "0", NULL},
        {"{\"minimum\":0,\"maximum\":1}", "1.0", NULL},
        {"{\"minimum\":0}", "-0.1", "is -0.1, must be at least 0"},
        {"{\"maximum\":1}", "1.5", "is 1.5, must be at most 1"},
        {"{\"exclusiveMinimum\":0}", "0", "is 0, must be more than 0"},
        {"{\"exclusiveMaximum\":1}", "1", "is 1, must be less than 1"},
        {"{\"minimum\":9007199254740993}", "9007199254740992", "must be at least"},
        {"{\"minimum\":0}", "\"-1\"", NULL},
    };
    run(cases, COUNT(cases));
}

static void lengths_count_characters_and_not_bytes(void **state)
{
    (void)state;
    static const struct sentence cases[] = {
        {"{\"minLength\":2,\"maxLength\":2}", "\"\xc3\xa9\xf0\x9f\x98\x80\"", NULL},
        {"{\"maxLength\":1}", "\"ab\"", "has 2 characters, must have at most 1"},
        {"{\"minLength\":1}", "\"\"", "has 0 characters, must have at least 1"},
    };
    run(cases, COUNT(cases));
}

static void patterns_are_posix_with_the_usual_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *yes, *no;
    } cases[] = {
        {"^[a-z]{2}$", "en", "eng"},
        {"b", "abc", "ac"},
        {"^\\\\d+\\\\.\\\\d$", "12.5", "12x5"},
        {"^\\\\w\\\\W\\\\w$", "a-b", "aab"},
        {"^\\\\S\\\\s\\\\D$", "a b", "a 1"},
        {"^[\\\\d\\\\-]+$", "12-3", "12+3"},
        {"^[\\\\w.-]+@[\\\\w-.]+$", "a.b-c@d.e", "a b@c"},
        {"^[\\\\]\\\\^]+$", "]^", "a"},
        {"^[\\\\^]$", "^", "\\\\"},
        {"^[^\\\\]]$", "a", "]"},
        {"^[\\\\-^]$", "^", "a"},
        {"^[\\\\^^]$", "^", "a"},
        {"^[\\\\^^a]$", "^", "b"},
        {"^[!-^]$", "^", "a"},
        {"^[\\\\n\\\\t]$", "\\n", "n"},
        {"^[[:alpha:]]+$", "abc", "1"},
        {"^(?:ab)+?$", "abab", "aba"},
        {"^a{1,2}?$", "aa", "aaa"},
        {"^a\\\\/b\\\\:$", "a/b:", "a\\\\/b"},
        {"^\\\\{\\\\}$", "{}", "{"},
        {"^.{1,2}$", "\xc3\xa9\xe6\xbc\xa2", "abc"},
        {"^[\xc3\xa4\xc3\xb6]$", "\xc3\xb6", "\xc3\xbc"},
        {"^a[^x]b$", "a\\u0000b", "ab"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf text = {0};
        buf_printf(&text, "{\"pattern\":\"%s\"}", cases[i].pattern);
        struct schema *schema = opened(buf_str(&text));
        buf_reset(&text, 0);
        buf_printf(&text, "\"%s\"", cases[i].yes);
        checked(schema, buf_str(&text), NULL);
        buf_reset(&text, 0);
        buf_printf(&text, "\"%s\"", cases[i].no);
        checked(schema, buf_str(&text), "must match");
        schema_free(schema);
        buf_fini(&text);
    }
}

/* --- the quick way --- */

static const char rich[] =
    "{\"type\":\"object\",\"properties\":{\"topics\":{\"type\":\"array\",\"items\":{\"type\":"
    "\"string\",\"minLength\":1,\"maxLength\":3},\"maxItems\":3},\"mood\":{\"enum\":[\"good\","
    "\"b\\u00e4d\"]},\"score\":{\"type\":\"number\",\"minimum\":-1,\"exclusiveMaximum\":1.5},\"n\":"
    "{\"type\":[\"integer\",\"null\"],\"maximum\":99},\"any\":true,\"at\":{\"type\":\"object\","
    "\"properties\":{\"x\":{},\"y\":{\"type\":\"boolean\"}},\"required\":[\"y\"],"
    "\"minProperties\":1}},\"required\":[\"mood\"],\"additionalProperties\":false}";

static void plain_answers_pass_at_once(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"mood\":\"good\"}",
        " { \"topics\" : [ \"a\" , \"bcd\" ] ,\n\t\"mood\" : \"good\" }\r\n",
        "{\"mood\":\"b\303\244d\",\"topics\":[]}",
        "{\"mood\":\"good\",\"score\":0.87}",
        "{\"mood\":\"good\",\"score\":-1}",
        "{\"mood\":\"good\",\"score\":-0.0001,\"n\":null}",
        "{\"n\":-42,\"mood\":\"good\",\"any\":[[],[1.5,true,null,\"\xf0\x9f\x98\x80\"]]}",
        "{\"mood\":\"good\",\"at\":{\"y\":false,\"x\":\"z\"}}",
    };
    struct schema *schema = opened(rich);
    for (size_t i = 0; i < COUNT(texts); i++)
        if (!quick_agrees(schema, span_of(texts[i])))
            fail_msg("%s did not pass", texts[i]);
    assert_false(quick_agrees(schema, span_of("")));
    schema_free(schema);
}

/* Pieces of answers, put together at random: most are nearly right. */
static void what_passes_at_random_is_right(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{",
                                         "}",
                                         "[",
                                         "]",
                                         ",",
                                         ":",
                                         "\"mood\":\"good\"",
                                         "\"mood\":",
                                         "\"topics\":[",
                                         "\"good\"",
                                         "\"bad\"",
                                         "\"b\303\244d\"",
                                         "\"score\":",
                                         "\"n\":",
                                         "\"any\":",
                                         "\"at\":{\"y\":true}",
                                         "\"at\":{\"x\":",
                                         "\"q\":1",
                                         "true",
                                         "null",
                                         "\"\"",
                                         "\"\\u0061\"",
                                         "0",
                                         "-0",
                                         "1",
                                         "1.0",
                                         "1.5",
                                         "0.10",
                                         "-1.25",
                                         "1e2",
                                         "99",
                                         "100",
                                         "0.00001",
                                         "1.00000000000001",
                                         "123456789012345678",
                                         " ",
                                         "\n",
                                         "\xff",
                                         "\x01"};
    static const char *const starts[] = {
        "{\"mood\":\"good\",", "{", "{\"mood\":\"good\",\"any\":[",
        "{\"mood\":\"good\",\"score\":", "{\"mood\":\"good\",\"n\":"};
    uint64_t random = 7;
    int passed = 0;
    struct schema *schema = opened(rich);
    for (int i = 0; i < 300000; i++) {
        struct buf text = {0};
        random = random * 6364136223846793005u + 1442695040888963407u;
        uint64_t r = random >> 20;
        buf_add_str(&text, starts[r % COUNT(starts)]);
        for (int k = 0; k < 1 + (int)(r >> 8) % 4; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            buf_add_str(&text, pieces[(random >> 33) % COUNT(pieces)]);
        }
        static const char *const ends[] = {"}", "]}", "", "}}"};
        buf_add_str(&text, ends[(random >> 13) % COUNT(ends)]);
        passed += quick_agrees(schema, buf_span(&text));
        buf_fini(&text);
    }
    assert_in_range(passed, 1000, 299999);
    schema_free(schema);
}

static void bad(const char *text, const char *why)
{
    struct schema *schema = (void *)&schema, *before = schema;
    struct error err = {0};
    if (schema_open(span_of(text), "--llm-schema x.json", &schema, &err) == ST_OK)
        fail_msg("%s was accepted", text);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_ptr_equal(schema, before);
    if (strstr(err.text, why) == NULL || strstr(err.text, "--llm-schema x.json: ") != err.text)
        fail_msg("%s: '%s' is not in '%s'", text, why, err.text);
}

static void patterns_that_posix_cannot_say_are_refused(void **state)
{
    (void)state;
    static const char *const patterns[] = {
        "(?=a)",     "(?<n>a)", "(a)\\\\1", "\\\\bword", "\\\\u00e9", "[\\\\x00-a]", "[\\\\D]",
        "[a-\\\\]]", "[a",      "(a",       "a{3,1}",    "\\\\",      "*\\u0000",    "[[:nope:]]"};
    for (size_t i = 0; i < COUNT(patterns); i++) {
        char text[80];
        snprintf(text, sizeof text, "{\"items\":{\"pattern\":\"%s\"}}", patterns[i]);
        bad(text, "/items/pattern: ");
    }
}

static void schemas_that_are_none_are_refused_with_the_place(void **state)
{
    (void)state;
    bad("", "no JSON: line 1");
    bad("{\"type\":", "no JSON: line 1");
    bad("{\"type\":\"object\",\"type\":\"array\"}", "duplicate");
    bad("7", "the schema: must be an object, true or false");
    bad("{\"anyOf\":[]}", "/anyOf: a keyword that this version does not check");
    bad("{\"properties\":{\"a/b~\":{\"format\":\"date\"}}}",
        "/properties/a~1b~0/format: a keyword");
    bad("{\"$ref\":\"#\"}", "/$ref: a keyword");
    bad("{\"type\":\"text\"}", "/type: must be one or a list of null");
    bad("{\"type\":[]}", "/type: must be");
    bad("{\"type\":[\"string\",7]}", "/type: must be");
    bad("{\"enum\":[]}", "/enum: must be a list");
    bad("{\"enum\":1}", "/enum: must be a list");
    bad("{\"required\":\"a\"}", "/required: must be a list of strings");
    bad("{\"required\":[1]}", "/required: must be a list of strings");
    bad("{\"properties\":[]}", "/properties: must be an object");
    bad("{\"properties\":{\"a\":1}}", "/properties/a: must be an object, true or false");
    bad("{\"items\":[{}]}", "/items: must be an object");
    bad("{\"minItems\":-1}", "/minItems: must be a whole number");
    bad("{\"maxLength\":1.5}", "/maxLength: must be a whole number");
    bad("{\"uniqueItems\":1}", "/uniqueItems: must be true or false");
    bad("{\"exclusiveMinimum\":true}", "/exclusiveMinimum: must be a number");
    bad("{\"pattern\":1}", "/pattern: must be a string");
}

static void annotations_are_passed_over(void **state)
{
    (void)state;
    struct schema *schema =
        opened("{\"$schema\":\"x\",\"$id\":\"y\",\"title\":\"t\",\"description\":\"d\",\"default\":"
               "{\"anyOf\":1},\"examples\":[1],\"$comment\":\"c\",\"type\":\"integer\"}");
    checked(schema, "1", NULL);
    schema_free(schema);
}

static void depth_is_bounded(void **state)
{
    (void)state;
    struct buf text = {0};
    for (int i = 0; i < 100; i++)
        buf_add_str(&text, "{\"items\":");
    buf_add_str(&text, "{}");
    for (int i = 0; i < 100; i++)
        buf_add_str(&text, "}");
    bad(buf_str(&text), "nested too deep");
    buf_fini(&text);
}

static void long_values_are_cut_in_messages(void **state)
{
    (void)state;
    struct buf text = {0};
    struct schema *schema = opened("{\"properties\":{\"a\":{\"enum\":[\"x\"]}}}");
    buf_add_str(&text, "{\"a\":\"");
    for (int i = 0; i < 1000; i++)
        buf_add_str(&text, "\xe6\xbc\xa2");
    buf_add_str(&text, "\"}");
    checked(schema, buf_str(&text), "\xe6\xbc\xa2..., must be one of [\"x\"]");
    schema_free(schema);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_checked_and_named),
        cmocka_unit_test(fixed_values_are_compared_as_json),
        cmocka_unit_test(members_of_objects_are_checked),
        cmocka_unit_test(elements_of_arrays_are_checked),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(lengths_count_characters_and_not_bytes),
        cmocka_unit_test(patterns_are_posix_with_the_usual_escapes),
        cmocka_unit_test(patterns_that_posix_cannot_say_are_refused),
        cmocka_unit_test(plain_answers_pass_at_once),
        cmocka_unit_test(what_passes_at_random_is_right),
        cmocka_unit_test(schemas_that_are_none_are_refused_with_the_place),
        cmocka_unit_test(annotations_are_passed_over),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(long_values_are_cut_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

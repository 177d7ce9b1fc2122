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

#define COUNT(a) (sizeof(a) / sizeof *(a))

static struct schema *opened(const char *text)
{
    struct schema *schema = NULL;
    struct error err = {0};
    if (schema_open(span_of(text), "--llm-schema x.json", &schema, &err) != ST_OK)
        fail_msg("%s: %s", text, err.text);
    return schema;
}

/* why NULL: it fits; else a part of the message. */
static void checked(const struct schema *schema, const char *text, const char *why)
{
    struct error err = {.reason = REASON_NONE};
    json_t *value = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(value);
    enum status st = schema_check(schema, value, &err);
    json_decref(value);
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
        cmocka_unit_test(schemas_that_are_none_are_refused_with_the_place),
        cmocka_unit_test(annotations_are_passed_over),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(long_values_are_cut_in_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

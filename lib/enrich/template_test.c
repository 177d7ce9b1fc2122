/* Templates: what the places give, how it is escaped, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/enrich/redact.h"
#include "lib/enrich/template.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static const char post[] =
    "{\"id\":\"a\\\"1\",\"text\":\"say \\\"hi\\\" {{id}}\",\"author\":{\"name\":\"J\\u00fcrgen\","
    "\"a.b\":[1, {\"x\" : \"y z\\\" \"} ],\"age\":1.50,\"big\":123456789012345678901234567890},"
    "\"none\":null,\"yes\":true,\"odd\":\"\\ud800\",\"mail\":\"a@b.com\",\"~/\":0,\"many\":1e400}";

static void becomes(const char *text, enum template_escape escape, unsigned redact,
                    const char *want)
{
    struct template *t = NULL;
    struct error err = {0};
    struct buf out = {0};
    struct template_values v = {.value = SPAN_LIT(post),
                                .id = SPAN_LIT("a\"1"),
                                .text = SPAN_LIT("say \"hi\" {{id}}"),
                                .redact = redact};
    if (template_open(text, "--x", &t, &err) != ST_OK)
        fail_msg("%s: %s", text, err.text);
    buf_add_str(&out, ">");
    template_fill(t, &v, escape, &out);
    if (strcmp(buf_str(&out) + 1, want) != 0)
        fail_msg("'%s' gave '%s' and not '%s'", text, buf_str(&out) + 1, want);
    template_free(t);
    buf_fini(&out);
}

static void places_give_what_the_post_says(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"", ""},
        {"plain } }} { text", "plain } }} { text"},
        {"{{id}}", "a\"1"},
        {"<{{ text }}>", "<say \"hi\" {{id}}>"},
        {"{{text}}{{id}}", "say \"hi\" {{id}}a\"1"},
        {"{{author.name}}", "J\xc3\xbcrgen"},
        {"{{/author/name}}", "J\xc3\xbcrgen"},
        {"{{/author/a.b/0}}", "1"},
        {"{{/author/a.b}}", "[1,{\"x\":\"y z\\\" \"}]"},
        {"{{author.age}} {{author.big}} {{many}}", "1.50 123456789012345678901234567890 1e400"},
        {"{{yes}}", "true"},
        {"[{{none}}|{{nope}}|{{author.nope}}|{{yes.x}}]", "[|||]"},
        {"{{odd}}", "\xef\xbf\xbd"},
        {"{{/~0~1}}{{~/}}", "00"},
        {"{{\nid\n}}", "a\"1"},
        {"a}}b", "a}}b"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        becomes(cases[i][0], TEMPLATE_PLAIN, 0, cases[i][1]);
}

static void four_braces_are_two_literal_ones(void **state)
{
    (void)state;
    becomes("{{{{id}}", TEMPLATE_PLAIN, 0, "{{id}}");
    becomes("{{{{{{id}}", TEMPLATE_PLAIN, 0, "{{a\"1");
    becomes("{{{{", TEMPLATE_PLAIN, 0, "{{");
    becomes("{\"a\":{\"b\":1}}", TEMPLATE_PLAIN, 0, "{\"a\":{\"b\":1}}");
}

static void what_is_put_in_is_escaped_and_the_rest_is_not(void **state)
{
    (void)state;
    becomes("{\"q\":\"{{text}}\"}", TEMPLATE_JSON, 0, "{\"q\":\"say \\\"hi\\\" {{id}}\"}");
    becomes("\"{{/author/a.b}}\"", TEMPLATE_JSON, 0, "\"[1,{\\\"x\\\":\\\"y z\\\\\\\" \\\"}]\"");
    becomes("http://h/?q={{text}}&i={{id}}&n={{author.name}}", TEMPLATE_URL, 0,
            "http://h/?q=say%20%22hi%22%20%7B%7Bid%7D%7D&i=a%221&n=J%C3%BCrgen");
    becomes("{{author.age}}", TEMPLATE_URL, 0, "1.50");
}

static void redaction_comes_before_escaping_and_spares_the_id(void **state)
{
    (void)state;
    becomes("{{mail}} b@c.de", TEMPLATE_PLAIN, REDACT_EMAIL, "[email] b@c.de");
    becomes("{{mail}}", TEMPLATE_URL, REDACT_EMAIL, "%5Bemail%5D");
    becomes("{{mail}}", TEMPLATE_PLAIN, REDACT_PHONE, "a@b.com");
    struct template *t = NULL;
    struct error err;
    struct buf out = {0};
    struct template_values v = {
        .id = SPAN_LIT("a@b.com"), .text = SPAN_LIT("a@b.com"), .redact = REDACT_EMAIL};
    assert_int_equal(template_open("{{id}} {{text}}", "--x", &t, &err), ST_OK);
    template_fill(t, &v, TEMPLATE_PLAIN, &out);
    assert_string_equal(buf_str(&out), "a@b.com [email]");
    template_free(t);
    buf_fini(&out);
}

static void a_text_of_its_own_zero_bytes_is_kept(void **state)
{
    (void)state;
    struct template *t = NULL;
    struct error err;
    struct buf out = {0};
    struct template_values v = {.text = SPAN_LIT("a\0b")};
    assert_int_equal(template_open("{{text}}", "--x", &t, &err), ST_OK);
    template_fill(t, &v, TEMPLATE_PLAIN, &out);
    template_fill(t, &v, TEMPLATE_URL, &out);
    template_fill(t, &v, TEMPLATE_JSON, &out);
    assert_int_equal(out.n, 3 + 5 + 8);
    assert_memory_equal(out.p, "a\0ba%00ba\\u0000b", 16);
    template_free(t);
    buf_fini(&out);
}

static void a_template_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"{{", "{{ without }}"},
        {"{{text", "{{ without }}"},
        {"a\nb {{text}", "--x: line 2: {{ without }}"},
        {"{{a {{b}}", "{{ without }}"},
        {"{{}}", "nothing between"},
        {"{{ \n }}", "nothing between"},
        {"{{a..b}}", "{{a..b}} is neither a path"},
        {"{{.a}}", "neither a path"},
        {"{{a.}}", "neither a path"},
        {"{{{text}}}", "{{{text}} is neither a path"},
        {"{{/a~2}}", "neither a path"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct template *t = NULL;
        struct error err = {0};
        assert_int_equal(template_open(cases[i][0], "--x", &t, &err), ST_FATAL);
        assert_int_equal(err.kind, ERR_CONFIG);
        assert_null(t);
        if (strstr(err.text, cases[i][1]) == NULL)
            fail_msg("'%s' is not in '%s'", cases[i][1], err.text);
    }
}

static void a_quoted_template_is_the_inside_of_one_string(void **state)
{
    (void)state;
    struct template *t = NULL, *constant = NULL;
    struct error err;
    struct buf out = {0};
    struct template_values v = {
        .value = SPAN_LIT(post), .id = SPAN_LIT("a\"1"), .text = SPAN_LIT("say \"hi\"\n")};
    assert_int_equal(template_open("say \"{{text}}\"\n\\{{{{", "--x", &t, &err), ST_OK);
    assert_int_equal(template_open("no \"places\"", "--x", &constant, &err), ST_OK);
    template_quote(t);
    template_quote(constant);
    template_fill(t, &v, TEMPLATE_JSON, &out);
    assert_string_equal(buf_str(&out), "say \\\"say \\\"hi\\\"\\n\\\"\\n\\\\{{");
    buf_reset(&out, 0);
    template_fill(constant, &v, TEMPLATE_JSON, &out);
    assert_string_equal(buf_str(&out), "no \\\"places\\\"");
    template_free(t);
    template_free(constant);
    buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_give_what_the_post_says),
        cmocka_unit_test(four_braces_are_two_literal_ones),
        cmocka_unit_test(what_is_put_in_is_escaped_and_the_rest_is_not),
        cmocka_unit_test(redaction_comes_before_escaping_and_spares_the_id),
        cmocka_unit_test(a_text_of_its_own_zero_bytes_is_kept),
        cmocka_unit_test(a_template_that_is_none_is_refused),
        cmocka_unit_test(a_quoted_template_is_the_inside_of_one_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

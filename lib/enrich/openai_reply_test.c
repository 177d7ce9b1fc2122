/* What replies of chat endpoints mean, read without a tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/enrich/openai_reply.h"

#define CHOICE(inside)                                                                             \
    "{\"choices\":[{" inside "}],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}"
#define MESSAGE(content) CHOICE("\"message\":{\"content\":" content "},\"finish_reason\":\"stop\"")

static void read_reply(int status, struct span body, struct call *call)
{
    struct http_call http = {
        .url = "http://127.0.0.1:1/v1", .outcome = HTTP_DONE, .status = status};
    http.limits.retry_after_ms = -1;
    buf_add_span(&http.reply, body);
    call_reset(call);
    call->trusted = true;
    openai_read_reply(&http, call);
    buf_fini(&http.reply);
}

static void says(const char *body, const char *content)
{
    struct call call = {0};
    read_reply(200, span_of(body), &call);
    if (call.outcome != CALL_OK || strcmp(buf_str(&call.content), content) != 0)
        fail_msg("%s: outcome %d, '%s' and not '%s'", body, (int)call.outcome,
                 buf_str(&call.content), content);
    assert_true(call.bought);
    buf_fini(&call.content);
}

static void the_content_is_what_the_string_means(void **state)
{
    (void)state;
    says(MESSAGE("\"{}\""), "{}");
    says(MESSAGE("\"\""), "");
    says(MESSAGE("\"{\\\"a\\\":\\\"\\u00e9\\ud83d\\ude00\\n\\\"}\""),
         "{\"a\":\"\xc3\xa9\xf0\x9f\x98\x80\n\"}");
    says(MESSAGE("\"\\ud800\""), "\xef\xbf\xbd");
    says(CHOICE("\"message\":{\"\\u0063ontent\":\"x\",\"refusal\":null}"), "x");
    says(CHOICE("\"message\":{\"content\":\"x\",\"refusal\":\"\"}"), "x");
    says(CHOICE("\"message\":{\"content\":1,\"content\":\"last\"}"), "last");
    says(" \n" MESSAGE("\"x\"") "\r\n ", "x");
}

static void what_is_about_money_is_told_apart_from_pace_and_from_mistakes(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body;
        enum call_outcome outcome;
    } cases[] = {
        {429, "{\"error\":{\"type\":\"insufficient_quota\",\"code\":null}}", CALL_NO_CREDIT},
        {429, "{\"error\":{\"type\":\"x\",\"code\":\"insufficient_quota\"}}", CALL_NO_CREDIT},
        {429, "{\"error\":{\"type\":\"requests\",\"code\":\"rate_limit_exceeded\"}}", CALL_LIMITED},
        {429, "{\"error\":\"insufficient_quota is not meant here\"}", CALL_LIMITED},
        {429, "insufficient_quota", CALL_LIMITED},
        {429, "", CALL_LIMITED},
        {402, "{\"error\":{\"message\":\"Insufficient Balance\"}}", CALL_NO_CREDIT},
        {402, "", CALL_NO_CREDIT},
        {503, "{\"error\":{\"code\":\"insufficient_quota\"}}", CALL_FAILED},
        {400,
         "{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":"
         "\"Your credit balance is too low to access the Anthropic API.\"}}",
         CALL_NO_CREDIT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct call call = {0};
        read_reply(cases[i].status, span_of(cases[i].body), &call);
        assert_int_equal(call.outcome, cases[i].outcome);
        assert_false(call.bought);
        if (call.outcome == CALL_NO_CREDIT)
            assert_non_null(strstr(call.err.text, "no credit"));
    }
}

static void fails(const char *body, enum call_outcome outcome, const char *word)
{
    struct call call = {0};
    read_reply(200, span_of(body), &call);
    if (call.outcome != outcome || strstr(call.err.text, word) == NULL)
        fail_msg("%s: outcome %d, '%s' lacks '%s'", body, (int)call.outcome, call.err.text, word);
    assert_true(call.bought); /* a status of 200 may cost money whatever stands in the body */
    buf_fini(&call.content);
}

static void what_holds_no_answer_is_told_apart(void **state)
{
    (void)state;
    fails("", CALL_FAILED, "no JSON");
    fails("hello", CALL_FAILED, "no JSON");
    fails(MESSAGE("\"x\"") "x", CALL_FAILED, "no JSON");
    fails("{\"choices\":[{\"message\":{\"content\":\"x\"", CALL_FAILED, "no JSON");
    fails("[]", CALL_FAILED, "no JSON");
    fails("{\"choices\":[],}", CALL_FAILED, "no JSON");
    fails("{\"choices\" []}", CALL_FAILED, "no JSON");
    fails("{}", CALL_FAILED, "content");
    fails("{\"choices\":\"x\"}", CALL_FAILED, "content");
    fails("{\"choices\":[]}", CALL_FAILED, "content");
    fails(MESSAGE("null"), CALL_FAILED, "content");
    fails(MESSAGE("{\"a\":1}"), CALL_FAILED, "content");
    fails(CHOICE("\"message\":{\"content\":null,\"refusal\":\"I \\\"won't\\\"\"}"), CALL_REFUSED,
          "I \"won't\"");
    fails(CHOICE("\"message\":{\"content\":\"x\"},\"finish_reason\":\"content_filter\""),
          CALL_REFUSED, "filter");
}

static void tokens(const char *usage, int64_t in, int64_t out)
{
    struct call call = {0};
    struct buf body = {0};
    buf_printf(&body, "{\"choices\":[{\"message\":{\"content\":\"x\"}}],\"usage\":%s}", usage);
    read_reply(200, buf_span(&body), &call);
    assert_int_equal(call.tokens_in, in);
    assert_int_equal(call.tokens_out, out);
    buf_fini(&call.content);
    buf_fini(&body);
}

static void tokens_are_numbers_or_not_told(void **state)
{
    (void)state;
    tokens("{\"prompt_tokens\":120,\"completion_tokens\":0,\"total_tokens\":120}", 120, 0);
    tokens("null", -1, -1);
    tokens("{\"prompt_tokens\":-4,\"completion_tokens\":1.5}", -1, -1);
    tokens("{\"prompt_tokens\":\"12\",\"completion_tokens\":99999999999999999999}", -1, -1);
}

static void an_answer_that_was_cut_is_marked(void **state)
{
    (void)state;
    struct call call = {0};
    read_reply(200,
               SPAN_LIT(CHOICE("\"message\":{\"content\":\"{\"},\"finish_reason\":\"length\"")),
               &call);
    assert_int_equal(call.outcome, CALL_OK);
    assert_true(call.truncated);
    buf_fini(&call.content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_content_is_what_the_string_means),
        cmocka_unit_test(what_is_about_money_is_told_apart_from_pace_and_from_mistakes),
        cmocka_unit_test(what_holds_no_answer_is_told_apart),
        cmocka_unit_test(tokens_are_numbers_or_not_told),
        cmocka_unit_test(an_answer_that_was_cut_is_marked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

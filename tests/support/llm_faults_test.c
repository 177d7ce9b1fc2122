/* The faults of the scripted LLM server are the ones that were asked for: each spoils what its name
 * says and nothing else, as often as it should. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"
#include "tests/support/client.h"
#include "tests/support/llm_parts.h"

static void each_wire_fault_is_what_it_is_called(void **state)
{
    (void)state;
    static const struct {
        enum llm_mode mode;
        CURLcode code;
    } cases[] = {
        {LLM_HANG, CURLE_OPERATION_TIMEDOUT},      {LLM_STALL, CURLE_OPERATION_TIMEDOUT},
        {LLM_DRIP, CURLE_OPERATION_TIMEDOUT},      {LLM_RESET_MID_BODY, CURLE_RECV_ERROR},
        {LLM_CLOSE_EARLY, CURLE_GOT_NOTHING},      {LLM_HALF, CURLE_PARTIAL_FILE},
        {LLM_GARBAGE, CURLE_UNSUPPORTED_PROTOCOL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct got got = client_got_new();
        client_script((struct llm_script){.mode = cases[i].mode});
        client_chat(&got, "hello", cases[i].code == CURLE_OPERATION_TIMEDOUT ? SHORT_MS : WAIT_MS);
        if (got.code != cases[i].code)
            fail_msg("%s gave %s", llm_mode_name(cases[i].mode), curl_easy_strerror(got.code));
        assert_int_equal(client_stats().calls, 1);
        assert_int_equal(client_stats().modes, 1);
        assert_int_equal(client_stats().ok, 0);
        client_got_fini(&got);
    }
}

static void contents_that_do_not_fit_are_what_they_are_called(void **state)
{
    (void)state;
    static const struct {
        enum llm_mode mode;
        const char *sign; /* stands in the body */
    } cases[] = {
        {LLM_WRONG_TYPE, "{\\\"topics\\\":\\\"coffee\\\","},
        {LLM_EXTRA, "\\\"confidence\\\":0.9}\""},
        {LLM_NOT_JSON, "\"Sure! "},
        {LLM_TRUNCATED, "\"finish_reason\":\"length\""},
        {LLM_FENCED, "\"content\":\"```json\\n{"},
        {LLM_REFUSAL, "\"content\":null,\"refusal\":\"I'm sorry"},
        {LLM_INJECTED, "},\\\"id\\\":\\\"0\\\""},
        {LLM_DUPLICATE, "\\\"sentiment\\\":\\\"negative\\\"}\""},
        {LLM_EMPTY_CONTENT, "\"content\":\"\""},
        {LLM_CONTENT_FILTER, "\"finish_reason\":\"content_filter\""},
        {LLM_ODD_ENVELOPE, "\"choices\":\"none\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct got got = client_got_new();
        client_script((struct llm_script){.mode = cases[i].mode});
        client_chat(&got, "what a day", WAIT_MS);
        assert_int_equal(got.status, 200);
        json_decref(client_answer_json(&got));
        if (strstr(buf_str(&got.body), cases[i].sign) == NULL)
            fail_msg("%s: %s", llm_mode_name(cases[i].mode), buf_str(&got.body));
        client_got_fini(&got);
    }
}

static void a_json_content_of_the_quotes_mode_survives_only_with_right_escapes(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_script((struct llm_script){.mode = LLM_QUOTES});
    client_chat(&got, "hello", WAIT_MS);
    char *content = client_answer_content(&got);
    json_t *root = json_loads(content, JSON_ALLOW_NUL, NULL);
    json_t *first = json_array_get(json_object_get(root, "topics"), 0);
    assert_string_equal(json_string_value(first), "\"],\"id\":0,\"x\":[\"");
    json_decref(root);
    mem_free(content);
    client_got_fini(&got);
}

static void other_envelopes_are_what_they_are_called(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_script((struct llm_script){.mode = LLM_BAD_UTF8});
    client_chat(&got, "hello", WAIT_MS);
    assert_false(utf8_valid(got.body.p, got.body.n));
    buf_reset(&got.body, 0);
    client_script((struct llm_script){.mode = LLM_NO_USAGE});
    client_chat(&got, "hello", WAIT_MS);
    assert_null(strstr(buf_str(&got.body), "usage"));
    buf_reset(&got.body, 0);
    client_script((struct llm_script){.mode = LLM_EMPTY});
    client_chat(&got, "hello", WAIT_MS);
    assert_int_equal(got.status, 200);
    assert_int_equal(got.body.n, 0);
    client_script((struct llm_script){.mode = LLM_REDIRECT});
    client_chat(&got, "hello", WAIT_MS);
    assert_int_equal(got.status, 302);
    assert_non_null(strstr(buf_str(&got.head), "Location: http://llm.invalid/"));
    client_script((struct llm_script){.mode = LLM_QUOTA});
    client_chat(&got, "hello", WAIT_MS);
    assert_int_equal(got.status, 429);
    assert_non_null(strstr(buf_str(&got.body), "insufficient_quota"));
    client_got_fini(&got);
}

static void huge_answers_are_streamed(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_script((struct llm_script){.mode = LLM_HUGE});
    client_chat(&got, "hello", WAIT_MS);
    assert_int_equal(got.code, CURLE_OK);
    assert_true(got.received > 100 << 20);
    assert_int_equal(client_stats().ok + client_stats().status[0], 1);
    client_got_fini(&got);
}

static void the_gzip_bomb_expands(void **state)
{
    (void)state;
    struct got got = client_got_new();
    got.stop_after = 64 << 20;
    client_script((struct llm_script){.mode = LLM_GZIP_BOMB});
    curl_easy_setopt(client_easy, CURLOPT_ACCEPT_ENCODING, "gzip");
    client_chat(&got, "hello", WAIT_MS);
    curl_easy_setopt(client_easy, CURLOPT_ACCEPT_ENCODING, NULL);
    assert_int_equal(got.code, CURLE_WRITE_ERROR);
    assert_true(got.received > 64 << 20);
    assert_true(got.on_wire < 7 << 20);
    client_got_fini(&got);
}

static void a_mode_can_be_for_the_first_calls_only(void **state)
{
    (void)state;
    client_script((struct llm_script){.mode = LLM_QUOTA, .mode_count = 3});
    for (int i = 0; i < 6; i++)
        assert_int_equal(client_chat_status("hello"), i < 3 ? 429 : 200);
    client_script((struct llm_script){.error_rate = 1, .error_status = 503, .error_count = 2});
    for (int i = 0; i < 4; i++)
        assert_int_equal(client_chat_status("hello"), i < 2 ? 503 : 200);
}

static void a_mark_in_the_message_asks_for_its_mode(void **state)
{
    (void)state;
    client_script((struct llm_script){0});
    assert_int_equal(client_chat_status("a post [[llm:quota]]"), 429);
    assert_int_equal(client_chat_status("a post [[llm:nothing]]"), 200);
    assert_int_equal(client_chat_status("a post"), 200);
}

static void lots_are_the_same_under_the_same_seed(void **state)
{
    (void)state;
    int drawn[3] = {0};
    bool first[200];
    int differ = 0;
    for (int round = 0; round < 3; round++) {
        llm_server_stop(client_server);
        struct llm_script script = {.error_rate = 0.3, .seed = round < 2 ? 1 : 2};
        assert_int_equal(llm_server_start(&script, &client_server), ST_OK);
        for (int i = 0; i < 200; i++) {
            bool failed = client_chat_status("hello") == 500;
            drawn[round] += failed;
            if (round == 0)
                first[i] = failed;
            else if (round == 1)
                assert_int_equal(failed, first[i]);
            else
                differ += failed != first[i];
        }
    }
    assert_in_range(drawn[0], 30, 90);
    assert_true(differ > 0);
}

static void bad_answers_come_in_every_kind(void **state)
{
    (void)state;
    client_script((struct llm_script){.bad_rate = 0.5, .seed = 3});
    bool fenced = false, refused = false, truncated = false;
    for (int i = 0; i < 100; i++) {
        struct got got = client_got_new();
        client_chat(&got, "hello", WAIT_MS);
        fenced |= strstr(buf_str(&got.body), "```json") != NULL;
        refused |= strstr(buf_str(&got.body), "I'm sorry") != NULL;
        truncated |= strstr(buf_str(&got.body), "\"length\"") != NULL;
        client_got_fini(&got);
    }
    assert_true(fenced && refused && truncated);
    assert_in_range(client_stats().modes, 25, 75);
}

static void retry_after_is_sent_with_errors_that_pass(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_script((struct llm_script){.error_rate = 1, .error_status = 503, .retry_after_s = 7});
    client_chat(&got, "hello", WAIT_MS);
    assert_non_null(strstr(buf_str(&got.head), "Retry-After: 7\r\n"));
    client_got_fini(&got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(each_wire_fault_is_what_it_is_called),
        SERVED(contents_that_do_not_fit_are_what_they_are_called),
        SERVED(a_json_content_of_the_quotes_mode_survives_only_with_right_escapes),
        SERVED(other_envelopes_are_what_they_are_called),
        SERVED(huge_answers_are_streamed),
        SERVED(the_gzip_bomb_expands),
        SERVED(a_mode_can_be_for_the_first_calls_only),
        SERVED(a_mark_in_the_message_asks_for_its_mode),
        SERVED(lots_are_the_same_under_the_same_seed),
        SERVED(bad_answers_come_in_every_kind),
        SERVED(retry_after_is_sent_with_errors_that_pass),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}

/* The scripted LLM server does what its header says: tests of the LLM enricher lean on it, so what
 * it counts and limits must be exact, and its faults must be the ones that were asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>
#include <netinet/in.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"
#include "tests/support/client.h"
#include "tests/support/llm_parts.h"

/* --- answers --- */

static void the_answer_to_a_message_is_known_beforehand(void **state)
{
    (void)state;
    struct got got = client_got_new();
    struct buf expected = {0};
    llm_server_answer(SPAN_LIT("a sunny day with fine coffee"), &expected);
    client_chat(&got, "a sunny day with \\u0066ine coffee", WAIT_MS);
    assert_int_equal(got.code, CURLE_OK);
    assert_int_equal(got.status, 200);
    char *content = client_answer_content(&got);
    assert_string_equal(content, buf_str(&expected));
    json_t *root = client_answer_json(&got);
    json_t *usage = json_object_get(root, "usage");
    json_int_t prompt = json_integer_value(json_object_get(usage, "prompt_tokens"));
    json_int_t completion = json_integer_value(json_object_get(usage, "completion_tokens"));
    assert_int_equal(completion, (json_int_t)expected.n / 4 + 1);
    assert_true(prompt > 20);
    assert_int_equal(client_stats().tokens, prompt + completion);
    json_decref(root);
    mem_free(content);
    buf_fini(&expected);
    client_got_fini(&got);
}

static void answers_have_one_to_four_topics_and_fit_the_schema(void **state)
{
    (void)state;
    int counts[6] = {0};
    for (int i = 0; i < 200; i++) {
        struct buf content = {0};
        char text[80];
        snprintf(text, sizeof text, "just read about trends, sunshine and coffee %d", i);
        llm_server_answer(span_of(text), &content);
        json_t *root = json_loadb(content.p, content.n, JSON_REJECT_DUPLICATES, NULL);
        assert_int_equal(json_object_size(root), 3);
        size_t topics = json_array_size(json_object_get(root, "topics"));
        assert_in_range(topics, 1, 4);
        assert_true(json_is_string(json_object_get(root, "sentiment")));
        counts[topics]++;
        json_decref(root);
        buf_fini(&content);
    }
    for (int n = 1; n <= 4; n++)
        assert_true(counts[n] > 0);
}

static void keys_and_models_and_json_are_checked(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_script((struct llm_script){.api_key = "right", .models = "large,small"});
    assert_int_equal(client_chat_status("hello"), 200);
    client_script((struct llm_script){.api_key = "righter"});
    assert_int_equal(client_chat_status("hello"), 401);
    client_script((struct llm_script){.models = "smaller,large"});
    client_chat(&got, "hello", WAIT_MS);
    assert_int_equal(got.status, 404);
    assert_non_null(strstr(buf_str(&got.body), "\"code\":\"model_not_found\""));
    client_request(&got, "/v1/chat/completions", "{\"model\":\"large\",\"messages\":[}", WAIT_MS);
    assert_int_equal(got.status, 400);
    client_request(&got, "/v1/models", NULL, WAIT_MS);
    assert_int_equal(got.status, 200);
    assert_non_null(strstr(buf_str(&got.body), "\"id\":\"smaller\""));
    client_request(&got, "/v1/nothing", NULL, WAIT_MS);
    assert_int_equal(got.status, 404);
    client_got_fini(&got);
}

static void lookups_echo_path_query_and_body_nested(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_request(&got, "/lookup/users/7?full=1", "{\"a\":[1]}", WAIT_MS);
    assert_string_equal(buf_str(&got.body), "{\"found\":true,\"result\":{\"path\":\"/lookup/users/"
                                            "7\",\"query\":\"full=1\",\"body\":{\"a\":[1]}}}");
    buf_reset(&got.body, 0);
    client_request(&got, "/lookup/x", NULL, WAIT_MS);
    assert_string_equal(
        buf_str(&got.body),
        "{\"found\":true,\"result\":{\"path\":\"/lookup/x\",\"query\":\"\",\"body\":null}}");
    assert_int_equal(client_stats().lookups, 2);
    client_got_fini(&got);
}

/* --- limits --- */

/* What a window must say, counted anew from all that was ever accepted. */
struct model {
    struct llm_entry all[4000];
    size_t count;
};

static bool model_fits(const struct model *model, int64_t now_us, int64_t span_us, int64_t tokens,
                       int64_t tokens_max, int64_t count_max)
{
    int64_t sum = tokens, count = 1;
    for (size_t i = 0; i < model->count; i++) {
        if (model->all[i].at_us > now_us - span_us) {
            sum += model->all[i].tokens;
            count++;
        }
    }
    return sum <= tokens_max && count <= count_max;
}

static void the_sliding_window_is_exact_to_the_microsecond(void **state)
{
    (void)state;
    static struct model model;
    struct llm_window w = {.span_us = 60000000};
    int64_t now_us = 1, accepted = 0, waited = 0;
    uint64_t random = 1;
    while (model.count < 4000) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        int64_t tokens = 1 + (int64_t)(random >> 40) % 500;
        now_us += (int64_t)(random >> 20) % 200000;
        int64_t wait_us = llm_window_wait_us(&w, now_us, tokens, 50000, 250);
        if (wait_us > 0) {
            assert_false(model_fits(&model, now_us, w.span_us, tokens, 50000, 250));
            assert_false(model_fits(&model, now_us + wait_us - 1, w.span_us, tokens, 50000, 250));
            now_us += wait_us;
            waited++;
        }
        assert_true(model_fits(&model, now_us, w.span_us, tokens, 50000, 250));
        assert_int_equal(llm_window_wait_us(&w, now_us, tokens, 50000, 250), 0);
        llm_window_add(&w, now_us, tokens);
        model.all[model.count++] = (struct llm_entry){now_us, tokens};
        accepted++;
    }
    assert_true(waited > 100 && accepted > waited);
    assert_in_range(w.tokens_max, 49000, 50000);
    assert_int_equal(llm_window_wait_us(&w, now_us, 50001, 50000, 0), INT64_MAX);
    llm_window_fini(&w);
}

static long header_number(const struct got *got, const char *name)
{
    struct buf head = got->head;
    const char *at = strstr(buf_str(&head), name);
    assert_non_null(at);
    return strtol(at + strlen(name), NULL, 10);
}

static void what_is_above_the_limit_of_requests_gets_429(void **state)
{
    (void)state;
    client_script((struct llm_script){.requests_per_minute = 5});
    for (int i = 0; i < 5; i++) {
        struct got got = client_got_new();
        client_chat(&got, "hello", WAIT_MS);
        assert_int_equal(got.status, 200);
        assert_int_equal(header_number(&got, "x-ratelimit-limit-requests: "), 5);
        assert_int_equal(header_number(&got, "x-ratelimit-remaining-requests: "), 4 - i);
        client_got_fini(&got);
    }
    struct got got = client_got_new();
    client_chat(&got, "hello", WAIT_MS);
    assert_int_equal(got.status, 429);
    assert_in_range(header_number(&got, "Retry-After: "), 1, 60);
    assert_in_range(header_number(&got, "retry-after-ms: "), 1, 60000);
    assert_int_equal(client_stats().status[429], 1);
    assert_int_equal(client_stats().window_requests_max, 5);
    client_got_fini(&got);
}

static void what_is_above_the_limit_of_tokens_gets_429_until_it_has_left_the_window(void **state)
{
    (void)state;
    client_script((struct llm_script){.tokens_per_minute = 600, .window_ms = 400});
    int64_t until = clock_mono_ms() + WAIT_MS;
    long refused = 0, accepted = 0;
    while (accepted < 60 && clock_mono_ms() < until) {
        long status = client_chat_status("hello sunshine");
        assert_true(status == 200 || status == 429);
        *(status == 200 ? &accepted : &refused) += 1;
    }
    struct llm_stats stats = client_stats();
    assert_int_equal(accepted, 60);
    assert_true(refused > 0);
    assert_int_equal(stats.status[429], refused);
    assert_true(stats.window_tokens_max <= 600);
    assert_true(stats.window_tokens_max + stats.tokens / accepted > 600);
}

/* --- counting --- */

static void repeats_are_counted_by_body(void **state)
{
    (void)state;
    client_script((struct llm_script){.error_rate = 1, .error_count = 1});
    for (int i = 0; i < 40; i++) {
        char text[32];
        snprintf(text, sizeof text, "post %d", i % 30);
        client_chat_status(text);
    }
    struct llm_stats stats = client_stats();
    assert_int_equal(stats.calls, 40);
    assert_int_equal(stats.distinct, 30);
    assert_int_equal(stats.repeated, 10);
    assert_int_equal(stats.repeated_ok, 9); /* the first had got an error */
    assert_int_equal(stats.ok, 39);
    assert_int_equal(stats.status[500], 1);
}

static void many_bodies_are_told_apart(void **state)
{
    (void)state;
    struct llm_seen seen = {0};
    bool marked;
    char text[32];
    for (int i = 0; i < 100000; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "{\"id\":%d}", i);
        assert_false(llm_seen_add(&seen, llm_hash(0, span_make(text, n)), &marked));
        if (i % 3 == 0)
            llm_seen_mark(&seen, llm_hash(0, span_make(text, n)));
    }
    for (int i = 0; i < 100000; i++) {
        size_t n = (size_t)snprintf(text, sizeof text, "{\"id\":%d}", i);
        assert_true(llm_seen_add(&seen, llm_hash(0, span_make(text, n)), &marked));
        assert_int_equal(marked, i % 3 == 0);
    }
    assert_int_equal(seen.count, 100000);
    llm_seen_fini(&seen);
}

/* --- on bare sockets --- */

static int socket_open(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)llm_server_port(client_server)),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void socket_send(int fd, const char *text, size_t n)
{
    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), n);
}

static const char LOOKUP[] = "GET /lookup/a HTTP/1.1\r\nHost: x\r\n\r\n";

static bool calls_in_flight(int64_t n)
{
    int64_t until = clock_mono_ms() + WAIT_MS;
    while (clock_mono_ms() < until) {
        if (client_stats().in_flight == n)
            return true;
    }
    return false;
}

static void calls_in_flight_are_counted_and_limited(void **state)
{
    (void)state;
    int fds[5];
    client_script((struct llm_script){.mode = LLM_HANG, .max_concurrent = 5});
    for (int i = 0; i < 5; i++) {
        fds[i] = socket_open();
        socket_send(fds[i], LOOKUP, sizeof LOOKUP - 1);
    }
    assert_true(calls_in_flight(5));
    assert_int_equal(client_chat_status("hello"), 429);
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    assert_true(calls_in_flight(0));
    assert_int_equal(client_stats().in_flight_max, 6);
    assert_int_equal(client_stats().aborted, 5);
}

/* Reads until `count` answers to LOOKUP came; the bytes in all. */
static size_t read_answers(int fd, size_t count)
{
    static const char end[] = "\"body\":null}}";
    struct buf in = {0};
    size_t found = 0, from = 0;
    while (found < count) {
        char *room = buf_reserve(&in, 4096);
        ssize_t n = recv(fd, room, 4096, 0);
        assert_true(n > 0);
        in.n += (size_t)n;
        const char *at;
        while ((at = strstr(buf_str(&in) + from, end)) != NULL) {
            from = (size_t)(at - in.p) + sizeof end - 1;
            found++;
        }
    }
    size_t n = in.n;
    assert_int_equal(from, n);
    buf_fini(&in);
    return n;
}

static void requests_in_pieces_and_in_one_piece_are_answered(void **state)
{
    (void)state;
    client_script((struct llm_script){.delay_ms = 1});
    int fd = socket_open();
    for (size_t i = 0; i < sizeof LOOKUP - 1; i++)
        socket_send(fd, LOOKUP + i, 1);
    read_answers(fd, 1);
    struct buf many = {0};
    for (int i = 0; i < 50; i++)
        buf_add(&many, LOOKUP, sizeof LOOKUP - 1);
    socket_send(fd, many.p, many.n);
    read_answers(fd, 50);
    assert_int_equal(client_stats().calls, 51);
    buf_fini(&many);
    close(fd);
}

static void delays_end_in_their_order(void **state)
{
    (void)state;
    enum { CONNS = 300 };
    int fds[CONNS];
    client_script((struct llm_script){.delay_ms = 5, .spread_ms = 50});
    for (int i = 0; i < CONNS; i++)
        fds[i] = socket_open();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CONNS; i++)
            socket_send(fds[i], LOOKUP, sizeof LOOKUP - 1);
        if (round == 1) {
            for (int i = 0; i < CONNS; i += 7) {
                close(fds[i]);
                fds[i] = socket_open();
                socket_send(fds[i], LOOKUP, sizeof LOOKUP - 1);
            }
        }
        for (int i = 0; i < CONNS; i++)
            read_answers(fds[i], 1);
    }
    assert_true(client_stats().ok >= 3 * CONNS);
    assert_int_equal(client_stats().in_flight, 0);
    for (int i = 0; i < CONNS; i++)
        close(fds[i]);
}

/* --- over HTTP --- */

static void the_script_and_the_counters_are_reached_over_http(void **state)
{
    (void)state;
    struct got got = client_got_new();
    client_script((struct llm_script){.error_rate = 1});
    client_request(&got, "/script", "{\"error_status\":418,\"tokens_per_minute\":9000}", WAIT_MS);
    assert_int_equal(got.status, 200);
    assert_int_equal(client_chat_status("hello"), 418);
    client_request(&got, "/script", "{\"error_rate\":0,\"mode\":\"never heard of\"}", WAIT_MS);
    assert_int_equal(got.status, 400);
    assert_int_equal(client_chat_status("hello"), 418);
    buf_reset(&got.body, 0);
    client_request(&got, "/stats", NULL, WAIT_MS);
    json_t *root = client_answer_json(&got);
    json_t *status = json_object_get(root, "status");
    assert_int_equal(json_integer_value(json_object_get(root, "calls")), 2);
    assert_int_equal(json_integer_value(json_object_get(status, "418")), 2);
    json_decref(root);
    buf_reset(&got.body, 0);
    client_request(&got, "/last", NULL, WAIT_MS);
    assert_non_null(strstr(buf_str(&got.body), "Authorization: Bearer right\r\n"));
    assert_non_null(strstr(buf_str(&got.body), "\"content\":\"hello\"}]}"));
    client_got_fini(&got);
}

static void every_member_of_the_script_can_be_set_by_name(void **state)
{
    (void)state;
    struct llm_script script = {0};
    struct error err = {0};
    assert_int_equal(llm_script_set(&script, "delay", "1.5", &err), ST_OK);
    assert_int_equal(llm_script_set(&script, "retry-after", "3", &err), ST_OK);
    assert_int_equal(llm_script_set(&script, "tokens-per-minute", "90000", &err), ST_OK);
    assert_int_equal(llm_script_set(&script, "mode", "reset_mid_body", &err), ST_OK);
    assert_int_equal(llm_script_set(&script, "models", "a,b", &err), ST_OK);
    assert_true(script.delay_ms == 1.5 && script.retry_after_s == 3);
    assert_int_equal(script.tokens_per_minute, 90000);
    assert_int_equal(script.mode, LLM_RESET_MID_BODY);
    assert_string_equal(script.models, "a,b");
    assert_int_equal(llm_script_set(&script, "delay", "-1", &err), ST_FATAL);
    assert_int_equal(llm_script_set(&script, "delay", "5 ms", &err), ST_FATAL);
    assert_int_equal(llm_script_set(&script, "mode", "nice", &err), ST_FATAL);
    assert_int_equal(llm_script_set(&script, "mod", "ok", &err), ST_FATAL);
    for (int i = 0; i < LLM_MODES; i++) {
        enum llm_mode mode;
        assert_true(llm_mode_find(span_of(llm_mode_name((enum llm_mode)i)), &mode));
        assert_int_equal(mode, i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(the_answer_to_a_message_is_known_beforehand),
        cmocka_unit_test(answers_have_one_to_four_topics_and_fit_the_schema),
        SERVED(keys_and_models_and_json_are_checked),
        SERVED(lookups_echo_path_query_and_body_nested),
        cmocka_unit_test(the_sliding_window_is_exact_to_the_microsecond),
        SERVED(what_is_above_the_limit_of_requests_gets_429),
        SERVED(what_is_above_the_limit_of_tokens_gets_429_until_it_has_left_the_window),
        SERVED(repeats_are_counted_by_body),
        cmocka_unit_test(many_bodies_are_told_apart),
        SERVED(calls_in_flight_are_counted_and_limited),
        SERVED(requests_in_pieces_and_in_one_piece_are_answered),
        SERVED(delays_end_in_their_order),
        SERVED(the_script_and_the_counters_are_reached_over_http),
        cmocka_unit_test(every_member_of_the_script_can_be_set_by_name),
    };
    curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}

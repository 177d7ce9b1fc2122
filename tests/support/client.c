/* See client.h. */
#include "tests/support/client.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

struct llm_server *client_server;
CURL *client_easy;

static size_t take_head(char *p, size_t size, size_t n, void *arg)
{
    struct got *got = arg;
    buf_add(&got->head, p, size * n);
    return size * n;
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct got *got = arg;
    got->received += size * n;
    if (got->received < 1 << 20)
        buf_add(&got->body, p, size * n);
    return got->stop_after > 0 && got->received > got->stop_after ? 0 : size * n;
}

struct got client_got_new(void)
{
    struct got got = {0};
    buf_init(&got.body, 2 << 20);
    return got;
}

void client_got_fini(struct got *got)
{
    buf_fini(&got->head);
    buf_fini(&got->body);
}

void client_request(struct got *got, const char *path, const char *body, long timeout_ms)
{
    char url[256];
    struct curl_slist *headers = curl_slist_append(NULL, "Authorization: Bearer right");
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", llm_server_port(client_server), path);
    curl_easy_setopt(client_easy, CURLOPT_URL, url);
    curl_easy_setopt(client_easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(client_easy, CURLOPT_PROXY, "");
    curl_easy_setopt(client_easy, CURLOPT_TIMEOUT_MS, timeout_ms);
    curl_easy_setopt(client_easy, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(client_easy, CURLOPT_HEADERFUNCTION, take_head);
    curl_easy_setopt(client_easy, CURLOPT_HEADERDATA, got);
    curl_easy_setopt(client_easy, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(client_easy, CURLOPT_WRITEDATA, got);
    if (body == NULL) {
        curl_easy_setopt(client_easy, CURLOPT_HTTPGET, 1L);
    } else {
        curl_easy_setopt(client_easy, CURLOPT_POST, 1L);
        curl_easy_setopt(client_easy, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        curl_easy_setopt(client_easy, CURLOPT_POSTFIELDS, body);
    }
    got->code = curl_easy_perform(client_easy);
    curl_easy_getinfo(client_easy, CURLINFO_RESPONSE_CODE, &got->status);
    curl_easy_getinfo(client_easy, CURLINFO_SIZE_DOWNLOAD_T, &got->on_wire);
    curl_easy_setopt(client_easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(headers);
}

void client_chat(struct got *got, const char *text, long timeout_ms)
{
    char *body = mem_printf("{\"model\":\"small\",\"messages\":[{\"role\":\"system\",\"content\":"
                            "\"Classify.\"},{\"role\":\"user\",\"content\":\"%s\"}]}",
                            text);
    client_request(got, "/v1/chat/completions", body, timeout_ms);
    mem_free(body);
}

long client_chat_status(const char *text)
{
    struct got got = client_got_new();
    client_chat(&got, text, WAIT_MS);
    assert_int_equal(got.code, CURLE_OK);
    client_got_fini(&got);
    return got.status;
}

json_t *client_answer_json(const struct got *got)
{
    json_error_t why;
    json_t *root = json_loadb(got->body.p, got->body.n, 0, &why);
    if (root == NULL)
        fail_msg("not JSON: %s", why.text);
    return root;
}

char *client_answer_content(const struct got *got)
{
    json_t *root = client_answer_json(got);
    json_t *choice = json_array_get(json_object_get(root, "choices"), 0);
    json_t *content = json_object_get(json_object_get(choice, "message"), "content");
    char *text = mem_strdup(json_is_string(content) ? json_string_value(content) : "");
    json_decref(root);
    return text;
}

void client_script(struct llm_script script)
{
    llm_server_set(client_server, &script);
    llm_server_reset_stats(client_server);
}

struct llm_stats client_stats(void)
{
    struct llm_stats stats;
    llm_server_stats(client_server, &stats);
    return stats;
}

int client_setup(void **state)
{
    (void)state;
    client_easy = curl_easy_init();
    return llm_server_start(&(struct llm_script){0}, &client_server) == ST_OK ? 0 : -1;
}

int client_teardown(void **state)
{
    (void)state;
    curl_easy_cleanup(client_easy);
    llm_server_stop(client_server);
    return 0;
}

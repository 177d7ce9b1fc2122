/* Statuses: 429 and 503 with Retry-After pass; 408, 409 and other 5xx are failures; 401, 403 and
 * 404 are settings; 400, 413 and 422 are about the post, unless no call ever went well here. */
#include "lib/enrich/openai_reply.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORDS_MAX = 200 };

/* --- failures --- */

/* What the server itself says: {"error":{"message":…}} or the beginning of the body. */
static void server_words(const struct buf *reply, char out[WORDS_MAX])
{
    json_error_t why;
    json_t *root = json_loadb(reply->p == NULL ? "" : reply->p, reply->n, 0, &why);
    const json_t *error = json_object_get(root, "error");
    const json_t *message = json_is_string(error) ? error : json_object_get(error, "message");
    if (message == NULL)
        message = json_object_get(root, "message");
    const char *words = json_string_value(message);
    struct span raw = words != NULL ? span_of(words) : buf_span(reply);
    size_t n = raw.n < WORDS_MAX - 1 ? raw.n : WORDS_MAX - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = (unsigned char)raw.p[i] < ' ' || raw.p[i] == 127 ? ' ' : raw.p[i];
    while (n > 0 && (out[n - 1] & 0xc0) == 0x80 && raw.n > n) /* not in the middle of a character */
        n--;
    out[n] = '\0';
    json_decref(root);
}

static void fail(struct call *call, enum call_outcome outcome, enum error_kind kind,
                 enum reason reason, const char *fmt, ...) PRINTF_LIKE(5, 6);

static void fail(struct call *call, enum call_outcome outcome, enum error_kind kind,
                 enum reason reason, const char *fmt, ...)
{
    char text[sizeof call->err.text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    call->outcome = outcome;
    error_set(&call->err, ST_FATAL, kind, "%s", text);
    call->err.reason = reason;
}

static void refuse_by_status(const struct http_call *http, struct call *call)
{
    char words[WORDS_MAX];
    int status = http->status;
    server_words(&http->reply, words);
    if (status == 401 || status == 403)
        fail(call, CALL_FATAL, ERR_AUTH, REASON_NONE,
             "%s answers %d: %s; is the key right, and allowed to use this model? "
             "(OPENAI_API_KEY, SLUICE_LLM_KEY, or ..._FILE)",
             http->url, status, words);
    else if (status == 404)
        fail(call, CALL_FATAL, ERR_CONFIG, REASON_NONE,
             "%s answers 404: %s; are --llm-url (it mostly ends in /v1) and --llm-model right?",
             http->url, words);
    else if (status >= 300 && status < 400)
        fail(call, CALL_FATAL, ERR_CONFIG, REASON_NONE,
             "%s answers %d: it redirects, and redirects are not followed; give the final URL",
             http->url, status);
    else if (!call->trusted && status != 413)
        fail(call, CALL_FATAL, ERR_CONFIG, REASON_NONE,
             "%s answers %d to the first question: %s; if it does not know response_format or "
             "json_schema, try --llm-format json_object or text; a parameter it does not know can "
             "be left out (--llm-temperature -1, --llm-max-tokens-member)",
             http->url, status, words);
    else
        fail(call, CALL_REFUSED, ERR_FAILED, REASON_answer_rejected, "the endpoint answers %d: %s",
             status, words);
}

bool http_read_failure(const struct http_call *http, struct call *call)
{
    static const enum call_outcome outcomes[] = {
        [HTTP_UNREACHABLE] = CALL_UNREACHABLE, [HTTP_TIMEOUT] = CALL_TIMEOUT,
        [HTTP_BROKEN] = CALL_FAILED,           [HTTP_TOO_LARGE] = CALL_FAILED,
        [HTTP_UNUSABLE] = CALL_FATAL,
    };
    char words[WORDS_MAX];
    int status = http->status;
    if (http->outcome != HTTP_DONE) {
        call->outcome = outcomes[http->outcome];
        call->bought = http->outcome != HTTP_UNREACHABLE && http->outcome != HTTP_UNUSABLE;
        call->err = http->err;
        return true;
    }
    call->bought = status >= 200 && status < 300;
    if (call->bought)
        return false;
    if (status == 429 || (status == 503 && http->limits.retry_after_ms >= 0)) {
        server_words(&http->reply, words);
        fail(call, CALL_LIMITED, ERR_UNAVAILABLE, REASON_NONE, "%s answers %d: %s", http->url,
             status, words);
    } else if (status >= 500 || status == 408 || status == 409 || status < 200) {
        server_words(&http->reply, words);
        fail(call, CALL_FAILED, ERR_UNAVAILABLE, REASON_NONE, "%s answers %d: %s", http->url,
             status, words);
    } else {
        refuse_by_status(http, call);
    }
    return true;
}

/* --- answers --- */

static int64_t count_of(const json_t *usage, const char *name)
{
    const json_t *n = json_object_get(usage, name);
    return json_is_integer(n) && json_integer_value(n) >= 0 ? (int64_t)json_integer_value(n) : -1;
}

static void read_choice(const json_t *choice, struct call *call)
{
    const json_t *message = json_object_get(choice, "message");
    const json_t *content = json_object_get(message, "content");
    const char *refusal = json_string_value(json_object_get(message, "refusal"));
    const char *finish = json_string_value(json_object_get(choice, "finish_reason"));
    if (refusal != NULL && refusal[0] != '\0') {
        fail(call, CALL_REFUSED, ERR_FAILED, REASON_answer_rejected,
             "the model refuses to answer: %.200s", refusal);
        return;
    }
    if (finish != NULL && strcmp(finish, "content_filter") == 0) {
        fail(call, CALL_REFUSED, ERR_FAILED, REASON_answer_rejected,
             "the endpoint's content filter holds the answer back");
        return;
    }
    if (!json_is_string(content)) {
        fail(call, CALL_FAILED, ERR_FAILED, REASON_NONE,
             "the reply holds no choices[0].message.content");
        return;
    }
    call->outcome = CALL_OK;
    call->truncated = finish != NULL && strcmp(finish, "length") == 0;
    buf_add(&call->content, json_string_value(content), json_string_length(content));
}

void openai_read_reply(const struct http_call *http, struct call *call)
{
    json_error_t why;
    if (http_read_failure(http, call))
        return;
    json_t *root =
        json_loadb(http->reply.p == NULL ? "" : http->reply.p, http->reply.n, JSON_ALLOW_NUL, &why);
    if (!json_is_object(root)) {
        fail(call, CALL_FAILED, ERR_FAILED, REASON_NONE, "%s: the reply is no JSON object",
             http->url);
    } else {
        const json_t *usage = json_object_get(root, "usage");
        call->tokens_in = count_of(usage, "prompt_tokens");
        call->tokens_out = count_of(usage, "completion_tokens");
        read_choice(json_array_get(json_object_get(root, "choices"), 0), call);
    }
    json_decref(root);
}

/* Statuses: 429 and 503 with Retry-After pass, but for a 429 (and any 402) that says that nothing
 * is left to pay with: "insufficient_quota" (OpenAI's guide "Error codes"); 408, 409 and other 5xx
 * are failures; 401, 403 and 404 are settings; 400, 413 and 422 are about the post, unless no call
 * ever went well here. */
#include "lib/enrich/openai_reply.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/json/pointer.h"
#include "lib/json/post.h"

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

static void refuse_by_status(const struct http_call *http, const struct reply_cures *cures,
                             struct call *call)
{
    char words[WORDS_MAX];
    int status = http->status;
    server_words(&http->reply, words);
    if (status == 401 || status == 403)
        fail(call, CALL_FATAL, ERR_AUTH, REASON_NONE, "%s answers %d: %s; %s", http->url, status,
             words, cures->denied);
    else if (status == 407)
        fail(call, CALL_FATAL, ERR_AUTH, REASON_NONE,
             "%s: the proxy answers 407: it wants a login (SLUICE_LLM_PROXY_LOGIN, or ..._FILE)",
             http->url);
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
             "%s answers %d to the first question: %s; %s", http->url, status, words,
             cures->not_taken);
    else
        fail(call, CALL_REFUSED, ERR_FAILED, REASON_answer_rejected, "the endpoint answers %d: %s",
             status, words);
}

/* Waiting does not help, paying does. OpenAI says so by a code of 429. Anthropic has no code: a 400
 * whose message is "Your credit balance is too low to access the Anthropic API. ...". */
static bool is_out_of_credit(const struct http_call *http)
{
    json_error_t why;
    if (http->status == 402)
        return true;
    if (http->status != 429 && http->status != 400)
        return false;
    const struct buf *reply = &http->reply;
    json_t *root = json_loadb(reply->p == NULL ? "" : reply->p, reply->n, 0, &why);
    const json_t *error = json_object_get(root, "error");
    const char *code = json_string_value(json_object_get(error, "code"));
    const char *type = json_string_value(json_object_get(error, "type"));
    const char *message = json_string_value(json_object_get(error, "message"));
    bool out = (code != NULL && strcmp(code, "insufficient_quota") == 0) ||
               (type != NULL && strcmp(type, "insufficient_quota") == 0);
    if (http->status == 400)
        out = message != NULL && strstr(message, "credit balance is too low") != NULL;
    json_decref(root);
    return out;
}

bool http_read_failure(const struct http_call *http, const struct reply_cures *cures,
                       struct call *call)
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
    if (is_out_of_credit(http)) {
        server_words(&http->reply, words);
        fail(call, CALL_NO_CREDIT, ERR_UNAVAILABLE, REASON_NONE,
             "%s answers %d: %s; the account has no credit left, or has reached its limit of "
             "spending: somebody must pay, or raise it",
             http->url, status, words);
    } else if (status == 429 || (status == 503 && http->limits.retry_after_ms >= 0)) {
        server_words(&http->reply, words);
        fail(call, CALL_LIMITED, ERR_UNAVAILABLE, REASON_NONE, "%s answers %d: %s", http->url,
             status, words);
    } else if (status >= 500 || status == 408 || status == 409 || status < 200) {
        server_words(&http->reply, words);
        fail(call, CALL_FAILED, ERR_UNAVAILABLE, REASON_NONE, "%s answers %d: %s", http->url,
             status, words);
    } else {
        refuse_by_status(http, cures, call);
    }
    return true;
}

/* --- answers --- */

/* Replies are looked through as text, without a tree: a quarter of a call's CPU otherwise. */

static int64_t count_of(struct span number)
{
    int64_t n = 0;
    if (number.n == 0 || number.n > 15)
        return -1;
    for (size_t i = 0; i < number.n; i++) {
        if (number.p[i] < '0' || number.p[i] > '9')
            return -1;
        n = n * 10 + (number.p[i] - '0');
    }
    return n;
}

static void read_usage(struct span usage, struct call *call)
{
    static const struct span names[] = {{"prompt_tokens", 13}, {"completion_tokens", 17}};
    struct span found[2];
    json_members_find(usage, names, 2, found);
    call->tokens_in = count_of(found[0]);
    call->tokens_out = count_of(found[1]);
}

static bool is_string(struct span value)
{
    return value.n >= 2 && value.p[0] == '"';
}

static void add_string(struct buf *out, struct span string)
{
    json_unescape(out, span_make(string.p + 1, string.n - 2));
}

static void refused_by_model(struct span refusal, struct call *call)
{
    struct buf words = {0};
    add_string(&words, refusal);
    fail(call, CALL_REFUSED, ERR_FAILED, REASON_answer_rejected,
         "the model refuses to answer: %.200s", buf_str(&words));
    buf_fini(&words);
}

static void read_choice(struct span choice, struct call *call)
{
    static const struct span names[] = {{"message", 7}, {"finish_reason", 13}};
    static const struct span inner_names[] = {{"content", 7}, {"refusal", 7}};
    struct span outer[2], inner[2];
    json_members_find(choice, names, 2, outer);
    json_members_find(outer[0], inner_names, 2, inner);
    struct span content = inner[0], refusal = inner[1], finish = outer[1];
    if (is_string(refusal) && refusal.n > 2) {
        refused_by_model(refusal, call);
    } else if (span_is(finish, "\"content_filter\"")) {
        fail(call, CALL_REFUSED, ERR_FAILED, REASON_answer_rejected,
             "the endpoint's content filter holds the answer back");
    } else if (!is_string(content)) {
        fail(call, CALL_FAILED, ERR_FAILED, REASON_NONE,
             "the reply holds no choices[0].message.content");
    } else {
        call->outcome = CALL_OK;
        call->truncated = span_is(finish, "\"length\"");
        add_string(&call->content, content);
    }
}

void openai_read_reply(const struct http_call *http, struct call *call)
{
    static const struct span names[] = {{"choices", 7}, {"usage", 5}};
    static const struct reply_cures cures = {
        .denied = "is the key right, and allowed to use this model? (OPENAI_API_KEY, "
                  "SLUICE_LLM_KEY, or ..._FILE)",
        .not_taken = "if it does not know response_format or json_schema, try --llm-format "
                     "json_object or text; a parameter it does not know can be left out "
                     "(--llm-temperature -1, --llm-max-tokens-member)"};
    struct span found[2];
    if (http_read_failure(http, &cures, call))
        return;
    if (!json_members_find(buf_span(&http->reply), names, 2, found)) {
        fail(call, CALL_FAILED, ERR_FAILED, REASON_NONE, "%s: the reply is no JSON object",
             http->url);
        return;
    }
    read_usage(found[1], call);
    read_choice(json_pointer_find(found[0], "/0"), call);
}

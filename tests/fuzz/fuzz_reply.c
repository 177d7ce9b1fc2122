/* Any bytes as the reply of an OpenAI-compatible endpoint, then as header lines about limits: what
 * is taken from it must be bounded and printable, and an outcome always comes. */
#include "lib/base/utf8.h"
#include "lib/enrich/limits.h"
#include "lib/enrich/openai_reply.h"
#include "tests/fuzz/fuzz.h"

static void read_reply(struct span body, int status, bool trusted)
{
    struct http_call http = {.url = "http://127.0.0.1/v1/chat/completions",
                             .outcome = HTTP_DONE,
                             .status = status,
                             .limits = LIMITS_UNKNOWN};
    struct call call = {.trusted = trusted};
    call_reset(&call);
    buf_add_span(&http.reply, body);
    openai_read_reply(&http, &call);
    MUST(call.outcome <= CALL_FATAL);
    MUST(call.tokens_in >= -1 && call.tokens_out >= -1);
    if (call.outcome == CALL_OK)
        MUST(utf8_valid(call.content.p, call.content.n));
    else
        MUST(call.err.text[0] != '\0' && strchr(call.err.text, '\n') == NULL);
    buf_fini(&http.reply);
    buf_fini(&call.content);
}

static void read_limits(struct span line)
{
    struct http_limits limits = LIMITS_UNKNOWN;
    limits_read_header(&limits, line, 1700000000000);
    MUST(limits.retry_after_ms >= -1 && limits.retry_after_ms <= 3600000);
    MUST(limits.reset_tokens_ms <= 3600000 && limits.reset_requests_ms <= 3600000);
    MUST(limits.remaining_tokens >= -1 && limits.remaining_requests >= -1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int statuses[] = {200, 200, 200, 400, 401, 404, 429, 500, 503, 204, 302};
    struct span input = fuzz_copy(data, size);
    if (size > 1) {
        int status = statuses[data[0] % (sizeof statuses / sizeof *statuses)];
        struct span body = span_make(input.p + 1, input.n - 1);
        read_reply(body, status, data[0] & 0x80);
        read_limits(body);
    }
    mem_free((char *)input.p);
    return 0;
}

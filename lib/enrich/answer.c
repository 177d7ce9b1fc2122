/* {"reason":null,"answer":"{…}","tokens":[120,34],"cost_nano":38400,"attempts":1,"at_ms":…,
 *  "model":"…"}: the answer stands there as a string, so that its bytes come back as they were. */
#include "lib/enrich/answer.h"

#include <jansson.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/mem.h"

struct kept_answer {
    atomic_int holders;
    struct answer answer;
    char bytes[];
};

struct kept_answer *answer_keep(const struct answer *answer)
{
    struct kept_answer *kept = mem_alloc(sizeof *kept + answer->text.n + 1);
    atomic_init(&kept->holders, 1);
    kept->answer = *answer;
    if (answer->text.n > 0)
        memcpy(kept->bytes, answer->text.p, answer->text.n);
    kept->bytes[answer->text.n] = '\0';
    kept->answer.text.p = kept->bytes;
    return kept;
}

struct kept_answer *answer_hold(struct kept_answer *kept)
{
    atomic_fetch_add_explicit(&kept->holders, 1, memory_order_relaxed);
    return kept;
}

void answer_drop(struct kept_answer *kept)
{
    if (kept != NULL && atomic_fetch_sub_explicit(&kept->holders, 1, memory_order_acq_rel) == 1)
        mem_free(kept);
}

const struct answer *answer_of(const struct kept_answer *kept)
{
    return &kept->answer;
}

size_t answer_size(const struct kept_answer *kept)
{
    return sizeof *kept + kept->answer.text.n + 1;
}

void answer_write(const struct answer *a, const char *model, struct buf *out)
{
    buf_add_str(out, "{\"reason\":");
    if (a->reason == REASON_NONE)
        buf_add_str(out, "null");
    else
        buf_printf(out, "\"%s\"", reason_word(a->reason));
    buf_add_str(out, ",\"answer\":\"");
    buf_add_json(out, a->text);
    buf_printf(out,
               "\",\"tokens\":[%lld,%lld],\"cost_nano\":%lld,\"attempts\":%d,\"at_ms\":%lld,"
               "\"model\":\"",
               (long long)a->tokens_in, (long long)a->tokens_out, (long long)a->cost_nano,
               a->attempts, (long long)a->at_ms);
    buf_add_json(out, span_of(model));
    buf_add_str(out, "\"}");
}

static int64_t number_of(const json_t *n)
{
    return json_is_integer(n) ? (int64_t)json_integer_value(n) : 0;
}

enum status answer_read(struct span json, struct answer *ret, struct buf *text, struct error *err)
{
    json_error_t why;
    json_t *root = json_loadb(json.n == 0 ? "" : json.p, json.n, JSON_ALLOW_NUL, &why);
    const json_t *answer = json_object_get(root, "answer");
    const json_t *reason = json_object_get(root, "reason");
    const json_t *tokens = json_object_get(root, "tokens");
    enum reason found = REASON_NONE;
    bool ok = json_is_string(answer) && reason != NULL;
    if (ok && json_is_string(reason))
        ok = (found = reason_find(json_string_value(reason))) != REASON_NONE;
    if (ok) {
        buf_reset(text, 0);
        buf_add(text, json_string_value(answer), json_string_length(answer));
        *ret = (struct answer){.reason = found,
                               .text = buf_span(text),
                               .tokens_in = number_of(json_array_get(tokens, 0)),
                               .tokens_out = number_of(json_array_get(tokens, 1)),
                               .cost_nano = number_of(json_object_get(root, "cost_nano")),
                               .attempts = (int)number_of(json_object_get(root, "attempts")),
                               .at_ms = number_of(json_object_get(root, "at_ms"))};
    }
    json_decref(root);
    return ok ? ST_OK : error_set(err, ST_REJECT, ERR_FAILED, "this is no answer of sluice");
}

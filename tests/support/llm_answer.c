/* See llm_parts.h: the bodies. An answer depends on the user's message alone, so that a test knows
 * it beforehand and the same question gets the same answer. */
#include <stdio.h>
#include <time.h>

#include "lib/json/post.h"
#include "tests/support/llm_parts.h"

enum { TOPICS_MAX = 4, WORD_MIN = 4, WORD_MAX = 24 };

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool same_topic(struct span a, struct span b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if ((a.p[i] | 0x20) != (b.p[i] | 0x20))
            return false;
    }
    return true;
}

static bool is_known(const struct span *topics, size_t count, struct span word)
{
    for (size_t i = 0; i < count; i++) {
        if (same_topic(topics[i], word))
            return true;
    }
    return false;
}

/* The last different words of the text, which is where templates put the post. */
static size_t pick_topics(struct span text, struct span *topics, size_t want)
{
    size_t count = 0, end = text.n;
    while (end > 0 && count < want) {
        if (!is_letter(text.p[end - 1])) {
            end--;
            continue;
        }
        size_t begin = end - 1;
        while (begin > 0 && is_letter(text.p[begin - 1]))
            begin--;
        struct span word = span_make(text.p + begin, end - begin);
        if (word.n >= WORD_MIN && word.n <= WORD_MAX && !is_known(topics, count, word))
            topics[count++] = word;
        end = begin;
    }
    return count;
}

static void add_topics(struct span message, uint64_t hash, struct buf *out)
{
    struct span topics[TOPICS_MAX];
    size_t count = pick_topics(message, topics, 1 + hash % TOPICS_MAX);
    if (count == 0)
        topics[count++] = SPAN_LIT("general");
    for (size_t i = 0; i < count; i++) {
        buf_add_str(out, i == 0 ? "[\"" : ",\"");
        for (size_t k = 0; k < topics[i].n; k++)
            buf_add_char(out, (char)(topics[i].p[k] | 0x20));
        buf_add_char(out, '"');
    }
    buf_add_char(out, ']');
}

static const char *sentiment(uint64_t hash)
{
    static const char *const words[] = {"positive", "neutral", "negative"};
    return words[hash / TOPICS_MAX % 3];
}

void llm_server_answer(struct span message, struct buf *out)
{
    uint64_t hash = llm_hash(0, message);
    buf_add_str(out, "{\"topics\":");
    add_topics(message, hash, out);
    buf_printf(out, ",\"sentiment\":\"%s\",\"language\":\"en\"}", sentiment(hash));
}

/* --- content that is not what was asked for --- */

static const char *fixed_content(enum llm_mode mode)
{
    switch (mode) {
    case LLM_WRONG_TYPE:
        return "{\"topics\":\"coffee\",\"sentiment\":\"positive\",\"language\":\"en\"}";
    case LLM_EXTRA:
        return "{\"topics\":[\"coffee\"],\"sentiment\":\"positive\",\"language\":\"en\","
               "\"confidence\":0.9}";
    case LLM_NOT_JSON:
        return "Sure! This post is about coffee, and the writer seems happy.";
    case LLM_INJECTED:
        return "{\"topics\":[\"coffee\"],\"sentiment\":\"positive\",\"language\":\"en\"},"
               "\"id\":\"0\",\"injected\":true,\"rest\":{\"a\":1";
    case LLM_QUOTES:
        return "{\"topics\":[\"\\\"],\\\"id\\\":0,\\\"x\\\":[\\\"\",\"a}b{c\",\"\\u0000\\n\\t\","
               "\"\\ud83d\\ude00\"],\"sentiment\":\"positive\",\"language\":\"\\u0065n\"}";
    case LLM_DUPLICATE:
        return "{\"topics\":[\"coffee\"],\"sentiment\":\"positive\",\"language\":\"en\","
               "\"sentiment\":\"negative\"}";
    case LLM_EMPTY_CONTENT:
        return "";
    default:
        return NULL;
    }
}

static void make_content(enum llm_mode mode, struct span message, struct buf *out)
{
    const char *fixed = fixed_content(mode);
    if (fixed != NULL) {
        buf_add_str(out, fixed);
        return;
    }
    if (mode == LLM_FENCED)
        buf_add_str(out, "```json\n");
    llm_server_answer(message, out);
    if (mode == LLM_FENCED)
        buf_add_str(out, "\n```");
    if (mode == LLM_TRUNCATED)
        out->n /= 2;
}

/* --- envelopes --- */

static void add_message(enum llm_mode mode, struct span content, struct buf *out)
{
    if (mode == LLM_REFUSAL || mode == LLM_CONTENT_FILTER) {
        buf_printf(out, "{\"role\":\"assistant\",\"content\":null,\"refusal\":%s}",
                   mode == LLM_REFUSAL ? "\"I'm sorry, I can't help with that.\"" : "null");
        return;
    }
    buf_add_str(out, "{\"role\":\"assistant\",\"content\":\"");
    buf_add_json(out, content);
    if (mode == LLM_BAD_UTF8)
        buf_add_str(out, "\xff\xc0\xaf\xed\xa0\x80");
    buf_add_str(out, "\",\"refusal\":null}");
}

static const char *finish_reason(enum llm_mode mode)
{
    if (mode == LLM_TRUNCATED)
        return "length";
    return mode == LLM_CONTENT_FILTER ? "content_filter" : "stop";
}

int64_t llm_answer_body(enum llm_mode mode, struct span message, struct span model, int64_t number,
                        int64_t prompt_tokens, struct buf *content, struct buf *out)
{
    buf_reset(content, 0);
    make_content(mode, message, content);
    int64_t tokens = (int64_t)content->n / 4 + 1;
    buf_printf(out, "{\"id\":\"chatcmpl-%lld\",\"object\":\"chat.completion\",\"created\":%lld,",
               (long long)number, (long long)time(NULL));
    buf_printf(out, "\"model\":\"%.*s\",\"choices\":", (int)model.n, model.p);
    if (mode == LLM_ODD_ENVELOPE) {
        buf_add_str(out, "\"none\"");
    } else {
        buf_add_str(out, "[{\"index\":0,\"message\":");
        add_message(mode, buf_span(content), out);
        buf_printf(out, ",\"logprobs\":null,\"finish_reason\":\"%s\"}]", finish_reason(mode));
    }
    if (mode != LLM_NO_USAGE)
        buf_printf(out,
                   ",\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,"
                   "\"total_tokens\":%lld}",
                   (long long)prompt_tokens, (long long)tokens,
                   (long long)(prompt_tokens + tokens));
    buf_add_str(out, ",\"system_fingerprint\":\"fp_scripted\"}");
    return tokens;
}

void llm_error_body(const char *type, const char *code, const char *message, struct buf *out)
{
    buf_add_str(out, "{\"error\":{\"message\":\"");
    buf_add_json(out, span_of(message));
    buf_printf(out, "\",\"type\":\"%s\",\"param\":null,\"code\":", type);
    buf_printf(out, code == NULL ? "null}}" : "\"%s\"}}", code);
}

/* --- lookups --- */

void llm_lookup_body(const struct llm_request *req, enum llm_mode mode, struct buf *out)
{
    const struct post_limits limits = POST_LIMITS_DEFAULT;
    const char *mark = memchr(req->target.p, '?', req->target.n);
    size_t path = mark == NULL ? req->target.n : (size_t)(mark - req->target.p);
    if (mode == LLM_ODD_ENVELOPE || mode == LLM_WRONG_TYPE) {
        buf_add_str(out, "[\"not an object\"]");
        return;
    }
    buf_add_str(out, "{\"found\":true,\"result\":{\"path\":\"");
    buf_add_json(out, span_make(req->target.p, path));
    buf_add_str(out, "\",\"query\":\"");
    if (mark != NULL)
        buf_add_json(out, span_make(mark + 1, req->target.n - path - 1));
    buf_add_str(out, "\",\"body\":");
    if (req->body.n == 0) {
        buf_add_str(out, "null");
    } else if (json_check(req->body, &limits, NULL) == ST_OK) {
        buf_add_span(out, req->body);
    } else {
        buf_add_char(out, '"');
        buf_add_json(out, req->body);
        buf_add_char(out, '"');
    }
    buf_add_str(out, mode == LLM_NOT_JSON || mode == LLM_TRUNCATED ? "}" : "}}");
}

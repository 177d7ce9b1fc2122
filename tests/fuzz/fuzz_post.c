/* Any bytes as a post: nothing may crash, what passes must satisfy an independent reader, and a
 * splice must come back from a second scan as the same post with the new enrichment. The replay
 * test (replay.c) runs the same function over the corpus with every `make test`. */
#include <jansson.h>

#include "lib/base/buf.h"
#include "lib/base/utf8.h"
#include "lib/json/post.h"
#include "tests/fuzz/fuzz.h"

static bool jansson_knows_less(const json_error_t *e)
{
    enum json_error_code code = json_error_code(e);
    return code == json_error_null_character || code == json_error_null_byte_in_key ||
           code == json_error_numeric_overflow || code == json_error_stack_overflow ||
           strstr(e->text, "Unicode") != NULL;
}

/* Both say yes or both say no, except where jansson refuses what RFC 8259 allows. */
static void check_against_jansson(struct span value)
{
    struct error err;
    bool ours = json_check(value, &POST_LIMITS_DEFAULT, &err) == ST_OK;
    json_error_t e;
    size_t flags = JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *tree = json_loadb(value.p, value.n, flags, &e);
    /* jansson takes a zero byte behind the value for its end. */
    bool jansson_may_cut = memchr(value.p, 0, value.n) != NULL;
    if (ours)
        MUST(tree != NULL || jansson_knows_less(&e));
    else
        MUST(tree == NULL || err.reason == REASON_json_too_deep || jansson_may_cut);
    json_decref(tree);
}

static void check_splice(struct span value, const struct post *post)
{
    const struct span enrichment = SPAN_LIT("{\"sentiment\":[\"\\u00e9\"]}");
    struct buf out = {0};
    post_splice(&out, value, post, enrichment);
    MUST(!out.full && out.n == post_spliced_size(value, post, enrichment));
    struct post again;
    MUST(post_scan(buf_span(&out), &POST_LIMITS_DEFAULT, &again, NULL) == ST_OK);
    MUST(span_equal(again.id, post->id) && span_equal(again.text, post->text));
    MUST(span_equal(again.enrichment, enrichment));
    size_t head = post->enrichment.p == NULL ? post->close : (size_t)(post->enrichment.p - value.p);
    size_t tail = value.n - head - post->enrichment.n;
    MUST(memcmp(out.p, value.p, head) == 0);
    MUST(memcmp(out.p + out.n - tail, value.p + value.n - tail, tail) == 0);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span value = fuzz_copy(data, size);
    check_against_jansson(value);
    struct post post;
    if (post_scan(value, &POST_LIMITS_DEFAULT, &post, NULL) == ST_OK) {
        MUST(json_check(value, &POST_LIMITS_DEFAULT, NULL) == ST_OK);
        MUST(value.p[post.close] == '}');
        check_splice(value, &post);
        struct buf text = {0};
        json_unescape(&text, post.text);
        MUST(utf8_valid(text.p, text.n) && text.n <= post.text.n);
        buf_fini(&text);
    }
    mem_free((char *)value.p);
    return 0;
}

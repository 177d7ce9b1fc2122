/* Any bytes through the whole way of a post within enhance: scan, ask (the mock), splice, and scan
 * again. What comes out is a post with exactly one enrichment that its schema accepts, and the
 * input's bytes around it. */
#include <jansson.h>

#include "lib/enrich/ops.h"
#include "lib/enrich/schema.h"
#include "lib/json/post.h"
#include "schema_json.h"
#include "tests/fuzz/fuzz.h"

static void *mock;
static struct schema *schema;

static void prepare(void)
{
    static const struct enrich_options opt; /* no latency, no errors */
    struct error err;
    if (mock != NULL)
        return;
    mock = mem_zalloc(mock_enricher_ops.ctx_size);
    MUST(mock_enricher_ops.open(mock, &opt, loop_new(), &err) == ST_OK);
    MUST(schema_open(span_of(embedded_schema_json), "schema", &schema, &err) == ST_OK);
}

static void check_output(struct span value, const struct post *post, struct span answer)
{
    struct error err;
    json_error_t why;
    json_t *tree = json_loadb(answer.p, answer.n, 0, &why);
    MUST(tree != NULL && schema_check(schema, tree, &err) == ST_OK);
    json_decref(tree);
    struct buf out = {0};
    struct post again;
    post_splice(&out, value, post, answer);
    MUST(post_scan(buf_span(&out), &POST_LIMITS_DEFAULT, &again, NULL) == ST_OK);
    MUST(span_equal(again.enrichment, answer));
    MUST(span_equal(again.text, post->text) && span_equal(again.id, post->id));
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    struct span value = fuzz_copy(data, size);
    struct post post;
    struct buf text = {0};
    struct ask ask = {.value = value};
    if (post_scan(value, &POST_LIMITS_DEFAULT, &post, NULL) == ST_OK) {
        json_unescape(&text, post.text);
        ask.text = buf_span(&text);
        ask.id = post.id;
        MUST(mock_enricher_ops.submit(mock, &ask) == ST_OK);
        check_output(value, &post, buf_span(&ask.answer));
    }
    ask_fini(&ask);
    buf_fini(&text);
    mem_free((char *)value.p);
    return 0;
}

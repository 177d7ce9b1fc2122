/* A schema, a line "---", and a value: a schema that is accepted decides on every value, the same
 * each time, and what it refuses it can say; what passes the quick way is accepted by the long one,
 * and comes out the same. */
#include <jansson.h>

#include "lib/enrich/schema.h"
#include "lib/json/tree.h"
#include "tests/fuzz/fuzz.h"

static void check(const struct schema *schema, struct span text)
{
    json_error_t why;
    struct error err = {0}, again;
    json_t *value = json_loadb(text.p, text.n, JSON_DECODE_ANY, &why);
    if (value == NULL)
        return;
    enum status st = schema_check(schema, value, &err);
    MUST(st == ST_OK || (st == ST_REJECT && err.reason == REASON_llm_schema && err.text[0] != 0));
    MUST(schema_check(schema, value, &again) == st);
    json_decref(value);
}

static void check_pass(const struct schema *schema, struct span text)
{
    struct error err;
    struct buf quick = {0}, tree = {0};
    if (schema_pass(schema, text, &quick)) {
        json_t *value = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
        MUST(value != NULL && schema_check(schema, value, &err) == ST_OK);
        json_tree_write(value, &tree);
        MUST(span_equal(buf_span(&quick), buf_span(&tree)));
        json_decref(value);
    }
    buf_fini(&quick);
    buf_fini(&tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_copy(data, size), value;
    struct span text = fuzz_split(input, &value);
    struct schema *schema = NULL;
    struct error err = {0};
    enum status st = schema_open(text, "--llm-schema FILE", &schema, &err);
    MUST(st == ST_OK || (err.kind == ERR_CONFIG && err.text[0] != '\0'));
    if (st == ST_OK) {
        check(schema, value);
        check_pass(schema, value);
    }
    schema_free(schema);
    mem_free((char *)input.p);
    return 0;
}

/* What a model wrote is data: it is parsed, checked against the schema, and written anew by us.
 * Text around the JSON is not searched for answers, but for one habit of models: a fence of three
 * backquotes around the whole. Most answers pass at once (schema_pass). */
#include <jansson.h>
#include <string.h>

#include "lib/enrich/purchase.h"
#include "lib/json/tree.h"

static struct span trim(struct span s)
{
    while (s.n > 0 && strchr(" \t\r\n", s.p[0]) != NULL && s.p[0] != '\0')
        s.p++, s.n--;
    while (s.n > 0 && strchr(" \t\r\n", s.p[s.n - 1]) != NULL && s.p[s.n - 1] != '\0')
        s.n--;
    return s;
}

/* ```json … ``` */
static struct span without_fence(struct span s)
{
    s = trim(s);
    if (s.n < 6 || memcmp(s.p, "```", 3) != 0 || memcmp(s.p + s.n - 3, "```", 3) != 0)
        return s;
    const char *line = memchr(s.p, '\n', s.n - 3);
    if (line == NULL)
        return s;
    return trim(span_make(line + 1, (size_t)(s.p + s.n - 3 - line - 1)));
}

static enum status write_anew(const json_t *value, struct buf *out, struct error *err)
{
    json_tree_write(value, out);
    return out->full ? error_reject(err, REASON_llm_schema, "the answer is too large") : ST_OK;
}

enum status verdict_read(const struct link *link, struct call *call, struct buf *out,
                         struct error *err)
{
    json_error_t why;
    struct span content = without_fence(buf_span(&call->content));
    if (link->schema != NULL && schema_pass(link->schema, content, out))
        return ST_OK;
    json_t *value =
        json_loadb(content.p, content.n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
    enum status st = ST_OK;
    if (value == NULL)
        st = error_reject(err, REASON_llm_schema, "it is not JSON: %s (byte %d)", why.text,
                          why.position);
    else if (link->schema != NULL)
        st = schema_check(link->schema, value, err);
    if (st == ST_OK)
        st = write_anew(value, out, err);
    if (st != ST_OK && call->truncated)
        st = error_reject(err, REASON_llm_truncated,
                          "it was cut off by the token limit (--llm-max-tokens)");
    json_decref(value);
    return st;
}

/* The small languages of the options, each with a post: templates, conditions, redaction. Input: a
 * text, a line "---", a post. */
#include <jansson.h>

#include "lib/base/utf8.h"
#include "lib/enrich/redact.h"
#include "lib/enrich/template.h"
#include "lib/enrich/when.h"
#include "lib/json/post.h"
#include "tests/fuzz/fuzz.h"

static void fill(const char *text, struct span value, const struct post *post)
{
    struct template *t = NULL;
    struct error err = {0};
    if (template_open(text, "--llm-prompt", &t, &err) != ST_OK) {
        MUST(err.kind == ERR_CONFIG && err.text[0] != '\0');
        return;
    }
    struct template_values values = {.value = value, .id = post->id, .text = post->text};
    for (int escape = TEMPLATE_PLAIN; escape <= TEMPLATE_URL; escape++) {
        struct buf out = {0};
        values.redact = escape == TEMPLATE_JSON ? 31 : 0;
        template_fill(t, &values, (enum template_escape)escape, &out);
        buf_fini(&out);
    }
    template_free(t);
}

static void hold(const char *text, struct span value)
{
    struct when *w = NULL;
    struct error err = {0};
    json_error_t why;
    if (when_open(text, "when", &w, &err) != ST_OK) {
        MUST(err.kind == ERR_CONFIG && err.text[0] != '\0');
        return;
    }
    json_t *post = json_loadb(value.p, value.n, 0, &why);
    if (post != NULL)
        MUST(when_holds(w, post, NULL) == when_holds(w, post, NULL));
    json_decref(post);
    when_free(w);
}

static void redact(struct span text)
{
    struct buf once = {0}, twice = {0};
    redact_text(31, text, &once);
    MUST(!utf8_valid(text.p, text.n) || utf8_valid(once.p, once.n));
    redact_text(31, buf_span(&once), &twice);
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_copy(data, size), value;
    struct span words = fuzz_split(input, &value);
    char *text = mem_spandup(words);
    struct post post;
    if (post_scan(value, &POST_LIMITS_DEFAULT, &post, NULL) == ST_OK) {
        fill(text, value, &post);
        hold(text, value);
    }
    redact(words);
    mem_free(text);
    mem_free((char *)input.p);
    return 0;
}

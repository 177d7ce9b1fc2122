/* Any bytes as a line that a program of the exec enricher wrote, then as a post that is written to
 * it: an answer is one JSON value of bounded size or a fault in words; a question is one line. */
#include <jansson.h>

#include "lib/enrich/exec_answer.h"
#include "lib/json/post.h"
#include "tests/fuzz/fuzz.h"

static bool inside(struct span part, struct span line)
{
    return part.p == NULL || (part.p >= line.p && part.p + part.n <= line.p + line.n);
}

static void read_line(struct span line, bool cut)
{
    struct exec_answer answer = {0};
    if (!exec_answer_read(line, cut, &answer))
        return;
    MUST(answer.seq >= -1);
    MUST(inside(answer.value, line) && inside(answer.error, line));
    MUST((answer.fault != NULL) + (answer.value.p != NULL) + (answer.error.p != NULL) >= 1);
    struct ask ask = {.id = SPAN_LIT("1")};
    exec_answer_give(&answer, &ask);
    MUST(ask.status == ST_OK || ask.status == ST_REJECT);
    if (ask.status == ST_OK)
        MUST(json_check(buf_span(&ask.answer), &POST_LIMITS_DEFAULT, NULL) == ST_OK);
    else
        MUST(ask.err->text[0] != '\0');
    ask_fini(&ask);
}

static void write_post(struct span value)
{
    struct post post;
    if (post_scan(value, &POST_LIMITS_DEFAULT, &post, NULL) != ST_OK)
        return;
    struct ask ask = {.value = value, .id = post.id, .text = post.text};
    struct buf out = {0};
    exec_question_write(7, &ask, &out);
    MUST(out.n > 0 && memchr(out.p, '\n', out.n) == out.p + out.n - 1);
    struct span line = span_make(out.p, out.n - 1);
    MUST(json_check(line, &(struct post_limits){.max_bytes = 1 << 24, .max_depth = 600}, NULL) ==
         ST_OK);
    buf_fini(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span input = fuzz_copy(data, size);
    read_line(input, false);
    read_line(input, true);
    write_post(input);
    mem_free((char *)input.p);
    return 0;
}

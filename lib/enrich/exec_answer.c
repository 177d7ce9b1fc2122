/* Lines of programs: see exec_answer.h. Values are cut out of the line as they stand, so that they
 * pass byte for byte. */
#include "lib/enrich/exec_answer.h"

#include "lib/enrich/exec_process.h"
#include "lib/json/pointer.h"
#include "lib/json/post.h"

enum { SEQ_DIGITS = 18, SHOWN_MAX = 80, WHY_MAX = 300 };

static void add_on_one_line(struct span json, struct buf *out)
{
    char *to = buf_reserve(out, json.n);
    if (to == NULL)
        return;
    for (size_t i = 0; i < json.n; i++) /* within strings there are none */
        to[i] = json.p[i] == '\n' || json.p[i] == '\r' ? ' ' : json.p[i];
    out->n += json.n;
}

void exec_question_write(int64_t seq, const struct ask *ask, struct buf *out)
{
    buf_printf(out, "{\"seq\":%lld,\"id\":\"", (long long)seq);
    buf_add_json(out, ask->id);
    buf_add_str(out, "\",\"text\":\"");
    buf_add_json(out, ask->text);
    buf_add_str(out, "\",\"post\":");
    if (ask->value.n == 0)
        buf_add_str(out, "null");
    else
        add_on_one_line(ask->value, out);
    buf_add_str(out, "}\n");
}

static bool is_blank(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
            return false;
    return true;
}

/* A whole number, nothing else; -1 for what is none. */
static int64_t number_of(struct span s)
{
    int64_t value = 0;
    if (s.n == 0 || s.n > SEQ_DIGITS)
        return -1;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return -1;
        value = value * 10 + (s.p[i] - '0');
    }
    return value;
}

/* What a line that cannot be read as a whole still tells when it begins with {"seq":7, */
static int64_t guess_seq(struct span line)
{
    static const char expected[] = "{\"seq\":";
    size_t i = 0, n = 0;
    for (const char *e = expected; *e != '\0'; e++, i++) {
        while (i < line.n && line.p[i] == ' ')
            i++;
        if (i >= line.n || line.p[i] != *e)
            return -1;
    }
    while (i < line.n && line.p[i] == ' ')
        i++;
    while (i + n < line.n && line.p[i + n] >= '0' && line.p[i + n] <= '9')
        n++;
    bool ends = i + n < line.n && strchr(" ,}", line.p[i + n]) != NULL;
    return ends ? number_of(span_make(line.p + i, n)) : -1;
}

bool exec_answer_read(struct span line, bool cut, struct exec_answer *ret)
{
    struct post_limits limits = {.max_bytes = EXEC_LINE_MAX, .max_depth = 512};
    *ret = (struct exec_answer){.seq = -1, .line = line};
    if (!cut && is_blank(line))
        return false;
    if (cut || json_check(line, &limits, NULL) != ST_OK) {
        ret->fault = cut ? "a line longer than 1 MiB" : "a line that is no JSON";
        ret->seq = guess_seq(line);
        return true;
    }
    struct span seq = json_pointer_find(line, "/seq");
    ret->seq = number_of(seq);
    ret->value = json_pointer_find(line, "/answer");
    ret->error = json_pointer_find(line, "/error");
    if (span_is(ret->error, "null"))
        ret->error = SPAN_NULL;
    if (seq.p != NULL && ret->seq < 0)
        ret->fault = "a line whose \"seq\" is no number of an ask";
    else if (ret->error.p == NULL && ret->value.p == NULL)
        ret->fault = "a line without \"answer\" and \"error\"";
    return true;
}

/* A string's content, anything else as it stands. */
static void add_words(struct span json, struct buf *out)
{
    if (json.p[0] == '"')
        json_unescape(out, span_make(json.p + 1, json.n - 2));
    else
        buf_add_span(out, json);
}

/* What a program said becomes part of a header and of log lines: one line, not too long. */
static void make_printable(struct buf *b, size_t max)
{
    for (size_t i = 0; i < b->n; i++)
        if ((unsigned char)b->p[i] < 0x20 || b->p[i] == 0x7F)
            b->p[i] = ' ';
    if (b->n <= max)
        return;
    b->n = max;
    while (b->n > 0 && ((unsigned char)b->p[b->n] & 0xC0) == 0x80)
        b->n--;
    buf_add_str(b, "...");
}

void exec_answer_give(const struct exec_answer *answer, struct ask *ask)
{
    struct buf words = {0};
    ask->status = ST_OK;
    buf_reset(&ask->answer, 0);
    if (answer->fault != NULL) {
        buf_add(&words, answer->line.p, answer->line.n < WHY_MAX ? answer->line.n : WHY_MAX);
        make_printable(&words, SHOWN_MAX);
        ask->status = error_reject(ask_error(ask), REASON_enricher_failed,
                                   "the program wrote %s: %s", answer->fault, buf_str(&words));
    } else if (answer->error.p != NULL) {
        add_words(answer->error, &words);
        make_printable(&words, WHY_MAX);
        ask->status = error_reject(ask_error(ask), REASON_enricher_failed, "%s", buf_str(&words));
    } else {
        buf_add_span(&ask->answer, answer->value);
    }
    buf_fini(&words);
}

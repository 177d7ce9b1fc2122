/* See llm_parts.h: reads requests as HTTP clients send them, without copying. The body of a chat
 * is walked with the strict scanner of lib/json, so that what is no JSON is answered with 400. */
#include <stdlib.h>
#include <strings.h>

#include "lib/json/scan.h"
#include "tests/support/llm_parts.h"

/* --- HTTP --- */

/* The text up to `end` (not included); *s moves behind it. Absent when there is no `end`. */
static struct span cut(struct span *s, const char *end)
{
    size_t n = strlen(end);
    const char *at = memmem(s->p, s->n, end, n);
    if (at == NULL)
        return SPAN_NULL;
    struct span head = span_make(s->p, (size_t)(at - s->p));
    s->p = at + n;
    s->n -= head.n + n;
    return head;
}

static bool same_word(struct span s, const char *word)
{
    return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

static struct span trimmed(struct span s)
{
    for (; s.n > 0 && (*s.p == ' ' || *s.p == '\t'); s.p++)
        s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

static bool read_length(struct span s, size_t *ret)
{
    if (s.n == 0 || s.n > 12)
        return false;
    *ret = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
        *ret = *ret * 10 + (size_t)(s.p[i] - '0');
    }
    return true;
}

static bool read_header(struct span name, struct span value, struct llm_request *req,
                        size_t *length)
{
    if (same_word(name, "Content-Length"))
        return read_length(value, length);
    if (same_word(name, "Transfer-Encoding"))
        return false;
    if (same_word(name, "Authorization"))
        req->authorization = value;
    else if (same_word(name, "Connection"))
        req->close = same_word(value, "close");
    else if (same_word(name, "Expect"))
        req->expects_continue = same_word(value, "100-continue");
    return true;
}

enum status llm_request_parse(struct span in, struct llm_request *ret)
{
    struct llm_request req = {.authorization = SPAN_NULL};
    struct span rest = in, head = cut(&rest, "\r\n\r\n");
    size_t length = 0;
    if (head.p == NULL)
        return in.n > 65536 ? ST_REJECT : ST_AGAIN;
    head.n += 2; /* each line ends with its own line end */
    struct span line = cut(&head, "\r\n");
    req.method = cut(&line, " ");
    req.target = cut(&line, " ");
    if (req.method.p == NULL || req.target.p == NULL || !span_is(line, "HTTP/1.1"))
        return ST_REJECT;
    if (req.target.n > 7 && memcmp(req.target.p, "http://", 7) == 0) { /* as proxies are asked */
        const char *path = memchr(req.target.p + 7, '/', req.target.n - 7);
        if (path == NULL)
            return ST_REJECT;
        req.target = span_make(path, req.target.n - (size_t)(path - req.target.p));
    }
    while (head.n > 0) {
        line = cut(&head, "\r\n");
        struct span name = cut(&line, ":");
        if (name.p == NULL || !read_header(name, trimmed(line), &req, &length))
            return ST_REJECT;
    }
    req.size = in.n - rest.n + length;
    req.body = span_make(rest.p, length);
    *ret = req;
    return rest.n < length ? ST_AGAIN : ST_OK;
}

/* --- the question --- */

typedef const unsigned char *(*member_fn)(struct scan *s, const unsigned char *p, struct span name,
                                          void *arg);

/* The members of the object at p, each through fn, which returns the place behind the value. */
static const unsigned char *walk_object(struct scan *s, const unsigned char *p, member_fn fn,
                                        void *arg)
{
    if (!scan_is(s, p, '{'))
        return scan_fail(s, p, "an object is expected");
    p = scan_space(s, p + 1);
    if (scan_is(s, p, '}'))
        return p + 1;
    for (;;) {
        struct span name;
        if (!scan_is(s, p, '"'))
            return scan_fail(s, p, "a member is expected");
        if ((p = scan_name(s, p, &name)) == NULL || (p = fn(s, p, name, arg)) == NULL)
            return NULL;
        p = scan_space(s, p);
        if (scan_is(s, p, '}'))
            return p + 1;
        if (!scan_is(s, p, ','))
            return scan_fail(s, p, "a comma is expected");
        p = scan_space(s, p + 1);
    }
}

/* A value; when it is a string *ret is its inside. */
static const unsigned char *read_value(struct scan *s, const unsigned char *p, struct span *ret)
{
    const unsigned char *end = scan_value(s, p);
    if (end != NULL && *p == '"')
        *ret = span_make(p + 1, (size_t)(end - p) - 2);
    return end;
}

struct message {
    struct span role, content;
};

static const unsigned char *message_member(struct scan *s, const unsigned char *p, struct span name,
                                           void *arg)
{
    struct message *msg = arg;
    struct span other;
    if (span_is(name, "role"))
        return read_value(s, p, &msg->role);
    return read_value(s, p, span_is(name, "content") ? &msg->content : &other);
}

static const unsigned char *read_messages(struct scan *s, const unsigned char *p,
                                          struct llm_question *question)
{
    if (!scan_is(s, p, '['))
        return scan_fail(s, p, "messages must be a list");
    do {
        struct message msg = {SPAN_NULL, SPAN_NULL};
        p = walk_object(s, scan_space(s, p + 1), message_member, &msg);
        if (p == NULL)
            return NULL;
        if (msg.role.p != NULL && span_is(msg.role, "user"))
            question->content = msg.content;
        p = scan_space(s, p);
    } while (scan_is(s, p, ','));
    return scan_is(s, p, ']') ? p + 1 : scan_fail(s, p, "the end of the list is expected");
}

static const unsigned char *question_member(struct scan *s, const unsigned char *p,
                                            struct span name, void *arg)
{
    struct llm_question *question = arg;
    struct span other;
    if (span_is(name, "messages"))
        return read_messages(s, p, question);
    return read_value(s, p, span_is(name, "model") ? &question->model : &other);
}

enum status llm_question_parse(struct span body, struct llm_question *ret, struct error *err)
{
    const struct post_limits limits = {.max_bytes = 64 << 20, .max_depth = 512};
    struct llm_question question = {SPAN_NULL, SPAN_NULL};
    struct scan s;
    enum status st = scan_begin(&s, body, &limits, err);
    if (st != ST_OK)
        return st;
    const unsigned char *p = walk_object(&s, scan_space(&s, s.start), question_member, &question);
    if (p == NULL || scan_end(&s, p) == NULL)
        return scan_reject(&s, err);
    if (question.model.p == NULL)
        return error_reject(err, REASON_json_invalid, "you must provide a model parameter");
    if (question.content.p == NULL)
        return error_reject(err, REASON_json_invalid, "no message of the user with text");
    *ret = question;
    return ST_OK;
}

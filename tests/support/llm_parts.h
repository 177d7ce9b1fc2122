/* The parts of the scripted LLM server, private to tests/support/llm_*.c: what knows nothing of
 * sockets. Everything here is used by one thread at a time. */
#ifndef SLUICE_TESTS_LLM_PARTS_H
#define SLUICE_TESTS_LLM_PARTS_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "tests/support/llm_server.h"

/* --- llm_request.c: HTTP/1.1 as clients send it --- */

struct llm_request {
    struct span method, target, body, authorization; /* point into what was read */
    size_t size;                                     /* bytes of the whole */
    bool close;                                      /* the client wants it closed afterwards */
    bool expects_continue;                           /* set as soon as the head is there */
};

/* ST_OK, ST_AGAIN (more is to come), ST_REJECT (not HTTP, or chunked). */
enum status llm_request_parse(struct span in, struct llm_request *ret) MUST_CHECK;

struct llm_question {
    struct span model, content; /* insides of JSON strings, still escaped; content: last user's */
};

/* ST_REJECT when the body is not JSON or lacks model or messages. */
enum status llm_question_parse(struct span body, struct llm_question *ret,
                               struct error *err) MUST_CHECK;

/* --- llm_script.c: members by name --- */

const char *llm_mode_name(enum llm_mode mode);
bool llm_mode_find(struct span name, enum llm_mode *ret);

/* Sets the member `name` ('-' reads as '_') from text as a user types it. */
enum status llm_script_set(struct llm_script *script, const char *name, const char *text,
                           struct error *err) MUST_CHECK;
/* Sets the members that the JSON object names; all or nothing. */
enum status llm_script_set_json(struct llm_script *script, struct span json,
                                struct error *err) MUST_CHECK;
/* "--delay-ms --spread-ms ..." */
void llm_script_usage(struct buf *out);
void llm_stats_json(const struct llm_stats *stats, struct buf *out);

/* --- llm_limits.c: exact windows and sets --- */

/* What was accepted within the last span_us; an entry of age span_us is out. */
struct llm_window {
    struct llm_entry {
        int64_t at_us;
        int64_t tokens;
    } * ring;
    size_t first, count, cap;
    int64_t span_us, tokens, tokens_max, count_max;
};

void llm_window_fini(struct llm_window *w);
/* Forgets what is too old at now_us; times never go back. */
void llm_window_move(struct llm_window *w, int64_t now_us);
void llm_window_add(struct llm_window *w, int64_t now_us, int64_t tokens);
/* How long from now_us until `tokens` more, in one entry more, stay within both limits (0: none):
 * 0 when they do now, INT64_MAX when they never will. */
int64_t llm_window_wait_us(struct llm_window *w, int64_t now_us, int64_t tokens, int64_t tokens_max,
                           int64_t count_max);
/* Until the window is empty. */
int64_t llm_window_reset_us(const struct llm_window *w, int64_t now_us);

/* A set of 63-bit hashes with a mark each. Two different bodies count as the same with a chance of
 * less than one in a hundred thousand among ten million. */
struct llm_seen {
    uint64_t *slots;
    size_t count, cap;
};

uint64_t llm_hash(uint64_t seed, struct span s);
void llm_seen_fini(struct llm_seen *seen);
/* Adds it; true when it was there. *ret_marked: whether llm_seen_mark was called for it. */
bool llm_seen_add(struct llm_seen *seen, uint64_t hash, bool *ret_marked);
void llm_seen_mark(struct llm_seen *seen, uint64_t hash);

/* --- llm_answer.c: bodies --- */

/* The body of an answer to a user message; the content is left in `content`. Returns the
 * completion tokens: a quarter of the content's bytes, and one. */
int64_t llm_answer_body(enum llm_mode mode, struct span message, struct span model, int64_t number,
                        int64_t prompt_tokens, struct buf *content, struct buf *out);
void llm_error_body(const char *type, const char *code, const char *message, struct buf *out);
void llm_lookup_body(const struct llm_request *req, enum llm_mode mode, struct buf *out);

/* --- llm_service.c: from a request to what is to be sent --- */

enum llm_end { LLM_KEEP, LLM_CLOSE, LLM_RESET, LLM_NEVER };

/* What is to be sent, when, and how it ends. */
struct llm_reply {
    struct buf out;
    double delay_ms;
    enum llm_end end; /* after `out` and the stream; LLM_NEVER: leave it open, say no more */
    bool drip;
    struct span pattern; /* sent `repeat` times after `out`, then `tail` */
    size_t repeat;
    struct span tail;
    bool is_call;
    int status; /* counted when it has been sent; 0: none */
    uint64_t hash;
    int64_t prompt_tokens, completion_tokens;
};

struct llm_service {
    struct llm_script script;
    struct llm_stats stats;
    struct llm_window window;
    struct llm_seen seen;
    struct buf last, message, content, body;
    int64_t number;    /* of the call, from 1 */
    int64_t script_at; /* the number when the script was set */
    int64_t now_us;
};

void llm_service_fini(struct llm_service *service);
void llm_service_set(struct llm_service *service, const struct llm_script *script);
void llm_service_reset(struct llm_service *service);
void llm_service_stats(const struct llm_service *service, struct llm_stats *ret);

/* reply->out is empty; the reply is filled in. */
void llm_service_call(struct llm_service *service, const struct llm_request *req, int64_t now_us,
                      struct llm_reply *reply);
/* Once for each call: it was sent in full, or the client went away. */
void llm_service_done(struct llm_service *service, const struct llm_reply *reply, bool sent);

/* --- llm_hostile.c: what follows `out` --- */

/* A head and a stream of 100 MB; of 7 MB that become 1 GiB. */
void llm_reply_huge(struct llm_reply *reply);
void llm_reply_gzip_bomb(struct llm_reply *reply);

#endif

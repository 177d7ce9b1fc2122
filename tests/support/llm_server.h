/* A scripted LLM provider for tests and benchmarks: OpenAI's chat completions over HTTP/1.1 with
 * keep-alive, answers that are known beforehand, faults on demand, limits enforced exactly, and a
 * count of every call.
 *
 * Serves, on 127.0.0.1 unless another address is given, from one thread of its own:
 *   POST /v1/chat/completions   the answer of llm_server_answer to the last user message
 *   GET  /v1/models             the names of the script's `models`
 *   any  /lookup/...            {"found":true,"result":{"path","query","body"}}
 *   GET  /stats  DELETE /stats  struct llm_stats as JSON; counted anew
 *   POST /script                changes the members of the script that the JSON object names
 *   GET  /last                  the last call as it came, head and body
 *
 * A last user message that contains [[llm:MODE]] gets that mode, whatever the script says.
 * Threads: any thread may call; each call waits until the server's thread has done it. */
#ifndef SLUICE_TESTS_LLM_SERVER_H
#define SLUICE_TESTS_LLM_SERVER_H

#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/status.h"

enum llm_mode {
    LLM_OK,
    /* Answers that come whole and are not what was asked for. */
    LLM_WRONG_TYPE,             /* topics is a string */
    LLM_EXTRA,                  /* a member too many */
    LLM_NOT_JSON,               /* prose */
    LLM_TRUNCATED,              /* half the content, finish_reason "length" */
    LLM_FENCED,                 /* right, in ```json fences */
    LLM_REFUSAL,                /* content null, `refusal` set */
    LLM_BAD_LAST = LLM_REFUSAL, /* bad_rate picks among those so far */
    LLM_INJECTED,               /* right, then more text that would add members behind it */
    LLM_QUOTES,        /* right, with strings full of quotes, braces, line ends and escapes */
    LLM_DUPLICATE,     /* the same member twice */
    LLM_BAD_UTF8,      /* bytes that are not UTF-8 inside the content */
    LLM_EMPTY_CONTENT, /* "" */
    LLM_CONTENT_FILTER,
    LLM_NO_USAGE,
    LLM_ODD_ENVELOPE, /* JSON, but choices is a string */
    LLM_EMPTY,        /* status 200 and no body */
    LLM_QUOTA,        /* 429 insufficient_quota: waiting does not help */
    /* Hostile on the wire. */
    LLM_HANG,           /* never answers */
    LLM_STALL,          /* half of the answer, then never more */
    LLM_DRIP,           /* a byte every 100 ms */
    LLM_RESET_MID_BODY, /* half of the answer, then RST */
    LLM_CLOSE_EARLY,    /* closed after the request */
    LLM_HALF,           /* half of what Content-Length says, then closed */
    LLM_GARBAGE,        /* bytes that are not HTTP, then closed */
    LLM_HUGE,           /* 100 MB of content */
    LLM_GZIP_BOMB,      /* 7 MB, Content-Encoding: gzip, that become 1 GiB */
    LLM_REDIRECT,       /* 302 to another host */
    LLM_MODES
};

/* Zeroed is valid: every call is answered at once. Shares are from 0 to 1. */
struct llm_script {
    double delay_ms, spread_ms; /* an answer comes after delay + 0..spread (evenly) */
    double error_rate;          /* share of calls that fail with error_status (500) */
    int64_t error_status;
    int64_t error_count;  /* only the first N calls after the script was set; 0: no end */
    double retry_after_s; /* sent with 429 and 503; 0: 429 of a limit says the real time */
    /* Over an exact sliding window; what would go above gets 429 at once. 0: no limit. Tokens are
     * counted when a call is accepted: what its answer will say in `usage`. */
    int64_t tokens_per_minute, requests_per_minute;
    int64_t window_ms; /* how long that minute is: 60000 */
    int64_t max_concurrent;
    double bad_rate; /* share of answers that do not fit the schema: LLM_WRONG_TYPE..LLM_REFUSAL */
    enum llm_mode mode;
    double mode_rate;   /* share of calls that get the mode; 0: all */
    int64_t mode_count; /* only the first N calls after the script was set; 0: no end */
    int64_t seed; /* of everything drawn by lot: same seed, same number of the call, same lot */
    char api_key[128]; /* set: other keys get 401 */
    char models[256];  /* comma-separated; set: others get 404 model_not_found */
};

/* A call: one request to chat/completions or lookup that was read in full. */
struct llm_stats {
    int64_t calls, chats, lookups;
    int64_t ok;          /* answered 200, whole, whatever the content */
    int64_t modes;       /* calls that got a mode other than ok, or a bad answer */
    int64_t aborted;     /* the client went away before it had its answer */
    int64_t distinct;    /* question bodies (lookups: target and body) */
    int64_t repeated;    /* calls whose body had been received before */
    int64_t repeated_ok; /* calls whose body had been answered with 200 before: paid twice */
    int64_t in_flight, in_flight_max;
    int64_t tokens, prompt_tokens, completion_tokens; /* of what `ok` counts */
    int64_t window_tokens_max, window_requests_max;   /* accepted in any sliding window */
    int64_t connections, connections_open;
    int64_t status[600]; /* how often each was answered; [0]: spoiled on the wire */
};

struct llm_server;

/* Copies the script. ST_FATAL, and a line on stderr, when the port cannot be had. */
enum status llm_server_start(const struct llm_script *script, struct llm_server **ret) MUST_CHECK;
enum status llm_server_start_at(const struct llm_script *script, const char *address, int port,
                                struct llm_server **ret) MUST_CHECK;

/* "http://127.0.0.1:PORT/v1", also where it serves on more; valid until llm_server_stop. */
const char *llm_server_url(const struct llm_server *server);
int llm_server_port(const struct llm_server *server);

/* The whole script is replaced; `first N calls` are counted anew. Calls under way stay as they
 * are. */
void llm_server_set(struct llm_server *server, const struct llm_script *script);
void llm_server_stats(struct llm_server *server, struct llm_stats *ret);
void llm_server_reset_stats(struct llm_server *server);

/* Appends the last call as it came, head and body; nothing before the first. */
void llm_server_last(struct llm_server *server, struct buf *out);

/* Closes every connection, waits for the thread. NULL is accepted. */
void llm_server_stop(struct llm_server *server);

/* Appends what the content of the answer to this user message is: a JSON object. */
void llm_server_answer(struct span message, struct buf *out);

#endif

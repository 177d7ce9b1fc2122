/* A client of the scripted LLM server, for its own tests: one server and one connection for each
 * test, made by client_setup. Failures are cmocka's. Threads: one thread. */
#ifndef SLUICE_TESTS_CLIENT_H
#define SLUICE_TESTS_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <curl/curl.h>
#include <jansson.h>

#include "tests/support/llm_server.h"

enum { WAIT_MS = 30000, SHORT_MS = 300 };

/* What came back. */
struct got {
    CURLcode code;
    long status;
    struct buf head, body;
    size_t received, stop_after; /* of the body; stop_after 0: never */
    curl_off_t on_wire;
};

extern struct llm_server *client_server;
extern CURL *client_easy; /* for options of one test */

int client_setup(void **state);
int client_teardown(void **state);

struct got client_got_new(void);
void client_got_fini(struct got *got);

/* A request to `path` beside /v1; body NULL: GET. Keeps the connection. */
void client_request(struct got *got, const char *path, const char *body, long timeout_ms);

/* `text` as the user's message; it must need no escapes. */
void client_chat(struct got *got, const char *text, long timeout_ms);

/* The status of a chat that comes whole. */
long client_chat_status(const char *text);

json_t *client_answer_json(const struct got *got);

/* The content of a good answer; "" when it is null. Caller owns. */
char *client_answer_content(const struct got *got);

/* The script from now on; counters begin anew. */
void client_script(struct llm_script script);
struct llm_stats client_stats(void);

#define SERVED(one_such_test)                                                                      \
    cmocka_unit_test_setup_teardown(one_such_test, client_setup, client_teardown)

#endif

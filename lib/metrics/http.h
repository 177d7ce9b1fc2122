/* The small HTTP server of a stage: GET /metrics, /healthz, /readyz; read-only, bounded in
 * connections, headers and time. Runs on a thread of its own. */
#ifndef SLUICE_METRICS_HTTP_H
#define SLUICE_METRICS_HTTP_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/metrics/metrics.h"

struct http_server;

struct http_config {
    const char *address; /* "127.0.0.1:9402", "[::1]:9402", ":9402" (127.0.0.1), port 0: any */
    struct metrics *metrics;
    void *arg;
    /* Both are called on the server's thread. NULL: yes. `why` gets one line of text. */
    bool (*healthy)(void *arg, struct buf *why);
    bool (*ready)(void *arg, struct buf *why);
};

/* Errors: ERR_CONFIG when the address is malformed or busy (the text names it and the option). */
enum status http_start(const struct http_config *cfg, struct http_server **ret,
                       struct error *err) MUST_CHECK;
int http_port(const struct http_server *server);
void http_stop(struct http_server *server); /* NULL is accepted */

/* GET http://ADDRESS/PATH with a time limit: *ret_code is the HTTP status, body is appended.
 * ERR_UNAVAILABLE when nothing answers. Blocks. Any thread. */
enum status http_get(const char *address, const char *path, int timeout_ms, int *ret_code,
                     struct buf *body, struct error *err) MUST_CHECK;

#endif

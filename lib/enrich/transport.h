/* HTTP calls in flight on one loop: libcurl's multi interface, driven by sockets and one timer
 * (https://curl.se/libcurl/c/libcurl-multi.html, "multi_socket"). Connections are kept and used
 * again, HTTP/2 is taken where TLS offers it, there is no thread per call.
 *
 * Ensures: no redirect is followed; no link-local or metadata address is connected to unless told,
 * nor is a proxy asked to connect to one by its number (names are looked up by the proxy);
 * no reply grows above max_reply; a call ends exactly once, by done or by transport_cancel.
 * Loop thread only. */
#ifndef SLUICE_ENRICH_TRANSPORT_H
#define SLUICE_ENRICH_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"

struct transport;
struct http_headers; /* a prepared list of request headers */

struct transport_options {
    int64_t connect_timeout_ms;
    int64_t max_reply;       /* bytes */
    int64_t max_connections; /* kept open; calls above wait for nothing, they open more */
    const char *ca_file;     /* NULL: the system's */
    const char *proxy;       /* NULL: none; the environment is not asked */
    const char *proxy_login; /* USER:PASSWORD, or NULL */
    bool link_local;         /* allow 169.254/16, fe80::/10 and clouds' metadata addresses */
};

enum http_outcome {
    HTTP_DONE,        /* there is a status and a body */
    HTTP_UNREACHABLE, /* nothing was sent: DNS, connection, TLS */
    HTTP_TIMEOUT,
    HTTP_BROKEN,    /* ended in the middle, or is no HTTP */
    HTTP_TOO_LARGE, /* the reply */
    HTTP_UNUSABLE,  /* the URL or the address is not to be called at all */
};

/* What a server says about its limits (-1: nothing), for requests and for tokens, as OpenAI names
 * them: x-ratelimit-remaining-requests, x-ratelimit-reset-tokens, … */
struct http_limits {
    int64_t remaining_requests, remaining_tokens;
    int64_t reset_requests_ms, reset_tokens_ms;
    int64_t retry_after_ms;
};

/* One call. The caller owns it, and what it points to, until done. */
struct http_call {
    /* in */
    const char *url;
    const struct http_headers *headers;
    struct span body; /* absent: GET; else POST */
    int64_t timeout_ms;
    void (*done)(struct http_call *call);
    void *arg;

    /* out, valid in done; `reply` must be a valid (zeroed) buf before */
    enum http_outcome outcome;
    int status;
    struct buf reply;
    struct http_limits limits;
    int64_t latency_us;
    struct error err; /* in words, unless HTTP_DONE */

    void *handle; /* the transport's */
};

/* opt is borrowed for the call. Never NULL. */
struct transport *transport_open(const struct transport_options *opt, struct loop *loop);

/* Ends all calls without done. NULL is accepted. */
void transport_close(struct transport *t);

/* Headers of every call to an endpoint: JSON both ways, and `key` (may be NULL) as a bearer token.
 * `extra` are lines "Name: value". The key stays in memory only. */
struct http_headers *http_headers_new(const char *key, const char *const *extra, size_t n);
void http_headers_free(struct http_headers *headers);

void transport_start(struct transport *t, struct http_call *call);
void transport_cancel(struct transport *t, struct http_call *call);

/* "libcurl/7.88.1 OpenSSL/3.0.19 …", for bug reports. Any thread. */
const char *transport_version(void);

#endif

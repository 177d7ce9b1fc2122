/* GET /metrics, /healthz, /readyz by libmicrohttpd, on one polling thread of its own. Read-only and
 * bounded: few connections, small headers, short time-outs, so that a curious or hostile neighbour
 * cannot disturb the pipeline. */
#include "lib/metrics/http.h"

#include <errno.h>
#include <microhttpd.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/metrics/address.h"

enum { CONNECTIONS_MAX = 32, TIMEOUT_S = 10, CONNECTION_BYTES = 16 << 10 };

struct http_server {
    struct MHD_Daemon *daemon;
    struct http_config cfg;
};

static enum MHD_Result reply(struct MHD_Connection *conn, unsigned code, const char *type,
                             struct span body)
{
    struct MHD_Response *res =
        MHD_create_response_from_buffer(body.n, (void *)body.p, MHD_RESPMEM_MUST_COPY);
    if (res == NULL)
        return MHD_NO;
    MHD_add_response_header(res, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    if (code == MHD_HTTP_METHOD_NOT_ALLOWED)
        MHD_add_response_header(res, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    enum MHD_Result done = MHD_queue_response(conn, code, res);
    MHD_destroy_response(res);
    return done;
}

static enum MHD_Result reply_health(struct http_server *s, struct MHD_Connection *conn,
                                    bool (*ask)(void *, struct buf *))
{
    struct buf why = {0};
    bool good = ask == NULL || ask(s->cfg.arg, &why);
    if (good)
        buf_reset(&why, 0);
    buf_add_str(&why, good ? "ok\n" : "\n");
    enum MHD_Result done = reply(conn, good ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE,
                                 "text/plain", buf_span(&why));
    buf_fini(&why);
    return done;
}

static enum MHD_Result reply_metrics(struct http_server *s, struct MHD_Connection *conn)
{
    struct buf text = {0};
    metrics_print(s->cfg.metrics, &text);
    enum MHD_Result done =
        reply(conn, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", buf_span(&text));
    buf_fini(&text);
    return done;
}

static enum MHD_Result on_request(void *arg, struct MHD_Connection *conn, const char *url,
                                  const char *method, const char *version, const char *data,
                                  size_t *size, void **state)
{
    struct http_server *s = arg;
    UNUSED(version);
    UNUSED(data);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        if (*state == NULL || *size > 0) { /* take in (and drop) the body first */
            *state = s;
            *size = 0;
            return MHD_YES;
        }
        return reply(conn, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", SPAN_LIT("read only\n"));
    }
    if (strcmp(url, "/metrics") == 0)
        return reply_metrics(s, conn);
    if (strcmp(url, "/healthz") == 0)
        return reply_health(s, conn, s->cfg.healthy);
    if (strcmp(url, "/readyz") == 0)
        return reply_health(s, conn, s->cfg.ready);
    return reply(conn, MHD_HTTP_NOT_FOUND, "text/plain",
                 SPAN_LIT("there are /metrics, /healthz and /readyz\n"));
}

enum status http_start(const struct http_config *cfg, struct http_server **ret, struct error *err)
{
    struct address addr;
    enum status st = address_parse(cfg->address, &addr, err);
    if (st != ST_OK)
        return st;
    struct http_server *s = mem_zalloc(sizeof *s);
    s->cfg = *cfg;
    errno = 0;
    /* Not epoll: there libmicrohttpd 0.9.75 misses the end of a connection that comes together with
     * half a request, and keeps it for TIMEOUT_S; a few of them lock everybody out (fuzz_http). */
    s->daemon = MHD_start_daemon(
        MHD_USE_POLL_INTERNAL_THREAD | (addr.sa.ss_family == AF_INET6 ? MHD_USE_IPv6 : 0),
        addr.port, NULL, NULL, on_request, s, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&addr.sa,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES,
        MHD_OPTION_END);
    if (s->daemon == NULL) {
        st = error_set(err, ST_FATAL, ERR_CONFIG,
                       "cannot listen on %s: %s; choose another address with --http", cfg->address,
                       errno == 0 ? "no server could be started" : strerror(errno));
        mem_free(s);
        return st;
    }
    *ret = s;
    return ST_OK;
}

int http_port(const struct http_server *s)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info == NULL ? 0 : info->port;
}

void http_stop(struct http_server *s)
{
    if (s == NULL)
        return;
    MHD_stop_daemon(s->daemon);
    mem_free(s);
}

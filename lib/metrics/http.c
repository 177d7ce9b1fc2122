/* GET /metrics, /healthz, /readyz by libmicrohttpd, on one polling thread of its own. Read-only and
 * bounded: few connections, small headers, short time-outs, so that a curious or hostile neighbour
 * cannot disturb the pipeline.
 *
 * libmicrohttpd's time-out is for silence only: a client that sends a byte now and then is never
 * silent. So when all places are taken, a new connection gets the place of the one whose request
 * has taken longest; whoever asks and goes is done long before it could be that one. */
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

/* Those that were told to go keep theirs until libmicrohttpd has closed them. */
enum { PLACES = 2 * CONNECTIONS_MAX };

/* A connection, and when its present request began, in the order of such beginnings. Used on the
 * server's thread, and by who stops the server when that thread has ended. */
struct place {
    struct MHD_Connection *conn; /* NULL: free */
    uint64_t begun;
    bool told_to_go;
};

struct http_server {
    struct place places[PLACES];
    uint64_t beginnings;
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

/* --- places --- */

static struct place *place_of(struct http_server *s, const struct MHD_Connection *conn)
{
    for (size_t i = 0; i < PLACES; i++)
        if (s->places[i].conn == conn)
            return &s->places[i];
    return NULL;
}

/* Its socket reads as ended from now on, and libmicrohttpd closes it in its next round. */
static void tell_to_go(struct place *place)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(place->conn, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (info != NULL)
        shutdown(info->connect_fd, SHUT_RDWR);
    place->told_to_go = true;
}

static void make_room(struct http_server *s, const struct place *newest)
{
    struct place *longest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < PLACES; i++) {
        struct place *place = &s->places[i];
        if (place->conn == NULL || place->told_to_go)
            continue;
        count++;
        if (place != newest && (longest == NULL || place->begun < longest->begun))
            longest = place;
    }
    if (count > CONNECTIONS_MAX && longest != NULL)
        tell_to_go(longest);
}

static void on_connection(void *arg, struct MHD_Connection *conn, void **context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *s = arg;
    bool starts = code == MHD_CONNECTION_NOTIFY_STARTED;
    UNUSED(context);
    struct place *place = place_of(s, starts ? NULL : conn);
    if (place == NULL)
        return;
    *place = (struct place){.conn = starts ? conn : NULL, .begun = s->beginnings++};
    if (starts)
        make_room(s, place);
}

static void on_answered(void *arg, struct MHD_Connection *conn, void **state,
                        enum MHD_RequestTerminationCode code)
{
    struct http_server *s = arg;
    UNUSED(state);
    UNUSED(code);
    struct place *place = place_of(s, conn);
    if (place != NULL)
        place->begun = s->beginnings++;
}

/* --- start and stop --- */

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
        MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_NOTIFY_COMPLETED, on_answered, s,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)PLACES, MHD_OPTION_CONNECTION_TIMEOUT,
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

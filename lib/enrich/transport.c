/* Calls on curl multi handles. What costs in libcurl, and what is done about it (docs/BENCH.md):
 *
 *  - easy handles are kept, with all that stays the same set once, the parsed URL among it;
 *  - a socket that curl lets go between two calls stays watched, because it will want the very same
 *    events in a moment (two epoll_ctl a call otherwise). Only once it has carried an answer:
 *    libcurl 7.88 closes a socket that is not connected yet without telling (cf_socket_close), and
 *    libuv aborts when it is to watch a descriptor that is closed;
 *  - looking for a connection walks past all that are in use: plain HTTP is spread over
 * PLAIN_GROUPS multi handles, each with a short list of its own. An easy handle stays with its
 * group, where the connection of its last call waits. Everything over TLS is one group, so that
 * HTTP/2 needs few connections. Names are looked up once for all groups.
 *
 * Over HTTP/2 a connection takes STREAMS calls, or as many as the server says, and libcurl opens
 * another one when all are full; but while that one is being set up, it opens one more for each
 * call that comes (214 were seen for 512 calls). So the connections to a host are bounded, until an
 * answer shows that HTTP/1.1 is spoken, which needs one for each call. */
#include "lib/enrich/transport.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/address.h"
#include "lib/enrich/curl_words.h"
#include "lib/enrich/http_headers.h"
#include "lib/enrich/limits.h"

/* Of each call in flight: the usual reply fits, and thousands of them stay small. libcurl allocates
 * one byte more for each call: so it is a size that allocators have at hand. */
enum { READ_BYTES = 4095 };

/* STREAMS: more would be cheaper, but all that are in flight are lost with their connection, and
 * may have been paid for. STREAMS_LEAST: what any server may be expected to take. */
enum { STREAMS = 100, STREAMS_LEAST = 16 };

enum { PLAIN_GROUPS = 64, TLS_GROUP = PLAIN_GROUPS, GROUPS };

/* A multi handle, its timer, and the easy handles that wait there. */
struct group {
    struct transport *t;
    CURLM *multi; /* NULL: not needed yet */
    struct loop_timer *timer;
    bool unbounded; /* any number of connections to a host */
};

struct socket_watch {
    struct loop_watch *watch; /* NULL: curl has not asked for it yet */
    struct transport *t;
    struct group *group; /* whose multi handle wants it */
    int fd;
    int wanted; /* by curl now; 0: the connection is idle */
    bool stays; /* a connection that has answered: on_close_socket tells of its end */
};

struct easy {
    CURL *curl;
    CURLU *parsed;
    struct transport *t;
    struct group *group;
    struct http_call *call;
    struct easy *next, *prev; /* among the free ones (next only), or the busy ones */
    int64_t started_us;
    int fd;                             /* it wants last, while that does not stay; -1: none */
    char *url;                          /* set in curl now */
    const struct http_headers *headers; /* the same */
    int64_t timeout_ms;
    int method;         /* 0 unset, 1 GET, 2 POST */
    bool internal_host; /* of the URL, as an address */
    bool refused_address, too_large;
    char why[CURL_ERROR_SIZE];
};

struct transport {
    struct loop *loop;
    CURLSH *share;
    struct group groups[GROUPS];
    int next_group; /* of the next easy handle for plain HTTP */
    struct transport_options opt;
    struct easy *free[2], busy; /* free: plain and TLS; busy: a ring with this head */
    struct socket_watch **by_fd;
    int fd_count;
    char *ca_file, *proxy, *proxy_login;
};

const char *transport_version(void)
{
    return curl_version();
}

/* --- sockets --- */

static void collect(struct group *g);

static void on_socket(void *arg, int events)
{
    struct socket_watch *w = arg;
    int running, bits = (events & LOOP_READABLE ? CURL_CSELECT_IN : 0) |
                        (events & LOOP_WRITABLE ? CURL_CSELECT_OUT : 0);
    if (w->wanted == 0) { /* the peer closed an idle connection: curl sees it when it wants it */
        loop_watch_set(w->watch, 0);
        return;
    }
    struct group *g = w->group; /* w may be gone afterwards */
    curl_multi_socket_action(g->multi, w->fd, bits, &running);
    collect(g);
}

static struct socket_watch *watch_of(struct transport *t, int fd)
{
    if (fd >= t->fd_count) {
        int n = fd + 64;
        t->by_fd = mem_realloc(t->by_fd, (size_t)n * sizeof(struct socket_watch *));
        while (t->fd_count < n)
            t->by_fd[t->fd_count++] = NULL;
    }
    return t->by_fd[fd];
}

static struct socket_watch *know_socket(struct transport *t, int fd)
{
    struct socket_watch *w = mem_zalloc(sizeof *w);
    *w = (struct socket_watch){.t = t, .fd = fd};
    t->by_fd[fd] = w;
    return w;
}

static void forget_socket(struct transport *t, int fd)
{
    struct socket_watch *w = watch_of(t, fd);
    if (w == NULL)
        return;
    loop_watch_free(w->watch);
    mem_free(w);
    t->by_fd[fd] = NULL;
}

/* This socket will answer `curl`, if it ever does. */
static void remember_socket(CURL *curl, int fd)
{
    struct easy *e;
    if (curl_easy_getinfo(curl, CURLINFO_PRIVATE, &e) == CURLE_OK && e != NULL)
        e->fd = fd;
}

static void keep_watching(struct easy *e)
{
    struct socket_watch *w = watch_of(e->t, e->fd);
    if (w != NULL)
        w->stays = true;
    e->fd = -1;
}

static int on_interest(CURL *curl, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
    struct group *g = arg;
    struct transport *t = g->t;
    struct socket_watch *w = watch_of(t, fd);
    UNUSED(socket_arg);
    if (what == CURL_POLL_REMOVE) {
        if (w != NULL && w->stays)
            w->wanted = 0;
        else
            forget_socket(t, fd);
        return 0;
    }
    if (w == NULL)
        w = know_socket(t, fd);
    if (!w->stays)
        remember_socket(curl, fd);
    if (w->watch == NULL)
        w->watch = loop_watch_new(t->loop, fd, on_socket, w);
    w->group = g;
    w->wanted = what;
    loop_watch_set(w->watch, (what & CURL_POLL_OUT ? LOOP_WRITABLE : 0) | LOOP_READABLE);
    return 0;
}

static int on_close_socket(void *arg, curl_socket_t fd)
{
    forget_socket(arg, fd);
    return close(fd);
}

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *addr)
{
    struct easy *e = arg;
    UNUSED(purpose);
    if (e->refused_address || (!e->t->opt.link_local && address_is_internal(&addr->addr))) {
        e->refused_address = true;
        return CURL_SOCKET_BAD;
    }
    return socket(addr->family, addr->socktype | SOCK_CLOEXEC, addr->protocol);
}

/* --- time --- */

static int on_wish(CURLM *multi, long ms, void *arg)
{
    struct group *g = arg;
    UNUSED(multi);
    if (ms < 0)
        loop_timer_stop(g->timer);
    else
        loop_timer_start(g->timer, ms);
    return 0;
}

static void on_timer(void *arg)
{
    struct group *g = arg;
    int running;
    curl_multi_socket_action(g->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(g);
}

/* --- groups --- */

static struct group *group_use(struct transport *t, int i)
{
    struct group *g = &t->groups[i];
    if (g->multi != NULL)
        return g;
    long connections = (long)t->opt.max_connections;
    if (i != TLS_GROUP)
        connections = connections / PLAIN_GROUPS + 2;
    g->t = t;
    g->timer = loop_timer_new(t->loop, on_timer, g);
    g->multi = curl_multi_init();
    if (g->multi == NULL)
        mem_fail_system("libcurl", "cannot make a multi handle");
    curl_multi_setopt(g->multi, CURLMOPT_SOCKETFUNCTION, on_interest);
    curl_multi_setopt(g->multi, CURLMOPT_SOCKETDATA, g);
    curl_multi_setopt(g->multi, CURLMOPT_TIMERFUNCTION, on_wish);
    curl_multi_setopt(g->multi, CURLMOPT_TIMERDATA, g);
    curl_multi_setopt(g->multi, CURLMOPT_MAXCONNECTS, connections);
    curl_multi_setopt(g->multi, CURLMOPT_MAX_CONCURRENT_STREAMS, (long)STREAMS);
    if (i == TLS_GROUP)
        curl_multi_setopt(g->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                          connections / STREAMS_LEAST + STREAMS_LEAST);
    return g;
}

static void group_free(struct group *g)
{
    if (g->multi == NULL)
        return;
    curl_multi_cleanup(g->multi);
    loop_timer_free(g->timer);
}

/* --- data --- */

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
    struct easy *e = arg;
    struct buf *reply = &e->call->reply;
    UNUSED(size);
    if (reply->n + n > (size_t)e->t->opt.max_reply) {
        e->too_large = true;
        return 0;
    }
    if (e->fd >= 0)
        keep_watching(e);
    buf_add(reply, p, n);
    return n;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct easy *e = arg;
    UNUSED(size);
    if (n > 10 && (*p == 'r' || *p == 'R' || *p == 'x' || *p == 'X'))
        limits_read_header(&e->call->limits, span_make(p, n), clock_wall_ms());
    return n;
}

/* --- easy handles --- */

/* Before each request, also on a connection that is there: what a proxy shall not be asked for. */
static int on_request(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    const struct easy *e = arg;
    UNUSED(ip);
    UNUSED(local_ip);
    UNUSED(port);
    UNUSED(local_port);
    return e->refused_address ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* An empty name keeps libcurl from asking the environment: whoever sets http_proxy for something
 * else must not send questions and keys elsewhere, past our look at addresses. */
static void easy_set_proxy(struct easy *e)
{
    const struct transport *t = e->t;
    curl_easy_setopt(e->curl, CURLOPT_PROXY, t->proxy == NULL ? "" : t->proxy);
    if (t->proxy == NULL)
        return;
    curl_easy_setopt(e->curl, CURLOPT_NOPROXY, "localhost,127.0.0.1,127.0.0.0/8,::1");
    curl_easy_setopt(e->curl, CURLOPT_PROXYUSERPWD, t->proxy_login);
    curl_easy_setopt(e->curl, CURLOPT_PREREQFUNCTION, on_request);
    curl_easy_setopt(e->curl, CURLOPT_PREREQDATA, e);
    if (t->ca_file != NULL)
        curl_easy_setopt(e->curl, CURLOPT_PROXY_CAINFO, t->ca_file);
}

static void easy_set_up(struct easy *e)
{
    struct transport *t = e->t;
    CURL *c = e->curl;
    curl_easy_setopt(c, CURLOPT_PRIVATE, e);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_BUFFERSIZE, (long)READ_BYTES);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)t->opt.connect_timeout_ms);
    curl_easy_setopt(c, CURLOPT_DNS_CACHE_TIMEOUT, 60L);
    curl_easy_setopt(c, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, e->why);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, e);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, e);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
    curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, e);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
    curl_easy_setopt(c, CURLOPT_CLOSESOCKETDATA, t);
    curl_easy_setopt(c, CURLOPT_SHARE, t->share);
    if (t->ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAINFO, t->ca_file);
    easy_set_proxy(e);
}

static struct easy *easy_new(struct transport *t, bool tls)
{
    struct easy *e = mem_zalloc(sizeof *e);
    e->t = t;
    e->fd = -1;
    e->group = group_use(t, tls ? TLS_GROUP : t->next_group);
    if (!tls)
        t->next_group = (t->next_group + 1) % PLAIN_GROUPS;
    e->curl = curl_easy_init();
    e->parsed = curl_url();
    if (e->curl == NULL || e->parsed == NULL)
        mem_fail_system("libcurl", "cannot make a handle");
    easy_set_up(e);
    return e;
}

static void easy_free(struct easy *e)
{
    curl_easy_cleanup(e->curl);
    curl_url_cleanup(e->parsed);
    mem_free(e->url);
    mem_free(e);
}

static bool is_tls(const char *url)
{
    return strncasecmp(url, "https:", 6) == 0;
}

/* The one that was given back last: its connection is the warmest. */
static struct easy *easy_take(struct transport *t, const char *url)
{
    bool tls = is_tls(url);
    struct easy *e = t->free[tls];
    if (e == NULL)
        e = easy_new(t, tls);
    else
        t->free[tls] = e->next;
    e->next = &t->busy;
    e->prev = t->busy.prev;
    e->prev->next = t->busy.prev = e;
    return e;
}

static void easy_give_back(struct transport *t, struct easy *e)
{
    e->prev->next = e->next;
    e->next->prev = e->prev;
    e->call = NULL;
    e->fd = -1;
    struct easy **list = &t->free[e->group == &t->groups[TLS_GROUP]];
    e->next = *list;
    *list = e;
}

/* A URL that cannot be parsed is left to curl, which says what is wrong when the call is made. */
static void easy_set_url(struct easy *e, const char *url)
{
    bool good = curl_url_set(e->parsed, CURLUPART_URL, url, 0) == CURLUE_OK;
    curl_easy_setopt(e->curl, CURLOPT_CURLU, good ? e->parsed : NULL);
    curl_easy_setopt(e->curl, CURLOPT_URL, good ? NULL : url);
    char *host = NULL;
    e->internal_host = good && curl_url_get(e->parsed, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                       address_host_is_internal(host);
    curl_free(host);
    mem_free(e->url);
    e->url = mem_strdup(url);
    /* Wait whether the first connection speaks HTTP/2 before a second one is opened. */
    curl_easy_setopt(e->curl, CURLOPT_PIPEWAIT, is_tls(url) ? 1L : 0L);
}

/* Only what differs from this handle's last call. */
static void easy_prepare(struct easy *e, const struct http_call *call)
{
    CURL *c = e->curl;
    bool post = call->body.p != NULL;
    if (e->url == NULL || strcmp(e->url, call->url) != 0)
        easy_set_url(e, call->url);
    if (e->headers != call->headers) {
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, call->headers == NULL ? NULL : call->headers->list);
        e->headers = call->headers;
    }
    if (e->timeout_ms != call->timeout_ms) {
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
        e->timeout_ms = call->timeout_ms;
    }
    if (e->method != (post ? 2 : 1)) {
        curl_easy_setopt(c, post ? CURLOPT_POST : CURLOPT_HTTPGET, 1L);
        e->method = post ? 2 : 1;
    }
    if (post) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->body.p);
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    }
}

/* --- ends --- */

/* A proxy that refused to connect, as an error of its own. */
static CURLcode end_of(const struct easy *e, CURLcode rc)
{
    long status = 0;
    curl_easy_getinfo(e->curl, CURLINFO_HTTP_CONNECTCODE, &status);
    return rc != CURLE_OK && status >= 300 ? CURLE_PROXY : rc;
}

static void unbound(struct easy *e)
{
    long version = 0;
    curl_easy_getinfo(e->curl, CURLINFO_HTTP_VERSION, &version);
    if (e->group->unbounded || version == CURL_HTTP_VERSION_2_0)
        return;
    e->group->unbounded = true;
    curl_multi_setopt(e->group->multi, CURLMOPT_MAX_HOST_CONNECTIONS, 0L);
}

static void tell(struct easy *e, CURLcode rc)
{
    struct http_call *call = e->call;
    call->latency_us = clock_mono_ns() / 1000 - e->started_us;
    rc = end_of(e, rc);
    call->outcome = curl_outcome(rc);
    if (rc == CURLE_OK) {
        long status = 0;
        curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
        call->status = (int)status;
        unbound(e);
    } else if (e->refused_address) {
        call->outcome = HTTP_UNUSABLE;
        error_set(&call->err, ST_FATAL, ERR_CONFIG,
                  "%s is a link-local or metadata address, which nothing here should call; allow "
                  "it with --allow-link-local",
                  e->t->proxy == NULL || e->internal_host ? call->url : "the proxy (--llm-proxy)");
    } else if (e->too_large) {
        call->outcome = HTTP_TOO_LARGE;
        error_set(&call->err, ST_FATAL, ERR_FAILED, "%s: the reply is larger than %lld bytes",
                  call->url, (long long)e->t->opt.max_reply);
    } else {
        if (rc == CURLE_OPERATION_TIMEDOUT) {
            curl_off_t connected_us = 0;
            curl_easy_getinfo(e->curl, CURLINFO_PRETRANSFER_TIME_T, &connected_us);
            if (connected_us == 0)
                call->outcome = HTTP_UNREACHABLE;
        }
        long verified = 0;
        curl_easy_getinfo(e->curl, CURLINFO_SSL_VERIFYRESULT, &verified);
        error_set(&call->err, ST_FATAL,
                  call->outcome == HTTP_UNUSABLE ? ERR_CONFIG : ERR_UNAVAILABLE, "%s: %s%s%s",
                  call->url, curl_words(rc, verified, e->why), e->why[0] == '\0' ? "" : ": ",
                  e->why);
    }
    call->handle = NULL;
    easy_give_back(e->t, e);
    call->done(call);
}

static void collect(struct group *g)
{
    int left;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(g->multi, &left)) != NULL) {
        struct easy *e = NULL;
        CURLcode rc = msg->data.result;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &e);
        curl_multi_remove_handle(g->multi, e->curl);
        tell(e, rc);
    }
}

/* --- calls --- */

void transport_start(struct transport *t, struct http_call *call)
{
    struct easy *e = easy_take(t, call->url);
    easy_prepare(e, call);
    e->call = call;
    e->why[0] = '\0';
    e->refused_address = t->proxy != NULL && e->internal_host && !t->opt.link_local;
    e->too_large = false;
    e->started_us = clock_mono_ns() / 1000;
    call->handle = e;
    call->status = 0;
    call->limits = LIMITS_UNKNOWN;
    buf_reset(&call->reply, 64 << 10);
    curl_multi_add_handle(e->group->multi, e->curl);
}

void transport_cancel(struct transport *t, struct http_call *call)
{
    struct easy *e = call->handle;
    if (e == NULL)
        return;
    call->handle = NULL;
    curl_multi_remove_handle(e->group->multi, e->curl);
    easy_give_back(t, e);
}

/* --- open and close --- */

struct transport *transport_open(const struct transport_options *opt, struct loop *loop)
{
    struct transport *t = mem_zalloc(sizeof *t);
    curl_global_init(CURL_GLOBAL_DEFAULT); /* thread-safe since 7.84 */
    t->opt = *opt;
    t->loop = loop;
    t->ca_file = mem_strdup(opt->ca_file);
    t->proxy = mem_strdup(opt->proxy);
    t->proxy_login = mem_strdup(opt->proxy_login);
    t->busy.next = t->busy.prev = &t->busy;
    t->share = curl_share_init(); /* for one thread: no locks */
    if (t->share == NULL)
        mem_fail_system("libcurl", "cannot share names");
    curl_share_setopt(t->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    return t;
}

void transport_close(struct transport *t)
{
    if (t == NULL)
        return;
    while (t->busy.next != &t->busy)
        transport_cancel(t, t->busy.next->call);
    for (int tls = 0; tls < 2; tls++) {
        while (t->free[tls] != NULL) {
            struct easy *e = t->free[tls];
            t->free[tls] = e->next;
            easy_free(e);
        }
    }
    for (int i = 0; i < GROUPS; i++)
        group_free(&t->groups[i]);
    curl_share_cleanup(t->share);
    for (int fd = 0; fd < t->fd_count; fd++)
        forget_socket(t, fd);
    mem_free(t->by_fd);
    mem_free(t->ca_file);
    mem_free(t->proxy);
    if (t->proxy_login != NULL)
        explicit_bzero(t->proxy_login, strlen(t->proxy_login));
    mem_free(t->proxy_login);
    mem_free(t);
}

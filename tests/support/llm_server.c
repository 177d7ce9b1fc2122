/* The scripted LLM server's sockets: one thread on epoll, one heap of what is due.
 *
 * An answer is built when its request is there and kept until it is due, so a waiting call costs a
 * heap entry and its bytes. Buffers stay with their connection. Calls from other threads are done
 * by the server's thread, one at a time, so that nothing here needs a lock. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/support/llm_parts.h"

enum { EVENTS = 256, READ_SIZE = 65536, IN_MAX = 64 << 20, KEEP_SIZE = 65536, DRIP_MS = 100 };
enum { NOT_DUE = -1 };

enum state { READING, WAITING, SENDING, SILENT };

struct conn {
    int fd;
    enum state state;
    bool watches_write, continued;
    struct buf in;
    struct llm_reply reply;
    size_t sent;   /* of the piece that is being sent */
    size_t chunks; /* patterns sent */
    int piece;     /* 0: out, 1: pattern, 2: tail, 3: all sent */
    int64_t due_us;
    long heap_at; /* index in the heap or NOT_DUE */
    struct conn *next, *prev;
};

struct llm_server {
    struct llm_service service;
    int epoll, listener, bell, port;
    char url[64];
    struct conn **heap;
    size_t heap_count, heap_cap;
    struct conn *conns;
    char *scratch;
    bool stopping;
    pthread_t thread;
    /* A call from another thread, done when the bell rings. */
    pthread_mutex_t calling;
    void (*call)(struct llm_server *server, void *arg);
    void *call_arg;
    sem_t called;
};

/* --- what is due: a heap, the earliest first --- */

static void heap_place(struct llm_server *server, size_t i, struct conn *conn)
{
    server->heap[i] = conn;
    conn->heap_at = (long)i;
}

static void heap_up(struct llm_server *server, size_t i, struct conn *conn)
{
    for (; i > 0 && server->heap[(i - 1) / 2]->due_us > conn->due_us; i = (i - 1) / 2)
        heap_place(server, i, server->heap[(i - 1) / 2]);
    heap_place(server, i, conn);
}

static void heap_down(struct llm_server *server, size_t i, struct conn *conn)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child + 1 < server->heap_count &&
            server->heap[child + 1]->due_us < server->heap[child]->due_us)
            child++;
        if (child >= server->heap_count || server->heap[child]->due_us >= conn->due_us)
            break;
        heap_place(server, i, server->heap[child]);
        i = child;
    }
    heap_place(server, i, conn);
}

static void heap_remove(struct llm_server *server, struct conn *conn)
{
    if (conn->heap_at == NOT_DUE)
        return;
    size_t i = (size_t)conn->heap_at;
    conn->heap_at = NOT_DUE;
    struct conn *last = server->heap[--server->heap_count];
    if (last == conn)
        return;
    if (i > 0 && server->heap[(i - 1) / 2]->due_us > last->due_us)
        heap_up(server, i, last);
    else
        heap_down(server, i, last);
}

static void heap_add(struct llm_server *server, struct conn *conn, int64_t due_us)
{
    if (server->heap_count == server->heap_cap) {
        server->heap_cap = server->heap_cap == 0 ? 1024 : 2 * server->heap_cap;
        server->heap = mem_realloc(server->heap, server->heap_cap * sizeof *server->heap);
    }
    conn->due_us = due_us;
    heap_up(server, server->heap_count++, conn);
}

/* --- connections --- */

static int64_t now_us(void)
{
    return clock_mono_ns() / 1000;
}

static void conn_watch(struct llm_server *server, struct conn *conn, bool write)
{
    struct epoll_event ev = {.events = write ? EPOLLIN | EPOLLOUT : EPOLLIN, .data.ptr = conn};
    if (conn->watches_write != write)
        epoll_ctl(server->epoll, EPOLL_CTL_MOD, conn->fd, &ev);
    conn->watches_write = write;
}

static void conn_close(struct llm_server *server, struct conn *conn)
{
    if (conn->state != READING)
        llm_service_done(&server->service, &conn->reply, false);
    heap_remove(server, conn);
    close(conn->fd);
    buf_fini(&conn->in);
    buf_fini(&conn->reply.out);
    if (conn->prev != NULL)
        conn->prev->next = conn->next;
    else
        server->conns = conn->next;
    if (conn->next != NULL)
        conn->next->prev = conn->prev;
    server->service.stats.connections_open--;
    mem_free(conn);
}

static void conn_open(struct llm_server *server, int fd)
{
    struct conn *conn = mem_zalloc(sizeof *conn);
    struct epoll_event ev = {.events = EPOLLIN, .data.ptr = conn};
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    conn->fd = fd;
    conn->heap_at = NOT_DUE;
    buf_init(&conn->in, IN_MAX);
    conn->next = server->conns;
    if (conn->next != NULL)
        conn->next->prev = conn;
    server->conns = conn;
    server->service.stats.connections++;
    server->service.stats.connections_open++;
    epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &ev);
}

static void accept_all(struct llm_server *server)
{
    int fd;
    while ((fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        conn_open(server, fd);
}

/* --- sending --- */

/* What is to be sent next; empty when all is. */
static struct span next_piece(struct conn *conn)
{
    const struct llm_reply *reply = &conn->reply;
    for (;; conn->piece++, conn->sent = 0) {
        struct span all = conn->piece == 0   ? buf_span(&reply->out)
                          : conn->piece == 1 ? reply->pattern
                                             : reply->tail;
        if (conn->piece == 1 && conn->sent == all.n && conn->chunks + 1 < reply->repeat) {
            conn->chunks++;
            conn->sent = 0;
        }
        if (conn->piece > 2 || conn->sent < all.n)
            return span_make(all.p + conn->sent, conn->piece > 2 ? 0 : all.n - conn->sent);
    }
}

/* The whole reply is out: end as it says. False: the connection is gone. */
static bool conn_sent(struct llm_server *server, struct conn *conn)
{
    struct llm_reply *reply = &conn->reply;
    if (reply->end == LLM_NEVER) {
        conn->state = SILENT;
        conn_watch(server, conn, false);
        return true;
    }
    llm_service_done(&server->service, reply, true);
    conn->state = READING;
    if (reply->end == LLM_KEEP) {
        conn_watch(server, conn, false);
        return true;
    }
    if (reply->end == LLM_RESET) {
        struct linger at_once = {.l_onoff = 1, .l_linger = 0};
        setsockopt(conn->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    }
    conn_close(server, conn);
    return false;
}

/* False: the connection is gone. */
static bool conn_send(struct llm_server *server, struct conn *conn)
{
    conn->state = SENDING;
    for (;;) {
        struct span piece = next_piece(conn);
        if (piece.n == 0)
            return conn_sent(server, conn);
        ssize_t n = send(conn->fd, piece.p, conn->reply.drip ? 1 : piece.n, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            conn_watch(server, conn, true);
            return true;
        }
        if (n < 0) {
            conn_close(server, conn);
            return false;
        }
        conn->sent += (size_t)n;
        if (conn->reply.drip && next_piece(conn).n > 0) {
            conn->state = WAITING;
            heap_add(server, conn, now_us() + DRIP_MS * 1000);
            return true;
        }
    }
}

/* --- requests --- */

static void reply_begin(struct conn *conn)
{
    struct buf out = conn->reply.out;
    buf_reset(&out, KEEP_SIZE);
    conn->reply = (struct llm_reply){.out = out};
    conn->sent = conn->chunks = 0;
    conn->piece = 0;
    conn->continued = false;
}

static void say_continue(struct conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (!conn->continued && send(conn->fd, text, sizeof text - 1, MSG_NOSIGNAL) < 0)
        shutdown(conn->fd, SHUT_RDWR);
    conn->continued = true;
}

static void take_bytes(struct buf *in, size_t n)
{
    memmove(in->p, in->p + n, in->n - n);
    size_t left = in->n - n;
    if (left == 0)
        buf_reset(in, KEEP_SIZE);
    in->n = left;
}

/* Answers what stands in `in`, one request after the other. */
static void conn_serve(struct llm_server *server, struct conn *conn)
{
    struct llm_request req = {0};
    while (conn->state == READING && conn->in.n > 0) {
        enum status st = llm_request_parse(buf_span(&conn->in), &req);
        if (st == ST_AGAIN) {
            if (req.expects_continue)
                say_continue(conn);
            return;
        }
        if (st != ST_OK) {
            conn_close(server, conn);
            return;
        }
        int64_t now = now_us();
        reply_begin(conn);
        llm_service_call(&server->service, &req, now, &conn->reply);
        take_bytes(&conn->in, req.size);
        if (conn->reply.delay_ms > 0) {
            conn->state = WAITING;
            heap_add(server, conn, now + (int64_t)(conn->reply.delay_ms * 1000));
        } else if (!conn_send(server, conn)) {
            return;
        }
    }
}

/* False: the connection is gone. */
static bool conn_read(struct llm_server *server, struct conn *conn)
{
    ssize_t n = recv(conn->fd, server->scratch, READ_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (n > 0)
        buf_add(&conn->in, server->scratch, (size_t)n);
    if (n <= 0 || conn->in.full) {
        conn_close(server, conn);
        return false;
    }
    conn_serve(server, conn);
    return true;
}

/* --- the loop --- */

static void send_due(struct llm_server *server)
{
    int64_t now = now_us();
    while (server->heap_count > 0 && server->heap[0]->due_us <= now) {
        struct conn *conn = server->heap[0];
        heap_remove(server, conn);
        if (conn_send(server, conn) && conn->state == READING)
            conn_serve(server, conn);
    }
}

static int timeout_ms(const struct llm_server *server)
{
    if (server->heap_count == 0)
        return -1;
    int64_t left = server->heap[0]->due_us - now_us();
    return left <= 0 ? 0 : (int)((left + 999) / 1000);
}

static void answer_bell(struct llm_server *server)
{
    uint64_t rung;
    if (read(server->bell, &rung, sizeof rung) != sizeof rung)
        return;
    server->call(server, server->call_arg);
    sem_post(&server->called);
}

static void on_event(struct llm_server *server, const struct epoll_event *ev)
{
    if (ev->data.ptr == &server->listener) {
        accept_all(server);
        return;
    }
    if (ev->data.ptr == &server->bell) {
        answer_bell(server);
        return;
    }
    struct conn *conn = ev->data.ptr;
    if ((ev->events & EPOLLOUT) != 0 && conn->state == SENDING) {
        if (conn_send(server, conn) && conn->state == READING)
            conn_serve(server, conn);
        return;
    }
    conn_read(server, conn);
}

static void *serve(void *arg)
{
    struct llm_server *server = arg;
    struct epoll_event events[EVENTS];
    while (!server->stopping) {
        int n = epoll_wait(server->epoll, events, EVENTS, timeout_ms(server));
        for (int i = 0; i < n; i++)
            on_event(server, &events[i]);
        send_due(server);
    }
    return NULL;
}

/* --- starting and stopping --- */

static int listen_at(const char *address, int port, int *ret_port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof at;
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || inet_aton(address, &at.sin_addr) == 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, size) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) < 0) {
        close(fd);
        return -1;
    }
    *ret_port = ntohs(at.sin_port);
    return fd;
}

enum status llm_server_start_at(const struct llm_script *script, const char *address, int port,
                                struct llm_server **ret)
{
    int got = 0, listener = listen_at(address, port, &got);
    if (listener < 0) {
        fprintf(stderr, "llm_server: %s port %d: %s\n", address, port, strerror(errno));
        return ST_FATAL;
    }
    struct llm_server *server = mem_zalloc(sizeof *server);
    server->listener = listener;
    server->port = got;
    server->epoll = epoll_create1(EPOLL_CLOEXEC);
    server->bell = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->scratch = mem_alloc(READ_SIZE);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d/v1", got);
    pthread_mutex_init(&server->calling, NULL);
    sem_init(&server->called, 0, 0);
    llm_service_set(&server->service, script);
    struct epoll_event on_listener = {.events = EPOLLIN, .data.ptr = &server->listener};
    struct epoll_event on_bell = {.events = EPOLLIN, .data.ptr = &server->bell};
    if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, listener, &on_listener) < 0 ||
        epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->bell, &on_bell) < 0 ||
        pthread_create(&server->thread, NULL, serve, server) != 0)
        mem_fail_system("the scripted LLM server", strerror(errno));
    *ret = server;
    return ST_OK;
}

enum status llm_server_start(const struct llm_script *script, struct llm_server **ret)
{
    return llm_server_start_at(script, "127.0.0.1", 0, ret);
}

/* --- calls from other threads --- */

static void call_there(struct llm_server *server, void (*call)(struct llm_server *, void *),
                       void *arg)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&server->calling);
    server->call = call;
    server->call_arg = arg;
    if (write(server->bell, &one, sizeof one) != sizeof one)
        mem_fail_system("eventfd", strerror(errno));
    while (sem_wait(&server->called) < 0)
        continue;
    pthread_mutex_unlock(&server->calling);
}

static void do_set(struct llm_server *server, void *arg)
{
    llm_service_set(&server->service, arg);
}

static void do_stats(struct llm_server *server, void *arg)
{
    llm_service_stats(&server->service, arg);
}

static void do_reset(struct llm_server *server, void *arg)
{
    UNUSED(arg);
    llm_service_reset(&server->service);
}

static void do_last(struct llm_server *server, void *arg)
{
    buf_add_span(arg, buf_span(&server->service.last));
}

static void do_stop(struct llm_server *server, void *arg)
{
    UNUSED(arg);
    server->stopping = true;
}

const char *llm_server_url(const struct llm_server *server)
{
    return server->url;
}

int llm_server_port(const struct llm_server *server)
{
    return server->port;
}

void llm_server_set(struct llm_server *server, const struct llm_script *script)
{
    struct llm_script copy = *script;
    call_there(server, do_set, &copy);
}

void llm_server_stats(struct llm_server *server, struct llm_stats *ret)
{
    call_there(server, do_stats, ret);
}

void llm_server_reset_stats(struct llm_server *server)
{
    call_there(server, do_reset, NULL);
}

void llm_server_last(struct llm_server *server, struct buf *out)
{
    call_there(server, do_last, out);
}

void llm_server_stop(struct llm_server *server)
{
    if (server == NULL)
        return;
    call_there(server, do_stop, NULL);
    pthread_join(server->thread, NULL);
    while (server->conns != NULL)
        conn_close(server, server->conns);
    close(server->listener);
    close(server->bell);
    close(server->epoll);
    llm_service_fini(&server->service);
    pthread_mutex_destroy(&server->calling);
    sem_destroy(&server->called);
    mem_free(server->scratch);
    mem_free(server->heap);
    mem_free(server);
}

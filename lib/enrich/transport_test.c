/* Calls that end while they connect. What endpoints do wrong once there is a connection:
 * enricher_hostile_test. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/loop.h"
#include "lib/enrich/transport.h"
#include "tests/support/llm_server.h"

/* A thread that the kernel does not let run for a while, right after a socket was handed to the
 * loop: too rare to wait for, but on a busy machine it happens. libuv and libcurl find this one. */
static _Thread_local int pause_ms;

__attribute__((visibility("default"))) int epoll_ctl(int epoll, int op, int fd,
                                                     struct epoll_event *event)
{
    int rc = (int)syscall(SYS_epoll_ctl, epoll, op, fd, event);
    if (pause_ms > 0)
        nanosleep(&(struct timespec){.tv_nsec = pause_ms * 1000000L}, NULL);
    return rc;
}

enum { CALLS = 20, LIMIT_MS = 40, STALL_MS = 30, PATIENT_MS = 30000 };

struct flight {
    struct loop *loop;
    struct transport *transport;
    int done;
};

static void on_done(struct http_call *call)
{
    struct flight *f = call->arg;
    if (++f->done == CALLS)
        loop_stop(f->loop);
}

static void fly(struct flight *f, const char *url, struct http_call *calls, int limit_ms)
{
    f->done = 0;
    for (int i = 0; i < CALLS; i++) {
        calls[i] = (struct http_call){
            .url = url, .body = SPAN_LIT("{}"), .timeout_ms = limit_ms, .done = on_done, .arg = f};
        transport_start(f->transport, &calls[i]);
    }
    loop_run(f->loop);
}

static void calls_whose_time_ends_while_they_connect_leave_no_socket_behind(void **state)
{
    (void)state;
    struct transport_options opt = {
        .connect_timeout_ms = 1000, .max_reply = 1 << 20, .max_connections = CALLS};
    struct llm_server *server;
    assert_int_equal(llm_server_start(&(struct llm_script){0}, &server), ST_OK);
    struct flight f = {.loop = loop_new()};
    static struct http_call calls[CALLS];
    char url[128];
    f.transport = transport_open(&opt, f.loop);
    snprintf(url, sizeof url, "%s/chat/completions", llm_server_url(server));
    int late = 0;
    for (int round = 0; round < 3; round++) {
        pause_ms = STALL_MS;
        fly(&f, url, calls, LIMIT_MS);
        pause_ms = 0;
        for (int i = 0; i < CALLS; i++) {
            late += calls[i].outcome == HTTP_TIMEOUT || calls[i].outcome == HTTP_UNREACHABLE;
            buf_fini(&calls[i].reply);
        }
    }
    assert_true(late > 0);
    fly(&f, url, calls, PATIENT_MS);
    for (int i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].outcome, HTTP_DONE);
        buf_fini(&calls[i].reply);
    }
    transport_close(f.transport);
    loop_free(f.loop);
    llm_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_whose_time_ends_while_they_connect_leave_no_socket_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

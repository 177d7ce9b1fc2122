/* Metrics as text, and the small server that serves them, also to clients that mean no good. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/metrics/address.h"
#include "lib/metrics/http.h"

static void equal_series_are_added_up_and_families_stay_together(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    counter_add(metrics_counter(m, "a_total", "x=\"1\"", "How many"), 2);
    gauge_set(metrics_gauge(m, "b", "", "How much"), -3);
    counter_add(metrics_counter(m, "a_total", "x=\"2\"", "How many"), 5);
    counter_add(metrics_counter(m, "a_total", "x=\"1\"", "How many"), 40);
    struct buf out = {0};
    metrics_print(m, &out);
    assert_string_equal(buf_str(&out), "# HELP a_total How many\n# TYPE a_total counter\n"
                                       "a_total{x=\"1\"} 42\na_total{x=\"2\"} 5\n"
                                       "# HELP b How much\n# TYPE b gauge\nb -3\n");
    assert_true(metrics_sum(m, "a_total", "") == 47);
    assert_true(metrics_sum(m, "a_total", "x=\"2\"") == 5);
    buf_fini(&out);
    metrics_free(m);
}

static void a_histogram_has_cumulative_buckets_in_seconds(void **state)
{
    (void)state;
    struct metrics *m = metrics_new();
    struct hist *h = metrics_hist(m, "t_seconds", "", "Time");
    for (int i = 0; i < 10; i++)
        hist_add(h, 2000);
    hist_add(h, 2000000);
    struct buf out = {0};
    metrics_print(m, &out);
    const char *text = buf_str(&out);
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.001\"} 0\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"0.0025\"} 10\n"));
    assert_non_null(strstr(text, "t_seconds_bucket{le=\"+Inf\"} 11\n"));
    assert_non_null(strstr(text, "t_seconds_sum 2.02\n"));
    assert_non_null(strstr(text, "t_seconds_count 11\n"));
    buf_fini(&out);
    metrics_free(m);
}

static bool not_ready(void *arg, struct buf *why)
{
    (void)arg;
    buf_add_str(why, "still asleep");
    return false;
}

struct running {
    struct metrics *metrics;
    struct http_server *server;
    char address[32];
};

static int start_server(void **state)
{
    static struct running r;
    struct error err;
    r.metrics = metrics_new();
    metrics_counter(r.metrics, "seen_total", "", "Seen");
    struct http_config cfg = {.address = "127.0.0.1:0", .metrics = r.metrics, .ready = not_ready};
    assert_int_equal(http_start(&cfg, &r.server, &err), ST_OK);
    snprintf(r.address, sizeof r.address, "127.0.0.1:%d", http_port(r.server));
    *state = &r;
    return 0;
}

static int stop_server(void **state)
{
    struct running *r = *state;
    http_stop(r->server);
    metrics_free(r->metrics);
    return 0;
}

static int get(const struct running *r, const char *path, struct buf *body)
{
    struct error err;
    int code = 0;
    buf_reset(body, 0);
    assert_int_equal(http_get(r->address, path, 5000, &code, body, &err), ST_OK);
    return code;
}

static void the_three_pages_answer_and_others_do_not_exist(void **state)
{
    struct running *r = *state;
    struct buf body = {0};
    assert_int_equal(get(r, "/metrics", &body), 200);
    assert_non_null(strstr(buf_str(&body), "seen_total 0\n"));
    assert_int_equal(get(r, "/healthz", &body), 200);
    assert_string_equal(buf_str(&body), "ok\n");
    assert_int_equal(get(r, "/readyz", &body), 503);
    assert_string_equal(buf_str(&body), "still asleep\n");
    assert_int_equal(get(r, "/etc/passwd", &body), 404);
    buf_fini(&body);
}

static int open_connection(const struct running *r)
{
    struct address addr;
    struct error err;
    assert_int_equal(address_parse(r->address, &addr, &err), ST_OK);
    int fd = socket(addr.sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&addr.sa, addr.size), 0);
    return fd;
}

static void hostile_clients_do_not_take_the_server_away(void **state)
{
    struct running *r = *state;
    int slow[20];
    for (size_t i = 0; i < 20; i++) /* open and say nothing */
        slow[i] = open_connection(r);
    int fd = open_connection(r);
    char line[1024];
    memset(line, 'x', sizeof line);
    send(fd, "GET / HTTP/1.1\r\n", 16, MSG_NOSIGNAL);
    for (int i = 0; i < 200; i++) /* headers without end */
        if (send(fd, line, sizeof line, MSG_NOSIGNAL) < 0)
            break;
    close(fd);
    fd = open_connection(r);
    send(fd, "\0\xff\x01garbage\r\n\r\n", 13, MSG_NOSIGNAL);
    close(fd);
    fd = open_connection(r);
    const char *post = "POST /metrics HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc";
    send(fd, post, strlen(post), MSG_NOSIGNAL);
    ssize_t n = recv(fd, line, sizeof line - 1, 0);
    assert_true(n > 12);
    line[n] = '\0';
    assert_non_null(strstr(line, " 405 "));
    close(fd);
    struct buf body = {0};
    assert_int_equal(get(r, "/healthz", &body), 200);
    buf_fini(&body);
    for (size_t i = 0; i < 20; i++)
        close(slow[i]);
}

static void drip(int fd, const char *byte)
{
    send(fd, byte, 1, MSG_NOSIGNAL);
}

/* Whether the server has hung up, waiting for it. */
static bool hung_up(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char byte;
    return poll(&p, 1, 5000) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

static void clients_that_drip_give_way_to_one_that_asks(void **state)
{
    enum { MANY = 40, PLACES = 32 };
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    struct running *r = *state;
    int slow[MANY];
    size_t sent = 0;
    for (size_t i = 0; i < MANY; i++)
        slow[i] = open_connection(r);
    for (; sent < 10; sent++) /* none is ever silent for long, none ever ends its request */
        for (size_t i = 0; i < MANY; i++)
            drip(slow[i], request + sent);
    struct buf body = {0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(get(r, "/healthz", &body), 200);
    buf_fini(&body);
    for (size_t i = 0; i < MANY - PLACES; i++) /* who has been at it longest */
        assert_true(hung_up(slow[i]));
    for (; sent < sizeof request - 1; sent++) /* who is slow, but in nobody's way, is served */
        drip(slow[MANY - 1], request + sent);
    char line[256];
    ssize_t n = recv(slow[MANY - 1], line, sizeof line - 1, 0);
    assert_true(n > 12);
    line[n] = '\0';
    assert_non_null(strstr(line, " 200 "));
    for (size_t i = 0; i < MANY; i++)
        close(slow[i]);
}

static void a_busy_or_malformed_address_is_named(void **state)
{
    struct running *r = *state;
    static const char *const bad[] = {"nonsense", "127.0.0.1", "127.0.0.1:99999", ":", "1.2.3.4:x"};
    struct http_server *second = NULL;
    struct error err;
    struct http_config cfg = {.address = r->address, .metrics = r->metrics};
    assert_int_equal(http_start(&cfg, &second, &err), ST_FATAL);
    assert_int_equal(err.kind, ERR_CONFIG);
    assert_non_null(strstr(err.text, r->address));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cfg.address = bad[i];
        assert_int_equal(http_start(&cfg, &second, &err), ST_FATAL);
        assert_non_null(strstr(err.text, bad[i]));
    }
}

static void asking_where_nobody_listens_is_unavailable(void **state)
{
    (void)state;
    struct error err;
    struct buf body = {0};
    int code = 0;
    assert_int_equal(http_get("127.0.0.1:1", "/", 1000, &code, &body, &err), ST_FATAL);
    assert_int_equal(err.kind, ERR_UNAVAILABLE);
    buf_fini(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_series_are_added_up_and_families_stay_together),
        cmocka_unit_test(a_histogram_has_cumulative_buckets_in_seconds),
        cmocka_unit_test(the_three_pages_answer_and_others_do_not_exist),
        cmocka_unit_test(hostile_clients_do_not_take_the_server_away),
        cmocka_unit_test(clients_that_drip_give_way_to_one_that_asks),
        cmocka_unit_test(a_busy_or_malformed_address_is_named),
        cmocka_unit_test(asking_where_nobody_listens_is_unavailable),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}

/* Any bytes to the port of metrics and health: whatever it makes of them, it answers the next
 * request as ever. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "lib/metrics/http.h"
#include "tests/fuzz/fuzz.h"

static struct http_server *server;

static void prepare(void)
{
    struct error err;
    if (server != NULL)
        return;
    struct http_config cfg = {.address = "127.0.0.1:0", .metrics = metrics_new()};
    counter_add(metrics_counter(cfg.metrics, "sluice_fuzz_total", "", "for the test"), 1);
    MUST(http_start(&cfg, &server, &err) == ST_OK);
}

/* Sends it all, says that nothing follows, and reads until the server hangs up or is silent for
 * `patience_ms`. */
static size_t talk(struct span bytes, int patience_ms, char *reply, size_t max)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)http_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {patience_ms / 1000, patience_ms % 1000 * 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    MUST(fd >= 0 && connect(fd, (struct sockaddr *)&at, sizeof at) == 0);
    MUST(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit) == 0);
    struct linger reset = {.l_onoff = 1}; /* leaves no TIME_WAIT behind: ports would run out */
    MUST(setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) == 0);
    ssize_t sent = send(fd, bytes.p, bytes.n, MSG_NOSIGNAL);
    (void)sent; /* it may have hung up already */
    shutdown(fd, SHUT_WR);
    size_t n = 0;
    ssize_t got;
    while (n < max && (got = recv(fd, reply + n, max - n, 0)) > 0)
        n += (size_t)got;
    close(fd);
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct span good =
        SPAN_LIT("GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    static char reply[1 << 16];
    prepare();
    struct span input = fuzz_copy(data, size);
    talk(input, 10, reply, sizeof reply);
    mem_free((char *)input.p);
    size_t n = talk(good, 20000, reply, sizeof reply);
    MUST(n > 12 && memcmp(reply, "HTTP/1.1 200", 12) == 0);
    MUST(memmem(reply, n, "sluice_fuzz_total 1", 19) != NULL);
    return 0;
}

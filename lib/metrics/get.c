/* A GET with plain sockets: enough for `sluice healthcheck`, and no more. HTTP/1.0, so that the
 * reply ends with the connection. */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/metrics/address.h"
#include "lib/metrics/http.h"

enum { REPLY_MAX = 4 << 20 };

static bool wait_for(int fd, short events, int64_t deadline_ms)
{
    int64_t left = deadline_ms - clock_mono_ms();
    struct pollfd p = {.fd = fd, .events = events};
    return left > 0 && poll(&p, 1, (int)left) > 0;
}

static int connect_until(const struct address *addr, int64_t deadline_ms)
{
    int fd = socket(addr->sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    int rc = connect(fd, (const struct sockaddr *)&addr->sa, addr->size);
    int failure = rc == 0 ? 0 : errno;
    if (failure == EINPROGRESS) {
        socklen_t n = sizeof failure;
        failure = ETIMEDOUT;
        if (wait_for(fd, POLLOUT, deadline_ms))
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &n);
    }
    if (failure == 0)
        return fd;
    close(fd);
    errno = failure;
    return -1;
}

static bool exchange(int fd, const char *request, int64_t deadline_ms, struct buf *reply)
{
    size_t n = strlen(request);
    if (send(fd, request, n, MSG_NOSIGNAL) != (ssize_t)n)
        return false;
    while (wait_for(fd, POLLIN, deadline_ms)) {
        char bytes[4096];
        ssize_t k = recv(fd, bytes, sizeof bytes, 0);
        if (k == 0)
            return true;
        if (k < 0)
            return false;
        buf_add(reply, bytes, (size_t)k);
        if (reply->full)
            return false;
    }
    errno = ETIMEDOUT;
    return false;
}

static bool split(struct buf *reply, int *ret_code, struct buf *body)
{
    const char *text = buf_str(reply);
    const char *end = strstr(text, "\r\n\r\n");
    int code = 0;
    if (end == NULL || sscanf(text, "HTTP/1.%*d %3d", &code) != 1)
        return false;
    *ret_code = code;
    buf_add(body, end + 4, reply->n - (size_t)(end + 4 - text));
    return true;
}

enum status http_get(const char *address, const char *path, int timeout_ms, int *ret_code,
                     struct buf *body, struct error *err)
{
    struct address addr;
    char request[512];
    enum status st = address_parse(address, &addr, err);
    if (st != ST_OK)
        return st;
    int64_t deadline_ms = clock_mono_ms() + timeout_ms;
    int fd = connect_until(&addr, deadline_ms);
    if (fd < 0)
        return error_set(err, ST_FATAL, ERR_UNAVAILABLE, "nothing answers at %s: %s", address,
                         strerror(errno));
    struct buf reply;
    buf_init(&reply, REPLY_MAX);
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address);
    if (!exchange(fd, request, deadline_ms, &reply))
        st = error_set(err, ST_FATAL, ERR_UNAVAILABLE, "no answer from %s: %s", address,
                       strerror(errno));
    else if (!split(&reply, ret_code, body))
        st = error_set(err, ST_FATAL, ERR_UNAVAILABLE, "%s does not speak HTTP", address);
    buf_fini(&reply);
    close(fd);
    return st;
}

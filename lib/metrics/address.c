/* See address.h. */
#include "lib/metrics/address.h"

#include <netdb.h>
#include <string.h>

#include "lib/base/span.h"

enum { HOST_MAX = 256, PORT_DIGITS = 5 };

static enum status malformed(const char *text, struct error *err)
{
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "address '%s': give ADDRESS:PORT such as 127.0.0.1:9402, [::1]:9402 or :9402",
                     text);
}

static bool parse_port(const char *digits, uint16_t *ret)
{
    unsigned v = 0;
    size_t n = strlen(digits);
    if (n == 0 || n > PORT_DIGITS)
        return false;
    for (size_t i = 0; i < n; i++) {
        if (digits[i] < '0' || digits[i] > '9')
            return false;
        v = v * 10 + (unsigned)(digits[i] - '0');
    }
    *ret = (uint16_t)v;
    return v <= UINT16_MAX;
}

/* Takes it apart: the host, or the loopback when none is given. */
static enum status split(const char *text, char host[HOST_MAX], uint16_t *ret_port,
                         struct error *err)
{
    const char *colon = strrchr(text, ':');
    if (colon == NULL || !parse_port(colon + 1, ret_port))
        return malformed(text, err);
    struct span name = span_make(text, (size_t)(colon - text));
    if (name.n >= 2 && name.p[0] == '[' && name.p[name.n - 1] == ']')
        name = span_make(name.p + 1, name.n - 2);
    if (name.n >= HOST_MAX)
        return malformed(text, err);
    if (name.n == 0)
        name = SPAN_LIT("127.0.0.1");
    memcpy(host, name.p, name.n);
    host[name.n] = '\0';
    return ST_OK;
}

enum status address_check(const char *text, struct error *err)
{
    char host[HOST_MAX];
    uint16_t port;
    return split(text, host, &port, err);
}

enum status address_parse(const char *text, struct address *ret, struct error *err)
{
    char host[HOST_MAX];
    if (split(text, host, &ret->port, err) != ST_OK)
        return ST_FATAL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found = NULL;
    int rc = getaddrinfo(host, strrchr(text, ':') + 1, &hints, &found);
    if (rc != 0)
        return error_set(err, ST_FATAL, ERR_CONFIG, "address '%s': %s", text, gai_strerror(rc));
    memcpy(&ret->sa, found->ai_addr, found->ai_addrlen);
    ret->size = found->ai_addrlen;
    freeaddrinfo(found);
    return ST_OK;
}

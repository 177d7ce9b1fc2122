/* ADDRESS:PORT as users write it: 127.0.0.1:9402, [::1]:9402, localhost:9402, :9402 (loopback).
 * Any thread. */
#ifndef SLUICE_METRICS_ADDRESS_H
#define SLUICE_METRICS_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

#include "lib/base/error.h"

struct address {
    struct sockaddr_storage sa;
    socklen_t size;
    uint16_t port;
};

/* Whether it has that form; looks nothing up. */
enum status address_check(const char *text, struct error *err) MUST_CHECK;

/* Looks names up. ERR_CONFIG names the text and what is accepted. */
enum status address_parse(const char *text, struct address *ret, struct error *err) MUST_CHECK;

#endif

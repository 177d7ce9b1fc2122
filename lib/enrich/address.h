/* Which network addresses no enricher should ever call by itself: link-local ones and those where
 * clouds serve a machine's own secrets. Private networks (10/8, …) and loopback are fine: models
 * run there. Any thread. */
#ifndef SLUICE_ENRICH_ADDRESS_H
#define SLUICE_ENRICH_ADDRESS_H

#include <stdbool.h>

struct sockaddr;

bool address_is_internal(const struct sockaddr *addr);

/* The same for the host of a URL when it is an address; false for names. IPv6 in brackets. */
bool address_host_is_internal(const char *host);

#endif

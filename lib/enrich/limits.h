/* What a server says about its limits in reply headers: Retry-After (RFC 9110, 10.2.3) and
 * x-ratelimit-* as OpenAI's and compatible services send them. Any thread. */
#ifndef SLUICE_ENRICH_LIMITS_H
#define SLUICE_ENRICH_LIMITS_H

#include "lib/enrich/transport.h"

#define LIMITS_UNKNOWN ((struct http_limits){-1, -1, -1, -1, -1})

/* Take what one header line says, if it is about limits; now_ms is the wall clock, for dates.
 * Values that cannot be read are left alone; waits are cut at an hour. */
void limits_read_header(struct http_limits *limits, struct span line, int64_t now_ms);

/* "1s", "6m0s", "120ms", "1.5s", "20" (seconds): ms, or -1. */
int64_t limits_read_duration(const char *text);

#endif

/* A record as one JSON object: what `sluice tap --json` and `sluice dlq export` print, and what
 * `sluice verify --observed` compares with. The members and their order are a contract. Any
 * thread. */
#ifndef SLUICE_STAGE_RECORD_JSON_H
#define SLUICE_STAGE_RECORD_JSON_H

#include "lib/base/buf.h"
#include "lib/broker/broker.h"

/* Append {"topic":…,"partition":…,"offset":…,"timestamp":…,"key":…,"headers":[[name,value],…],
 * "value":…}, or "value_base64" when the value is not UTF-8. No newline. */
void record_add_json(struct buf *out, const char *topic, const struct record *rec);

#endif

/* What must be the same on both sides of enhance, as 56 bits: key and value of a record, with the
 * enrichment left out where enhance may have put or replaced it. Any thread.
 *
 * FNV-1a: a change of one byte always changes it; any other change is missed once in 2^56 (in 2^28
 * for a post that brought an enrichment of its own). */
#ifndef SLUICE_VERIFY_DIGEST_H
#define SLUICE_VERIFY_DIGEST_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/broker/broker.h"
#include "lib/json/post.h"

enum { DIGEST_BITS = 56 };

/* Any bytes, to be compared with each other. */
uint64_t digest_bytes(uint64_t seed, struct span s);

/* Of a raw record or a dead letter. *ret_own: it has a top-level enrichment; then the upper half of
 * the digest leaves its value out, and the lower half is the value's. */
uint64_t digest_raw(const struct record *rec, bool *ret_own);

/* Whether an output is its raw record and an enrichment, no byte changed. ST_REJECT: no, err says
 * why. ret_post is filled whenever the output is a post. */
enum status digest_compare(const struct record *output, uint64_t raw, bool own,
                           struct error *err) MUST_CHECK;

/* ST_REJECT: the value is not a post with an enrichment. */
enum status digest_scan(struct span value, struct post *ret, struct error *err) MUST_CHECK;

/* The post's id: number or string, as written. False: it has none. */
bool digest_id(struct span value, struct span *ret_id, uint64_t *ret_digest);

#endif

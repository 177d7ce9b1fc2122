/* I2: every id as often in the outputs as it was sent, counted without looking at sluice-src.
 *
 * The first pass adds each sent id to one of 65,536 sums and takes each one that came out off
 * again: memory does not grow with the topic. When a sum is not zero at the end, a second pass over
 * the topics counts the ids of the first such sums one by one and names them. One thread. */
#ifndef SLUICE_VERIFY_IDS_H
#define SLUICE_VERIFY_IDS_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/span.h"
#include "stages/verify/verdict.h"

struct ids;

struct ids *ids_new(void);
void ids_free(struct ids *ids); /* NULL is accepted */

/* First pass. `weight`: 1 sent, -1 came out. */
void ids_add(struct ids *ids, uint64_t digest, int weight);

/* Whether the sums differ: then the second pass is needed. */
bool ids_differ(struct ids *ids);

/* Second pass, over all of it again; the place is that of the record. */
void ids_name(struct ids *ids, uint64_t digest, int weight, struct span id, const char *topic,
              int32_t partition, int64_t offset);

/* After the second pass: I2's failures. */
void ids_judge(const struct ids *ids, struct verdict *v);

#endif

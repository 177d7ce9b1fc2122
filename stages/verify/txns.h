/* I5: whether each transaction is all or nothing. A record says by `sluice-txn: WRITER/NUMBER`
 * (--trace-txn) in which one it was written; a number is never used again, not even after an abort.
 *
 *     first pass    read_committed: which offsets of the output topics are visible
 *     second pass   read_uncommitted: which records each transaction has, visible or not
 *
 * A transaction with records of both kinds is torn. Transactions of one writer must also follow
 * each other in every partition. What positions have to do with it is asked by the callers.
 *
 * 48 to 96 bytes a transaction and a bit for each offset. One thread. */
#ifndef SLUICE_VERIFY_TXNS_H
#define SLUICE_VERIFY_TXNS_H

#include <stdbool.h>

#include "lib/stage/sweep.h"
#include "stages/verify/verdict.h"

enum { TXNS_TOPICS = 2 }; /* outputs, dead letters */

struct txns;

/* outputs: borrowed. transactional: whether there are transactions at all. */
struct txns *txns_new(const struct sweep outputs[TXNS_TOPICS], bool transactional);
void txns_free(struct txns *t); /* NULL is accepted */

/* A transaction's name, as in the header. False: the record has none. */
struct txn_name {
    uint64_t writer, number;
};
bool txn_of(const struct record *rec, struct txn_name *ret);

/* First pass. */
void txns_see(struct txns *t, int topic, const struct record *rec);

/* Whether it can be decided: any record of the first pass had the header. */
bool txns_traced(const struct txns *t);

/* Second pass; true when the first one did not see the record. */
bool txns_take(struct txns *t, int topic, const struct record *rec, struct verdict *v);

/* After both: torn ones are I5's failures; notes how many there were. */
void txns_judge(const struct txns *t, struct verdict *v);

#endif

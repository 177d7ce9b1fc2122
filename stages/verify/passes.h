/* Inside of a verification, shared by its files:
 *
 *     verify.c     the snapshot, the passes over the raw topic, what is missing, which ids
 *     outputs.c    the pass over the outputs: each is held against the ledger
 *
 * One thread. */
#ifndef SLUICE_VERIFY_PASSES_H
#define SLUICE_VERIFY_PASSES_H

#include "stages/verify/ids.h"
#include "stages/verify/ledger.h"
#include "stages/verify/observed.h"
#include "stages/verify/order.h"
#include "stages/verify/txns.h"
#include "stages/verify/verify.h"

enum { ENHANCED, DEAD, OUTPUTS };

struct verify {
    const struct verify_config *cfg;
    struct verdict *v;
    struct ledger ledger, late; /* late: positions taken after the ends of the outputs */
    struct sweep raw, outputs[OUTPUTS];
    bool cut[OUTPUTS];       /* retention has removed some of its records */
    int64_t *first[OUTPUTS]; /* by input partition: the lowest raw offset among its outputs */
    struct order_check *order;
    struct ids *ids;
    struct txns *txns;
    struct observed *observed; /* or NULL */
    int topic;                 /* the output topic that is swept */
};

const char *output_name(const struct verify *vf, int topic);

/* A record that was sent again from the dead letters: its id was sent before. */
bool is_redriven(const struct record *rec);

/* Letters of other stages, or from other raw topics, are no outputs of this enhance. */
bool is_foreign(const struct verify *vf, const struct record *rec);

/* The second pass: fills ledger, order, ids and txns. */
enum status check_outputs(struct verify *vf, struct error *err) MUST_CHECK;

/* The outputs again, as a reader sees them that does not wait for commits: what is hidden from the
 * others belongs to aborted transactions. Only when there is somebody to tell. */
enum status check_uncommitted(struct verify *vf, struct error *err) MUST_CHECK;

#endif

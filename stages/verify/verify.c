/* The snapshot and the passes: see verify.h.
 *
 *     1. raw topic         what each record was, into the ledger
 *     2. enhanced, dead    each output is held against the ledger (outputs.c)
 *     3. the ledger        what has no output
 *        outputs again     as a reader sees them that does not wait for commits
 *     4. all topics again  only when ids do not add up: which */
#include "stages/verify/verify.h"

#include "lib/base/mem.h"
#include "lib/stage/headers.h"
#include "stages/enhance/window.h"
#include "stages/verify/digest.h"
#include "stages/verify/passes.h"

/* --- 1. the raw topic --- */

static bool take_raw(void *arg, const struct record *rec)
{
    struct verify *vf = arg;
    uint64_t *entry = ledger_find(&vf->ledger, rec->partition, rec->offset), id_digest;
    struct span id;
    bool own;
    if (entry == NULL)
        return true;
    *entry |= digest_raw(rec, &own) << ENTRY_BITS | ENTRY_PRESENT;
    if (own)
        *entry |= ENTRY_OWN;
    if ((*entry & ENTRY_DONE) != 0 && !is_redriven(rec) && digest_id(rec->value, &id, &id_digest)) {
        ids_add(vf->ids, id_digest, 1);
        vf->v->of[I2].checked++;
    }
    return true;
}

/* --- 3. what has no output --- */

/* Whether retention may have removed the output of this raw record. */
static bool may_be_cut(const struct verify *vf, int32_t partition, int64_t offset)
{
    for (int t = 0; t < OUTPUTS; t++)
        if (vf->cut[t] && (vf->cfg->order != ORDER_PARTITION || offset < vf->first[t][partition]))
            return true;
    return false;
}

static bool is_missing(uint64_t entry)
{
    return (entry & ENTRY_PRESENT) != 0 && (entry & ENTRY_DONE) != 0 &&
           (entry & (ENTRY_OUTPUT | ENTRY_LETTER)) == 0;
}

static void check_missing(struct verify *vf, int32_t p)
{
    const struct ledger_part *part = &vf->ledger.parts[p];
    struct invariant *inv = &vf->v->of[I1];
    for (int64_t i = 0; i < part->end - part->start; i++) {
        uint64_t entry = part->entries[i];
        if ((entry & ENTRY_PRESENT) == 0 || (entry & ENTRY_DONE) == 0)
            continue;
        if (is_missing(entry) && may_be_cut(vf, p, part->start + i)) {
            inv->undecided++;
            continue;
        }
        inv->checked++;
        if (is_missing(entry) && txns_traced(vf->txns))
            verdict_fail(vf->v, I5, vf->cfg->raw_topic, p, part->start + i,
                         "a transaction moved the position beyond it, without its output");
        if (is_missing(entry))
            verdict_fail(vf->v, I1, vf->cfg->raw_topic, p, part->start + i,
                         "missing: the group has passed it, and it is neither in the outputs nor "
                         "in the dead letters");
    }
}

static void check_position(struct verify *vf, int32_t p, int64_t *lag)
{
    const struct ledger_part *part = &vf->ledger.parts[p];
    int64_t from = part->position < part->start ? part->start : part->position;
    int64_t behind = part->end - from;
    vf->v->of[I9].checked++;
    if (part->position > part->end)
        verdict_fail(vf->v, I9, vf->cfg->raw_topic, p, part->position,
                     "the position lies %lld beyond the end of the log", (long long)-behind);
    else if (vf->cfg->drained && behind > 0)
        verdict_fail(vf->v, I9, vf->cfg->raw_topic, p, part->position,
                     "%lld record(s) behind the end of the log", (long long)behind);
    if (part->position >= 0 && part->position < part->start)
        vf->v->of[I1].undecided += part->start - part->position;
    *lag += behind > 0 ? behind : 0;
}

static void check_positions(struct verify *vf)
{
    int64_t lag = 0;
    for (int32_t p = 0; p < vf->ledger.count; p++) {
        check_missing(vf, p);
        check_position(vf, p, &lag);
    }
    verdict_note(vf->v, I9, "lag %lld", (long long)lag);
}

/* --- 4. which ids --- */

static bool name_raw(void *arg, const struct record *rec)
{
    struct verify *vf = arg;
    uint64_t *entry = ledger_find(&vf->ledger, rec->partition, rec->offset), digest;
    struct span id;
    if (entry == NULL || (*entry & ENTRY_DONE) == 0 || (*entry & ENTRY_TRUNCATED) != 0 ||
        is_redriven(rec) || !digest_id(rec->value, &id, &digest))
        return true;
    if (is_missing(*entry) && may_be_cut(vf, rec->partition, rec->offset))
        return true;
    ids_name(vf->ids, digest, 1, id, vf->cfg->raw_topic, rec->partition, rec->offset);
    return true;
}

static bool name_output(void *arg, const struct record *rec)
{
    struct verify *vf = arg;
    struct origin from;
    struct span id;
    uint64_t digest;
    if (is_foreign(vf, rec) || is_redriven(rec) || !digest_id(rec->value, &id, &digest))
        return true;
    if (origin_parse(headers_find(rec, "sluice-src"), &from) &&
        span_is(from.topic, vf->cfg->raw_topic) && from.partition < vf->ledger.count) {
        const struct ledger_part *part = &vf->ledger.parts[from.partition];
        const uint64_t *entry = ledger_find(&vf->ledger, from.partition, from.offset);
        if (from.offset < part->start ||
            (entry != NULL && (*entry & ENTRY_PRESENT) != 0 && (*entry & ENTRY_DONE) == 0))
            return true;
    }
    ids_name(vf->ids, digest, -1, id, output_name(vf, vf->topic), rec->partition, rec->offset);
    return true;
}

static enum status name_ids(struct verify *vf, struct error *err)
{
    if (!ids_differ(vf->ids))
        return ST_OK;
    enum status st = sweep_run(&vf->raw, name_raw, vf, err);
    for (vf->topic = 0; vf->topic < OUTPUTS && st == ST_OK; vf->topic++)
        st = sweep_run(&vf->outputs[vf->topic], name_output, vf, err);
    if (st == ST_OK)
        ids_judge(vf->ids, vf->v);
    return st;
}

/* --- all of it --- */

static void prepare(struct verify *vf)
{
    int32_t counts[OUTPUTS];
    ledger_size(&vf->ledger, &vf->raw);
    vf->ids = ids_new();
    vf->txns = txns_new(vf->outputs, !vf->cfg->ahead);
    for (int t = 0; t < OUTPUTS; t++) {
        const struct sweep *out = &vf->outputs[t];
        counts[t] = out->count;
        for (int32_t p = 0; p < out->count; p++)
            vf->cut[t] = vf->cut[t] || out->log[p].start > 0;
        vf->first[t] = mem_array((size_t)vf->ledger.count, sizeof *vf->first[t]);
        for (int32_t p = 0; p < vf->ledger.count; p++)
            vf->first[t][p] = INT64_MAX;
    }
    vf->order = order_new(vf->cfg->order, vf->ledger.count, counts);
}

/* The snapshot, in the order that verify.h explains. */
static enum status take_snapshot(struct verify *vf, struct error *err)
{
    const struct verify_config *cfg = vf->cfg;
    const char *topics[OBSERVED_TOPICS] = {cfg->enhanced_topic, cfg->dead_topic};
    enum status st = ledger_open(&vf->ledger, cfg->broker, cfg->group, cfg->raw_topic, err);
    for (int t = 0; t < OUTPUTS && st == ST_OK; t++)
        st = sweep_open(&vf->outputs[t], cfg->broker, output_name(vf, t), cfg->timeout_ms, err);
    if (st == ST_OK)
        st = ledger_open(&vf->late, cfg->broker, cfg->group, cfg->raw_topic, err);
    if (st == ST_OK)
        st = sweep_open(&vf->raw, cfg->broker, cfg->raw_topic, cfg->timeout_ms, err);
    if (st == ST_OK && cfg->observed != NULL)
        st = observed_open(cfg->observed, topics, &vf->observed, err);
    if (st == ST_OK && (vf->raw.count != vf->ledger.count || vf->late.count != vf->ledger.count))
        st = error_set(err, ST_FATAL, ERR_TEMPORARY,
                       "topic '%s' got partitions meanwhile: verify again", cfg->raw_topic);
    return st;
}

static void note_limits(struct verify *vf)
{
    struct invariant *of = vf->v->of;
    if (of[I1].undecided > 0)
        verdict_note(vf->v, I1, "retention has removed raw records or outputs");
    else if (of[I1].checked == 0)
        verdict_note(vf->v, I1, "group '%s' has passed no record yet", vf->cfg->group);
    if (of[I8].undecided > 0)
        verdict_note(vf->v, I8, "retention has removed the raw records");
    if (of[I7].undecided > 0)
        verdict_note(vf->v, I7, "letters without their value, or their raw records are removed");
    if (vf->cfg->order == ORDER_NONE)
        verdict_note(vf->v, I3, "--order none promises nothing");
    if (vf->cfg->observed == NULL) {
        of[I4].undecided = 1;
        verdict_note(vf->v, I4, "needs --observed, the log of a reader during the run");
    }
}

static void judge_transactions(struct verify *vf)
{
    if (vf->observed != NULL)
        observed_judge(vf->observed, vf->v);
    if (txns_traced(vf->txns)) {
        txns_judge(vf->txns, vf->v);
        return;
    }
    vf->v->of[I5].undecided = 1;
    verdict_note(vf->v, I5,
                 vf->cfg->ahead ? "at-least-once has no transactions"
                                : "needs outputs that enhance wrote with --trace-txn");
}

static enum status run_passes(struct verify *vf, struct error *err)
{
    enum status st = take_snapshot(vf, err);
    if (st != ST_OK)
        return st;
    prepare(vf);
    st = sweep_run(&vf->raw, take_raw, vf, err);
    if (st == ST_OK)
        st = check_outputs(vf, err);
    if (st != ST_OK)
        return st;
    check_positions(vf);
    note_limits(vf);
    st = check_uncommitted(vf, err);
    if (st != ST_OK)
        return st;
    judge_transactions(vf);
    return name_ids(vf, err);
}

static void close_all(struct verify *vf)
{
    observed_free(vf->observed);
    order_free(vf->order);
    ids_free(vf->ids);
    txns_free(vf->txns);
    for (int t = 0; t < OUTPUTS; t++) {
        mem_free(vf->first[t]);
        sweep_close(&vf->outputs[t]);
    }
    sweep_close(&vf->raw);
    ledger_close(&vf->ledger);
    ledger_close(&vf->late);
}

enum status verify_run(const struct verify_config *cfg, struct verdict **ret, struct error *err)
{
    struct verify vf = {.cfg = cfg, .v = verdict_new()};
    enum status st = run_passes(&vf, err);
    close_all(&vf);
    if (st == ST_OK)
        *ret = vf.v;
    else
        verdict_free(vf.v);
    return st;
}

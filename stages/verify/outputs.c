/* Each output is held against the ledger: it must have a raw record (I1), be its only output (I1),
 * come in order (I3) and carry its bytes (I7, I8). Files beside this one hold the memory of these
 * questions. */
#include "lib/stage/headers.h"
#include "stages/enhance/window.h"
#include "stages/verify/digest.h"
#include "stages/verify/passes.h"

const char *output_name(const struct verify *vf, int topic)
{
    return topic == ENHANCED ? vf->cfg->enhanced_topic : vf->cfg->dead_topic;
}

bool is_redriven(const struct record *rec)
{
    return headers_find(rec, "sluice-redrive").p != NULL;
}

bool is_foreign(const struct verify *vf, const struct record *rec)
{
    return vf->topic == DEAD &&
           (!span_is(headers_find(rec, "sluice-error-stage"), "enhance") ||
            !span_is(headers_find(rec, "sluice-error-topic"), vf->cfg->raw_topic));
}

/* Where an output says that it comes from. */
struct claim {
    struct origin origin;
    uint64_t *entry; /* NULL: retention has removed the raw record */
};

/* False: nothing can be said of it, or it was said already. */
static bool find_claim(struct verify *vf, const struct record *rec, struct claim *ret)
{
    const char *topic = output_name(vf, vf->topic);
    struct span src = headers_find(rec, "sluice-src");
    *ret = (struct claim){0};
    if (!origin_parse(src, &ret->origin) || !span_is(ret->origin.topic, vf->cfg->raw_topic)) {
        verdict_fail(vf->v, I1, topic, rec->partition, rec->offset,
                     "unknown record: its header sluice-src is '%.*s'",
                     (int)(src.n < 200 ? src.n : 200), src.p == NULL ? "" : src.p);
        return false;
    }
    const struct origin *from = &ret->origin;
    ret->entry = ledger_find(&vf->ledger, from->partition, from->offset);
    bool gone = from->partition < vf->ledger.count &&
                from->offset < vf->ledger.parts[from->partition].start;
    if (gone || (ret->entry != NULL && (*ret->entry & ENTRY_PRESENT) != 0))
        return true;
    verdict_fail(vf->v, I1, topic, rec->partition, rec->offset,
                 "unknown record: it comes from %s/%d/%lld, where nothing is", vf->cfg->raw_topic,
                 (int)from->partition, (long long)from->offset);
    return false;
}

static void note_first(struct verify *vf, const struct origin *from)
{
    int64_t *first = &vf->first[vf->topic][from->partition];
    if (from->offset < *first)
        *first = from->offset;
}

static void fail_half(struct verify *vf, const struct record *rec, const struct txn_name *txn,
                      const char *what)
{
    verdict_fail(vf->v, I5, output_name(vf, vf->topic), rec->partition, rec->offset,
                 "transaction %llu of writer %016llx %s", (unsigned long long)txn->number,
                 (unsigned long long)txn->writer, what);
}

/* Whether this is the only output of its raw record so far; says so when it is not. */
static bool check_once(struct verify *vf, const struct record *rec, const struct claim *claim)
{
    static const uint64_t marks[OUTPUTS] = {ENTRY_OUTPUT, ENTRY_LETTER};
    const struct origin *from = &claim->origin;
    uint64_t mine = marks[vf->topic], before = *claim->entry;
    *claim->entry |= mine;
    struct txn_name txn;
    bool traced = !vf->cfg->ahead && txn_of(rec, &txn);
    if (!vf->cfg->ahead && from->partition < vf->late.count &&
        !ledger_is_done(&vf->late.parts[from->partition], from->offset)) {
        verdict_fail(vf->v, I1, output_name(vf, vf->topic), rec->partition, rec->offset,
                     "%s/%d/%lld came out, but the group has not passed it: it will come out again",
                     vf->cfg->raw_topic, (int)from->partition, (long long)from->offset);
        if (traced)
            fail_half(vf, rec, &txn, "is visible without its position");
    }
    if ((before & (ENTRY_OUTPUT | ENTRY_LETTER)) == 0)
        return true;
    if (traced)
        fail_half(vf, rec, &txn, "brings an output that another one, or itself, brought before");
    verdict_fail(vf->v, I1, output_name(vf, vf->topic), rec->partition, rec->offset,
                 (before & mine) != 0 ? "%s/%d/%lld came out again"
                                      : "%s/%d/%lld is a dead letter and in the outputs as well",
                 vf->cfg->raw_topic, (int)from->partition, (long long)from->offset);
    return false;
}

static void check_order(struct verify *vf, const struct record *rec, const struct origin *from)
{
    int64_t before = 0;
    if (vf->cfg->order == ORDER_NONE)
        return;
    vf->v->of[I3].checked++;
    if (!order_next(vf->order, vf->topic, rec, from->partition, from->offset, &before))
        verdict_fail(vf->v, I3, output_name(vf, vf->topic), rec->partition, rec->offset,
                     "%s/%d/%lld comes behind offset %lld", vf->cfg->raw_topic,
                     (int)from->partition, (long long)from->offset, (long long)before);
}

static void count_id(struct verify *vf, const struct record *rec)
{
    uint64_t digest;
    struct span id;
    if (!is_redriven(rec) && digest_id(rec->value, &id, &digest))
        ids_add(vf->ids, digest, -1);
}

static void check_enriched(struct verify *vf, const struct record *rec, const uint64_t *entry)
{
    struct error err;
    struct post post;
    struct invariant *inv = &vf->v->of[I8];
    enum status st =
        entry == NULL ? digest_scan(rec->value, &post, &err)
                      : digest_compare(rec, *entry >> ENTRY_BITS, (*entry & ENTRY_OWN) != 0, &err);
    if (st == ST_OK && entry == NULL)
        inv->undecided++;
    else
        inv->checked++;
    if (st != ST_OK)
        verdict_fail(vf->v, I8, vf->cfg->enhanced_topic, rec->partition, rec->offset, "%s",
                     err.text);
}

static void check_letter(struct verify *vf, const struct record *rec, uint64_t *entry)
{
    bool own, truncated = headers_find(rec, "sluice-error-truncated").p != NULL;
    struct invariant *inv = &vf->v->of[I7];
    if (truncated && entry != NULL)
        *entry |= ENTRY_TRUNCATED;
    if (truncated || entry == NULL) {
        inv->undecided++;
        return;
    }
    inv->checked++;
    if (digest_raw(rec, &own) != *entry >> ENTRY_BITS || own != ((*entry & ENTRY_OWN) != 0))
        verdict_fail(vf->v, I7, vf->cfg->dead_topic, rec->partition, rec->offset,
                     "key and value are not the bytes of its raw record");
}

static void check_output(struct verify *vf, const struct record *rec, const struct claim *claim)
{
    note_first(vf, &claim->origin);
    if (claim->entry == NULL)
        vf->v->of[I1].undecided++;
    else if ((*claim->entry & ENTRY_DONE) != 0)
        count_id(vf, rec);
    if (claim->entry == NULL || check_once(vf, rec, claim))
        check_order(vf, rec, &claim->origin);
    if (vf->topic == ENHANCED)
        check_enriched(vf, rec, claim->entry);
    else
        check_letter(vf, rec, claim->entry);
}

static bool take_output(void *arg, const struct record *rec)
{
    struct verify *vf = arg;
    struct claim claim;
    if (vf->observed != NULL)
        observed_record(vf->observed, vf->topic, rec, vf->v);
    txns_see(vf->txns, vf->topic, rec);
    if (is_foreign(vf, rec))
        return true;
    if (find_claim(vf, rec, &claim))
        check_output(vf, rec, &claim);
    else
        count_id(vf, rec);
    return true;
}

enum status check_outputs(struct verify *vf, struct error *err)
{
    enum status st = ST_OK;
    for (vf->topic = 0; vf->topic < OUTPUTS && st == ST_OK; vf->topic++) {
        if (vf->observed != NULL)
            observed_begin(vf->observed, vf->topic, &vf->outputs[vf->topic]);
        st = sweep_run(&vf->outputs[vf->topic], take_output, vf, err);
        if (st == ST_OK && vf->observed != NULL)
            observed_end(vf->observed, vf->topic, vf->v);
    }
    return st;
}

static bool take_uncommitted(void *arg, const struct record *rec)
{
    struct verify *vf = arg;
    if (is_foreign(vf, rec))
        return true;
    if (txns_take(vf->txns, vf->topic, rec, vf->v) && vf->observed != NULL)
        observed_aborted(vf->observed, vf->topic, rec, vf->v);
    return true;
}

enum status check_uncommitted(struct verify *vf, struct error *err)
{
    enum status st = ST_OK;
    bool wanted = txns_traced(vf->txns) || (vf->observed != NULL && observed_misses(vf->observed));
    for (vf->topic = 0; wanted && vf->topic < OUTPUTS && st == ST_OK; vf->topic++) {
        struct sweep all = vf->outputs[vf->topic]; /* its bounds, borrowed */
        all.uncommitted = true;
        st = sweep_run(&all, take_uncommitted, vf, err);
    }
    return st;
}

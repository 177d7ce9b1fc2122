/* Headers of the input pass, ours replace older ones of the same name. The usual input has none,
 * and then nothing but sluice-src is written. */
#include "stages/enhance/output.h"

enum { KEEP_BYTES = 4 << 20 };

void output_init(struct output *o, const char *input_topic, const char *enricher)
{
    *o = (struct output){.topic = input_topic, .enricher = enricher};
    headers_init(&o->headers);
}

void output_fini(struct output *o)
{
    buf_fini(&o->value);
    headers_fini(&o->headers);
}

/* Headers that say what an earlier enrichment caused: they must not stay beside ours. */
static bool is_about_payment(struct span name)
{
    static const char *const names[] = {"sluice-enricher", "sluice-cache",    "sluice-tokens",
                                        "sluice-cost-usd", "sluice-attempts", "sluice-budget"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (span_is(name, names[i]))
            return true;
    return false;
}

static void add_payment(struct output *o, const struct ask *ask)
{
    static const char *const caches[] = {"none", "miss", "hit", "coalesced"};
    struct headers *h = &o->headers;
    headers_add(h, SPAN_LIT("sluice-enricher"), span_of(o->enricher));
    headers_add(h, SPAN_LIT("sluice-cache"), span_of(caches[ask->cache]));
    headers_addf(h, SPAN_LIT("sluice-tokens"), "%lld/%lld", (long long)ask->tokens_in,
                 (long long)ask->tokens_out);
    headers_addf(h, SPAN_LIT("sluice-cost-usd"), "%.6f", ask->cost_usd);
    headers_addf(h, SPAN_LIT("sluice-attempts"), "%d", ask->attempts);
    if (ask->passed)
        headers_add(h, SPAN_LIT("sluice-budget"), SPAN_LIT("spent"));
}

static void build_letter(struct output *o, const struct slot *slot, struct out *ret)
{
    const struct ask *ask = &slot->step.ask;
    if (o->enricher != NULL)
        add_payment(o, ask);
    headers_add_letter(&o->headers, &(struct letter){.reason = ask->err->reason,
                                                     .message = ask->err->text,
                                                     .stage = "enhance",
                                                     .topic = o->topic,
                                                     .partition = slot->rec.partition,
                                                     .offset = slot->rec.offset,
                                                     .attempts = ask->attempts,
                                                     .tokens_in = ask->tokens_in,
                                                     .tokens_out = ask->tokens_out,
                                                     .bare = slot->bare});
    ret->value = slot->bare ? SPAN_LIT("") : slot->rec.value;
}

static void build_post(struct output *o, const struct slot *slot, struct out *ret)
{
    if (o->enricher != NULL)
        add_payment(o, &slot->step.ask);
    buf_reset(&o->value, KEEP_BYTES);
    post_splice(&o->value, slot->rec.value, &slot->step.post, buf_span(&slot->step.ask.answer));
    ret->value = buf_span(&o->value);
}

void output_build(struct output *o, const struct slot *slot, struct out *ret)
{
    const struct record *rec = &slot->rec;
    headers_reset(&o->headers);
    headers_pass(&o->headers, rec, o->enricher != NULL ? is_about_payment : NULL);
    headers_add_source(&o->headers, o->topic, rec->partition, rec->offset);
    *ret = (struct out){.key = rec->key, .timestamp_ms = rec->timestamp_ms};
    if (slot->state == SLOT_DEAD)
        build_letter(o, slot, ret);
    else
        build_post(o, slot, ret);
    ret->headers = o->headers.items;
    ret->header_count = o->headers.n;
}

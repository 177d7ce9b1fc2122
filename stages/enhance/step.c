/* decode -> ask: see step.h. */
#include "stages/enhance/step.h"

#include "lib/base/mem.h"

enum { KEEP_BYTES = 2048 };

static struct span plain(struct span raw, bool escaped, struct buf *into)
{
    if (!escaped)
        return raw;
    buf_reset(into, 0);
    json_unescape(into, raw);
    return buf_span(into);
}

enum status step_begin(struct step *step, struct enricher *enricher, struct span value,
                       const struct post_limits *limits, void (*done)(struct ask *), void *arg)
{
    struct ask *ask = &step->ask;
    struct error err;
    enum status st = post_scan(value, limits, &step->post, &err);
    if (st != ST_OK) {
        *ask_error(ask) = err;
        return st;
    }
    ask->value = value;
    ask->id = plain(step->post.id, step->post.id_escaped, &step->id);
    ask->text = plain(step->post.text, step->post.text_escaped, &step->text);
    ask->done = done;
    ask->arg = arg;
    return enricher_submit(enricher, ask);
}

void step_reset(struct step *step)
{
    buf_reset(&step->ask.answer, KEEP_BYTES);
    if (step->text.cap > KEEP_BYTES)
        buf_reset(&step->text, KEEP_BYTES);
    if (step->id.cap > KEEP_BYTES)
        buf_reset(&step->id, KEEP_BYTES);
}

void step_fini(struct step *step)
{
    ask_fini(&step->ask);
    buf_fini(&step->text);
    buf_fini(&step->id);
}

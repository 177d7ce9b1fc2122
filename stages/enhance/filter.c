/* The filter in the shape of the stages: take -> (answer) -> put, with a ring of lines between, so
 * that many questions are in flight while the order stays. */
#include "stages/enhance/filter.h"

#include <unistd.h>

#include "lib/base/mem.h"
#include "lib/stage/lines.h"
#include "lib/stage/say.h"
#include "stages/enhance/step.h"

enum { RING = 1024, TAKE_MAX = 256 };
enum line_state { ASKING, DONE, REFUSED };

struct line {
    struct buf text;
    struct step step;
    int64_t number;
    enum line_state state;
    struct filter *owner;
};

struct filter {
    const struct filter_config *cfg;
    struct loop *loop;
    struct loop_idle *more;
    struct lines *in;
    struct enricher *enricher;
    struct line ring[RING];
    size_t head, tail; /* head <= tail <= head + RING */
    int64_t count, refused;
    bool waiting, ended;
    struct say say;
    struct buf json;
    enum status status;
    struct error err;
};

static void end(struct filter *f, enum status st)
{
    f->status = st;
    loop_stop(f->loop);
}

static void settle(struct filter *f, struct line *line, enum status st)
{
    line->state = st == ST_OK ? DONE : REFUSED;
    if (st == ST_FATAL) {
        f->err = *line->step.ask.err;
        end(f, st);
    }
}

static void on_answer(struct ask *ask)
{
    struct line *line = ask->arg;
    settle(line->owner, line, ask->status);
    loop_idle_start(line->owner->more);
}

static void take_line(struct filter *f, struct span text, bool cut)
{
    struct line *line = &f->ring[f->tail++ % RING];
    buf_reset(&line->text, 4096);
    buf_add_span(&line->text, text);
    line->number = f->count;
    line->owner = f;
    line->state = ASKING;
    step_reset(&line->step);
    if (cut) {
        settle(f, line,
               error_reject(ask_error(&line->step.ask), REASON_post_too_large,
                            "the line is longer than %zu bytes", text.n));
        return;
    }
    enum status st = step_begin(&line->step, f->enricher, buf_span(&line->text), &f->cfg->limits,
                                on_answer, line);
    if (st != ST_AGAIN)
        settle(f, line, st);
}

static bool is_blank(struct span s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
            return false;
    return true;
}

static bool take(struct filter *f)
{
    struct span text;
    for (int i = 0; i < TAKE_MAX && !f->ended && !f->waiting && f->tail - f->head < RING; i++) {
        enum line_result res = lines_next(f->in, &text, &f->err);
        f->waiting = res == LINE_WAIT;
        f->ended = res == LINE_END;
        if (res == LINE_ERROR)
            end(f, ST_FATAL);
        if (res != LINE_READ && res != LINE_TOO_LONG)
            return false;
        f->count++;
        if (res == LINE_TOO_LONG || !is_blank(text))
            take_line(f, text, res == LINE_TOO_LONG);
    }
    return !f->ended && !f->waiting && f->tail - f->head < RING;
}

static void put_refused(struct filter *f, const struct line *line)
{
    const struct error *why = line->step.ask.err;
    if (why->reason == REASON_NONE)
        return; /* no fault of the line: it ends all */
    f->refused++;
    if (f->cfg->dead == NULL) {
        fprintf(stderr, "line %lld: %s: %s\n", (long long)line->number, reason_word(why->reason),
                why->text);
        return;
    }
    buf_reset(&f->json, 1 << 20);
    buf_printf(&f->json, "{\"line\":%lld,\"reason\":\"%s\",\"message\":\"", (long long)line->number,
               reason_word(why->reason));
    buf_add_json(&f->json, span_of(why->text));
    buf_add_str(&f->json, "\",\"value\":\"");
    buf_add_json(&f->json, buf_span(&line->text));
    buf_add_str(&f->json, "\"}\n");
    fwrite(f->json.p, 1, f->json.n, f->cfg->dead);
}

static void put(struct filter *f)
{
    for (; f->head < f->tail && f->ring[f->head % RING].state != ASKING; f->head++) {
        struct line *line = &f->ring[f->head % RING];
        if (line->state == REFUSED) {
            put_refused(f, line);
            continue;
        }
        post_splice(&f->say.text, buf_span(&line->text), &line->step.post,
                    buf_span(&line->step.ask.answer));
        say_text(&f->say, "\n");
    }
    if (say_flush(&f->say, &f->err) != ST_OK)
        end(f, ST_FATAL);
}

static void pump(void *arg)
{
    struct filter *f = arg;
    bool more = take(f);
    put(f);
    if (f->ended && f->head == f->tail)
        end(f, f->status);
    if (!more)
        loop_idle_stop(f->more);
}

static void on_readable(void *arg)
{
    struct filter *f = arg;
    f->waiting = false;
    loop_idle_start(f->more);
}

static void close_filter(struct filter *f)
{
    for (; f->head < f->tail; f->head++)
        if (f->ring[f->head % RING].state == ASKING)
            enricher_cancel(f->enricher, &f->ring[f->head % RING].step.ask);
    enricher_close(f->enricher);
    lines_close(f->in);
    for (size_t i = 0; i < RING; i++) {
        step_fini(&f->ring[i].step);
        buf_fini(&f->ring[i].text);
    }
    say_fini(&f->say);
    buf_fini(&f->json);
    loop_idle_free(f->more);
    loop_free(f->loop);
    mem_free(f);
}

enum status filter_run(const struct filter_config *cfg, int64_t *ret_refused, struct error *err)
{
    struct filter *f = mem_zalloc(sizeof *f);
    f->cfg = cfg;
    f->loop = loop_new();
    f->more = loop_idle_new(f->loop, pump, f);
    enum status st = lines_open(cfg->from, f->loop, on_readable, f, &f->in, err);
    if (st == ST_OK)
        lines_allow(f->in, cfg->limits.max_bytes);
    if (st == ST_OK)
        st = enricher_open(cfg->engine, f->loop, &f->enricher, err);
    if (st == ST_OK) {
        loop_idle_start(f->more);
        loop_run(f->loop);
        st = f->status;
        *err = f->err;
        *ret_refused = f->refused;
    }
    close_filter(f);
    return st;
}

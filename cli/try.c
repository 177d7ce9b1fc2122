/* The question goes the whole way of a post's, but its answer is not kept: a check that is answered
 * from memory says nothing. Trouble that would be waited for in a run ends it here. */
#include "cli/try.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "stages/enhance/answering.h"

enum { WAIT_EXTRA_MS = 2000, LINE_MAX_BYTES = 300 };

struct
try {
    struct ask ask;
    struct loop *loop;
    struct engine *engine;
    struct enricher *enricher;
    struct loop_timer *timer;
    int64_t give_up_ms;
    bool done;
};

static void on_answer(struct ask *ask)
{
    struct try *t = ask->arg;
    t->done = true;
    loop_stop(t->loop);
}

/* Whether the endpoint was tried and could not be used. */
static bool is_stuck(const struct try *t)
{
    const struct engine_counts *c = &t->engine->counts;
    return atomic_load(&c->failed) + atomic_load(&c->unreachable) + atomic_load(&c->limited) +
               atomic_load(&c->no_credit) >
           0;
}

static void on_timer(void *arg)
{
    struct try *t = arg;
    if (is_stuck(t) || clock_mono_ms() >= t->give_up_ms)
        loop_stop(t->loop);
    else
        loop_timer_start(t->timer, 20);
}

static enum status say_result(struct try *t, int64_t took_ms, struct error *err)
{
    struct ask *ask = &t->ask;
    if (!t->done)
        return enricher_trouble(t->enricher, err);
    if (ask->status == ST_OK) {
        printf("ok    enricher %s answers in %lld ms: %.*s%s\n", enricher_name(t->enricher),
               (long long)took_ms,
               ask->answer.n > LINE_MAX_BYTES ? LINE_MAX_BYTES : (int)ask->answer.n, ask->answer.p,
               ask->answer.n > LINE_MAX_BYTES ? "..." : "");
        return ST_OK;
    }
    *err = *ask->err;
    error_prefix(err, "enricher %s", enricher_name(t->enricher));
    return ST_FATAL;
}

static enum status ask_once(struct try *t, const struct enrich_options *opt, struct error *err)
{
    static const char post[] = "{\"id\":1,\"text\":\"Just had a great coffee!\"}";
    int64_t start_ms = clock_mono_ms();
    t->give_up_ms = start_ms + opt->governor.timeout_ms + WAIT_EXTRA_MS;
    t->ask.value = span_of(post);
    t->ask.id = SPAN_LIT("1");
    t->ask.text = SPAN_LIT("Just had a great coffee!");
    t->ask.done = on_answer;
    t->ask.arg = t;
    t->ask.status = enricher_submit(t->enricher, &t->ask);
    t->done = t->ask.status != ST_AGAIN;
    if (!t->done) {
        loop_timer_start(t->timer, 20);
        loop_run(t->loop);
    }
    enum status st = say_result(t, clock_mono_ms() - start_ms, err);
    if (!t->done)
        enricher_cancel(t->enricher, &t->ask);
    return st;
}

enum status try_enricher(struct app *app, struct error *err)
{
    struct enrich_options opt = *app->enrich;
    struct answering how = {
        .opt = &opt, .chain = config_tree(app->cfg, "enrichers"), .stage = app->stage};
    struct try t = {0};
    opt.answers.on = false;
    opt.record = NULL;
    enum status st = answering_open(&how, &t.engine, err);
    if (st != ST_OK)
        return st;
    t.engine->cfg.warn = NULL; /* what is wrong is said once, at the end */
    t.loop = loop_new();
    t.timer = loop_timer_new(t.loop, on_timer, &t);
    st = enricher_open(t.engine, t.loop, &t.enricher, err);
    if (st == ST_OK)
        st = ask_once(&t, &opt, err);
    enricher_close(t.enricher);
    ask_fini(&t.ask);
    loop_timer_free(t.timer);
    loop_free(t.loop);
    answering_close(t.engine);
    return st;
}

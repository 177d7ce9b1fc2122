/* The question goes the whole way of a post's, but its answer is not kept: a check that is answered
 * from memory says nothing. Trouble that would be waited for in a run ends it here. Of several
 * endpoints each is asked alone: else the first that answers would hide what is wrong with another.
 */
#include "cli/try.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/enrich/secret.h"
#include "stages/enhance/answering.h"

enum { WAIT_EXTRA_MS = 2000, LINE_MAX_BYTES = 300 };

enum depth {
    OFFLINE, /* nothing is connected to, started or written */
    OPEN,    /* are the options right? */
    ASK,
};

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

/* Opening it would start its program. */
static bool has_program(const struct engine *engine)
{
    for (size_t i = 0; i < engine->link_count; i++)
        if (engine->links[i].opt.kind == KIND_EXEC)
            return true;
    return false;
}

static enum status try_these(struct app *app, const struct enrich_options *opt, enum depth depth,
                             struct error *err)
{
    struct answering how = {.opt = opt,
                            .chain = config_tree(app->cfg, "enrichers"),
                            .stage = app->stage,
                            .dry = depth == OFFLINE};
    struct try t = {0};
    enum status st = answering_open(&how, &t.engine, err);
    if (st != ST_OK)
        return st;
    t.engine->cfg.warn = NULL; /* what is wrong is said once, at the end */
    t.loop = loop_new();
    t.timer = loop_timer_new(t.loop, on_timer, &t);
    if (depth == OFFLINE && has_program(t.engine))
        printf("note  enricher: not opened, that would start its program\n");
    else
        st = enricher_open(t.engine, t.loop, &t.enricher, err);
    if (st == ST_OK && depth == OFFLINE && t.enricher != NULL)
        printf("ok    enricher %s: its options, nothing was asked\n", enricher_name(t.enricher));
    if (st == ST_OK && depth == ASK)
        st = ask_once(&t, opt, err);
    enricher_close(t.enricher);
    ask_fini(&t.ask);
    loop_timer_free(t.timer);
    loop_free(t.loop);
    answering_close(t.engine);
    return st;
}

static enum status try_endpoint(struct app *app, const struct enrich_options *opt, size_t i,
                                struct error *err)
{
    struct enrich_options one = *opt;
    one.llm.urls = (struct option_list){&opt->llm.urls.items[i], 1};
    if (opt->llm.models.n > 1)
        one.llm.models = (struct option_list){&opt->llm.models.items[i], 1};
    bool keys = opt->llm.keys != NULL && opt->llm.keys[0] != '\0';
    char *key = keys ? secret_item(opt->llm.keys, i) : NULL;
    one.llm.keys = key;
    enum status st = try_these(app, &one, ASK, err);
    secret_free(key);
    if (st == ST_OK)
        printf("ok    endpoint %s\n", opt->llm.urls.items[i]);
    else
        printf("bad   %s\n", err->text);
    return st;
}

enum status try_enricher(struct app *app, bool offline, struct error *err)
{
    struct enrich_options opt = *app->enrich;
    opt.answers.on = false;
    opt.record = NULL;
    size_t count = opt.llm.urls.n, bad = 0;
    bool several =
        opt.kind == KIND_OPENAI && config_tree(app->cfg, "enrichers") == NULL && count > 1;
    enum status st = try_these(app, &opt, offline ? OFFLINE : several ? OPEN : ASK, err);
    if (st != ST_OK || offline || !several)
        return st;
    struct error first = {0};
    for (size_t i = 0; i < count; i++) {
        if (try_endpoint(app, &opt, i, err) == ST_OK)
            continue;
        if (bad++ == 0)
            first = *err;
    }
    if (bad == 0)
        return ST_OK;
    return error_set(err, ST_FATAL, first.kind, "%zu of %zu endpoints: %s", bad, count, first.text);
}

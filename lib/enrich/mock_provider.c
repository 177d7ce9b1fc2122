/* The mock as something that costs money: the same answers through all of the engine, with store,
 * governor and budget. Tokens are a quarter of the bytes. */
#include <string.h>

#include "lib/base/mem.h"
#include "lib/enrich/ops.h"
#include "lib/enrich/provider.h"

enum { TOKEN_BYTES = 4, PROMPT_TOKENS = 60 };

struct running {
    struct ask ask;
    struct call *call;
    struct mock_provider *owner;
    struct running *next; /* free ones, or the ones to be told */
    bool ready;           /* answered at once: told by the timer */
};

struct mock_provider {
    const struct enrich_options *opt;
    void *mock;
    struct loop_timer *timer;
    struct running *free, *ready;
};

static void tell(struct running *r)
{
    struct call *call = r->call;
    struct ask *ask = &r->ask;
    struct mock_provider *m = r->owner;
    call->owner = NULL;
    call->latency_us = m->opt->mock.latency_ms * 1000;
    call->tokens_in = PROMPT_TOKENS + (int64_t)ask->text.n / TOKEN_BYTES;
    call->tokens_out = (int64_t)ask->answer.n / TOKEN_BYTES;
    call->cost_nano = (int64_t)(m->opt->mock.cost_usd * 1e9 + 0.5);
    call->bought = true;
    call->outcome = ask->status == ST_OK ? CALL_OK : CALL_REFUSED;
    if (ask->status == ST_OK)
        buf_add_span(&call->content, buf_span(&ask->answer));
    else
        call->err = *ask->err;
    r->next = m->free;
    m->free = r;
    call->done(call);
}

static void on_answer(struct ask *ask)
{
    tell(ask->arg);
}

static void on_timer(void *arg)
{
    struct mock_provider *m = arg;
    while (m->ready != NULL) {
        struct running *r = m->ready;
        m->ready = r->next;
        r->ready = false;
        tell(r);
    }
}

static enum status mock_provider_open(void *ctx, const struct provider_config *cfg,
                                      struct error *err)
{
    struct mock_provider *m = ctx;
    m->opt = cfg->opt;
    m->mock = mem_zalloc(mock_enricher_ops.ctx_size);
    m->timer = loop_timer_new(cfg->loop, on_timer, m);
    return mock_enricher_ops.open(m->mock, cfg->opt, cfg->loop, err);
}

static void mock_provider_close(void *ctx)
{
    struct mock_provider *m = ctx;
    mock_enricher_ops.close(m->mock);
    loop_timer_free(m->timer);
    while (m->free != NULL) {
        struct running *r = m->free;
        m->free = r->next;
        ask_fini(&r->ask);
        mem_free(r);
    }
    mem_free(m->mock);
}

static const char *mock_provider_model(const void *ctx, int endpoint)
{
    UNUSED(ctx);
    UNUSED(endpoint);
    return "lexicon";
}

static const char *mock_provider_variant(const void *ctx)
{
    UNUSED(ctx);
    return "lexicon/1";
}

static enum status mock_provider_prepare(void *ctx, const struct ask *ask, struct buf *body,
                                         struct error *err)
{
    UNUSED(ctx);
    UNUSED(err);
    buf_add_span(body, ask->text);
    return ST_OK;
}

static void mock_provider_start(void *ctx, struct call *call)
{
    struct mock_provider *m = ctx;
    struct running *r = m->free;
    if (r == NULL)
        r = mem_zalloc(sizeof *r);
    else
        m->free = r->next;
    r->owner = m;
    r->call = call;
    r->ask.text = call->body;
    r->ask.done = on_answer;
    r->ask.arg = r;
    call->owner = r;
    r->ready = mock_enricher_ops.submit(m->mock, &r->ask) != ST_AGAIN;
    if (!r->ready)
        return;
    r->next = m->ready;
    m->ready = r;
    loop_timer_start(m->timer, 0);
}

static void mock_provider_cancel(void *ctx, struct call *call)
{
    struct mock_provider *m = ctx;
    struct running *r = call->owner;
    if (r == NULL)
        return;
    if (r->ready) {
        struct running **at = &m->ready;
        while (*at != r)
            at = &(*at)->next;
        *at = r->next;
    } else {
        mock_enricher_ops.cancel(m->mock, &r->ask);
    }
    r->next = m->free;
    m->free = r;
    call->owner = NULL;
}

const struct provider_ops mock_provider_ops = {
    .kind = "mock",
    .ctx_size = sizeof(struct mock_provider),
    .open = mock_provider_open,
    .close = mock_provider_close,
    .model = mock_provider_model,
    .variant = mock_provider_variant,
    .prepare = mock_provider_prepare,
    .start = mock_provider_start,
    .cancel = mock_provider_cancel,
};

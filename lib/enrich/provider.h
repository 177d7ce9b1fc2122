/* Whoever is asked over a way that can fail, be slow and cost money: beneath the engine (paid.h),
 * which decides when a call is made, how often, and what becomes of the answer. A provider only
 * writes requests, makes single calls and reads replies. Loop thread only. */
#ifndef SLUICE_ENRICH_PROVIDER_H
#define SLUICE_ENRICH_PROVIDER_H

#include "lib/enrich/enrich.h"
#include "lib/enrich/options.h"
#include "lib/enrich/transport.h"

struct schema;

/* What an engine gives to the providers it opens. All borrowed, constant, and outlives them. */
struct provider_config {
    const struct enrich_options *opt;
    struct loop *loop;
    struct transport *transport;
    struct span schema;          /* the text, compact */
    const char *system, *prompt; /* templates when the options have none */
    unsigned redact;             /* REDACT_ bits */
};

enum call_outcome {
    CALL_OK,          /* `content` is what was answered */
    CALL_LIMITED,     /* too much at this time (429): again later */
    CALL_NO_CREDIT,   /* nothing is sold to this account before somebody pays */
    CALL_FAILED,      /* an answer was due and did not come, or was none: may be tried again */
    CALL_TIMEOUT,     /* the same, because of time */
    CALL_UNREACHABLE, /* nothing was sent: nothing was bought */
    CALL_REFUSED,     /* this question will never be answered: err->reason */
    CALL_FATAL,       /* nothing will be: a setting must change (key, model, …) */
};

/* One call for one question. The engine owns it until `done`. */
struct call {
    /* in */
    struct span body; /* of prepare, or of repair */
    int endpoint;
    bool trusted; /* an earlier call to this endpoint went well */
    int64_t timeout_ms;
    void (*done)(struct call *call);
    void *arg;

    /* out */
    enum call_outcome outcome;
    struct buf content;            /* JSON as text, not looked at yet */
    bool truncated;                /* cut by the token limit */
    int64_t tokens_in, tokens_out; /* -1: not told */
    int64_t cost_nano;             /* in $ / 10^9; -1: by the price table */
    bool bought;                   /* it may have been paid for although nothing usable came */
    int64_t latency_us;
    struct http_limits limits;
    struct error err;

    void *owner; /* the provider's */
};

struct provider_ops {
    const char *kind;
    size_t ctx_size;
    enum status (*open)(void *ctx, const struct provider_config *cfg, struct error *err);
    void (*close)(void *ctx); /* also after a failed open */

    /* "gpt-4o-mini": what stands for the model in names, prices and cassettes. */
    const char *(*model)(const void *ctx, int endpoint);

    /* What makes the answers of two configurations differ although their bodies are equal. */
    const char *(*variant)(const void *ctx);

    /* The exact request for this post, the same for every endpoint. Appends. ST_REJECT: none. */
    enum status (*prepare)(void *ctx, const struct ask *ask, struct buf *body, struct error *err);

    /* Once more, showing what was wrong with `content`. False: this provider cannot. Appends. */
    bool (*repair)(void *ctx, struct span body, struct span content, const char *wrong,
                   struct buf *ret_body);

    /* `done` comes later, never inside start. cancel: it does not come. */
    void (*start)(void *ctx, struct call *call);
    void (*cancel)(void *ctx, struct call *call);
};

extern const struct provider_ops openai_provider_ops, http_provider_ops, mock_provider_ops;

/* Reset a call before it is used (again); keeps the memory of its content. */
void call_reset(struct call *call);

#endif

/* The second plug point: who answers what a post is about.
 *
 * An enricher answers questions (asks) and never knows what a broker is. It is asynchronous:
 * `submit` may answer at once or later through ask->done. Implementations: see ops.h.
 * Threads: an enricher belongs to the loop it was opened on ("loop thread only"). */
#ifndef SLUICE_ENRICH_ENRICH_H
#define SLUICE_ENRICH_ENRICH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/span.h"

struct enricher;
struct engine;

/* How an answer came to be. */
enum ask_cache { CACHE_NONE, CACHE_MISS, CACHE_HIT, CACHE_COALESCED };

/* One question about one post. The asker owns it and keeps it, and what the spans point to, until
 * the answer is there. Zero it before the first use; reuse keeps the answer's memory. */
struct ask {
    /* in */
    struct span value;             /* the whole post */
    struct span id;                /* as text */
    struct span text;              /* unescaped */
    bool redriven;                 /* a remembered refusal does not count */
    void (*done)(struct ask *ask); /* called once after submit said ST_AGAIN */
    void *arg;

    /* out: valid when submit returned ST_OK or ST_REJECT, and in done() */
    enum status status; /* ST_OK, ST_REJECT (err->reason), ST_FATAL */
    struct buf answer;  /* one JSON value */
    struct error *err;  /* why there is none: see ask_error; NULL until one is needed */
    enum ask_cache cache;
    int64_t tokens_in, tokens_out; /* what this ask caused */
    double cost_usd;
    int attempts;
    bool passed; /* let through without an answer, because the budget is spent */

    void *owner; /* the enricher's while it runs */
};

/* Room to say why the ask is refused: made when first needed, since few are, and kept. */
struct error *ask_error(struct ask *ask);

void ask_fini(struct ask *ask);

/* An enricher of an engine (engine.h) for one loop. Errors: ERR_CONFIG, ERR_UNAVAILABLE. Caller
 * owns *ret, and closes it before the engine. */
enum status enricher_open(struct engine *engine, struct loop *loop, struct enricher **ret,
                          struct error *err) MUST_CHECK;
void enricher_close(struct enricher *enricher); /* cancels what still runs; NULL is accepted */

/* ST_OK: ask->answer holds the answer now. ST_REJECT: refused now, *ask->err says why. ST_AGAIN:
 * later, through ask->done. ST_FATAL: the enricher cannot work at all. */
enum status enricher_submit(struct enricher *enricher, struct ask *ask) MUST_CHECK;

/* How many more asks are of use now: calls are bounded, and a quarter as many may wait for their
 * turn (64 at least). More could be asked too, and would only take memory. There is room again
 * after one of those that wait has ended, or was cancelled. SIZE_MAX for what is bounded by
 * nothing. */
size_t enricher_room(const struct enricher *enricher);

/* Nobody waits for this ask any more: done() is not called, the ask is the asker's again. */
void enricher_cancel(struct enricher *enricher, struct ask *ask);

/* Whether this ask only waits, for its turn or for what somebody else asks: no call of its own is
 * made now, and giving it up costs nothing. False for what costs nothing anyway. */
bool enricher_is_queued(const struct enricher *enricher, const struct ask *ask);

/* What stands in the way of an answer just now, in words: the last call that brought none. ST_FATAL
 * always: for whoever does not want to wait. */
enum status enricher_trouble(const struct enricher *enricher, struct error *err);

/* Whether any of its answers cost money: then records say what they caused. */
bool enricher_is_paid(const struct enricher *enricher);

/* "kind/model/hash" for the header sluice-enricher. Borrowed. */
const char *enricher_name(const struct enricher *enricher);

#endif

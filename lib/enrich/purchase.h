/* Inside of paid.h, shared by its files:
 *
 *     paid.c       questions: submit, follow, lead, settle, cancel
 *     calling.c    calls: when, where, how often, what they used
 *     verdict.c    answers: parse, check, write anew
 *
 * Loop thread only. */
#ifndef SLUICE_ENRICH_PURCHASE_H
#define SLUICE_ENRICH_PURCHASE_H

#include "lib/base/backoff.h"
#include "lib/enrich/paid.h"

enum purchase_state {
    PURCHASE_FREE,
    PURCHASE_FOLLOWS, /* somebody else asks */
    PURCHASE_READY,   /* in the queue for a call */
    PURCHASE_SLEEPS,  /* after a failure */
    PURCHASE_CALLS,
    PURCHASE_STORES, /* settled, not durable yet */
};

struct purchase {
    struct paid *paid;
    struct ask *ask; /* NULL: nobody waits any more */
    enum purchase_state state;
    struct waiter waiter;
    struct purchase *prev, *next;         /* in the queue or among the sleepers; next: free */
    struct purchase *prev_all, *next_all; /* all that are in use */
    struct buf body;
    struct call call;
    struct permit permit;
    struct hold hold;
    int64_t deadline_us; /* 0: none */
    int64_t due_us;      /* while it sleeps */
    struct backoff backoff;
    int endpoint; /* the first that may be used: moves on when the budget says cheaper */
    int attempts, failures;
    bool repaired, leads;
    bool known; /* somebody else stored the answer before we asked */
    bool open;  /* from the begin of its call until its answer is stored: could be paid twice */
    int64_t tokens_in, tokens_out, cost_nano; /* of all calls for this question */
};

struct purchase_list {
    struct purchase *first, *last;
    size_t n;
};

struct paid {
    struct engine *engine;
    const struct link *link;
    const struct provider_ops *ops;
    void *ctx;
    struct answers_client *client;
    struct loop *loop;
    struct purchase *free, *all;
    struct purchase_list ready, sleepers;
    int64_t open;             /* asked, and not stored; never more than concurrency_max */
    struct loop_timer *timer; /* the next sleeper, deadline or turn of the queue */
    struct loop_bell *bell;   /* a governor let somebody go */
    int64_t timer_us;         /* when it is due; 0: not started */
    uint64_t seed;
    bool submitting; /* inside submit: no ask may end */
    bool dead;       /* nothing will ever be answered here */
    struct error why_dead;
    struct error trouble; /* of the last call that failed */
};

/* --- calling.c --- */

/* Make calls for those that are ready, as many as may begin. */
void paid_pump(struct paid *p);

/* Put it into the queue (first: before the others) and pump. */
void paid_enqueue(struct paid *p, struct purchase *b, bool first);

/* It is not open any more. */
void paid_shut(struct purchase *b);

/* Take it out of the queue or from the sleepers. */
void paid_unqueue(struct paid *p, struct purchase *b);

void paid_on_call(struct call *call);

/* Give up a call that runs: what it would have used counts as used. */
void paid_abandon_call(struct paid *p, struct purchase *b);

/* Wake up at the latest then (clock_mono_ns / 1000). */
void paid_wake_at(struct paid *p, int64_t at_us);
void paid_on_timer(void *arg);

/* --- verdict.c --- */

/* ST_OK: `out` holds the answer, written anew. ST_REJECT: what is wrong with the content. */
enum status verdict_read(const struct link *link, struct call *call, struct buf *out,
                         struct error *err) MUST_CHECK;

/* --- paid.c --- */

/* The leader's answer, or why there is none; keep: for ever. */
void paid_settle(struct purchase *b, enum reason reason, struct span text, bool keep);

/* Only this ask is refused; its waiter has left already. */
void paid_reject(struct purchase *b, enum reason reason, struct span text);

/* Give the purchase back; its waiter has left, nobody is told. */
void paid_drop(struct purchase *b);

/* Whether somebody else has stored the answer since we looked: then it is not bought. */
bool paid_known(struct purchase *b);

/* The budget lets it pass without an answer. */
void paid_pass(struct purchase *b);

/* Nothing will ever be answered: everybody who waits is told so. */
void paid_die(struct paid *p, const struct error *err);

#endif

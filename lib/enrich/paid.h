/* The way of a paid question, for one link on one loop:
 *
 *     prepare ─ known? ──────────────────────────────────────────────> answered (hit)
 *                 │ asked by somebody else: follow ──────────────────> answered (coalesced)
 *                 └ lead: budget, governor ─ call ─ check ─ (repair) ─ store ─> answered (miss)
 *                              └──── again, after a while ──┘
 *
 * Ensures: 1. an ask is answered only when its answer is stored. 2. Every call holds a permit of
 * its endpoint's governor and a reservation of the budget from its begin to its end. 3. An ask
 * that is cancelled while its call runs leaves the call running: what is paid for is stored. 4. No
 * text of a model leaves here that was not parsed, checked and written anew. Loop thread only. */
#ifndef SLUICE_ENRICH_PAID_H
#define SLUICE_ENRICH_PAID_H

#include "lib/enrich/engine.h"
#include "lib/enrich/provider.h"

struct paid;

/* client may be NULL when the link keeps no answers. Caller owns *ret. */
enum status paid_open(struct engine *engine, const struct link *link, struct answers_client *client,
                      struct transport *transport, struct loop *loop, struct paid **ret,
                      struct error *err) MUST_CHECK;

/* Calls that run are cut off and counted as abandoned. NULL is accepted. */
void paid_close(struct paid *paid);

/* The last call that failed, if any did: in words. */
bool paid_trouble(const struct paid *paid, struct error *err);

/* As enricher_submit and enricher_cancel. */
enum status paid_submit(struct paid *paid, struct ask *ask) MUST_CHECK;
void paid_cancel(struct paid *paid, struct ask *ask);

/* As enricher_room. */
size_t paid_room(const struct paid *paid);

/* As enricher_is_queued. */
bool paid_is_queued(const struct ask *ask);

#endif

/* Who keeps what is paid for: the engine of `sluice enhance` with this configuration, opened by the
 * same functions. Where a broker is set, answers are shared with the stage, else with `sluice
 * enrich`; on Kafka the topic of answers is written and read by the stage's journal.
 * Threads: open and close on one thread, all else on any. */
#ifndef SLUICE_API_KEEPER_H
#define SLUICE_API_KEEPER_H

#include "lib/config/config.h"
#include "lib/enrich/engine.h"

struct keeper;

/* Returns when the topic of answers was read to its end. `cfg` is borrowed. Caller owns *ret.
 * Errors: those of the broker, the engine and the journal. */
enum status keeper_open(const struct config *cfg, struct keeper **ret,
                        struct error *err) MUST_CHECK;
void keeper_close(struct keeper *k); /* stores what is to be stored; NULL is accepted */

struct engine *keeper_engine(const struct keeper *k);

/* Whether an answer can be stored: ST_OK; ST_AGAIN: not just now, ST_FATAL: never, and why. */
enum status keeper_check(const struct keeper *k, struct error *err) MUST_CHECK;

#endif

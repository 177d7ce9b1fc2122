/* What may be spent: caps for this run, for a clock hour and for a day (UTC).
 *
 * What is spent in an hour or a day stands in the file of answers, so that restarts and, where the
 * file is shared, all processes count against one cap. It is written there in blocks of 1 % of the
 * cap *before* they are used: a crash overstates what was spent, never understates it.
 *
 * Threads: any thread. A reservation may write to the file (about 100 times for a whole cap). */
#ifndef SLUICE_ENRICH_BUDGET_H
#define SLUICE_ENRICH_BUDGET_H

#include "lib/base/error.h"
#include "lib/enrich/options.h"

struct budget;

enum { BUDGET_SCOPES = 3 }; /* run, hour, day */

struct hold { /* a reservation */
    int64_t nano;
    int64_t period[BUDGET_SCOPES];
};

/* path: the file, or NULL: hours and days are counted in this process only. `share`: caps are
 * divided by so many processes. `warn` is called once for each cap and period at 80 %, and when it
 * is spent. Caller owns *ret. */
enum status budget_open(const struct budget_options *opt, const char *path, int64_t share,
                        void (*warn)(void *arg, const char *text), void *arg, struct budget **ret,
                        struct error *err) MUST_CHECK;
void budget_close(struct budget *b); /* gives back what is left of the blocks; NULL is accepted */

/* Whether any cap is set. */
bool budget_on(const struct budget *b);

/* ST_OK: reserved. ST_AGAIN: a cap would be passed; *ret_wait_ms until its period ends (-1: it is
 * the run's, which does not end). now_ms: wall clock. ST_FATAL: the file cannot be used. */
enum status budget_reserve(struct budget *b, int64_t nano, int64_t now_ms, struct hold *ret,
                           int64_t *ret_wait_ms, struct error *err) MUST_CHECK;

/* So much of it was spent (more is possible). */
void budget_settle(struct budget *b, const struct hold *hold, int64_t spent_nano, int64_t now_ms);

#endif

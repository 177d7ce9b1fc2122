/* One real question to the enricher, for `sluice check`: says in words what is wrong.
 * Main thread. */
#ifndef SLUICE_CLI_TRY_H
#define SLUICE_CLI_TRY_H

#include "cli/command.h"

/* offline: opens the enricher and asks nothing; nothing is connected to, started or written. */
enum status try_enricher(struct app *app, bool offline, struct error *err) MUST_CHECK;

#endif

/* One real question to the enricher, for `sluice check`: says in words what is wrong. Main thread.
 */
#ifndef SLUICE_CLI_TRY_H
#define SLUICE_CLI_TRY_H

#include "cli/command.h"

enum status try_enricher(struct app *app, struct error *err) MUST_CHECK;

#endif

/* Opening a broker to look at what is there: SQLite would make a file that is missing, and a wrong
 * path would pass for an empty broker. Main thread. */
#ifndef SLUICE_CLI_LOOK_H
#define SLUICE_CLI_LOOK_H

#include "lib/broker/broker.h"

/* The path of the embedded broker's file when there is no such file, else NULL. Borrowed from opt.
 */
const char *look_missing_file(const struct broker_options *opt);

/* broker_open, but a file that is missing is ERR_CONFIG and is not made. */
enum status look_open(const struct broker_options *opt, struct broker **ret,
                      struct error *err) MUST_CHECK;

#endif

/* Option values that are a text or, after an @, the name of a file that holds it. Any thread. */
#ifndef SLUICE_ENRICH_TEXT_H
#define SLUICE_ENRICH_TEXT_H

#include "lib/base/error.h"

/* Caller owns *ret (mem_free). `name` is the option, for the error: ERR_CONFIG. */
enum status text_read(const char *value, const char *name, char **ret,
                      struct error *err) MUST_CHECK;
enum status text_read_file(const char *path, const char *name, char **ret,
                           struct error *err) MUST_CHECK;

#endif

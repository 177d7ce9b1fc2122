/* Every table of options there is, so that the program, the library and the documents read the same
 * configuration. Any thread: constant. */
#ifndef SLUICE_API_TABLES_H
#define SLUICE_API_TABLES_H

#include "lib/config/option.h"

extern const struct option_table *const all_tables[];
extern const size_t all_table_count;

#endif

/* One line for each owner of options, in the order of the documents. */
#include "api/tables.h"

#include "lib/broker/broker.h"
#include "lib/config/general.h"
#include "lib/enrich/options.h"
#include "lib/stage/options.h"
#include "stages/enhance/options.h"
#include "stages/sink/options.h"
#include "stages/source/options.h"

const struct option_table *const all_tables[] = {
    &general_option_table, &broker_option_table, &stage_option_table, &source_option_table,
    &enhance_option_table, &enrich_option_table, &sink_option_table,
};
const size_t all_table_count = sizeof all_tables / sizeof *all_tables;

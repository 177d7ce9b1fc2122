/* Inside of a batch of sluice.h: the results and the memory that they point to.
 * Threads: written by the desk that answers it, then its owner's. */
#ifndef SLUICE_API_BATCH_H
#define SLUICE_API_BATCH_H

#include "include/sluice.h"
#include "lib/base/arena.h"

struct sluice_batch {
    struct arena bytes;
    struct sluice_result *results;
};

#endif

/* What every broker promises, as a suite of sentences. A broker adds a fixture and calls
 * broker_contract_run from its test program. One thread. */
#ifndef SLUICE_TESTS_BROKER_CONTRACT_H
#define SLUICE_TESTS_BROKER_CONTRACT_H

#include "lib/broker/broker.h"

struct contract_fixture {
    const char *name;

    /* Before each test: set in `opt` what opens the broker (url at least). It may be a new one
     * each time or one that is shared: topics and groups have names of their own. */
    void (*setup)(struct broker_options *opt);
    void (*teardown)(void); /* after each test, all closed; may be NULL */

    /* Delete the records below `offset`, so that the log begins there; NULL when the broker cannot
     * do that. `broker` is open. */
    void (*trim)(struct broker *broker, const struct broker_options *opt, const char *topic,
                 int32_t partition, int64_t offset);
};

/* Runs all sentences; returns the number of those that failed. */
int broker_contract_run(const struct contract_fixture *fixture);

#endif

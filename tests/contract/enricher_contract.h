/* What every enricher promises, as a suite of sentences. An enricher adds a fixture and calls
 * enricher_contract_run from its test program. One thread. */
#ifndef SLUICE_TESTS_ENRICHER_CONTRACT_H
#define SLUICE_TESTS_ENRICHER_CONTRACT_H

#include "tests/support/engines.h"

struct enricher_fixture {
    const char *name;
    void (*setup)(struct enrich_options *opt); /* before each test: opt holds the defaults */
    void (*teardown)(void);                    /* after each test; may be NULL */
};

/* Runs all sentences; returns the number of those that failed. */
int enricher_contract_run(const struct enricher_fixture *fixture);

#endif

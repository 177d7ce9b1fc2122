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

/* The same for an answerer that misbehaves: each of a few asks ends once and in time, with an
 * answer that is JSON or a reason; memory stays bounded; closing in the middle tells nobody. */
struct hostile_fixture {
    struct enricher_fixture base;
    bool stops;   /* asks may end as ST_FATAL: a setting is wrong */
    bool refuses; /* no ask is answered */
};
int enricher_hostile_run(const struct hostile_fixture *fixture);

/* Runs all sentences; returns the number of those that failed. */
int enricher_contract_run(const struct enricher_fixture *fixture);

#endif

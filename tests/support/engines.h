/* Engines for tests: default options, the bundled schema and prompts. One thread. */
#ifndef SLUICE_TESTS_ENGINES_H
#define SLUICE_TESTS_ENGINES_H

#include "lib/enrich/engine.h"
#include "lib/enrich/enrich.h"

/* What the program has when nothing is set. */
void enrich_defaults(struct enrich_options *opt);

/* path: the file of answers, or NULL; chain: `enrichers` as JSON, or NULL. Fails the test. */
struct engine *engine_make(const struct enrich_options *opt, const char *chain, const char *path);
void engine_end(struct engine *engine);

#endif

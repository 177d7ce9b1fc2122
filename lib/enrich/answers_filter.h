/* Which questions a file may know: a blocked Bloom filter over their keys, which are hashes
 * already. A look into the file costs some 8 us and most questions are new, so it is worth a bit of
 * memory: 16 bits a question for as many as it was made for, twice what is there or a million;
 * beyond that it only says "maybe" more often. Threads: any; add and ask race harmlessly, a
 * question that is just being added may be missed. */
#ifndef SLUICE_ENRICH_ANSWERS_FILTER_H
#define SLUICE_ENRICH_ANSWERS_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/enrich/question.h"

struct answers_filter;

struct answers_filter *answers_filter_new(int64_t known);
void answers_filter_free(struct answers_filter *f); /* NULL is accepted */

void answers_filter_add(struct answers_filter *f, const struct question *q);

/* False: it was never added. */
bool answers_filter_may_have(const struct answers_filter *f, const struct question *q);

#endif

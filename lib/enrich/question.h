/* What makes two questions the same: SHA-256 over the kind of enricher, its variant, the schema
 * and the exact request, each with its length before it. Nothing is normalised. Any thread. */
#ifndef SLUICE_ENRICH_QUESTION_H
#define SLUICE_ENRICH_QUESTION_H

#include "lib/base/span.h"

enum { QUESTION_BYTES = 32, QUESTION_HEX = 2 * QUESTION_BYTES };

struct question {
    unsigned char key[QUESTION_BYTES];
};

void question_make(const struct span *parts, size_t n, struct question *ret);

/* As hexadecimal digits and a zero byte. */
void question_write(const struct question *q, char out[QUESTION_HEX + 1]);

/* Whether the text was one. */
bool question_read(struct span text, struct question *ret);

#endif

/* Card and phone numbers for redact.c. Private to it. Any thread. */
#ifndef SLUICE_ENRICH_REDACT_NUMBER_H
#define SLUICE_ENRICH_REDACT_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/span.h"

/* Bytes of the letter, digit or underscore at place i, as far as it is one: 0 otherwise. Beyond
 * ASCII all but punctuation, spaces and emoji count as letters. */
size_t redact_word_char(struct span text, size_t i);

struct found_number {
    unsigned kind; /* REDACT_CARD, REDACT_PHONE or 0 */
    size_t n;      /* bytes of it; for 0: bytes in which no number begins */
};

/* At place i stands a digit, '+' or '(', and no word goes on to there. `kinds` are those wanted. */
struct found_number redact_number(unsigned kinds, struct span text, size_t i);

#endif

/* The text of a value and what it means: one place for every type of option.
 * Threads: any thread. */
#ifndef SLUICE_CONFIG_VALUE_H
#define SLUICE_CONFIG_VALUE_H

#include "lib/base/buf.h"
#include "lib/config/option.h"

/* What a text was read as; the member is told by the row's type. */
union value {
    bool yes;       /* OPTION_BOOL */
    int64_t number; /* OPTION_INT; OPTION_SIZE in bytes; OPTION_DURATION in ms */
    double real;    /* OPTION_REAL */
    int word;       /* OPTION_WORD */
};

/* Whether `text` is accepted by the row; then *ret is set (not for OPTION_TEXT and OPTION_LIST,
 * which accept anything). No spaces around the text. */
bool value_parse(const struct option *row, const char *text, union value *ret);

/* Store a value (or, for OPTION_TEXT, `text`) in the field of the owner's struct. Lists are stored
 * by their owner. */
void value_store(const struct option *row, void *field, const union value *value, const char *text);

/* Append what the row accepts: "a whole number from 1 to 100". */
void value_describe(const struct option *row, struct buf *out);

#endif

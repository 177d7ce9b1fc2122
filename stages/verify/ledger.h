/* The book of the raw topic: for each raw record 8 bytes that say what it was and where it came
 * out.
 *
 *     | digest, 56 bits | spare | DONE | TRUNCATED | LETTER | OUTPUT | OWN | PRESENT |
 *
 * One thread. */
#ifndef SLUICE_VERIFY_LEDGER_H
#define SLUICE_VERIFY_LEDGER_H

#include "lib/stage/sweep.h"
#include "stages/enhance/ranges.h"

enum {
    ENTRY_PRESENT = 1,    /* it was read */
    ENTRY_OWN = 2,        /* it brought an enrichment */
    ENTRY_OUTPUT = 4,     /* it is in the enhanced topic */
    ENTRY_LETTER = 8,     /* it is in the dead letters */
    ENTRY_TRUNCATED = 16, /* there without its value */
    ENTRY_DONE = 32,      /* the group's position says so */
    ENTRY_BITS = 8
};

struct ledger_part {
    int64_t start, end; /* of the log; entries for all offsets between */
    int64_t position;   /* the group's, or `start` when it has none */
    struct ranges done; /* above the position */
    uint64_t *entries;
};

struct ledger {
    struct ledger_part *parts;
    int32_t count;
};

/* Takes the group's positions. ERR_CONFIG: metadata that cannot be read. */
enum status ledger_open(struct ledger *l, struct broker *broker, const char *group,
                        const char *topic, struct error *err) MUST_CHECK;

/* Makes room for the records of a log of as many partitions, and marks those that are done. */
void ledger_size(struct ledger *l, const struct sweep *raw);
void ledger_close(struct ledger *l); /* a zeroed one is accepted */

/* The entry of a raw record; NULL when the log does not reach to it. */
uint64_t *ledger_find(const struct ledger *l, int32_t partition, int64_t offset);

/* Whether position and ranges say that this offset is done. */
bool ledger_is_done(const struct ledger_part *part, int64_t offset);

#endif

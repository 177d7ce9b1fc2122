/* What a verification found: for each invariant how many records were checked, how many broke it,
 * how many cannot be decided, and the first of those that broke it. One thread. */
#ifndef SLUICE_VERIFY_VERDICT_H
#define SLUICE_VERIFY_VERDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/status.h"

enum invariant_name { I1, I2, I3, I4, I5, I7, I8, I9, INVARIANTS };
enum invariant_state { INVARIANT_OK, INVARIANT_FAILED, INVARIANT_UNDECIDED };
enum { EXAMPLES_MAX = 20 };

struct example {
    char *topic; /* owned, as the text is */
    int32_t partition;
    int64_t offset;
    char *text;
};

struct invariant {
    const char *id, *what;
    int64_t checked, failed;
    int64_t undecided; /* records; with checked == 0 the invariant as a whole */
    char *note;        /* why it is not decidable, or what else is to be said; or NULL */
    struct example examples[EXAMPLES_MAX];
    size_t example_count;
};

struct verdict {
    struct invariant of[INVARIANTS];
};

struct verdict *verdict_new(void);
void verdict_free(struct verdict *v); /* NULL is accepted */

enum invariant_state verdict_state(const struct invariant *inv);

/* Whether no invariant failed. */
bool verdict_holds(const struct verdict *v);

/* One record (of those checked, which the caller counts) breaks it. */
void verdict_fail(struct verdict *v, enum invariant_name name, const char *topic, int32_t partition,
                  int64_t offset, const char *fmt, ...) PRINTF_LIKE(6, 7);

/* Replaces the note. */
void verdict_note(struct verdict *v, enum invariant_name name, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#endif

/* The lines that the exec enricher and its programs exchange. Private to it. Any thread. */
#ifndef SLUICE_ENRICH_EXEC_ANSWER_H
#define SLUICE_ENRICH_EXEC_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/enrich/enrich.h"

/* Append the question with its line break. The post stays as it is, but that line breaks between
 * its members become spaces. */
void exec_question_write(int64_t seq, const struct ask *ask, struct buf *out);

struct exec_answer {
    int64_t seq;       /* -1: not told */
    struct span value; /* JSON; absent when there is `error` or `fault` */
    struct span error; /* JSON */
    const char *fault; /* what is wrong with the line, NULL when nothing is */
    struct span line;  /* as it came */
};

/* False for a blank line, which is none. `cut`: the line was longer, this is how it begins. The
 * spans point into the line. */
bool exec_answer_read(struct span line, bool cut, struct exec_answer *ret);

/* Set the ask's status and its answer or error. */
void exec_answer_give(const struct exec_answer *answer, struct ask *ask);

#endif

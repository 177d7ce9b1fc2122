/* A verdict on a question: what was answered, or why it never will be, and what it cost. The same
 * in memory, in the file of answers and on the topic of answers.
 * Threads: an answer is constant; a kept one is shared by counting its holders (any thread). */
#ifndef SLUICE_ENRICH_ANSWER_H
#define SLUICE_ENRICH_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/enrich/question.h"

struct answer {
    enum reason reason; /* REASON_NONE: `text` is the answer; else the reason, and text says why */
    struct span text;
    int64_t tokens_in, tokens_out;
    int64_t cost_nano; /* $ / 10^9 */
    int64_t at_ms;     /* since 1970 */
    int attempts;
};

struct kept_answer; /* holds an answer and its text */

/* A copy with one holder. */
struct kept_answer *answer_keep(const struct answer *answer);
struct kept_answer *answer_hold(struct kept_answer *kept);
void answer_drop(struct kept_answer *kept); /* NULL is accepted */
const struct answer *answer_of(const struct kept_answer *kept);
size_t answer_size(const struct kept_answer *kept); /* bytes of memory */

/* As one JSON object, for the topic of answers and for cassettes. ST_REJECT: the text is none.
 * Spans of the result point into *text, which the caller ends. */
void answer_write(const struct answer *answer, const char *model, struct buf *out);
enum status answer_read(struct span json, struct answer *ret, struct buf *text,
                        struct error *err) MUST_CHECK;

#endif

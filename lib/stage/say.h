/* The lines that are data: `[SOURCE] …` and `[SINK] …` and JSONL, plain text on stdout, gathered
 * and written in few calls. Not for logs. One thread at a time per object; lines of different
 * objects never mix, since each write holds whole lines. */
#ifndef SLUICE_STAGE_SAY_H
#define SLUICE_STAGE_SAY_H

#include <stdbool.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"

struct say {
    struct buf text;
    bool only_loud; /* with --quiet nothing would be written: errors say so */
};

void say_fini(struct say *say);

/* Add to the line; the line ends with the newline that the caller adds. */
void say_text(struct say *say, const char *text);
void say_span(struct say *say, struct span s);

/* Write everything. ERR_IO when stdout is closed or full: nothing more will get out. */
enum status say_flush(struct say *say, struct error *err) MUST_CHECK;

#endif

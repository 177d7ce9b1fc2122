/* Lines of a file, pipe or terminal, on an event loop. A regular file is read straight away; a
 * pipe, terminal or socket only when a read will not block, so that signals and the broker are
 * served while nobody types. Loop thread only. */
#ifndef SLUICE_STAGE_LINES_H
#define SLUICE_STAGE_LINES_H

#include <stdbool.h>

#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/span.h"

enum { LINE_MAX_BYTES = 4 << 20 }; /* unless lines_allow says more */

struct lines;

enum line_result {
    LINE_READ,     /* a line without its newline (or CR LF), borrowed until the next call */
    LINE_TOO_LONG, /* the same, cut: it is longer than it may be; its rest is skipped */
    LINE_WAIT,     /* nothing now; `readable` follows */
    LINE_END,      /* no more lines */
    LINE_ERROR,    /* err says why */
};

/* `path` "-" is standard input. Errors: ERR_IO with the name. Caller owns *ret. */
enum status lines_open(const char *path, struct loop *loop, void (*readable)(void *arg), void *arg,
                       struct lines **ret, struct error *err) MUST_CHECK;

/* Lines may have so many bytes, if that is more than LINE_MAX_BYTES. */
void lines_allow(struct lines *l, size_t bytes);
enum line_result lines_next(struct lines *l, struct span *ret_line, struct error *err);

/* Back to the first line; false when that is not possible (a pipe). */
bool lines_rewind(struct lines *l);
void lines_close(struct lines *l); /* NULL is accepted */

#endif

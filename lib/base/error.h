/* What happened, in words that a user knows: topic, partition, key, file, URL without secrets.
 *
 * Lives on the caller's stack and never allocates. enum status says what to do; this says why.
 * `kind` is the class of trouble that the command line turns into an exit code.
 * Threads: a struct error belongs to whoever holds it. */
#ifndef SLUICE_BASE_ERROR_H
#define SLUICE_BASE_ERROR_H

#include "lib/base/reason.h"
#include "lib/base/status.h"

enum error_kind {
    ERR_FAILED,      /* anything without a kind of its own */
    ERR_USAGE,       /* the command line is wrong */
    ERR_UNAVAILABLE, /* broker or LLM not to be reached past the deadline */
    ERR_BUG,         /* an invariant of ours does not hold */
    ERR_IO,          /* disk full, EIO, cannot write */
    ERR_TEMPORARY,   /* start me again */
    ERR_FENCED,      /* another instance has taken over */
    ERR_AUTH,        /* not who we should be, or not allowed */
    ERR_CONFIG,      /* a setting must change first */
};

struct error {
    enum error_kind kind;
    enum reason reason; /* set together with ST_REJECT */
    char text[480];     /* one line, no trailing full stop or newline */
};

/* Fill *err (which may be NULL: then nothing) and hand `st` back, so that a failing function can
 * end with `return error_set(err, ST_FATAL, ERR_IO, "…")`. Text that does not fit ends in "...". */
enum status error_set(struct error *err, enum status st, enum error_kind kind, const char *fmt, ...)
    PRINTF_LIKE(4, 5);

/* The same for a post that is refused: ST_REJECT with its reason. */
enum status error_reject(struct error *err, enum reason reason, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* Put `fmt` and ": " before what the error says already. */
void error_prefix(struct error *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif

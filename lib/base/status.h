/* What the caller of a failed function has to do next.
 *
 * Every error of a dependency is turned, in the file that owns that dependency, into one of these
 * six outcomes; the stages decide by that alone. What happened is told by struct error. */
#ifndef SLUICE_BASE_STATUS_H
#define SLUICE_BASE_STATUS_H

enum status {
    ST_OK,     /* done */
    ST_AGAIN,  /* not now: an event will say when */
    ST_RETRY,  /* back off, then make the same call again */
    ST_REJECT, /* this post can never pass: dead letter */
    ST_ABORT,  /* the batch left nothing behind: send it again */
    ST_FATAL,  /* stop */
};

#define MUST_CHECK             __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))
#define UNUSED(x)              ((void)(x))

/* "ok", "again", … Any thread. */
const char *status_name(enum status st);

#endif

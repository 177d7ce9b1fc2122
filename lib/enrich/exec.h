/* The exec enricher: answers from a program of the user's, which is run N times.
 *
 * For each ask the program reads one line on its standard input
 *     {"seq":7,"id":"42","text":"...","post":{...}}
 * and writes one, ended by a line break, to its standard output
 *     {"seq":7,"answer":VALUE}    or    {"seq":7,"error":"why not"}
 * in any order, at once (many programs collect what goes into a pipe: python3 -u, sed -u, mawk -W
 * interactive). A program that answers in order may leave "seq" out. Its standard error is ours. A
 * line that is no such thing is enricher_failed for the ask that it names, else for the oldest; a
 * program that leaves "seq" out is started anew then, since its next line cannot be told to belong
 * to the next ask. Lines while nothing is asked are passed over.
 *
 * A program that ends is started again, after a while that grows while nothing is answered; what it
 * was asked is asked again, one at a time so that a post that kills it takes no others along, and
 * refused after three times. A program that says nothing about its oldest ask for timeout_ms is
 * killed; that ask alone counts a try. The slots of struct enricher_ops but for the options.
 * Loop thread only. */
#ifndef SLUICE_ENRICH_EXEC_H
#define SLUICE_ENRICH_EXEC_H

#include "lib/base/backoff.h"
#include "lib/enrich/enrich.h"
#include "lib/enrich/exec_process.h"
#include "lib/enrich/options.h"

struct exec_counts {
    int64_t starts; /* of processes, the first ones as well */
    int64_t hangs;
    int64_t bad_lines;
};

struct exec_call; /* an ask that is ours */

struct exec_list {
    struct exec_call *first, *last;
    int64_t n;
};

struct exec; /* the context */

struct exec_worker {
    struct exec *exec;
    struct exec_process process;
    struct exec_list calls;   /* what it was asked, oldest first; some are cancelled */
    int64_t oldest_since_ms;  /* since when the first of them has been the first */
    bool alone;               /* asked something that failed before: nothing else meanwhile */
    bool has_answered;        /* since its start */
    bool omits_seq;           /* some answer since its start had none */
    bool spare_asks;          /* we killed it: its end counts against no ask */
    struct loop_timer *again; /* its next start */
    struct backoff backoff;
};

/* Private; here so that its size is known. */
struct exec {
    struct exec_options opt;
    struct loop *loop;
    struct exec_worker *workers;
    struct exec_list fresh, failed_before; /* what is not asked yet; asked in vain */
    struct loop_timer *hang;
    int64_t next_number, next_seq;
    struct buf line;
    char *name;
    struct exec_counts counts;
};

/* Starts the processes. ERR_CONFIG, ERR_TEMPORARY. opt's texts are borrowed until close. */
enum status exec_open(void *ctx, const struct exec_options *opt, struct loop *loop,
                      struct error *err) MUST_CHECK;

/* Closes the programs' inputs, gives them a second, kills what is left. Tells no ask. */
void exec_close(void *ctx);

/* ST_AGAIN, or ST_REJECT for a post too large to be sent. The answer comes through ask->done:
 * ST_OK, ST_REJECT with enricher_failed, or ST_FATAL when the command does not exist. */
enum status exec_submit(void *ctx, struct ask *ask) MUST_CHECK;
void exec_cancel(void *ctx, struct ask *ask);
bool exec_is_paid(const void *ctx);
const char *exec_name(const void *ctx);
struct exec_counts exec_counts(const void *ctx);

#endif

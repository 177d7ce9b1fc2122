/* One running program of the user's: started by /bin/sh in a process group of its own, spoken to by
 * lines over two pipes, ended and waited for without blocking the loop. Private to the exec
 * enricher. Loop thread only. */
#ifndef SLUICE_ENRICH_EXEC_PROCESS_H
#define SLUICE_ENRICH_EXEC_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/loop.h"

enum { EXEC_LINE_MAX = 1 << 20 };

/* Zeroed and the first block filled in: ready to start, again and again. */
struct exec_process {
    struct loop *loop;
    const char *command;
    /* A line without its end; cut: it was longer than EXEC_LINE_MAX, this is how it begins. May
     * call exec_process_kill; then no more lines come. */
    void (*on_line)(void *arg, struct span line, bool cut);
    void (*on_end)(void *arg); /* it is gone; `ended_by` says how; it may be started again */
    void *arg;

    pid_t pid; /* 0: there is none */
    int in, out;
    struct loop_watch *in_watch, *out_watch;
    struct loop_timer *reaper;
    struct buf to_send, line;
    size_t sent; /* bytes of to_send */
    bool skipping, ending;
    bool discard;       /* nobody wants its lines any more */
    int64_t kill_at_ms; /* of a process that is ending; 0: killed already */
    int status;         /* as waitpid gave it */
    char ended_by[80];  /* "exit status 3", "signal 9 (Killed)" */
};

/* ST_FATAL with ERR_TEMPORARY when the system has no room for another process. */
enum status exec_process_start(struct exec_process *p, struct error *err) MUST_CHECK;

/* Whether it may be spoken to. */
bool exec_process_runs(const struct exec_process *p);

/* Queue bytes for its standard input. */
void exec_process_send(struct exec_process *p, struct span bytes);
size_t exec_process_unsent(const struct exec_process *p);

/* SIGKILL to the whole group; on_end follows. */
void exec_process_kill(struct exec_process *p);

/* End several, blocking: their input is closed, they have grace_ms together, then they are killed.
 * Nothing is called any more; memory is given back. */
void exec_process_close_all(struct exec_process *const *ps, size_t n, int64_t grace_ms);

#endif

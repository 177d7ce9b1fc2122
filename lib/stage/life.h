/* Life of the process: signals, and the main thread's waiting.
 *
 * SIGTERM and SIGINT ask for an orderly end; a second one ends the process at once with 128 + n,
 * whatever it is doing. SIGPIPE is ignored: a closed pipe is an error of the write. Works as PID 1,
 * since the handlers are set explicitly.
 * Threads: life_open, life_wait and life_close on the main thread; life_ring on any thread. */
#ifndef SLUICE_STAGE_LIFE_H
#define SLUICE_STAGE_LIFE_H

#include <stdbool.h>

struct life;

/* One at a time in a process. */
struct life *life_open(void);
void life_close(struct life *life);

/* The same for a library, whose signals are those of its program: none is touched. Any number. */
struct life *life_open_quiet(void);

/* Sleeps until life_ring, a signal, or the time is up. */
void life_wait(struct life *life, int timeout_ms);

/* Wakes life_wait. */
void life_ring(struct life *life);

/* The signal that asked for the end, or 0. */
int life_signal(const struct life *life);

#endif

/* The event loop of a worker: a thin coat over libuv, so that uv.h is included in one place.
 *
 * Everything here is "loop thread only" but loop_bell_ring, which any thread may call. Handles are
 * freed by their own _free, which may be called inside their own callback; all must be freed
 * before loop_free. */
#ifndef SLUICE_BASE_LOOP_H
#define SLUICE_BASE_LOOP_H

#include <stdint.h>

struct loop;
struct loop_watch;
struct loop_timer;
struct loop_bell;
struct loop_idle;

typedef void (*loop_fn)(void *arg);

struct loop *loop_new(void);
void loop_free(struct loop *loop);

/* Runs until loop_stop. May be called again afterwards. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Monotonic ms as of the start of this turn. */
int64_t loop_now_ms(struct loop *loop);

enum loop_events { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };

/* Call fn while fd is ready. The fd stays the caller's; stop watching before closing it. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, void (*fn)(void *arg, int events),
                                  void *arg);
void loop_watch_set(struct loop_watch *watch, int events); /* 0: none for now */
void loop_watch_free(struct loop_watch *watch);

/* Call fn once, delay_ms from now; starting again replaces the time. */
struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg);
void loop_timer_start(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_stop(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Call fn soon after any thread rang; rings before fn ran count as one. */
struct loop_bell *loop_bell_new(struct loop *loop, loop_fn fn, void *arg);
void loop_bell_ring(struct loop_bell *bell); /* any thread */
void loop_bell_free(struct loop_bell *bell);

/* Call fn every turn while it is started, and let the loop not sleep meanwhile: for work that is
 * done in slices. */
struct loop_idle *loop_idle_new(struct loop *loop, loop_fn fn, void *arg);
void loop_idle_start(struct loop_idle *idle);
void loop_idle_stop(struct loop_idle *idle);
void loop_idle_free(struct loop_idle *idle);

#endif

/* libuv behind four small handles. A handle is closed asynchronously by libuv, so its memory is
 * given back in the close callback; loop_free runs the loop once more to let those happen. */
#include "lib/base/loop.h"

#include <assert.h>
#include <uv.h>

#include "lib/base/mem.h"

struct loop {
    uv_loop_t uv;
};

struct loop_watch {
    uv_poll_t uv;
    void (*fn)(void *arg, int events);
    void *arg;
    int events; /* watched for now */
};

struct loop_timer {
    uv_timer_t uv;
    loop_fn fn;
    void *arg;
};

struct loop_bell {
    uv_async_t uv;
    loop_fn fn;
    void *arg;
};

struct loop_idle {
    uv_idle_t uv;
    loop_fn fn;
    void *arg;
};

static void must(int rc)
{
    /* Only ENOMEM, EMFILE and misuse get here; none can be lived with. */
    if (rc < 0)
        mem_fail_system("event loop", uv_strerror(rc));
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void close_handle(void *handle)
{
    uv_handle_t *uv = handle;
    uv->data = handle;
    uv_close(uv, on_closed);
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_zalloc(sizeof *loop);
    must(uv_loop_init(&loop->uv));
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    /* Twice, because a loop_stop that nobody has met yet makes the first run do nothing. */
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    uv_run(&loop->uv, UV_RUN_NOWAIT);
    int rc = uv_loop_close(&loop->uv);
    assert(rc == 0); /* else a handle was not freed */
    (void)rc;
    mem_free(loop);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

int64_t loop_now_ms(struct loop *loop)
{
    return (int64_t)uv_now(&loop->uv);
}

/* --- watch --- */

static void on_poll(uv_poll_t *uv, int rc, int events)
{
    struct loop_watch *watch = (struct loop_watch *)uv;
    int both = LOOP_READABLE | LOOP_WRITABLE;
    int ready =
        (events & UV_READABLE ? LOOP_READABLE : 0) | (events & UV_WRITABLE ? LOOP_WRITABLE : 0);
    watch->fn(watch->arg, rc < 0 ? both : ready);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, void (*fn)(void *arg, int events),
                                  void *arg)
{
    struct loop_watch *watch = mem_zalloc(sizeof *watch);
    watch->fn = fn;
    watch->arg = arg;
    must(uv_poll_init(&loop->uv, &watch->uv, fd));
    return watch;
}

void loop_watch_set(struct loop_watch *watch, int events)
{
    int uv =
        (events & LOOP_READABLE ? UV_READABLE : 0) | (events & LOOP_WRITABLE ? UV_WRITABLE : 0);
    if (events == watch->events) /* libuv would tell the kernel twice for nothing */
        return;
    watch->events = events;
    must(uv == 0 ? uv_poll_stop(&watch->uv) : uv_poll_start(&watch->uv, uv, on_poll));
}

void loop_watch_free(struct loop_watch *watch)
{
    if (watch != NULL)
        close_handle(watch);
}

/* --- timer --- */

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *timer = (struct loop_timer *)uv;
    timer->fn(timer->arg);
}

struct loop_timer *loop_timer_new(struct loop *loop, loop_fn fn, void *arg)
{
    struct loop_timer *timer = mem_zalloc(sizeof *timer);
    timer->fn = fn;
    timer->arg = arg;
    must(uv_timer_init(&loop->uv, &timer->uv));
    return timer;
}

void loop_timer_start(struct loop_timer *timer, int64_t delay_ms)
{
    must(uv_timer_start(&timer->uv, on_timer, delay_ms < 0 ? 0 : (uint64_t)delay_ms, 0));
}

void loop_timer_stop(struct loop_timer *timer)
{
    uv_timer_stop(&timer->uv);
}

void loop_timer_free(struct loop_timer *timer)
{
    if (timer != NULL)
        close_handle(timer);
}

/* --- bell --- */

static void on_bell(uv_async_t *uv)
{
    struct loop_bell *bell = (struct loop_bell *)uv;
    bell->fn(bell->arg);
}

struct loop_bell *loop_bell_new(struct loop *loop, loop_fn fn, void *arg)
{
    struct loop_bell *bell = mem_zalloc(sizeof *bell);
    bell->fn = fn;
    bell->arg = arg;
    must(uv_async_init(&loop->uv, &bell->uv, on_bell));
    return bell;
}

void loop_bell_ring(struct loop_bell *bell)
{
    uv_async_send(&bell->uv);
}

void loop_bell_free(struct loop_bell *bell)
{
    if (bell != NULL)
        close_handle(bell);
}

/* --- idle --- */

static void on_idle(uv_idle_t *uv)
{
    struct loop_idle *idle = (struct loop_idle *)uv;
    idle->fn(idle->arg);
}

struct loop_idle *loop_idle_new(struct loop *loop, loop_fn fn, void *arg)
{
    struct loop_idle *idle = mem_zalloc(sizeof *idle);
    idle->fn = fn;
    idle->arg = arg;
    must(uv_idle_init(&loop->uv, &idle->uv));
    return idle;
}

void loop_idle_start(struct loop_idle *idle)
{
    must(uv_idle_start(&idle->uv, on_idle));
}

void loop_idle_stop(struct loop_idle *idle)
{
    uv_idle_stop(&idle->uv);
}

void loop_idle_free(struct loop_idle *idle)
{
    if (idle != NULL)
        close_handle(idle);
}

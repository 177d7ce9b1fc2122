/* Signals: the handler does nothing but count and write to an eventfd, both allowed in a signal
 * handler (signal-safety(7)). */
#include "lib/stage/life.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/base/mem.h"

struct life {
    int fd;
    bool signals; /* they are ours */
};

static _Atomic int caught;
static _Atomic int wake_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    if (atomic_exchange(&caught, number) != 0)
        _exit(128 + number);
    uint64_t one = 1;
    ssize_t n = write(atomic_load(&wake_fd), &one, sizeof one);
    (void)n;
    errno = saved;
}

struct life *life_open_quiet(void)
{
    struct life *life = mem_zalloc(sizeof *life);
    life->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (life->fd < 0)
        mem_fail_system("descriptors", strerror(errno));
    return life;
}

struct life *life_open(void)
{
    struct life *life = life_open_quiet();
    life->signals = true;
    atomic_store(&caught, 0);
    atomic_store(&wake_fd, life->fd);
    struct sigaction act = {.sa_handler = on_signal};
    sigemptyset(&act.sa_mask);
    sigaction(SIGTERM, &act, NULL);
    sigaction(SIGINT, &act, NULL);
    act.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &act, NULL);
    return life;
}

void life_close(struct life *life)
{
    if (life == NULL)
        return;
    if (life->signals) {
        signal(SIGTERM, SIG_DFL);
        signal(SIGINT, SIG_DFL);
        atomic_store(&wake_fd, -1);
    }
    close(life->fd);
    mem_free(life);
}

void life_wait(struct life *life, int timeout_ms)
{
    struct pollfd p = {.fd = life->fd, .events = POLLIN};
    uint64_t count;
    if (poll(&p, 1, timeout_ms) > 0 && read(life->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        mem_fail_system("event counter", strerror(errno));
}

void life_ring(struct life *life)
{
    uint64_t one = 1;
    ssize_t n = write(life->fd, &one, sizeof one);
    (void)n; /* full means that it is rung already */
}

int life_signal(const struct life *life)
{
    return life->signals ? atomic_load(&caught) : 0;
}

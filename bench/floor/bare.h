/* What the bare loops share: an end with a word, and the clock. Nothing that is measured. */
#ifndef SLUICE_BENCH_BARE_H
#define SLUICE_BENCH_BARE_H

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Also in a child of fork: nothing of the parent's is flushed. */
static inline _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "%s: %s: %s\n", program_invocation_short_name, what, why);
    _exit(1);
}

static inline int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static inline int64_t now_ms(void)
{
    return now_us() / 1000;
}

#endif

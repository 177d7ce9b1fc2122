/* Named points on the way of a post. Each is a line of the trace log (`--log-level trace`), from
 * which the test follow_one_post reads the way back, and a place where a fault can be injected:
 *
 *     SLUICE_FAULT=kill@enhance.commit.begin:3     kill -9 at the third passing of that point
 *     SLUICE_FAULT=stop@…:n, exit@…:n              SIGSTOP, _exit(70)
 *     SLUICE_FAULT=wait@…:n                        the thread that passes stands still for 3 s
 *     SLUICE_FAULT=fail@…:n                        every n-th passing of a POINT_FAILS fails
 *
 * When neither is on, a point costs one relaxed load. Any thread. */
#ifndef SLUICE_BASE_POINT_H
#define SLUICE_BASE_POINT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern _Atomic bool point_active;

/* Reads SLUICE_FAULT and the log level: once, after log_setup, before threads start. */
void point_setup(void);

/* Behind POINT: only called when active. */
void point_pass(const char *name, const char *topic, int32_t partition, int64_t offset);

bool point_fails(const char *name);

/* Whether the step named so is to fail now as if its dependency had failed. */
#define POINT_FAILS(name)                                                                          \
    (atomic_load_explicit(&point_active, memory_order_relaxed) && point_fails(name))

/* Passing `name` with a record in hand (or "", -1, -1). */
#define POINT(name, topic, partition, offset)                                                      \
    do {                                                                                           \
        if (atomic_load_explicit(&point_active, memory_order_relaxed))                             \
            point_pass(name, topic, partition, offset);                                            \
    } while (0)

#endif

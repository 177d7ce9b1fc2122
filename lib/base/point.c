/* Trace lines and injected faults at named points: see point.h. */
#include "lib/base/point.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/log.h"

enum { WAIT_S = 3 };

_Atomic bool point_active;

static struct {
    char action[8];
    char name[64];
    _Atomic long left; /* passings until it happens */
    long every;
} fault;

void point_setup(void)
{
    const char *spec = getenv("SLUICE_FAULT");
    long at = 1;
    if (spec != NULL && sscanf(spec, "%7[a-z]@%63[^:]:%ld", fault.action, fault.name, &at) >= 2)
        atomic_store(&fault.left, at);
    fault.every = at > 0 ? at : 1;
    atomic_store(&point_active, log_enabled(LOG_TRACE) || fault.name[0] != '\0');
}

static void inject(void)
{
    if (strcmp(fault.action, "kill") == 0)
        kill(getpid(), SIGKILL);
    else if (strcmp(fault.action, "stop") == 0)
        raise(SIGSTOP); /* this thread, or it would go on for a while */
    else if (strcmp(fault.action, "wait") == 0)
        sleep(WAIT_S);
    else if (strcmp(fault.action, "exit") == 0)
        _exit(70);
}

bool point_fails(const char *name)
{
    static _Atomic long passings;
    if (strcmp(fault.action, "fail") != 0 || strcmp(fault.name, name) != 0)
        return false;
    return (atomic_fetch_add(&passings, 1) + 1) % fault.every == 0;
}

void point_pass(const char *name, const char *topic, int32_t partition, int64_t offset)
{
    log_line(LOG_TRACE, "trace", "%s %s/%d/%lld", name, topic, (int)partition, (long long)offset);
    if (strcmp(fault.name, name) == 0 && atomic_fetch_sub(&fault.left, 1) == 1)
        inject();
}

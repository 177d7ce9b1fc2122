/* Draining is decided from the broker alone: see drain.h. */
#include "lib/stage/drain.h"

#include <time.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

static bool settled(const struct drain *d)
{
    for (int32_t i = 0; i < d->count; i++)
        if (d->ends[i].end < d->ends[i].high)
            return false;
    return true;
}

enum status drain_begin(struct drain *d, struct broker *broker, const char *group,
                        const char *topic, int64_t timeout_ms, struct error *err)
{
    *d = (struct drain){.broker = broker, .group = group, .topic = topic};
    enum status st = broker_partitions(broker, topic, &d->count, err);
    if (st != ST_OK)
        return st;
    if (d->count == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' does not exist on %s", topic,
                         broker_name(broker));
    d->ends = mem_array((size_t)d->count, sizeof *d->ends);
    for (int64_t deadline = clock_mono_ms() + timeout_ms;;) {
        st = broker_watermarks(broker, topic, d->ends, d->count, err);
        if (st != ST_OK || settled(d))
            return st;
        if (clock_mono_ms() > deadline)
            return error_set(
                err, ST_FATAL, ERR_TEMPORARY,
                "a transaction stays open on topic '%s': its writer hangs or has died; "
                "try again when its time-out has passed",
                topic);
        nanosleep(&(struct timespec){.tv_nsec = 20 * 1000000}, NULL);
    }
}

/* An empty log is reached without a position; a position below a log's start is not: what lay
 * between was deleted unread, and whoever reads will say so. */
static bool has_reached(int64_t offset, const struct watermark *log)
{
    if (offset >= 0 && offset < log->start)
        return false;
    return offset >= log->end || log->start == log->end;
}

enum status drain_reached(struct drain *d, bool *ret_reached, struct error *err)
{
    struct position *pos = mem_array((size_t)d->count, sizeof *pos);
    enum status st = broker_positions(d->broker, d->group, d->topic, pos, d->count, err);
    if (st == ST_OK) {
        bool reached = true;
        for (int32_t i = 0; i < d->count; i++)
            reached = reached && has_reached(pos[i].offset, &d->ends[i]);
        *ret_reached = reached;
        positions_fini(pos, d->count);
    }
    mem_free(pos);
    return st;
}

void drain_fini(struct drain *d)
{
    mem_free(d->ends);
    d->ends = NULL;
}

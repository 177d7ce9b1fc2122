/* Where a group begins to read: never guessed. A position that is gone means that starting over
 * would repeat outputs, and one below the log's start means that posts are lost; both stop. */
#include "lib/broker/ops.h"

static bool any_committed(const struct position *committed, int32_t count)
{
    for (int32_t i = 0; i < count; i++)
        if (committed[i].offset >= 0)
            return true;
    return false;
}

static enum status check_range(const char *group, const char *topic, int64_t offset,
                               const struct watermark *log, int32_t p, int64_t *ret_offset,
                               struct error *err)
{
    if (offset < log->start)
        return error_set(
            err, ST_FATAL, ERR_CONFIG,
            "group '%s' stands at %s/%d offset %lld, but the log begins at %lld: %lld posts are "
            "lost; to go on without them: sluice topics reset %s %s --to start",
            group, topic, (int)p, (long long)offset, (long long)log->start,
            (long long)(log->start - offset), group, topic);
    if (offset > log->high)
        return error_set(
            err, ST_FATAL, ERR_CONFIG,
            "group '%s' stands at %s/%d offset %lld, but the log ends at %lld: the topic was made "
            "anew; to start over: sluice topics reset %s %s --to start",
            group, topic, (int)p, (long long)offset, (long long)log->high, group, topic);
    *ret_offset = offset;
    return ST_OK;
}

enum status start_resolve(const char *group, const char *topic, const struct position *committed,
                          const struct watermark *log, int32_t count, int32_t p, bool guard_filled,
                          const char *guard_topic, enum missing_position on_missing,
                          int64_t *ret_offset, struct error *err)
{
    if (committed[p].offset >= 0)
        return check_range(group, topic, committed[p].offset, &log[p], p, ret_offset, err);
    if (any_committed(committed, count) || !guard_filled || on_missing == MISSING_EARLIEST) {
        *ret_offset = log[p].start; /* a new partition, a new group, or told so */
        return ST_OK;
    }
    if (on_missing == MISSING_LATEST) {
        *ret_offset = log[p].end;
        return ST_OK;
    }
    return error_set(
        err, ST_FATAL, ERR_CONFIG,
        "group '%s' has no position on %s, but %s holds records already: starting over would "
        "repeat them; say --on-missing-position earliest or latest",
        group, topic, guard_topic);
}

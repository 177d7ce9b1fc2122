/* start, end, 42, -10, 2026-01-31T12:00:00Z: see place.h. */
#include "cli/place.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool parse_number(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    *ret = v;
    return end != text && *end == '\0' && errno == 0;
}

static bool parse_time(const char *text, int64_t *ret_ms)
{
    static const char *const forms[] = {"%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"};
    if (text[0] == '@' && parse_number(text + 1, ret_ms)) {
        *ret_ms *= 1000;
        return true;
    }
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end != NULL && *end == '\0') {
            *ret_ms = (int64_t)timegm(&tm) * 1000;
            return true;
        }
    }
    return false;
}

enum status place_parse(const char *flag, const char *text, struct place *ret, struct error *err)
{
    *ret = (struct place){.kind = PLACE_START};
    if (strcmp(text, "start") == 0)
        return ST_OK;
    if (strcmp(text, "end") == 0)
        ret->kind = PLACE_END;
    else if (parse_number(text, &ret->value))
        ret->kind = text[0] == '-' ? PLACE_LAST : PLACE_OFFSET;
    else if (parse_time(text, &ret->value))
        ret->kind = PLACE_TIME;
    else
        return error_set(
            err, ST_FATAL, ERR_USAGE,
            "%s '%s': give start, end, an offset, -N for the last N, or a time such as "
            "2026-01-31T12:00:00Z (UTC) or @1767225600",
            flag, text);
    if (ret->kind == PLACE_LAST)
        ret->value = -ret->value;
    return ST_OK;
}

enum status place_resolve(struct broker *broker, const char *topic, int32_t partition,
                          const struct watermark *log, const struct place *place,
                          int64_t *ret_offset, struct error *err)
{
    int64_t at = log->start;
    if (place->kind == PLACE_END)
        at = log->end;
    else if (place->kind == PLACE_OFFSET)
        at = place->value;
    else if (place->kind == PLACE_LAST)
        at = log->end - place->value;
    else if (place->kind == PLACE_TIME) {
        enum status st = broker_offset_at(broker, topic, partition, place->value, &at, err);
        if (st != ST_OK)
            return st;
    }
    *ret_offset = at < log->start ? log->start : at > log->end ? log->end : at;
    return ST_OK;
}

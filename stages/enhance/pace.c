/* See pace.h. */
#include "stages/enhance/pace.h"

enum { MANY = 64, FLOOD = 192, BACKLOG_COMMITS = 10 };

enum pace pace_of(size_t answered, int64_t waiting)
{
    if (answered < MANY)
        return PACE_USUAL;
    if (answered < FLOOD)
        return PACE_MANY;
    return waiting > BACKLOG_COMMITS * (int64_t)answered ? PACE_BACKLOG : PACE_FLOOD;
}

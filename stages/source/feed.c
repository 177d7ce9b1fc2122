/* Which feed a name means. */
#include "stages/source/feed.h"

#include <string.h>

const struct feed_ops *feed_find(const struct source_options *opt)
{
    if (strcmp(opt->from, "sample") == 0)
        return &sample_feed;
    if (strcmp(opt->from, "generate") == 0)
        return &generate_feed;
    return &file_feed;
}

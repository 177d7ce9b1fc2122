/* Options that the stages share: names of topics and groups, life cycle. Any thread: constant
 * after load. */
#ifndef SLUICE_STAGE_OPTIONS_H
#define SLUICE_STAGE_OPTIONS_H

#include "lib/config/option.h"
#include "lib/json/post.h"

struct stage_options {
    const char *raw_topic, *enhanced_topic, *dead_topic, *answers_topic;
    const char *instance;  /* NULL: host name and the lowest free number */
    const char *state_dir; /* NULL: see state_dir_path() */
    const char *http;      /* NULL: no server; "on": the stage's own port on 127.0.0.1 */
    bool drain;
    int64_t drain_timeout_ms, revoke_wait_ms;
    int64_t max_bytes, max_depth; /* of a post */
};
extern const struct option_table stage_option_table;

static inline struct post_limits stage_post_limits(const struct stage_options *opt)
{
    return (struct post_limits){.max_bytes = (size_t)opt->max_bytes,
                                .max_depth = (int)opt->max_depth};
}

#endif

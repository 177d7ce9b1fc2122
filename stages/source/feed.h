/* Where posts come from: the plug point of the source stage. A feed gives lines; it never knows
 * what a post is. Loop thread only. */
#ifndef SLUICE_SOURCE_FEED_H
#define SLUICE_SOURCE_FEED_H

#include "lib/stage/lines.h"
#include "stages/source/options.h"

struct feed_config {
    const struct source_options *opt;
    struct loop *loop;
    void (*readable)(void *arg); /* after LINE_WAIT: try again */
    void *arg;
    size_t max_bytes; /* of a post */
};

struct feed_ops {
    size_t ctx_size;
    enum status (*open)(void *ctx, const struct feed_config *cfg, struct error *err);
    enum line_result (*next)(void *ctx, struct span *ret_line, struct error *err);
    bool (*rewind)(void *ctx); /* to its start; false: this feed cannot */
    void (*close)(void *ctx);
};

extern const struct feed_ops file_feed, sample_feed, generate_feed;

/* The feed that opt->from names. */
const struct feed_ops *feed_find(const struct source_options *opt);

#endif

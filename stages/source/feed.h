/* Where posts come from: the plug point of the source stage. A feed gives lines; it never knows
 * what a post is. Loop thread only. */
#ifndef SLUICE_SOURCE_FEED_H
#define SLUICE_SOURCE_FEED_H

#include "lib/base/error.h"
#include "lib/base/loop.h"
#include "lib/base/span.h"
#include "stages/source/options.h"

enum { FEED_LINE_MAX = 4 << 20 };

struct feed_config {
    const struct source_options *opt;
    struct loop *loop;
    void (*readable)(void *arg); /* after FEED_WAIT: try again */
    void *arg;
};

enum feed_result {
    FEED_LINE,     /* a line, without its newline, borrowed until the next call */
    FEED_TOO_LONG, /* the same, cut: the line is longer than FEED_LINE_MAX */
    FEED_WAIT,     /* nothing now; `readable` follows */
    FEED_END,      /* no more lines */
    FEED_ERROR,    /* err says why */
};

struct feed_ops {
    size_t ctx_size;
    enum status (*open)(void *ctx, const struct feed_config *cfg, struct error *err);
    enum feed_result (*next)(void *ctx, struct span *ret_line, struct error *err);
    bool (*rewind)(void *ctx); /* to its start; false: this feed cannot */
    void (*close)(void *ctx);
};

extern const struct feed_ops file_feed, sample_feed, generate_feed;

/* The feed that opt->from names. */
const struct feed_ops *feed_find(const struct source_options *opt);

#endif

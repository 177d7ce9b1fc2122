/* Lines of a file or of standard input. */
#include "stages/source/feed.h"

struct file {
    struct lines *lines;
};

static enum status file_open(void *ctx, const struct feed_config *cfg, struct error *err)
{
    struct file *f = ctx;
    enum status st = lines_open(cfg->opt->from, cfg->loop, cfg->readable, cfg->arg, &f->lines, err);
    if (st == ST_OK)
        lines_allow(f->lines, cfg->max_bytes);
    return st;
}

static enum line_result file_next(void *ctx, struct span *ret_line, struct error *err)
{
    return lines_next(((struct file *)ctx)->lines, ret_line, err);
}

static bool file_rewind(void *ctx)
{
    return lines_rewind(((struct file *)ctx)->lines);
}

static void file_close(void *ctx)
{
    lines_close(((struct file *)ctx)->lines);
}

const struct feed_ops file_feed = {
    .ctx_size = sizeof(struct file),
    .open = file_open,
    .next = file_next,
    .rewind = file_rewind,
    .close = file_close,
};

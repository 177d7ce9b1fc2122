/* The bundled posts, which are part of the program: nothing to install or find for the start. */
#include "posts_jsonl.h"
#include "stages/source/feed.h"

struct sample {
    size_t at;
};

static enum status sample_open(void *ctx, const struct feed_config *cfg, struct error *err)
{
    struct sample *s = ctx;
    UNUSED(cfg);
    UNUSED(err);
    s->at = 0;
    return ST_OK;
}

static enum line_result sample_next(void *ctx, struct span *ret_line, struct error *err)
{
    struct sample *s = ctx;
    UNUSED(err);
    if (s->at >= embedded_posts_jsonl_size)
        return LINE_END;
    const char *start = embedded_posts_jsonl + s->at;
    size_t left = embedded_posts_jsonl_size - s->at;
    const char *end = memchr(start, '\n', left);
    *ret_line = span_make(start, end == NULL ? left : (size_t)(end - start));
    s->at += ret_line->n + 1;
    return LINE_READ;
}

static bool sample_rewind(void *ctx)
{
    ((struct sample *)ctx)->at = 0;
    return true;
}

static void sample_close(void *ctx)
{
    UNUSED(ctx);
}

const struct feed_ops sample_feed = {
    .ctx_size = sizeof(struct sample),
    .open = sample_open,
    .next = sample_next,
    .rewind = sample_rewind,
    .close = sample_close,
};

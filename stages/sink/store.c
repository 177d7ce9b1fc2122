/* The stores that write to stdout: the original's lines, JSONL, or nothing at all. */
#include "stages/sink/store.h"

#include "lib/stage/say.h"

struct text_store {
    struct say say;
    struct buf id;
    bool quiet;
};

static enum status lines_open(void *ctx, const char *topic, bool quiet, struct error *err)
{
    struct text_store *s = ctx;
    s->quiet = quiet;
    s->say.only_loud = true;
    if (quiet)
        return ST_OK;
    say_text(&s->say, "[SINK] Started listening to '");
    say_text(&s->say, topic);
    say_text(&s->say, "'...\n");
    return say_flush(&s->say, err);
}

static enum status scan(const struct record *rec, struct post *ret, struct error *err)
{
    struct post_limits limits = {.max_bytes = SIZE_MAX, .max_depth = 512};
    enum status st = post_scan(rec->value, &limits, ret, err);
    if (st == ST_REJECT) {
        error_prefix(err, "%s", reason_word(err->reason));
        err->reason = REASON_sink_refused;
    }
    return st;
}

static enum status lines_put(void *ctx, const struct record *rec, struct error *err)
{
    struct text_store *s = ctx;
    struct post post;
    enum status st = scan(rec, &post, err);
    if (st != ST_OK || s->quiet)
        return st;
    say_text(&s->say, "[SINK] Received Post ID=");
    if (post.id_escaped) {
        buf_reset(&s->id, 0);
        json_unescape(&s->id, post.id);
        post.id = buf_span(&s->id);
    }
    say_span(&s->say, post.id);
    say_text(&s->say, "\n");
    return ST_OK;
}

static enum status jsonl_open(void *ctx, const char *topic, bool quiet, struct error *err)
{
    UNUSED(ctx);
    UNUSED(topic);
    UNUSED(quiet);
    UNUSED(err);
    return ST_OK;
}

/* A line break in valid JSON is white space between two tokens, so a blank can stand for it. */
static enum status jsonl_put(void *ctx, const struct record *rec, struct error *err)
{
    struct text_store *s = ctx;
    struct post post;
    enum status st = scan(rec, &post, err);
    if (st != ST_OK)
        return st;
    size_t from = s->say.text.n;
    say_span(&s->say, rec->value);
    for (size_t i = from; i < s->say.text.n; i++)
        if (s->say.text.p[i] == '\n' || s->say.text.p[i] == '\r')
            s->say.text.p[i] = ' ';
    say_text(&s->say, "\n");
    return ST_OK;
}

static enum status text_flush(void *ctx, struct error *err)
{
    return say_flush(&((struct text_store *)ctx)->say, err);
}

static void text_close(void *ctx)
{
    struct text_store *s = ctx;
    say_fini(&s->say);
    buf_fini(&s->id);
}

static enum status none_put(void *ctx, const struct record *rec, struct error *err)
{
    UNUSED(ctx);
    UNUSED(rec);
    UNUSED(err);
    return ST_OK;
}

static const struct store_ops lines_store = {.name = "lines",
                                             .ctx_size = sizeof(struct text_store),
                                             .open = lines_open,
                                             .put = lines_put,
                                             .flush = text_flush,
                                             .close = text_close};
static const struct store_ops jsonl_store = {.name = "jsonl",
                                             .ctx_size = sizeof(struct text_store),
                                             .open = jsonl_open,
                                             .put = jsonl_put,
                                             .flush = text_flush,
                                             .close = text_close};
static const struct store_ops none_store = {.name = "none",
                                            .ctx_size = sizeof(struct text_store),
                                            .open = jsonl_open,
                                            .put = none_put,
                                            .flush = text_flush,
                                            .close = text_close};

const struct store_ops *const stores[] = {&lines_store, &jsonl_store, &none_store};
const char *const store_names[] = {"lines", "jsonl", "none", NULL};

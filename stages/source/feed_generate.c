/* Posts that are made up: equal seeds make equal posts. Sentences are put together from small
 * lists, so that the mock enricher finds something to say about them. */
#include <stdio.h>

#include "lib/base/backoff.h"
#include "lib/base/buf.h"
#include "stages/source/feed.h"

struct generator {
    struct rng rng;
    int64_t id;
    uint64_t seed;
    struct buf line;
};

static const char *const openings[] = {
    "Just had",           "Dreaming of",    "Can't stop thinking about",
    "So happy with",      "Not sure about", "Finally tried",
    "Today is all about", "Tired of",       "Reading about",
    "My weekend:",        "Nothing beats",  "Ein Tag mit",
    "Encore une fois",    "Otra vez",       "Sempre pensando a",
    "Looking forward to",
};
static const char *const things[] = {
    "a great coffee",
    "the new AI model",
    "a sunny day at the beach",
    "the football match",
    "my garden",
    "a long train ride",
    "homemade pizza",
    "this terrible weather",
    "the last episode",
    "a walk in the mountains",
    "our old dog",
    "the price of rent",
    "a quiet morning run",
    "the concert last night",
    "learning the violin",
    "a broken laptop",
};
static const char *const endings[] = {
    "!",
    ".",
    " \xf0\x9f\x98\x8a",
    " #life",
    " with friends.",
    " at 6 in the morning...",
    ", what do you think?",
    " \xe2\x98\x95\xef\xb8\x8f",
};

static enum status generate_open(void *ctx, const struct feed_config *cfg, struct error *err)
{
    struct generator *g = ctx;
    UNUSED(err);
    g->seed = (uint64_t)cfg->opt->seed;
    rng_seed(&g->rng, g->seed);
    return ST_OK;
}

#define PICK(list, random) ((list)[(random) % (sizeof(list) / sizeof *(list))])

static enum line_result generate_next(void *ctx, struct span *ret_line, struct error *err)
{
    struct generator *g = ctx;
    UNUSED(err);
    uint64_t r = rng_next(&g->rng);
    char head[64];
    int n = snprintf(head, sizeof head, "{\"id\": %lld, \"author\": \"u%u\", \"text\": \"",
                     (long long)++g->id, (unsigned)(r >> 48) % 1000);
    buf_reset(&g->line, 0);
    buf_add(&g->line, head, (size_t)n);
    buf_add_str(&g->line, PICK(openings, r & 0xffff));
    buf_add_char(&g->line, ' ');
    buf_add_str(&g->line, PICK(things, (r >> 16) & 0xffff));
    buf_add_str(&g->line, PICK(endings, (r >> 32) & 0xffff));
    buf_add_str(&g->line, "\"}");
    *ret_line = buf_span(&g->line);
    return LINE_READ;
}

static bool generate_rewind(void *ctx)
{
    struct generator *g = ctx;
    rng_seed(&g->rng, g->seed);
    g->id = 0;
    return true;
}

static void generate_close(void *ctx)
{
    buf_fini(&((struct generator *)ctx)->line);
}

const struct feed_ops generate_feed = {
    .ctx_size = sizeof(struct generator),
    .open = generate_open,
    .next = generate_next,
    .rewind = generate_rewind,
    .close = generate_close,
};

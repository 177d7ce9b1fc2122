/* Nanoseconds per post of the scanner alone and of scan + splice, by size and kind of text. Prints
 * the best of many short rounds: a busy machine does not disturb all of them. */
#include <stdio.h>

#include "lib/base/buf.h"
#include "lib/base/clock.h"
#include "lib/json/post.h"

enum { ROUNDS = 200, CALLS = 2000 };

struct kind {
    const char *name, *piece;
};

static const struct kind kinds[] = {
    {"ascii", "Just had a great coffee at the new place around the corner, "},
    {"emoji", "Sunny day \xf0\x9f\x8c\x9e at the beach \xf0\x9f\x8f\x96\xef\xb8\x8f with friends "},
    {"escapes", "She said \\\"yes\\\"\\n and left \\u00e9\\u00e8 for the caf\\u00e9, "},
    {"han", "\xe4\xbb\x8a\xe5\xa4\xa9\xe7\x9a\x84\xe5\x92\x96\xe5\x95\xa1\xe5\xbe\x88\xe5\xa5\xbd"},
};

static void make_post(struct buf *out, const char *piece, size_t size)
{
    buf_reset(out, 0);
    buf_add_str(out, "{\"id\": 4711, \"author\": \"ada\", \"text\": \"");
    while (out->n + strlen(piece) + 2 < size)
        buf_add_str(out, piece);
    while (out->n + 2 < size)
        buf_add_char(out, 'x');
    buf_add_str(out, "\"}");
}

static double measure(struct span value, struct buf *out)
{
    const struct span enrichment = SPAN_LIT(
        "{\"topics\":[\"coffee\",\"food\"],\"sentiment\":\"positive\",\"language\":\"en\"}");
    double best = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t from = clock_mono_ns();
        for (int i = 0; i < CALLS; i++) {
            struct post post;
            if (post_scan(value, &POST_LIMITS_DEFAULT, &post, NULL) != ST_OK)
                return -1;
            if (out != NULL) {
                buf_reset(out, 0);
                post_splice(out, value, &post, enrichment);
            }
        }
        double ns = (double)(clock_mono_ns() - from) / CALLS;
        best = ns < best ? ns : best;
    }
    return best;
}

int main(void)
{
    static const size_t sizes[] = {100, 300, 1000};
    struct buf post = {0}, out = {0};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            make_post(&post, kinds[k].piece, sizes[i]);
            struct span value = buf_span(&post);
            printf("scan, %s, %zu bytes: %.1f ns\n", kinds[k].name, value.n, measure(value, NULL));
            printf("scan and splice, %s, %zu bytes: %.1f ns\n", kinds[k].name, value.n,
                   measure(value, &out));
        }
    }
    buf_fini(&post);
    buf_fini(&out);
    return 0;
}

/* Nanoseconds per answer of the mock enricher without latency, by kind of text. Best of five. */
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/enrich/engine.h"
#include "lib/enrich/enrich.h"

enum { ROUNDS = 5, CALLS = 200000 };

static double measure(struct enricher *e, struct ask *ask)
{
    double best = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        int64_t from = clock_mono_ns();
        for (int i = 0; i < CALLS; i++)
            if (enricher_submit(e, ask) != ST_OK)
                return -1;
        double ns = (double)(clock_mono_ns() - from) / CALLS;
        best = ns < best ? ns : best;
    }
    return best;
}

int main(void)
{
    static const char *const texts[] = {
        "Just had a great coffee!",
        "Just had a great coffee at the new place around the corner, and it was not even "
        "expensive at all...",
        "Sunny day \xf0\x9f\x8c\x9e at the beach \xf0\x9f\x8f\x96\xef\xb8\x8f with friends "
        "\xf0\x9f\x98\x8e and a lot of ice cream \xf0\x9f\x8d\xa6\xf0\x9f\x8d\xa6, what a day",
        "Сегодня прекрасная погода, мы гуляли по лесу и пили кофе",
    };
    struct loop *loop = loop_new();
    struct enrich_options opt = {0};
    struct engine *engine;
    struct enricher *e;
    struct error err;
    if (engine_open(&(struct engine_config){.opt = &opt}, &engine, &err) != ST_OK ||
        enricher_open(engine, loop, &e, &err) != ST_OK)
        return 1;
    struct ask ask = {0};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        ask.text = span_of(texts[i]);
        double ns = measure(e, &ask);
        printf("%4zu bytes %8.1f ns  %s\n", ask.text.n, ns, buf_str(&ask.answer));
    }
    ask_fini(&ask);
    enricher_close(e);
    loop_free(loop);
    return engine_close(engine, &err) == ST_OK ? 0 : 1;
}

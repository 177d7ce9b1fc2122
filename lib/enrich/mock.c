/* The mock enricher: what the lexicon finds, with latency, errors, bad answers and cost on demand,
 * so that everything can be tried without a key or a network.
 *
 * It knows nothing of money: with a cost it is wrapped as a provider (mock_provider.c).
 *
 * Luck is drawn from the seed and the post's text, so it is the same in any order and after any
 * restart. Asks that are to take a while wait in one heap behind one timer, however many. */
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/backoff.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/lexicon.h"
#include "lib/enrich/ops.h"

struct waiting {
    int64_t due_us;
    struct ask *ask; /* whose owner is its place in the heap, from 1; NULL outside */
};

struct mock {
    const struct mock_options *opt;
    struct lexicon *lexicon;
    struct loop_timer *timer;
    struct waiting *heap; /* the earliest first */
    size_t n, cap;
    bool telling; /* inside done() */
};

/* --- answers --- */

static uint64_t hash_text(struct span s)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a */
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h;
}

static char *put(char *to, struct span s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}

/* Into room that is made once: appending piece by piece took as long as reading the text. */
static void write_answer(const struct mock *m, struct ask *ask)
{
    static const struct span moods[] = {{"neutral", 7}, {"positive", 8}, {"negative", 8}};
    struct insight in;
    struct buf *b = &ask->answer;
    lexicon_read(m->lexicon, ask->text, &in);
    size_t most = 80 + strlen(in.language);
    for (int i = 0; i < in.topic_count; i++)
        most += in.topics[i].n + 3;
    buf_reset(b, 0);
    char *start = buf_reserve(b, most), *to = put(start, SPAN_LIT("{\"topics\":["));
    for (int i = 0; i < in.topic_count; i++) {
        if (i > 0)
            *to++ = ',';
        *to++ = '"';
        to = put(to, in.topics[i]);
        *to++ = '"';
    }
    to = put(to, SPAN_LIT("],\"sentiment\":\""));
    to = put(to, moods[in.sentiment]);
    to = put(to, SPAN_LIT("\",\"language\":\""));
    to = put(to, span_of(in.language));
    to = put(to, SPAN_LIT("\"}"));
    b->n = (size_t)(to - start);
}

static bool has_luck(const struct mock *m)
{
    return m->opt->error_rate > 0 || m->opt->bad_rate > 0 || m->opt->latency_ms > 0 ||
           m->opt->latency_spread_ms > 0;
}

static enum status answer(const struct mock *m, struct ask *ask, struct rng *rng)
{
    const struct mock_options *opt = m->opt;
    if (opt->error_rate > 0 && rng_double(rng) < opt->error_rate)
        return error_reject(ask_error(ask), REASON_enricher_failed,
                            "the mock was told to fail for some posts (--mock-error-rate)");
    write_answer(m, ask);
    if (opt->bad_rate > 0 && rng_double(rng) < opt->bad_rate) {
        buf_reset(&ask->answer, 0);
        buf_add_str(&ask->answer, "{\"topics\":\"not a list\",\"mood\":42}");
    }
    return ST_OK;
}

/* --- latency --- */

/* Normal distribution by Box and Muller (1958). */
static int64_t draw_latency_us(const struct mock_options *opt, struct rng *rng)
{
    double u = 1 - rng_double(rng), v = rng_double(rng);
    double z = opt->latency_spread_ms == 0 ? 0 : sqrt(-2 * log(u)) * cos(2 * M_PI * v);
    double ms = (double)opt->latency_ms + z * (double)opt->latency_spread_ms;
    return ms <= 0 ? 0 : (int64_t)(ms * 1000);
}

static void sift_up(struct mock *m, size_t i)
{
    for (; i > 0 && m->heap[i].due_us < m->heap[(i - 1) / 2].due_us; i = (i - 1) / 2) {
        struct waiting w = m->heap[i];
        m->heap[i] = m->heap[(i - 1) / 2];
        m->heap[(i - 1) / 2] = w;
        m->heap[i].ask->owner = (void *)(uintptr_t)(i + 1);
    }
    m->heap[i].ask->owner = (void *)(uintptr_t)(i + 1);
}

static void sift_down(struct mock *m, size_t i)
{
    for (;;) {
        size_t least = i, left = 2 * i + 1;
        if (left < m->n && m->heap[left].due_us < m->heap[least].due_us)
            least = left;
        if (left + 1 < m->n && m->heap[left + 1].due_us < m->heap[least].due_us)
            least = left + 1;
        if (least == i)
            break;
        struct waiting w = m->heap[i];
        m->heap[i] = m->heap[least];
        m->heap[least] = w;
        m->heap[i].ask->owner = (void *)(uintptr_t)(i + 1);
        i = least;
    }
    m->heap[i].ask->owner = (void *)(uintptr_t)(i + 1);
}

static size_t place_of(const struct ask *ask)
{
    return (size_t)(uintptr_t)ask->owner - 1;
}

static void heap_remove(struct mock *m, size_t i)
{
    m->heap[i].ask->owner = NULL;
    m->heap[i] = m->heap[--m->n];
    if (i < m->n) {
        sift_down(m, i);
        sift_up(m, place_of(m->heap[i].ask));
    }
}

static void start_timer(struct mock *m)
{
    if (m->n == 0 || m->telling)
        return;
    int64_t left_us = m->heap[0].due_us - clock_mono_ns() / 1000;
    loop_timer_start(m->timer, left_us <= 0 ? 0 : (left_us + 999) / 1000);
}

static void wait_for(struct mock *m, struct ask *ask, int64_t latency_us)
{
    if (m->n == m->cap) {
        m->cap = m->cap == 0 ? 256 : m->cap * 2;
        m->heap = mem_realloc(m->heap, m->cap * sizeof *m->heap);
    }
    m->heap[m->n] = (struct waiting){clock_mono_ns() / 1000 + latency_us, ask};
    sift_up(m, m->n++);
    if (m->heap[0].ask == ask)
        start_timer(m);
}

static void on_timer(void *arg)
{
    struct mock *m = arg;
    int64_t now_us = clock_mono_ns() / 1000;
    m->telling = true;
    while (m->n > 0 && m->heap[0].due_us <= now_us) {
        struct ask *ask = m->heap[0].ask;
        heap_remove(m, 0);
        ask->done(ask);
    }
    m->telling = false;
    start_timer(m);
}

/* --- slots of the ops table --- */

static enum status mock_open(void *ctx, const struct enrich_options *opt, struct loop *loop,
                             struct error *err)
{
    struct mock *m = ctx;
    UNUSED(err);
    m->opt = &opt->mock;
    m->lexicon = lexicon_new();
    m->timer = loop_timer_new(loop, on_timer, m);
    return ST_OK;
}

static void mock_close(void *ctx)
{
    struct mock *m = ctx;
    loop_timer_free(m->timer);
    lexicon_free(m->lexicon);
    mem_free(m->heap);
}

/* The answer is made at once, and told when its time has come. */
static enum status mock_submit(void *ctx, struct ask *ask)
{
    struct mock *m = ctx;
    struct rng rng = {1};
    if (has_luck(m))
        rng_seed(&rng, hash_text(ask->text) ^ (uint64_t)m->opt->seed);
    ask->status = answer(m, ask, &rng);
    if (m->opt->latency_ms == 0 && m->opt->latency_spread_ms == 0)
        return ask->status;
    wait_for(m, ask, draw_latency_us(m->opt, &rng));
    return ST_AGAIN;
}

static void mock_cancel(void *ctx, struct ask *ask)
{
    if (ask->owner != NULL) /* else it has ended already */
        heap_remove(ctx, place_of(ask));
}

const struct enricher_ops mock_enricher_ops = {
    .kind = "mock",
    .ctx_size = sizeof(struct mock),
    .open = mock_open,
    .close = mock_close,
    .submit = mock_submit,
    .cancel = mock_cancel,
};

/* Counters of the engine belong to the process, metrics show them as they are. */
#include "stages/enhance/spending.h"

#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

enum { COPY_MS = 500 };

/* The fields of struct engine_counts, and what they are called. */
static const struct {
    const char *name, *labels, *help;
    size_t offset;
    uint64_t divisor;
} rows[] = {
#define ROW(field, name_, labels_, help_, divisor_)                                                \
    {                                                                                              \
        name_, labels_, help_, offsetof(struct engine_counts, field), divisor_                     \
    }
    ROW(calls, "sluice_llm_calls_started_total", "", "Calls begun", 1),
    ROW(ok, "sluice_llm_calls_total", "outcome=\"ok\"", "Calls ended, by outcome", 1),
    ROW(limited, "sluice_llm_calls_total", "outcome=\"limited\"", "Calls ended, by outcome", 1),
    ROW(failed, "sluice_llm_calls_total", "outcome=\"failed\"", "Calls ended, by outcome", 1),
    ROW(unreachable, "sluice_llm_calls_total", "outcome=\"unreachable\"", "Calls ended, by outcome",
        1),
    ROW(no_credit, "sluice_llm_calls_total", "outcome=\"no_credit\"", "Calls ended, by outcome", 1),
    ROW(refused, "sluice_llm_refused_total", "", "Questions that will never be answered", 1),
    ROW(invalid, "sluice_llm_invalid_total", "", "Answers that did not fit the schema", 1),
    ROW(repairs, "sluice_llm_repairs_total", "", "Questions asked again showing the error", 1),
    ROW(abandoned, "sluice_llm_abandoned_total", "", "Calls cut off at a stop", 1),
    ROW(passed, "sluice_llm_passed_total", "", "Posts let through because the budget is spent", 1),
    ROW(tokens_in, "sluice_llm_tokens_total", "direction=\"in\"", "Tokens", 1),
    ROW(tokens_out, "sluice_llm_tokens_total", "direction=\"out\"", "Tokens", 1),
    ROW(cost_nano, "sluice_cost_microdollars_total", "", "$ / 10^6 spent", 1000),
#undef ROW
};
enum { ROWS = sizeof rows / sizeof *rows };
_Static_assert(ROWS + 3 <= SPENDING_COUNTERS, "room for every row, stored, races and learnt");

static void copy_endpoints(struct spending *s)
{
    size_t n = 0;
    int64_t now_us = clock_mono_ns() / 1000;
    for (size_t i = 0; i < s->engine->link_count; i++) {
        const struct link *link = &s->engine->links[i];
        for (int k = 0; k < link->endpoint_count; k++, n++) {
            struct governor_view view;
            governor_view(link->endpoints[k].governor, now_us, &view);
            gauge_set(s->in_flight[n], view.in_flight);
            gauge_set(s->limit[n], view.limit);
            gauge_set(s->used_tokens[n], view.used_tokens);
        }
    }
}

static void copy(struct spending *s)
{
    for (int i = 0; i < ROWS; i++) {
        atomic_uint_fast64_t *field = (void *)((char *)&s->engine->counts + rows[i].offset);
        atomic_store_explicit(&s->counters[i]->value,
                              atomic_load_explicit(field, memory_order_relaxed) / rows[i].divisor,
                              memory_order_relaxed);
    }
    struct answers_counts counts = {0};
    if (s->engine->answers != NULL)
        answers_count(s->engine->answers, &counts);
    atomic_store_explicit(&s->counters[ROWS]->value, counts.stored, memory_order_relaxed);
    atomic_store_explicit(&s->counters[ROWS + 1]->value, counts.races, memory_order_relaxed);
    atomic_store_explicit(&s->counters[ROWS + 2]->value, counts.learnt, memory_order_relaxed);
    copy_endpoints(s);
}

static void on_timer(void *arg)
{
    struct spending *s = arg;
    copy(s);
    loop_timer_start(s->timer, COPY_MS);
}

static void open_endpoints(struct spending *s, struct metrics *m)
{
    for (size_t i = 0; i < s->engine->link_count; i++)
        s->endpoints += (size_t)s->engine->links[i].endpoint_count;
    s->in_flight = mem_array(s->endpoints, sizeof *s->in_flight);
    s->limit = mem_array(s->endpoints, sizeof *s->limit);
    s->used_tokens = mem_array(s->endpoints, sizeof *s->used_tokens);
    size_t n = 0;
    for (size_t i = 0; i < s->engine->link_count; i++) {
        const struct link *link = &s->engine->links[i];
        for (int k = 0; k < link->endpoint_count; k++, n++) {
            char labels[128];
            snprintf(labels, sizeof labels, "link=\"%s\",endpoint=\"%d\"", link->name, k + 1);
            s->in_flight[n] = metrics_gauge(m, "sluice_llm_in_flight", labels, "Calls in flight");
            s->limit[n] = metrics_gauge(m, "sluice_llm_concurrency_limit", labels,
                                        "Calls that may be in flight now");
            s->used_tokens[n] = metrics_gauge(m, "sluice_llm_tokens_last_minute", labels,
                                              "Tokens used and reserved within 60 s, when limited");
        }
    }
}

void spending_open(struct spending *s, struct metrics *m, struct engine *engine, struct loop *loop)
{
    static const char *const caches[] = {"none", "miss", "hit", "coalesced"};
    *s = (struct spending){.engine = engine};
    for (int i = 0; i <= CACHE_COALESCED; i++) {
        char labels[32];
        snprintf(labels, sizeof labels, "cache=\"%s\"", caches[i]);
        s->asks[i] =
            metrics_counter(m, "sluice_asks_total", labels, "Asks, by how they were answered");
    }
    if (loop == NULL)
        return;
    for (int i = 0; i < ROWS; i++)
        s->counters[i] = metrics_counter(m, rows[i].name, rows[i].labels, rows[i].help);
    s->counters[ROWS] =
        metrics_counter(m, "sluice_answers_stored_total", "", "Answers made durable");
    s->counters[ROWS + 1] = metrics_counter(m, "sluice_answers_races_total", "",
                                            "Questions that two processes asked at the same time");
    s->counters[ROWS + 2] = metrics_counter(m, "sluice_answers_learnt_total", "",
                                            "Answers of other processes read from their topic");
    open_endpoints(s, m);
    s->timer = loop_timer_new(loop, on_timer, s);
    loop_timer_start(s->timer, COPY_MS);
}

void spending_close(struct spending *s)
{
    if (s->timer == NULL)
        return;
    copy(s);
    loop_timer_free(s->timer);
    mem_free(s->in_flight);
    mem_free(s->limit);
    mem_free(s->used_tokens);
    s->timer = NULL;
}

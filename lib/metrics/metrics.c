/* The registry: a list of series in order of registration; series of one name form a family, and
 * series of one name and equal labels are added up when they are read. */
#include "lib/metrics/metrics.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct series {
    struct series *next;
    enum kind kind;
    char *name, *labels;
    const char *help;
    union {
        struct counter counter;
        struct gauge gauge;
        struct hist hist;
    } u;
};

struct metrics {
    pthread_mutex_t lock;
    struct series *first, **last; /* under lock */
};

struct metrics *metrics_new(void)
{
    struct metrics *m = mem_zalloc(sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->last = &m->first;
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    while (m->first != NULL) {
        struct series *s = m->first;
        m->first = s->next;
        mem_free(s->name);
        mem_free(s->labels);
        mem_free(s);
    }
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static struct series *add(struct metrics *m, enum kind kind, const char *name, const char *labels,
                          const char *help)
{
    struct series *s = mem_zalloc(sizeof *s);
    s->kind = kind;
    s->name = mem_strdup(name);
    s->labels = mem_strdup(labels);
    s->help = help;
    pthread_mutex_lock(&m->lock);
    *m->last = s;
    m->last = &s->next;
    pthread_mutex_unlock(&m->lock);
    return s;
}

struct counter *metrics_counter(struct metrics *m, const char *name, const char *labels,
                                const char *help)
{
    return &add(m, COUNTER, name, labels, help)->u.counter;
}

struct gauge *metrics_gauge(struct metrics *m, const char *name, const char *labels,
                            const char *help)
{
    return &add(m, GAUGE, name, labels, help)->u.gauge;
}

struct hist *metrics_hist(struct metrics *m, const char *name, const char *labels, const char *help)
{
    return &add(m, HISTOGRAM, name, labels, help)->u.hist;
}

/* --- Prometheus text, format 0.0.4 --- */

static bool same(const struct series *a, const struct series *b)
{
    return strcmp(a->name, b->name) == 0 && strcmp(a->labels, b->labels) == 0;
}

static double value_of(const struct series *s)
{
    if (s->kind == COUNTER)
        return (double)atomic_load_explicit(&s->u.counter.value, memory_order_relaxed);
    if (s->kind == GAUGE)
        return (double)atomic_load_explicit(&s->u.gauge.value, memory_order_relaxed);
    return (double)atomic_load_explicit(&s->u.hist.count, memory_order_relaxed);
}

static void print_line(struct buf *out, const char *name, const char *suffix, const char *labels,
                       const char *more, double value)
{
    buf_printf(out, "%s%s", name, suffix);
    if (labels[0] != '\0' || more[0] != '\0')
        buf_printf(out, "{%s%s%s}", labels, labels[0] != '\0' && more[0] != '\0' ? "," : "", more);
    buf_printf(out, " %.15g\n", value);
}

static void print_hist(struct buf *out, const struct series *s, const struct hist *h)
{
    static const double limits[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
                                    0.25,   0.5,   1,      2.5,   5,    10,    30,   60};
    char le[32];
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
        snprintf(le, sizeof le, "le=\"%g\"", limits[i]);
        print_line(out, s->name, "_bucket", s->labels, le,
                   (double)hist_count_below(h, (int64_t)(limits[i] * 1e6)));
    }
    double count = (double)atomic_load(&h->count);
    print_line(out, s->name, "_bucket", s->labels, "le=\"+Inf\"", count);
    print_line(out, s->name, "_sum", s->labels, "", (double)atomic_load(&h->sum_us) / 1e6);
    print_line(out, s->name, "_count", s->labels, "", count);
}

/* `s` and all later series that are the same. */
static void print_sum(struct buf *out, const struct series *s)
{
    if (s->kind == HISTOGRAM) {
        struct hist *sum = mem_zalloc(sizeof *sum);
        for (const struct series *o = s; o != NULL; o = o->next)
            if (same(s, o))
                hist_merge(sum, &o->u.hist);
        print_hist(out, s, sum);
        mem_free(sum);
        return;
    }
    double sum = 0;
    for (const struct series *o = s; o != NULL; o = o->next)
        if (same(s, o))
            sum += value_of(o);
    print_line(out, s->name, "", s->labels, "", sum);
}

static bool seen_before(const struct series *first, const struct series *s, bool labels_too)
{
    for (const struct series *o = first; o != s; o = o->next)
        if (labels_too ? same(o, s) : strcmp(o->name, s->name) == 0)
            return true;
    return false;
}

void metrics_print(struct metrics *m, struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    pthread_mutex_lock(&m->lock);
    for (const struct series *s = m->first; s != NULL; s = s->next) {
        if (seen_before(m->first, s, false))
            continue;
        buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", s->name, s->help, s->name, types[s->kind]);
        for (const struct series *o = s; o != NULL; o = o->next)
            if (strcmp(o->name, s->name) == 0 && !seen_before(m->first, o, true))
                print_sum(out, o);
    }
    pthread_mutex_unlock(&m->lock);
}

double metrics_sum(struct metrics *m, const char *name, const char *labels)
{
    double sum = 0;
    pthread_mutex_lock(&m->lock);
    for (const struct series *s = m->first; s != NULL; s = s->next)
        if (strcmp(s->name, name) == 0 && strstr(s->labels, labels) != NULL)
            sum += value_of(s);
    pthread_mutex_unlock(&m->lock);
    return sum;
}

/* Our answers on their way to the topic. While a batch is on its way, and for GAP_MS after its
 * begin, the next one collects, so that many answers share one request; what an abort takes back is
 * sent again from memory. */
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "stages/enhance/journal_worker.h"

enum { GAP_MS = 5 };

static void push(struct append_list *list, struct append *a)
{
    a->next = NULL;
    *(list->last != NULL ? &list->last->next : &list->first) = a;
    list->last = a;
}

static struct append *pop(struct append_list *list)
{
    struct append *a = list->first;
    if (a != NULL && (list->first = a->next) == NULL)
        list->last = NULL;
    return a;
}

/* `rest` goes behind `list`, and is empty then. */
static void join(struct append_list *list, struct append_list *rest)
{
    if (rest->first == NULL)
        return;
    *(list->last != NULL ? &list->last->next : &list->first) = rest->first;
    list->last = rest->last;
    *rest = (struct append_list){NULL, NULL};
}

static void append_free(struct append *a)
{
    buf_fini(&a->value);
    mem_free(a);
}

void append_drop(struct answers *answers, struct append_list *list)
{
    struct append *a;
    while ((a = pop(list)) != NULL) {
        answers_unappended(answers, a->token);
        append_free(a);
    }
}

/* --- any thread --- */

static void write_value(struct journal *j, const struct answer *answer, const char *model,
                        struct buf *out)
{
    buf_reset(out, 0);
    answer_write(answer, model == NULL ? "" : model, out);
    out->n--; /* its closing brace: BY_BYTES end with one */
    buf_add_str(out, j->by);
}

void journal_append(void *arg, const struct question *q, const struct answer *answer,
                    const char *model, void *token)
{
    struct journal *j = arg;
    struct append *a = mem_zalloc(sizeof *a);
    a->q = *q;
    a->token = token;
    write_value(j, answer, model, &a->value);
    pthread_mutex_lock(&j->lock);
    push(&j->fresh, a);
    if (j->bell != NULL && !j->comes_by_itself)
        loop_bell_ring(j->bell);
    pthread_mutex_unlock(&j->lock);
}

/* --- the worker --- */

/* An answer that no record can hold: remembered as refused, which fits into any. */
static void refuse(struct journal_worker *jw, struct append *a, const struct error *why)
{
    const struct answer *refusal;
    log_line(LOG_WARN, "answers", "an answer does not fit into topic '%s': %s", jw->topic,
             why->text);
    answers_append_refused(jw->j->answers, a->token, REASON_output_too_large, why->text, &refusal);
    write_value(jw->j, refusal, NULL, &a->value);
}

static enum status send_one(struct journal_worker *jw, struct append *a)
{
    char key[QUESTION_HEX + 1];
    struct error err;
    question_write(&a->q, key);
    struct out out = {.key = span_make(key, QUESTION_HEX), .timestamp_ms = -1};
    out.partition = broker_partition_of(out.key, writer_partitions(jw->writer, 0), NULL);
    out.value = buf_span(&a->value);
    enum status st = writer_send(jw->writer, &out, &err);
    if (st == ST_REJECT) {
        refuse(jw, a, &err);
        out.value = buf_span(&a->value);
        st = writer_send(jw->writer, &out, &err);
    }
    if (st == ST_REJECT)
        worker_fail(&jw->w, &err);
    return st;
}

/* How long the next batch still gathers: each costs requests, and wakes threads. Calls that are
 * paid for take so much longer that nobody sees it. */
static int64_t gap_left_ms(const struct journal_worker *jw)
{
    int64_t left = jw->begun_ms + GAP_MS - clock_mono_ms();
    return jw->stopping || left < 0 ? 0 : left;
}

static void hand_over(struct journal_worker *jw)
{
    struct error err;
    uint64_t number = 0;
    while (jw->unsent.first != NULL && send_one(jw, jw->unsent.first) == ST_OK)
        push(&jw->filled, pop(&jw->unsent));
    if (jw->filled.first == NULL)
        return;
    if (writer_commit(jw->writer, NULL, 0, &number, &err) != ST_OK) {
        worker_fail(&jw->w, &err);
        return;
    }
    jw->begun_ms = clock_mono_ms();
    for (struct append *a = jw->filled.first; a != NULL; a = a->next)
        a->batch = number;
    join(&jw->sent, &jw->filled);
}

void append_pump(struct journal_worker *jw)
{
    struct journal *j = jw->j;
    bool on_its_way = !writer_can_commit(jw->writer);
    int64_t left_ms = gap_left_ms(jw);
    pthread_mutex_lock(&j->lock);
    join(&jw->unsent, &j->fresh);
    j->comes_by_itself = on_its_way || left_ms > 0;
    pthread_mutex_unlock(&j->lock);
    if (on_its_way)
        return;
    if (left_ms > 0)
        loop_timer_start(jw->gap_timer, left_ms);
    else
        hand_over(jw);
}

static void on_gap_over(void *arg)
{
    append_pump(arg);
}

bool append_idle(struct journal_worker *jw)
{
    pthread_mutex_lock(&jw->j->lock);
    bool idle = jw->j->fresh.first == NULL;
    pthread_mutex_unlock(&jw->j->lock);
    return idle && jw->sent.first == NULL && jw->filled.first == NULL && jw->unsent.first == NULL;
}

static void on_committed(void *arg, uint64_t number)
{
    struct journal_worker *jw = arg;
    while (jw->sent.first != NULL && jw->sent.first->batch <= number) {
        struct append *a = pop(&jw->sent);
        answers_appended(jw->j->answers, a->token);
        append_free(a);
    }
    append_pump(jw);
    journal_settle(jw);
}

static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    struct journal_worker *jw = arg;
    UNUSED(first); /* what came before it was reported as committed */
    log_line(LOG_WARN, "answers", "answers are sent again: %s", why->text);
    join(&jw->sent, &jw->filled);
    join(&jw->sent, &jw->unsent);
    jw->unsent = jw->sent;
    jw->sent = (struct append_list){NULL, NULL};
    loop_bell_ring(jw->bell);
}

static void on_writable(void *arg)
{
    append_pump(arg);
}

static void on_failed(void *arg, const struct error *err)
{
    struct journal_worker *jw = arg;
    worker_fail(&jw->w, err);
}

enum status append_open(struct journal_worker *jw, struct error *err)
{
    struct writer_config cfg = {
        .loop = jw->w.loop,
        .topics = {jw->topic},
        .topic_count = 1,
        .delivery = AT_LEAST_ONCE, /* a repeated record says the same again */
        .gather = true,
        .instance = jw->w.env->instance,
        .group = "answers",
        .events = {.arg = jw,
                   .committed = on_committed,
                   .aborted = on_aborted,
                   .writable = on_writable,
                   .failed = on_failed},
    };
    jw->gap_timer = loop_timer_new(jw->w.loop, on_gap_over, jw);
    return writer_open(jw->w.env->broker, &cfg, &jw->writer, err);
}

void append_close(struct journal_worker *jw)
{
    writer_close(jw->writer);
    loop_timer_free(jw->gap_timer);
    append_drop(jw->j->answers, &jw->sent);
    append_drop(jw->j->answers, &jw->filled);
    append_drop(jw->j->answers, &jw->unsent);
}

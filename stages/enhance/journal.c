/* The journal's worker and its gates: see journal.h. */
#include "stages/enhance/journal.h"

#include <stdio.h>
#include <sys/random.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "stages/enhance/journal_worker.h"

/* --- the journal --- */

enum status journal_new(struct answers *answers, struct journal **ret, struct error *err)
{
    struct journal *j = mem_zalloc(sizeof *j);
    uint64_t id = 0;
    if (getrandom(&id, sizeof id, 0) != (ssize_t)sizeof id)
        id = (uint64_t)clock_mono_ns();
    snprintf(j->by, sizeof j->by, ",\"by\":\"%016llx\"}", (unsigned long long)id);
    pthread_mutex_init(&j->lock, NULL);
    j->answers = answers;
    const struct answers_journal there = {.arg = j, .append = journal_append};
    enum status st = answers_set_journal(answers, &there, err);
    if (st == ST_OK)
        *ret = j;
    else
        journal_free(j);
    return st;
}

void journal_free(struct journal *j)
{
    if (j == NULL)
        return;
    append_drop(j->answers, &j->fresh);
    pthread_mutex_destroy(&j->lock);
    mem_free(j);
}

static void set_bell(struct journal *j, struct loop_bell *bell)
{
    pthread_mutex_lock(&j->lock);
    j->bell = bell;
    pthread_mutex_unlock(&j->lock);
}

/* --- gates --- */

static void on_gate(void *arg)
{
    struct journal_gate *gate = arg;
    pthread_mutex_lock(&gate->journal->lock);
    bool open = gate->has >= gate->wants, failed = gate->journal->failed;
    pthread_mutex_unlock(&gate->journal->lock);
    if (failed && !gate->told) {
        gate->told = true;
        gate->events.failed(gate->events.arg, &gate->journal->err);
    } else if (open && !failed) {
        gate->events.opened(gate->events.arg);
    }
}

/* Whoever waits for an answer to be stored would wait for the whole time that a drain may take. */
static void fail_gates(struct journal *j, const struct error *err)
{
    pthread_mutex_lock(&j->lock);
    j->failed = true;
    j->err = *err;
    for (struct journal_gate *gate = j->gates; gate != NULL; gate = gate->next)
        loop_bell_ring(gate->bell);
    pthread_mutex_unlock(&j->lock);
}

struct journal_gate *journal_gate_open(struct journal *j, struct loop *loop,
                                       const struct journal_gate_events *events)
{
    struct journal_gate *gate = mem_zalloc(sizeof *gate);
    gate->journal = j;
    gate->events = *events;
    gate->bell = loop_bell_new(loop, on_gate, gate);
    pthread_mutex_lock(&j->lock);
    gate->next = j->gates;
    j->gates = gate;
    if (j->failed)
        loop_bell_ring(gate->bell);
    pthread_mutex_unlock(&j->lock);
    return gate;
}

void journal_gate_shut(struct journal_gate *gate)
{
    struct journal *j = gate->journal;
    pthread_mutex_lock(&j->lock);
    gate->wants = ++j->shut;
    if (j->bell != NULL)
        loop_bell_ring(j->bell);
    pthread_mutex_unlock(&j->lock);
}

void journal_gate_close(struct journal_gate *gate)
{
    if (gate == NULL)
        return;
    struct journal *j = gate->journal;
    pthread_mutex_lock(&j->lock);
    struct journal_gate **at = &j->gates;
    while (*at != gate)
        at = &(*at)->next;
    *at = gate->next;
    pthread_mutex_unlock(&j->lock);
    loop_bell_free(gate->bell);
    mem_free(gate);
}

void journal_open_gates(struct journal_worker *jw, uint64_t upto)
{
    struct journal *j = jw->j;
    pthread_mutex_lock(&j->lock);
    for (struct journal_gate *gate = j->gates; gate != NULL; gate = gate->next) {
        if (gate->has < gate->wants && gate->wants <= upto)
            loop_bell_ring(gate->bell);
        if (gate->has < upto)
            gate->has = upto;
    }
    pthread_mutex_unlock(&j->lock);
}

/* --- the worker --- */

static void on_bell(void *arg)
{
    struct journal_worker *jw = arg;
    append_pump(jw);
    tail_pump(jw);
    journal_settle(jw);
}

/* Of one partition: every replica reads all of it anyway, and a request for each of many would cost
 * more than the answers. What is deleted by time or size there would be bought again. */
static enum status make_topic(struct journal_worker *jw, bool *ret_made, struct error *err)
{
    struct broker *broker = jw->w.env->broker;
    bool keeps = true;
    enum status st = broker_topic_ensure(broker, jw->topic, TOPIC_COMPACTED, 1, ret_made, err);
    if (st == ST_OK && !*ret_made)
        st = broker_topic_keeps(broker, jw->topic, &keeps, err);
    if (st == ST_OK && !keeps)
        log_line(LOG_WARN, "answers",
                 "topic '%s' deletes old records: what they answer will be asked, and paid for, "
                 "again; set its cleanup.policy to compact",
                 jw->topic);
    return st;
}

static enum status journal_open(struct worker *w, struct error *err)
{
    struct journal_worker *jw = (struct journal_worker *)w;
    bool made = false;
    jw->j = (struct journal *)w->env->stage_opt;
    jw->topic = w->env->opt->answers_topic;
    enum status st = make_topic(jw, &made, err);
    if (st == ST_OK)
        st = append_open(jw, err);
    if (st == ST_OK)
        st = tail_open(jw, made, err);
    if (st != ST_OK)
        return st;
    jw->bell = loop_bell_new(w->loop, on_bell, jw);
    set_bell(jw->j, jw->bell);
    loop_bell_ring(jw->bell); /* for what came before */
    return ST_OK;
}

void journal_settle(struct journal_worker *jw)
{
    if (jw->stopping && append_idle(jw))
        worker_finished(&jw->w);
}

static void on_stop_time(void *arg)
{
    struct journal_worker *jw = arg;
    log_line(LOG_WARN, "answers", "not all answers could be stored in topic '%s' in time",
             jw->topic);
    worker_finished(&jw->w);
}

static void journal_stop(struct worker *w)
{
    struct journal_worker *jw = (struct journal_worker *)w;
    jw->stopping = true;
    jw->stop_timer = loop_timer_new(w->loop, on_stop_time, jw);
    loop_timer_start(jw->stop_timer, w->env->opt->drain_timeout_ms);
    append_pump(jw);
    journal_settle(jw);
}

static void journal_close(struct worker *w)
{
    struct journal_worker *jw = (struct journal_worker *)w;
    struct error err;
    set_bell(jw->j, NULL);
    if (stage_result(w->stage, &err) != ST_OK)
        fail_gates(jw->j, &err);
    append_close(jw);
    tail_close(jw);
    loop_bell_free(jw->bell);
    loop_timer_free(jw->stop_timer);
}

const struct stage_ops journal_ops = {
    .name = "answers",
    .worker_size = sizeof(struct journal_worker),
    .open = journal_open,
    .stop = journal_stop,
    .close = journal_close,
};

/* Worker threads and their life: see stage.h. */
#include "lib/stage/stage.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"

struct thread {
    struct stage *stage;
    struct worker *worker;
    struct loop_bell *stop_bell; /* under the stage's lock: NULL before open and after use */
    pthread_t id;
    _Atomic bool ready;
};

struct stage {
    const struct stage_ops *ops;
    struct life *life;
    struct thread *threads;
    int count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int opened, ended;  /* under lock */
    bool stopping;      /* under lock */
    enum status status; /* under lock */
    struct error err;   /* under lock: the first failure */
};

static void record_failure(struct stage *s, const struct error *err)
{
    pthread_mutex_lock(&s->lock);
    if (s->status == ST_OK) {
        s->status = ST_FATAL;
        s->err = *err;
    }
    pthread_mutex_unlock(&s->lock);
}

/* Takes the bell out of reach of other threads, then frees it. */
static void drop_bell(struct thread *t)
{
    pthread_mutex_lock(&t->stage->lock);
    struct loop_bell *bell = t->stop_bell;
    t->stop_bell = NULL;
    pthread_mutex_unlock(&t->stage->lock);
    loop_bell_free(bell);
}

static void on_stop_bell(void *arg)
{
    struct thread *t = arg;
    drop_bell(t);
    t->stage->ops->stop(t->worker);
}

static void report_opened(struct thread *t, bool went_well)
{
    struct stage *s = t->stage;
    struct loop_bell *bell = went_well ? loop_bell_new(t->worker->loop, on_stop_bell, t) : NULL;
    pthread_mutex_lock(&s->lock);
    t->stop_bell = bell;
    s->opened++;
    if (s->stopping && bell != NULL)
        loop_bell_ring(bell);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static void *run(void *arg)
{
    struct thread *t = arg;
    struct stage *s = t->stage;
    struct error err = {0};
    t->worker->loop = loop_new();
    enum status st = s->ops->open(t->worker, &err);
    if (st != ST_OK)
        record_failure(s, &err);
    report_opened(t, st == ST_OK);
    if (st == ST_OK)
        loop_run(t->worker->loop);
    else
        stage_stop(s);
    atomic_store(&t->ready, false);
    drop_bell(t);
    s->ops->close(t->worker);
    loop_free(t->worker->loop);
    pthread_mutex_lock(&s->lock);
    s->ended++;
    pthread_mutex_unlock(&s->lock);
    life_ring(s->life);
    return NULL;
}

static void start_thread(struct stage *s, const struct stage_env *env, int index)
{
    struct thread *t = &s->threads[index];
    t->stage = s;
    t->worker = mem_zalloc(s->ops->worker_size);
    *t->worker = (struct worker){.stage = s, .env = env, .index = index};
    char name[16];
    snprintf(name, sizeof name, "%.10s-%d", s->ops->name, index % 1000);
    sigset_t all, old; /* signals belong to the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->id, NULL, run, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        mem_fail_system("threads", strerror(rc));
    pthread_setname_np(t->id, name);
}

enum status stage_start(const struct stage_ops *ops, const struct stage_env *env, int workers,
                        struct life *life, struct stage **ret, struct error *err)
{
    struct stage *s = mem_zalloc(sizeof *s);
    s->ops = ops;
    s->life = life;
    s->count = workers;
    s->threads = mem_array((size_t)workers, sizeof *s->threads);
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    for (int i = 0; i < workers; i++)
        start_thread(s, env, i);
    pthread_mutex_lock(&s->lock);
    while (s->opened < s->count)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
    enum status st = stage_result(s, err);
    if (st == ST_OK)
        *ret = s;
    else
        stage_free(s);
    return st;
}

void stage_stop(struct stage *s)
{
    pthread_mutex_lock(&s->lock);
    if (!s->stopping) {
        s->stopping = true;
        for (int i = 0; i < s->count; i++)
            if (s->threads[i].stop_bell != NULL)
                loop_bell_ring(s->threads[i].stop_bell);
    }
    pthread_mutex_unlock(&s->lock);
}

bool stage_ended(struct stage *s)
{
    pthread_mutex_lock(&s->lock);
    bool ended = s->ended == s->count;
    pthread_mutex_unlock(&s->lock);
    return ended;
}

enum status stage_result(struct stage *s, struct error *err)
{
    pthread_mutex_lock(&s->lock);
    enum status st = s->status;
    if (st != ST_OK)
        *err = s->err;
    pthread_mutex_unlock(&s->lock);
    return st;
}

bool stage_ready(struct stage *s)
{
    for (int i = 0; i < s->count; i++)
        if (!atomic_load(&s->threads[i].ready))
            return false;
    return true;
}

const char *stage_name(const struct stage *s)
{
    return s->ops->name;
}

void stage_free(struct stage *s)
{
    if (s == NULL)
        return;
    stage_stop(s);
    for (int i = 0; i < s->count; i++) {
        pthread_join(s->threads[i].id, NULL);
        mem_free(s->threads[i].worker);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->threads);
    mem_free(s);
}

void worker_finished(struct worker *w)
{
    loop_stop(w->loop);
}

void worker_fail(struct worker *w, const struct error *err)
{
    record_failure(w->stage, err);
    stage_stop(w->stage);
    worker_finished(w);
}

void worker_ready(struct worker *w, bool ready)
{
    atomic_store(&w->stage->threads[w->index].ready, ready);
    life_ring(w->stage->life);
}

const char *worker_part(const struct worker *w)
{
    return w->stage->ops->name;
}

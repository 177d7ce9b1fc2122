/* A thread with two queues: jobs to do, and jobs done whose report waits for the loop.
 *
 * Ensures: 1. work() calls never overlap and keep the order of submission. 2. done() runs on the
 * loop thread, in the same order, exactly once a job. */
#include "lib/base/runner.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "lib/base/mem.h"

struct queue {
    struct job *first, **last;
};

struct runner {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t filled;
    struct queue todo, finished; /* under lock */
    bool stopping;               /* under lock */
    struct loop_bell *bell;
    long outstanding; /* loop thread */
};

static void queue_init(struct queue *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void queue_push(struct queue *q, struct job *job)
{
    job->next = NULL;
    *q->last = job;
    q->last = &job->next;
}

static struct job *queue_pop(struct queue *q)
{
    struct job *job = q->first;
    if (job != NULL && (q->first = job->next) == NULL)
        q->last = &q->first;
    return job;
}

static void *run(void *arg)
{
    struct runner *r = arg;
    pthread_mutex_lock(&r->lock);
    for (;;) {
        struct job *job = queue_pop(&r->todo);
        if (job == NULL && r->stopping)
            break;
        if (job == NULL) {
            pthread_cond_wait(&r->filled, &r->lock);
            continue;
        }
        pthread_mutex_unlock(&r->lock);
        job->work(job);
        pthread_mutex_lock(&r->lock);
        queue_push(&r->finished, job);
        loop_bell_ring(r->bell);
    }
    pthread_mutex_unlock(&r->lock);
    return NULL;
}

static void report(void *arg)
{
    struct runner *r = arg;
    for (;;) {
        pthread_mutex_lock(&r->lock);
        struct job *job = queue_pop(&r->finished);
        pthread_mutex_unlock(&r->lock);
        if (job == NULL)
            return;
        r->outstanding--;
        job->done(job);
    }
}

struct runner *runner_start(struct loop *loop, const char *name)
{
    struct runner *r = mem_zalloc(sizeof *r);
    queue_init(&r->todo);
    queue_init(&r->finished);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->filled, NULL);
    r->bell = loop_bell_new(loop, report, r);
    sigset_t all, old; /* signals belong to the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&r->thread, NULL, run, r);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        mem_fail_system("threads", strerror(rc));
    pthread_setname_np(r->thread, name);
    return r;
}

void runner_stop(struct runner *r)
{
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_cond_signal(&r->filled);
    pthread_mutex_unlock(&r->lock);
    pthread_join(r->thread, NULL);
    report(r);
    loop_bell_free(r->bell);
    pthread_cond_destroy(&r->filled);
    pthread_mutex_destroy(&r->lock);
    mem_free(r);
}

void runner_submit(struct runner *r, struct job *job)
{
    r->outstanding++;
    pthread_mutex_lock(&r->lock);
    queue_push(&r->todo, job);
    pthread_cond_signal(&r->filled);
    pthread_mutex_unlock(&r->lock);
}

bool runner_busy(const struct runner *r)
{
    return r->outstanding > 0;
}

/* A desk: see desk.h. A job is a batch on its way and lives on the stack of the thread that waits
 * for it; an item is one post on its way and comes from a free list, so that answers keep their
 * memory. */
#include "api/desk.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "api/batch.h"
#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "stages/enhance/step.h"

enum { ASK_A_TURN = 256, CHECK_MS = 200 };

struct item {
    struct step step;
    struct desk *desk;
    struct job *job;
    size_t index;
    struct item *prev, *next; /* among the job's asks under way; next: free */
};

struct job {
    const struct sluice_post *posts;
    size_t n, asked, answered;
    struct item *asking;
    struct sluice_batch *batch;
    struct error err; /* when failed */
    bool failed;
    bool done; /* under the desk's lock */
    pthread_cond_t woken;
    struct job *next;
};

struct desk {
    struct desk_config cfg;
    pthread_t thread;
    struct loop *loop;
    struct loop_bell *bell;
    struct loop_idle *more;
    struct loop_timer *check;
    int64_t stored_ms; /* when answers could be stored last */
    struct enricher *enricher;
    struct item *free;
    struct job *jobs; /* the oldest first */
    size_t asking;
    _Atomic size_t load;

    pthread_mutex_t lock;
    pthread_cond_t opened;
    struct job *inbox, **inbox_end;
    bool is_open, stopping;
    enum status status; /* of opening */
    struct error err;
};

/* --- results --- */

static void write_post(struct item *item)
{
    struct job *job = item->job;
    const struct sluice_post *in = &job->posts[item->index];
    struct sluice_result *res = &job->batch->results[item->index];
    struct span value = span_make(in->value, in->size);
    struct span answer = buf_span(&item->step.ask.answer);
    size_t size = post_spliced_size(value, &item->step.post, answer);
    struct buf out = {.p = arena_alloc(&job->batch->bytes, size), .cap = size, .max = size};
    post_splice(&out, value, &item->step.post, answer); /* fits, so that it never grows */
    *res = (struct sluice_result){
        .kind = SLUICE_ENRICHED, .value = out.p, .size = out.n, .reason = "", .message = ""};
}

static void write_letter(struct item *item)
{
    struct job *job = item->job;
    const struct sluice_post *in = &job->posts[item->index];
    const struct error *why = item->step.ask.err;
    struct span text = span_make(why->text, strlen(why->text) + 1);
    job->batch->results[item->index] = (struct sluice_result){
        .kind = SLUICE_DEAD,
        .value = in->value == NULL
                     ? ""
                     : arena_copy(&job->batch->bytes, span_make(in->value, in->size)).p,
        .size = in->value == NULL ? 0 : in->size,
        .reason = reason_word(why->reason),
        .message = arena_copy(&job->batch->bytes, text).p};
}

/* --- items --- */

static struct item *item_take(struct desk *d, struct job *job)
{
    struct item *item = d->free;
    if (item != NULL)
        d->free = item->next;
    else
        item = mem_zalloc(sizeof *item);
    item->desk = d;
    item->job = job;
    item->index = job->asked++;
    item->prev = NULL;
    item->next = job->asking;
    if (item->next != NULL)
        item->next->prev = item;
    job->asking = item;
    d->asking++;
    return item;
}

static void item_give_back(struct item *item)
{
    struct desk *d = item->desk;
    *(item->prev != NULL ? &item->prev->next : &item->job->asking) = item->next;
    if (item->next != NULL)
        item->next->prev = item->prev;
    step_reset(&item->step);
    item->next = d->free;
    d->free = item;
    d->asking--;
}

static void fail(struct job *job, const struct error *err)
{
    if (!job->failed)
        job->err = *err;
    job->failed = true;
}

/* Nothing is cancelled here: an enricher that dies is still walking through its asks. */
static void settle(struct item *item, enum status st)
{
    struct job *job = item->job;
    if (st == ST_FATAL) {
        fail(job, item->step.ask.err);
    } else if (st == ST_OK) {
        write_post(item);
    } else {
        write_letter(item);
    }
    job->answered++;
    item_give_back(item);
}

static void on_answer(struct ask *ask)
{
    struct item *item = ask->arg;
    struct desk *d = item->desk;
    settle(item, ask->status);
    loop_idle_start(d->more);
}

static void ask_next(struct desk *d, struct job *job)
{
    struct item *item = item_take(d, job);
    const struct sluice_post *in = &job->posts[item->index];
    enum status st = step_begin(&item->step, d->enricher, span_make(in->value, in->size),
                                &d->cfg.limits, on_answer, item);
    if (st != ST_AGAIN)
        settle(item, st);
}

/* --- jobs --- */

static void cancel_all(struct desk *d, struct job *job)
{
    while (job->asking != NULL) {
        struct item *item = job->asking;
        enricher_cancel(d->enricher, &item->step.ask);
        item_give_back(item);
    }
}

/* The waiting thread goes on, and with it the job's memory goes. */
static void finish(struct desk *d, struct job *job)
{
    atomic_fetch_sub(&d->load, job->n);
    pthread_mutex_lock(&d->lock);
    job->done = true;
    pthread_cond_signal(&job->woken);
    pthread_mutex_unlock(&d->lock);
}

static void take_inbox(struct desk *d)
{
    struct job **end = &d->jobs;
    while (*end != NULL)
        end = &(*end)->next;
    pthread_mutex_lock(&d->lock);
    *end = d->inbox;
    d->inbox = NULL;
    d->inbox_end = &d->inbox;
    pthread_mutex_unlock(&d->lock);
}

/* One turn: the loop serves sockets between them. */
static void pump(void *arg)
{
    struct desk *d = arg;
    int left = ASK_A_TURN;
    for (struct job **at = &d->jobs; *at != NULL;) {
        struct job *job = *at;
        for (; left > 0 && job->asked < job->n && !job->failed && d->asking < d->cfg.window; left--)
            ask_next(d, job);
        if (job->failed)
            cancel_all(d, job);
        if (job->failed || job->answered == job->n) {
            *at = job->next;
            finish(d, job);
        } else {
            at = &job->next;
        }
    }
    if (left > 0) /* nothing to ask about, or no room: an answer or a batch comes next */
        loop_idle_stop(d->more);
}

/* While anybody waits: whether what is answered can be stored. */
static void on_check(void *arg)
{
    struct desk *d = arg;
    struct error err;
    int64_t now_ms = clock_mono_ms();
    if (d->jobs == NULL)
        return;
    enum status st = d->cfg.check(d->cfg.arg, &err);
    if (st == ST_OK)
        d->stored_ms = now_ms;
    if (st == ST_FATAL || now_ms - d->stored_ms >= d->cfg.patience_ms) {
        for (struct job *job = d->jobs; job != NULL; job = job->next)
            fail(job, &err);
        loop_idle_start(d->more);
    }
    loop_timer_start(d->check, CHECK_MS);
}

static void on_bell(void *arg)
{
    struct desk *d = arg;
    if (d->jobs == NULL) {
        d->stored_ms = clock_mono_ms();
        loop_timer_start(d->check, CHECK_MS);
    }
    take_inbox(d);
    loop_idle_start(d->more);
    pthread_mutex_lock(&d->lock);
    if (d->stopping)
        loop_stop(d->loop);
    pthread_mutex_unlock(&d->lock);
}

/* --- the thread --- */

static void report_opened(struct desk *d, enum status st, const struct error *err)
{
    pthread_mutex_lock(&d->lock);
    d->is_open = true;
    d->status = st;
    d->err = *err;
    pthread_cond_signal(&d->opened);
    pthread_mutex_unlock(&d->lock);
}

static void *run(void *arg)
{
    struct desk *d = arg;
    struct error err = {0};
    d->loop = loop_new();
    d->bell = loop_bell_new(d->loop, on_bell, d);
    d->more = loop_idle_new(d->loop, pump, d);
    d->check = loop_timer_new(d->loop, on_check, d);
    enum status st = enricher_open(d->cfg.engine, d->loop, &d->enricher, &err);
    report_opened(d, st, &err);
    if (st == ST_OK)
        loop_run(d->loop);
    enricher_close(d->enricher);
    loop_timer_free(d->check);
    loop_idle_free(d->more);
    loop_bell_free(d->bell);
    loop_free(d->loop);
    return NULL;
}

static void start_thread(struct desk *d)
{
    char name[16];
    snprintf(name, sizeof name, "sluice-%d", d->cfg.number % 1000);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&d->thread, NULL, run, d);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0)
        mem_fail_system("threads", strerror(rc));
    pthread_setname_np(d->thread, name);
}

static void desk_free(struct desk *d)
{
    pthread_join(d->thread, NULL);
    while (d->free != NULL) {
        struct item *item = d->free;
        d->free = item->next;
        step_fini(&item->step);
        mem_free(item);
    }
    pthread_cond_destroy(&d->opened);
    pthread_mutex_destroy(&d->lock);
    mem_free(d);
}

enum status desk_open(const struct desk_config *cfg, struct desk **ret, struct error *err)
{
    struct desk *d = mem_zalloc(sizeof *d);
    d->cfg = *cfg;
    d->inbox_end = &d->inbox;
    pthread_mutex_init(&d->lock, NULL);
    pthread_cond_init(&d->opened, NULL);
    start_thread(d);
    pthread_mutex_lock(&d->lock);
    while (!d->is_open)
        pthread_cond_wait(&d->opened, &d->lock);
    enum status st = d->status;
    if (st != ST_OK)
        *err = d->err;
    pthread_mutex_unlock(&d->lock);
    if (st == ST_OK)
        *ret = d;
    else
        desk_free(d);
    return st;
}

void desk_close(struct desk *d)
{
    if (d == NULL)
        return;
    pthread_mutex_lock(&d->lock);
    d->stopping = true;
    loop_bell_ring(d->bell);
    pthread_mutex_unlock(&d->lock);
    desk_free(d);
}

size_t desk_load(const struct desk *d)
{
    return atomic_load_explicit(&d->load, memory_order_relaxed);
}

enum status desk_answer(struct desk *d, const struct sluice_post *posts, size_t n,
                        struct sluice_batch **ret, struct error *err)
{
    struct job job = {.posts = posts, .n = n, .batch = mem_zalloc(sizeof *job.batch)};
    job.batch->results = mem_array(n, sizeof *job.batch->results);
    pthread_cond_init(&job.woken, NULL);
    atomic_fetch_add(&d->load, n);
    pthread_mutex_lock(&d->lock);
    *d->inbox_end = &job;
    d->inbox_end = &job.next;
    loop_bell_ring(d->bell);
    while (!job.done)
        pthread_cond_wait(&job.woken, &d->lock);
    pthread_mutex_unlock(&d->lock);
    pthread_cond_destroy(&job.woken);
    if (!job.failed) {
        *ret = job.batch;
        return ST_OK;
    }
    sluice_batch_free(job.batch);
    *err = job.err;
    return ST_FATAL;
}

/* A queue, a thread, a connection. A file that cannot be written (disk full, …) is tried again
 * until close: nobody is told anything meanwhile, so nothing that was paid counts as stored; what
 * is wrong can be asked for by answers_writer_broken. */
#include "lib/enrich/answers_writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "lib/enrich/answers_file.h"

enum { GATHER_MS = 4, PATIENT_S = 1, PATIENT_PUTS = 8192, TRY_AGAIN_MS = 200 };
static const char note_name[] = "journal";

struct queued {
    struct queued *next;
    struct question q;
    struct kept_answer *kept;
    enum put put;
    bool known;
};

struct answers_writer {
    struct answers_file *file;
    answers_stored_fn stored_fn;
    void *arg;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, flushed;
    struct queued *first, *last; /* to be stored */
    char *note;
    uint64_t queued, done; /* puts so far: done follows queued */
    bool urgent;           /* somebody waits for one of those to be stored, or looks for it */
    bool stopping, broken;
    struct error why;
    atomic_uint_fast64_t stored, races;
};

/* --- the thread --- */

static bool in_a_hurry(const struct answers_writer *w)
{
    return w->urgent || w->stopping || w->note != NULL || w->queued - w->done >= PATIENT_PUTS;
}

/* A commit costs as much as a dozen answers: others may come before it. Calls that are paid for
 * take so much longer that nobody sees it. What was read back is in memory until it is in the file,
 * and can wait: pages that many of them change are written once. The lock is held. */
static void gather(struct answers_writer *w)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until); /* a jump of the clock costs one commit, early or late */
    until.tv_sec += PATIENT_S;
    while (!in_a_hurry(w) && pthread_cond_timedwait(&w->work, &w->lock, &until) == 0)
        ;
    if (!w->urgent || w->stopping || w->note != NULL)
        return;
    pthread_mutex_unlock(&w->lock);
    nanosleep(&(struct timespec){.tv_nsec = GATHER_MS * 1000000L}, NULL);
    pthread_mutex_lock(&w->lock);
}

static struct queued *take_all(struct answers_writer *w, char **ret_note, uint64_t *ret_upto)
{
    pthread_mutex_lock(&w->lock);
    while (w->first == NULL && w->note == NULL && !w->stopping)
        pthread_cond_wait(&w->work, &w->lock);
    gather(w);
    struct queued *first = w->first;
    *ret_note = w->note;
    *ret_upto = w->queued;
    w->first = w->last = NULL;
    w->note = NULL;
    w->urgent = false;
    pthread_mutex_unlock(&w->lock);
    return first;
}

/* Whoever lost a race holds the same answer as everybody else from now on. */
static enum status take_older(struct answers_writer *w, struct queued *p, struct error *err)
{
    struct kept_answer *older = NULL;
    enum status st = answers_file_get(w->file, &p->q, &older, err);
    if (st == ST_OK) {
        answer_drop(p->kept);
        p->kept = older;
    }
    return st;
}

static enum status put_one(struct answers_writer *w, struct queued *p, struct error *err)
{
    bool ignored, careful = p->put == PUT_OURS || p->put == PUT_READ_BACK;
    if (p->put == PUT_DELETES)
        return answers_file_delete(w->file, &p->q, err);
    enum status st = answers_file_put(w->file, &p->q, answer_of(p->kept), !careful, &p->known, err);
    if (st != ST_OK || !p->known)
        return st;
    if (p->put == PUT_OURS)
        return take_older(w, p, err);
    return answers_file_put(w->file, &p->q, answer_of(p->kept), true, &ignored, err);
}

static enum status store(struct answers_writer *w, struct queued *first, const char *note,
                         struct error *err)
{
    enum status st = answers_file_begin(w->file, err);
    for (struct queued *p = first; p != NULL && st == ST_OK; p = p->next)
        st = put_one(w, p, err);
    if (st == ST_OK && note != NULL)
        st = answers_file_note(w->file, note_name, note, err);
    if (st == ST_OK && POINT_FAILS("answers.commit"))
        st = error_set(err, ST_FATAL, ERR_IO, "told to fail");
    if (st == ST_OK)
        st = answers_file_commit(w->file, err);
    if (st != ST_OK)
        answers_file_abort(w->file);
    return st;
}

static void say_broken(struct answers_writer *w, const struct error *err)
{
    pthread_mutex_lock(&w->lock);
    w->broken = err != NULL;
    if (err != NULL)
        w->why = *err;
    pthread_cond_broadcast(&w->flushed);
    pthread_mutex_unlock(&w->lock);
}

static bool is_stopping(struct answers_writer *w)
{
    pthread_mutex_lock(&w->lock);
    bool stopping = w->stopping;
    pthread_mutex_unlock(&w->lock);
    return stopping;
}

static bool store_in_the_end(struct answers_writer *w, struct queued *first, const char *note)
{
    struct error err;
    while (store(w, first, note, &err) != ST_OK) {
        say_broken(w, &err);
        if (is_stopping(w))
            return false;
        nanosleep(&(struct timespec){.tv_nsec = TRY_AGAIN_MS * 1000000L}, NULL);
    }
    say_broken(w, NULL);
    return true;
}

static void finish(struct answers_writer *w, struct queued *first, bool stored)
{
    while (first != NULL) {
        struct queued *p = first;
        first = p->next;
        if (stored && (p->put == PUT_OURS || p->put == PUT_REPLACES))
            atomic_fetch_add_explicit(&w->stored, 1, memory_order_relaxed);
        if (stored && p->known)
            atomic_fetch_add_explicit(&w->races, 1, memory_order_relaxed);
        if (stored)
            w->stored_fn(w->arg, &p->q, p->kept, p->put);
        answer_drop(p->kept);
        mem_free(p);
    }
}

static void *run(void *arg)
{
    struct answers_writer *w = arg;
    pthread_setname_np(pthread_self(), "answers");
    for (;;) {
        char *note;
        uint64_t upto;
        struct queued *first = take_all(w, &note, &upto);
        if (first == NULL && note == NULL)
            return NULL;
        finish(w, first, store_in_the_end(w, first, note));
        mem_free(note);
        pthread_mutex_lock(&w->lock);
        w->done = upto;
        pthread_cond_broadcast(&w->flushed);
        pthread_mutex_unlock(&w->lock);
    }
}

/* --- the others --- */

static void enqueue(struct answers_writer *w, struct queued *p)
{
    pthread_mutex_lock(&w->lock);
    p->next = NULL;
    *(w->last != NULL ? &w->last->next : &w->first) = p;
    w->last = p;
    w->queued++;
    w->urgent |= p->put != PUT_READ_BACK && p->put != PUT_READ_BACK_REPLACES;
    if (w->first == p || in_a_hurry(w))
        pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void answers_writer_put(struct answers_writer *w, const struct question *q,
                        struct kept_answer *kept, enum put put)
{
    struct queued *p = mem_zalloc(sizeof *p);
    p->q = *q;
    p->kept = kept;
    p->put = put;
    enqueue(w, p);
}

enum status answers_writer_flush(struct answers_writer *w, const char *note, struct error *err)
{
    pthread_mutex_lock(&w->lock);
    if (note != NULL) {
        mem_free(w->note);
        w->note = mem_strdup(note);
        w->queued++;
        pthread_cond_signal(&w->work);
    }
    uint64_t upto = w->queued;
    while (w->done < upto && !w->broken)
        pthread_cond_wait(&w->flushed, &w->lock);
    enum status st = w->broken ? ST_FATAL : ST_OK;
    if (st != ST_OK)
        *err = w->why;
    pthread_mutex_unlock(&w->lock);
    return st;
}

char *answers_writer_note(struct answers_writer *w)
{
    return answers_file_read_note(w->file, note_name); /* before the thread has anything to do */
}

void answers_writer_count(struct answers_writer *w, uint64_t *ret_stored, uint64_t *ret_races)
{
    *ret_stored = atomic_load_explicit(&w->stored, memory_order_relaxed);
    *ret_races = atomic_load_explicit(&w->races, memory_order_relaxed);
}

bool answers_writer_broken(struct answers_writer *w, struct error *err)
{
    pthread_mutex_lock(&w->lock);
    bool broken = w->broken;
    if (broken)
        *err = w->why;
    pthread_mutex_unlock(&w->lock);
    return broken;
}

enum status answers_writer_open(const char *path, bool sync_full, answers_stored_fn stored,
                                void *arg, struct answers_writer **ret, struct error *err)
{
    struct answers_file *file = NULL;
    enum status st = answers_file_open(path, sync_full, &file, err);
    if (st == ST_OK)
        st = answers_file_make_room(file, err);
    if (st != ST_OK) {
        answers_file_close(file);
        return st;
    }
    struct answers_writer *w = mem_zalloc(sizeof *w);
    w->file = file;
    w->stored_fn = stored;
    w->arg = arg;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->flushed, NULL);
    int rc = pthread_create(&w->thread, NULL, run, w);
    if (rc != 0)
        mem_fail_system("threads", strerror(rc));
    *ret = w;
    return ST_OK;
}

void answers_writer_close(struct answers_writer *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    answers_file_close(w->file);
    mem_free(w->note);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->flushed);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

/* Shards of a hash table: an entry is either asked about (it has a leader, maybe followers) or an
 * answer in memory, in its shard's list by last use. News travel to a loop by its mailbox.
 *
 * Lock order: shard, then mailbox. The storing thread (answers_writer.c) has a lock of its own,
 * never taken together with these two. */
#include "lib/enrich/answers.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/answers_file.h"
#include "lib/enrich/answers_writer.h"

enum { SHARDS = 16, BUCKETS_FIRST = 64, ENTRY_BYTES = 160 };

struct entry {
    struct question q;
    struct entry *next;          /* in the bucket */
    struct entry *newer, *older; /* in the list by last use; only when there is an answer */
    struct kept_answer *kept;    /* NULL: asked about */
    struct waiter *leader;       /* NULL while asked about: settled, being stored */
    struct waiter *first, *last; /* followers, in the order of coming */
    bool replaces;               /* the verdict takes the place of an older one */
};

struct shard {
    pthread_mutex_t lock;
    struct entry **buckets;
    size_t bucket_count, count;
    struct entry *newest, *oldest;
    size_t bytes;
};

struct answers {
    struct answers_options opt;
    char *path;
    bool sync_full;
    struct answers_writer *writer; /* NULL: memory only */
    struct shard shards[SHARDS];
    atomic_uint_fast64_t hits, misses, coalesced;
};

struct answers_client {
    struct answers *a;
    struct answers_file *file; /* for reading; NULL: memory only */
    struct kept_answer *hit;   /* what the last find returned */
    struct loop_bell *bell;
    pthread_mutex_t lock;
    struct waiter *first, *last; /* mail */
};

/* --- table --- */

static struct shard *shard_of(struct answers *a, const struct question *q)
{
    return &a->shards[q->key[0] % SHARDS];
}

static struct entry **place_of(struct shard *s, const struct question *q)
{
    size_t h;
    memcpy(&h, q->key + 8, sizeof h);
    struct entry **at = &s->buckets[h & (s->bucket_count - 1)];
    while (*at != NULL && memcmp((*at)->q.key, q->key, QUESTION_BYTES) != 0)
        at = &(*at)->next;
    return at;
}

static void grow(struct shard *s)
{
    struct entry **old = s->buckets;
    size_t n = s->bucket_count;
    s->bucket_count = n * 2;
    s->buckets = mem_array(s->bucket_count, sizeof *s->buckets);
    for (size_t i = 0; i < n; i++) {
        for (struct entry *e = old[i]; e != NULL;) {
            struct entry *next = e->next;
            e->next = NULL;
            *place_of(s, &e->q) = e;
            e = next;
        }
    }
    mem_free(old);
}

static struct entry *add_entry(struct shard *s, const struct question *q)
{
    if (s->count >= s->bucket_count)
        grow(s);
    struct entry *e = mem_zalloc(sizeof *e);
    e->q = *q;
    *place_of(s, q) = e;
    s->count++;
    return e;
}

static size_t entry_size(const struct entry *e)
{
    return ENTRY_BYTES + answer_size(e->kept);
}

static void unlink_use(struct shard *s, struct entry *e)
{
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
    s->bytes -= entry_size(e);
}

static void link_newest(struct shard *s, struct entry *e)
{
    e->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    s->bytes += entry_size(e);
}

static void remove_entry(struct shard *s, struct entry *e)
{
    struct entry **at = place_of(s, &e->q);
    *at = e->next;
    s->count--;
    answer_drop(e->kept);
    mem_free(e);
}

static void forget(struct shard *s, struct entry *e)
{
    unlink_use(s, e);
    remove_entry(s, e);
}

static void keep_within(struct answers *a, struct shard *s)
{
    while (s->bytes > (size_t)a->opt.memory_bytes / SHARDS && s->oldest != NULL &&
           a->writer != NULL)
        forget(s, s->oldest);
}

/* --- mail --- */

static void post(struct waiter *w, struct kept_answer *kept, bool leads)
{
    struct answers_client *c = w->client;
    pthread_mutex_lock(&c->lock);
    w->state = WAITER_MAILED;
    w->mail = kept == NULL ? NULL : answer_hold(kept);
    w->leads_by_mail = leads;
    w->next = NULL;
    w->prev = c->last;
    *(c->last != NULL ? &c->last->next : &c->first) = w;
    c->last = w;
    pthread_mutex_unlock(&c->lock);
    loop_bell_ring(c->bell);
}

static struct waiter *take_mail(struct answers_client *c)
{
    pthread_mutex_lock(&c->lock);
    struct waiter *w = c->first;
    if (w != NULL) {
        c->first = w->next;
        *(w->next != NULL ? &w->next->prev : &c->last) = NULL;
        w->state = w->leads_by_mail ? WAITER_LEADS : WAITER_OUT;
    }
    pthread_mutex_unlock(&c->lock);
    return w;
}

static void on_mail(void *arg)
{
    struct answers_client *c = arg;
    struct waiter *w;
    while ((w = take_mail(c)) != NULL) {
        struct kept_answer *kept = w->mail;
        w->mail = NULL;
        w->told(w, w->leads_by_mail ? NEWS_LEADS : NEWS_ANSWERED,
                kept == NULL ? NULL : answer_of(kept));
        answer_drop(kept);
    }
}

static void add_follower(struct entry *e, struct waiter *w)
{
    w->state = WAITER_FOLLOWS;
    w->next = NULL;
    w->prev = e->last;
    *(e->last != NULL ? &e->last->next : &e->first) = w;
    e->last = w;
}

static void remove_follower(struct entry *e, struct waiter *w)
{
    *(w->prev != NULL ? &w->prev->next : &e->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &e->last) = w->prev;
}

/* Everybody who waits for this entry gets the answer. The shard is locked. */
static void tell_all(struct entry *e, struct kept_answer *kept)
{
    struct waiter *leader = e->leader;
    e->leader = NULL;
    if (leader != NULL)
        post(leader, kept, false);
    while (e->first != NULL) {
        struct waiter *w = e->first;
        remove_follower(e, w);
        post(w, kept, false);
    }
}

/* --- find --- */

static bool is_good(const struct answers *a, const struct waiter *w, const struct answer *answer)
{
    if (a->opt.ttl_ms > 0 && answer->at_ms + a->opt.ttl_ms < clock_wall_ms())
        return false;
    return !(w->ignore_refusal && answer->reason != REASON_NONE);
}

static enum answers_found hit(struct answers_client *c, struct kept_answer *kept,
                              const struct answer **ret)
{
    answer_drop(c->hit);
    c->hit = kept;
    *ret = answer_of(kept);
    atomic_fetch_add_explicit(&c->a->hits, 1, memory_order_relaxed);
    return FOUND_HIT;
}

/* Claims the question before the file is read, so that nobody else asks between the two. */
static enum answers_found find_in_memory(struct answers_client *c, struct waiter *w,
                                         const struct answer **ret)
{
    struct shard *s = shard_of(c->a, &w->question);
    enum answers_found found = FOUND_LEADS;
    pthread_mutex_lock(&s->lock);
    struct entry *e = *place_of(s, &w->question);
    bool replaces = false;
    if (e != NULL && e->kept != NULL && is_good(c->a, w, answer_of(e->kept))) {
        unlink_use(s, e);
        link_newest(s, e);
        found = hit(c, answer_hold(e->kept), ret);
    } else if (e != NULL && e->kept == NULL) {
        add_follower(e, w);
        found = FOUND_JOINED;
    } else {
        if (e != NULL) {
            forget(s, e);
            replaces = true;
        }
        e = add_entry(s, &w->question);
        e->leader = w;
        e->replaces = replaces;
        w->state = WAITER_LEADS;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* The file knew it: the entry becomes an answer, whoever joined meanwhile is told. */
static enum answers_found found_in_file(struct answers_client *c, struct waiter *w,
                                        struct kept_answer *kept, const struct answer **ret)
{
    struct shard *s = shard_of(c->a, &w->question);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *place_of(s, &w->question);
    assert(e != NULL && e->leader == w);
    e->leader = NULL;
    w->state = WAITER_OUT;
    tell_all(e, kept);
    e->kept = answer_hold(kept);
    link_newest(s, e);
    keep_within(c->a, s);
    pthread_mutex_unlock(&s->lock);
    return hit(c, kept, ret);
}

static void mark_replacing(struct answers_client *c, const struct waiter *w)
{
    struct shard *s = shard_of(c->a, &w->question);
    pthread_mutex_lock(&s->lock);
    (*place_of(s, &w->question))->replaces = true;
    pthread_mutex_unlock(&s->lock);
}

enum answers_found answers_find(struct answers_client *c, struct waiter *w,
                                const struct answer **ret)
{
    struct kept_answer *kept = NULL;
    struct error ignored; /* a file that cannot be read now cannot be written either: see writer */
    w->client = c;
    enum answers_found found = find_in_memory(c, w, ret);
    if (found == FOUND_LEADS && c->file != NULL &&
        answers_file_get(c->file, &w->question, &kept, &ignored) == ST_OK) {
        if (is_good(c->a, w, answer_of(kept)))
            return found_in_file(c, w, kept, ret);
        answer_drop(kept);
        mark_replacing(c, w);
    }
    if (found == FOUND_LEADS)
        atomic_fetch_add_explicit(&c->a->misses, 1, memory_order_relaxed);
    else if (found == FOUND_JOINED)
        atomic_fetch_add_explicit(&c->a->coalesced, 1, memory_order_relaxed);
    return found;
}

/* --- settle --- */

/* The answer is durable: told to all, kept in memory. Storing thread, or the leader's. */
static void announce(void *arg, const struct question *q, struct kept_answer *kept, bool keep)
{
    struct answers *a = arg;
    struct shard *s = shard_of(a, q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *place_of(s, q);
    if (e == NULL) {
        if (keep)
            e = add_entry(s, q);
    } else if (e->kept != NULL) {
        unlink_use(s, e);
        answer_drop(e->kept);
        e->kept = NULL;
    }
    if (e != NULL) {
        tell_all(e, kept);
        if (keep) {
            e->kept = answer_hold(kept);
            link_newest(s, e);
            keep_within(a, s);
        } else {
            remove_entry(s, e);
        }
    }
    pthread_mutex_unlock(&s->lock);
}

void answers_settle(struct answers_client *c, struct waiter *w, const struct answer *answer,
                    bool keep)
{
    struct answers *a = c->a;
    struct shard *s = shard_of(a, &w->question);
    struct kept_answer *kept = answer_keep(answer);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *place_of(s, &w->question);
    assert(e != NULL && e->leader == w && w->state == WAITER_LEADS);
    w->state = WAITER_STORING;
    bool replaces = e->replaces;
    pthread_mutex_unlock(&s->lock);
    if (keep && a->writer != NULL)
        answers_writer_put(a->writer, &w->question, answer_hold(kept), replaces);
    else
        announce(a, &w->question, kept, keep);
    answer_drop(kept);
}

/* --- leave --- */

/* The first follower leads; without any, the question is nobody's. The shard is locked. */
static void pass_on(struct shard *s, struct entry *e)
{
    struct waiter *w = e->first;
    e->leader = w;
    if (w == NULL) {
        remove_entry(s, e);
        return;
    }
    remove_follower(e, w);
    post(w, NULL, true);
}

static void unmail(struct waiter *w)
{
    struct answers_client *c = w->client;
    pthread_mutex_lock(&c->lock);
    *(w->prev != NULL ? &w->prev->next : &c->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &c->last) = w->prev;
    pthread_mutex_unlock(&c->lock);
    answer_drop(w->mail);
    w->mail = NULL;
}

void answers_leave(struct answers_client *c, struct waiter *w)
{
    struct shard *s = shard_of(c->a, &w->question);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *place_of(s, &w->question);
    if (w->state == WAITER_FOLLOWS) {
        remove_follower(e, w);
    } else if (w->state == WAITER_MAILED) {
        unmail(w);
        if (w->leads_by_mail)
            pass_on(s, e);
    } else if (w->state == WAITER_STORING) {
        e->leader = NULL; /* goes on being stored */
    } else if (w->state == WAITER_LEADS) {
        pass_on(s, e);
    }
    w->state = WAITER_OUT;
    pthread_mutex_unlock(&s->lock);
}

/* --- what others stored --- */

void answers_learn(struct answers *a, const struct question *q, const struct answer *answer)
{
    struct kept_answer *kept = answer_keep(answer);
    if (a->writer != NULL)
        answers_writer_learn(a->writer, q, answer_hold(kept));
    struct shard *s = shard_of(a, q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = *place_of(s, q);
    if (e != NULL && e->kept != NULL) { /* the newer one counts; what is asked about goes on */
        unlink_use(s, e);
        answer_drop(e->kept);
        e->kept = answer_hold(kept);
        link_newest(s, e);
    } else if (e == NULL && a->writer == NULL) {
        e = add_entry(s, q);
        e->kept = answer_hold(kept);
        link_newest(s, e);
    }
    pthread_mutex_unlock(&s->lock);
    answer_drop(kept);
}

enum status answers_flush(struct answers *a, const char *note, struct error *err)
{
    return a->writer == NULL ? ST_OK : answers_writer_flush(a->writer, note, err);
}

char *answers_note(struct answers *a)
{
    return a->writer == NULL ? NULL : answers_writer_note(a->writer);
}

void answers_set_journal(struct answers *a, const struct answers_journal *journal)
{
    assert(a->writer != NULL);
    answers_writer_set_journal(a->writer, journal);
}

void answers_appended(struct answers *a, void *token)
{
    answers_writer_appended(a->writer, token);
}

void answers_count(struct answers *a, struct answers_counts *ret)
{
    *ret = (struct answers_counts){.hits = atomic_load_explicit(&a->hits, memory_order_relaxed),
                                   .misses = atomic_load_explicit(&a->misses, memory_order_relaxed),
                                   .coalesced =
                                       atomic_load_explicit(&a->coalesced, memory_order_relaxed)};
    if (a->writer != NULL)
        answers_writer_count(a->writer, &ret->stored, &ret->races);
}

bool answers_broken(struct answers *a, struct error *err)
{
    return a->writer != NULL && answers_writer_broken(a->writer, err);
}

/* --- open and close --- */

enum status answers_open(const struct answers_options *opt, const char *path, bool sync_full,
                         struct answers **ret, struct error *err)
{
    struct answers *a = mem_zalloc(sizeof *a);
    a->opt = *opt;
    a->path = mem_strdup(path);
    a->sync_full = sync_full;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&a->shards[i].lock, NULL);
        a->shards[i].bucket_count = BUCKETS_FIRST;
        a->shards[i].buckets = mem_array(BUCKETS_FIRST, sizeof(struct entry *));
    }
    enum status st = ST_OK;
    if (path != NULL)
        st = answers_writer_open(path, sync_full, announce, a, &a->writer, err);
    if (st == ST_OK)
        *ret = a;
    else
        answers_close(a);
    return st;
}

void answers_close(struct answers *a)
{
    if (a == NULL)
        return;
    answers_writer_close(a->writer);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &a->shards[i];
        while (s->oldest != NULL)
            forget(s, s->oldest);
        mem_free(s->buckets);
        pthread_mutex_destroy(&s->lock);
    }
    mem_free(a->path);
    mem_free(a);
}

struct answers_client *answers_client_open(struct answers *a, struct loop *loop)
{
    struct answers_client *c = mem_zalloc(sizeof *c);
    struct error ignored;
    c->a = a;
    pthread_mutex_init(&c->lock, NULL);
    c->bell = loop_bell_new(loop, on_mail, c);
    if (a->path != NULL && answers_file_open(a->path, a->sync_full, &c->file, &ignored) != ST_OK)
        c->file = NULL; /* the writer's connection has said so, or will */
    return c;
}

void answers_client_close(struct answers_client *c)
{
    if (c == NULL)
        return;
    answers_file_close(c->file);
    answer_drop(c->hit);
    loop_bell_free(c->bell);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

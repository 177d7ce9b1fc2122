/* Entries and their memory, waiters and their mail: see answers_table.h. */
#include "lib/enrich/answers_table.h"

#include <string.h>

#include "lib/base/mem.h"

enum { ENTRY_BYTES = 192 };

/* --- table --- */

struct shard *table_shard(struct answers *a, const struct question *q)
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

struct entry *table_find(struct shard *s, const struct question *q)
{
    return *place_of(s, q);
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

struct entry *table_add(struct shard *s, const struct question *q)
{
    if (s->count >= s->bucket_count)
        grow(s);
    struct entry *e = mem_zalloc(sizeof *e);
    e->q = *q;
    *place_of(s, q) = e;
    s->count++;
    return e;
}

void entry_tidy(struct shard *s, struct entry *e)
{
    if (e->asked || e->kept != NULL || e->pins > 0)
        return;
    struct entry **at = place_of(s, &e->q);
    *at = e->next;
    s->count--;
    mem_free(e);
}

void table_clear(struct shard *s)
{
    for (size_t i = 0; i < s->bucket_count; i++) {
        for (struct entry *e = s->buckets[i]; e != NULL;) {
            struct entry *next = e->next;
            answer_drop(e->kept);
            answer_drop(e->pending);
            mem_free(e);
            e = next;
        }
    }
    mem_free(s->buckets);
}

/* --- memory --- */

static size_t entry_size(const struct entry *e)
{
    return ENTRY_BYTES + answer_size(e->kept);
}

static void unlist(struct shard *s, struct entry *e)
{
    if (!e->listed)
        return;
    *(e->newer != NULL ? &e->newer->older : &s->newest) = e->older;
    *(e->older != NULL ? &e->older->newer : &s->oldest) = e->newer;
    e->newer = e->older = NULL;
    e->listed = false;
    s->bytes -= entry_size(e);
}

static void list(struct shard *s, struct entry *e)
{
    if (e->listed || e->kept == NULL || e->pins > 0)
        return;
    e->older = s->newest;
    *(s->newest != NULL ? &s->newest->newer : &s->oldest) = e;
    s->newest = e;
    e->listed = true;
    s->bytes += entry_size(e);
}

void entry_touch(struct shard *s, struct entry *e)
{
    unlist(s, e);
    list(s, e);
}

void entry_forget(struct shard *s, struct entry *e)
{
    unlist(s, e);
    answer_drop(e->kept);
    e->kept = NULL;
}

static void keep_within(struct answers *a, struct shard *s)
{
    while (s->bytes > (size_t)a->opt.memory_bytes / SHARDS && s->oldest != NULL &&
           a->writer != NULL) {
        struct entry *e = s->oldest;
        entry_forget(s, e);
        entry_tidy(s, e);
    }
}

void entry_keep(struct answers *a, struct shard *s, struct entry *e, struct kept_answer *kept)
{
    answer_hold(kept);
    entry_forget(s, e);
    e->kept = kept;
    list(s, e);
    keep_within(a, s);
}

void entry_unpin(struct answers *a, struct shard *s, struct entry *e)
{
    if (e->pins > 0)
        e->pins--;
    list(s, e);
    entry_tidy(s, e);
    keep_within(a, s);
}

/* --- mail --- */

void mail_post(struct waiter *w, struct kept_answer *kept, bool leads)
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

void mail_take_back(struct waiter *w)
{
    struct answers_client *c = w->client;
    pthread_mutex_lock(&c->lock);
    *(w->prev != NULL ? &w->prev->next : &c->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &c->last) = w->prev;
    pthread_mutex_unlock(&c->lock);
    answer_drop(w->mail);
    w->mail = NULL;
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

void mail_deliver(void *client)
{
    struct answers_client *c = client;
    struct waiter *w;
    while ((w = take_mail(c)) != NULL) {
        struct kept_answer *kept = w->mail;
        w->mail = NULL;
        w->told(w, w->leads_by_mail ? NEWS_LEADS : NEWS_ANSWERED,
                kept == NULL ? NULL : answer_of(kept));
        answer_drop(kept);
    }
}

/* --- waiters --- */

void entry_add_follower(struct entry *e, struct waiter *w)
{
    w->state = WAITER_FOLLOWS;
    w->next = NULL;
    w->prev = e->last;
    *(e->last != NULL ? &e->last->next : &e->first) = w;
    e->last = w;
}

void entry_remove_follower(struct entry *e, struct waiter *w)
{
    *(w->prev != NULL ? &w->prev->next : &e->first) = w->next;
    *(w->next != NULL ? &w->next->prev : &e->last) = w->prev;
}

void entry_tell_all(struct entry *e, struct kept_answer *kept)
{
    struct waiter *leader = e->leader;
    e->leader = NULL;
    e->asked = false;
    if (leader != NULL)
        mail_post(leader, kept, false);
    while (e->first != NULL) {
        struct waiter *w = e->first;
        entry_remove_follower(e, w);
        mail_post(w, kept, false);
    }
}

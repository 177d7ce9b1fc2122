/* Finding, settling, leaving: see answers.h; the parts they stand on: see answers_table.h. */
#include "lib/enrich/answers_table.h"

#include <assert.h>
#include <string.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

/* What is stored within it is found as late as what is stored while the call runs, which takes
 * longer; a look into the file costs as much as a tenth of the call. */
enum { JUST_LOOKED_MS = 50 };

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
    struct shard *s = table_shard(c->a, &w->question);
    enum answers_found found = FOUND_LEADS;
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, &w->question);
    if (e != NULL && e->kept != NULL && is_good(c->a, w, answer_of(e->kept))) {
        entry_touch(s, e);
        found = hit(c, answer_hold(e->kept), ret);
    } else if (e != NULL && e->asked) {
        entry_add_follower(e, w);
        found = FOUND_JOINED;
    } else {
        if (e == NULL)
            e = table_add(s, &w->question);
        e->replaces = e->kept != NULL;
        entry_forget(s, e);
        e->asked = true;
        e->leader = w;
        w->state = WAITER_LEADS;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

/* The file knew it: the entry becomes an answer, whoever joined meanwhile is told. */
static enum answers_found found_in_file(struct answers_client *c, struct waiter *w,
                                        struct kept_answer *kept, const struct answer **ret)
{
    struct shard *s = table_shard(c->a, &w->question);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, &w->question);
    assert(e != NULL && e->leader == w);
    e->leader = NULL;
    w->state = WAITER_OUT;
    entry_tell_all(e, kept);
    entry_keep(c->a, s, e, kept);
    pthread_mutex_unlock(&s->lock);
    return hit(c, kept, ret);
}

static void mark_replacing(struct answers_client *c, const struct waiter *w)
{
    struct shard *s = table_shard(c->a, &w->question);
    pthread_mutex_lock(&s->lock);
    table_find(s, &w->question)->replaces = true;
    pthread_mutex_unlock(&s->lock);
}

/* For a leader. A file that cannot be read now cannot be written either: the writer says so. */
static bool look_into_file(struct answers_client *c, struct waiter *w, const struct answer **ret)
{
    struct kept_answer *kept = NULL;
    struct error ignored;
    if (c->a->filter != NULL && !answers_filter_may_have(c->a->filter, &w->question))
        return false;
    if (c->file == NULL || answers_file_get(c->file, &w->question, &kept, &ignored) != ST_OK)
        return false;
    if (is_good(c->a, w, answer_of(kept))) {
        found_in_file(c, w, kept, ret);
        return true;
    }
    answer_drop(kept);
    mark_replacing(c, w);
    return false;
}

enum answers_found answers_find(struct answers_client *c, struct waiter *w,
                                const struct answer **ret)
{
    w->client = c;
    w->looked_ms = 0;
    w->seen = atomic_load_explicit(&c->a->learnt, memory_order_acquire);
    enum answers_found found = find_in_memory(c, w, ret);
    if (found == FOUND_LEADS) {
        w->looked_ms = clock_mono_ms();
        if (look_into_file(c, w, ret))
            return FOUND_HIT;
    }
    if (found == FOUND_LEADS)
        atomic_fetch_add_explicit(&c->a->misses, 1, memory_order_relaxed);
    else if (found == FOUND_JOINED)
        atomic_fetch_add_explicit(&c->a->coalesced, 1, memory_order_relaxed);
    return found;
}

bool answers_look_again(struct answers_client *c, struct waiter *w, const struct answer **ret)
{
    assert(w->state == WAITER_LEADS);
    uint64_t learnt = atomic_load_explicit(&c->a->learnt, memory_order_acquire);
    int64_t now_ms = clock_mono_ms();
    if (c->a->journal.append != NULL ? learnt == w->seen : now_ms - w->looked_ms < JUST_LOOKED_MS)
        return false;
    w->seen = learnt;
    w->looked_ms = now_ms;
    if (!look_into_file(c, w, ret))
        return false;
    atomic_fetch_sub_explicit(&c->a->misses, 1, memory_order_relaxed);
    return true;
}

/* --- settle --- */

/* The answer is durable: told to all, kept in memory. Storing thread, or the leader's. */
static void announce(struct answers *a, const struct question *q, struct kept_answer *kept,
                     bool keep)
{
    struct shard *s = table_shard(a, q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, q);
    if (e == NULL && keep)
        e = table_add(s, q);
    if (e != NULL) {
        entry_tell_all(e, kept);
        if (keep)
            entry_keep(a, s, e, kept);
        else
            entry_tidy(s, e);
    }
    pthread_mutex_unlock(&s->lock);
}

static void on_stored(void *arg, const struct question *q, struct kept_answer *kept, enum put put)
{
    struct answers *a = arg;
    if (a->filter != NULL) /* before anybody may look for it there */
        answers_filter_add(a->filter, q);
    if (put == PUT_OURS || put == PUT_REPLACES)
        announce(a, q, kept, true);
    else if (put == PUT_READ_BACK || put == PUT_READ_BACK_REPLACES)
        answers_in_file(a, q);
    else if (put == PUT_LEARNT) /* from now on a look into the file finds it */
        atomic_fetch_add_explicit(&a->learnt, 1, memory_order_release);
}

void answers_settle(struct answers_client *c, struct waiter *w, const struct answer *answer,
                    bool keep)
{
    struct answers *a = c->a;
    struct shard *s = table_shard(a, &w->question);
    struct kept_answer *kept = answer_keep(answer);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, &w->question);
    assert(e != NULL && e->leader == w && w->state == WAITER_LEADS);
    w->state = WAITER_STORING;
    bool replaces = e->replaces;
    pthread_mutex_unlock(&s->lock);
    if (keep && a->journal.append != NULL)
        answers_append(a, w, kept);
    else if (keep && a->writer != NULL)
        answers_writer_put(a->writer, &w->question, answer_hold(kept),
                           replaces ? PUT_REPLACES : PUT_OURS);
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
        e->asked = false;
        entry_tidy(s, e);
        return;
    }
    entry_remove_follower(e, w);
    mail_post(w, NULL, true);
}

void answers_leave(struct answers_client *c, struct waiter *w)
{
    struct shard *s = table_shard(c->a, &w->question);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, &w->question);
    if (w->state == WAITER_FOLLOWS) {
        entry_remove_follower(e, w);
    } else if (w->state == WAITER_MAILED) {
        mail_take_back(w);
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

/* --- the rest --- */

enum status answers_flush(struct answers *a, const char *note, struct error *err)
{
    return a->writer == NULL ? ST_OK : answers_writer_flush(a->writer, note, err);
}

char *answers_note(struct answers *a)
{
    return a->writer == NULL ? NULL : answers_writer_note(a->writer);
}

static uint64_t value_of(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void answers_count(struct answers *a, struct answers_counts *ret)
{
    *ret = (struct answers_counts){.hits = value_of(&a->hits),
                                   .misses = value_of(&a->misses),
                                   .coalesced = value_of(&a->coalesced)};
    if (a->writer != NULL)
        answers_writer_count(a->writer, &ret->stored, &ret->races);
    ret->stored += value_of(&a->stored);
    ret->learnt = value_of(&a->learnt);
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
        st = answers_writer_open(path, sync_full, on_stored, a, &a->writer, err);
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
    answers_filter_free(a->filter);
    for (int i = 0; i < SHARDS; i++) {
        struct shard *s = &a->shards[i];
        table_clear(s);
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
    c->bell = loop_bell_new(loop, mail_deliver, c);
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

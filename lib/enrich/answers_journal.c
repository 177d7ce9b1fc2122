/* With a journal the file is a copy of the log: whatever is read from there is written in that
 * order, our own records too. So two replicas that have read to the same offset hold the same.
 *
 * An answer of ours is in memory, and stays there, from its acknowledgement until its record was
 * read back and is in the file. If the file has an answer by then that ours was not to replace,
 * somebody else's record stands before ours: a race, which whoever came later counts. */
#include "lib/enrich/answers_table.h"

#include <assert.h>

#include "lib/base/mem.h"

struct appended { /* a token */
    struct question q;
    struct kept_answer *kept;
};

static void count(atomic_uint_fast64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void make_filter(void *arg, int64_t known)
{
    struct answers *a = arg;
    a->filter = answers_filter_new(known);
}

static void add_to_filter(void *arg, const struct question *q)
{
    struct answers *a = arg;
    answers_filter_add(a->filter, q);
}

enum status answers_set_journal(struct answers *a, const struct answers_journal *journal,
                                struct error *err)
{
    assert(a->writer != NULL);
    struct answers_file *file = NULL;
    enum status st = answers_file_open(a->path, a->sync_full, &file, err);
    if (st == ST_OK)
        st = answers_file_each(file, make_filter, add_to_filter, a, err);
    answers_file_close(file);
    if (st == ST_OK)
        a->journal = *journal;
    return st;
}

/* --- there --- */

static void set_pending(struct answers *a, const struct question *q, struct kept_answer *kept,
                        bool first)
{
    struct shard *s = table_shard(a, q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, q);
    answer_drop(e->pending);
    e->pending = answer_hold(kept);
    if (first) {
        e->unread++;
        e->pins++;
    }
    pthread_mutex_unlock(&s->lock);
}

void answers_append(struct answers *a, struct waiter *w, struct kept_answer *kept)
{
    struct appended *token = mem_zalloc(sizeof *token);
    token->q = w->question;
    token->kept = answer_hold(kept);
    set_pending(a, &token->q, kept, true);
    a->journal.append(a->journal.arg, &token->q, answer_of(kept), w->model, token);
}

void answers_append_refused(struct answers *a, void *token, enum reason reason, const char *why,
                            const struct answer **ret)
{
    struct appended *t = token;
    struct answer refusal = *answer_of(t->kept);
    refusal.reason = reason;
    refusal.text = span_of(why);
    struct kept_answer *kept = answer_keep(&refusal);
    answer_drop(t->kept);
    t->kept = kept;
    set_pending(a, &t->q, kept, false);
    *ret = answer_of(kept);
}

/* It is in the journal, as its acknowledgement or its being read says. The shard is locked. */
static void pending_is_stored(struct answers *a, struct shard *s, struct entry *e)
{
    struct kept_answer *kept = e->pending;
    e->pending = NULL;
    entry_tell_all(e, kept);
    entry_keep(a, s, e, kept);
    answer_drop(kept);
}

static void drop_token(struct appended *t)
{
    answer_drop(t->kept);
    mem_free(t);
}

void answers_appended(struct answers *a, void *token)
{
    struct appended *t = token;
    struct shard *s = table_shard(a, &t->q);
    count(&a->stored);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, &t->q);
    if (e != NULL && e->pending == t->kept)
        pending_is_stored(a, s, e);
    pthread_mutex_unlock(&s->lock);
    drop_token(t);
}

void answers_unappended(struct answers *a, void *token)
{
    struct appended *t = token;
    struct shard *s = table_shard(a, &t->q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, &t->q);
    if (e != NULL && e->pending == t->kept) {
        answer_drop(e->pending);
        e->pending = NULL;
        e->unread--;
        entry_unpin(a, s, e);
    }
    pthread_mutex_unlock(&s->lock);
    drop_token(t);
}

/* --- and back --- */

/* What is asked about goes on: whoever leads looks again before it calls. What waits to be read
 * back stands behind this one in the log. */
static void learn_in_memory(struct answers *a, const struct question *q, struct kept_answer *kept)
{
    struct shard *s = table_shard(a, q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, q);
    if (e != NULL && e->kept != NULL && e->unread == 0)
        entry_keep(a, s, e, kept);
    else if (e == NULL && a->writer == NULL)
        entry_keep(a, s, table_add(s, q), kept);
    pthread_mutex_unlock(&s->lock);
}

void answers_learn(struct answers *a, const struct question *q, const struct answer *answer)
{
    struct kept_answer *kept = answer_keep(answer);
    if (a->writer != NULL)
        answers_writer_put(a->writer, q, answer_hold(kept), PUT_LEARNT);
    learn_in_memory(a, q, kept);
    answer_drop(kept);
}

void answers_unlearn(struct answers *a, const struct question *q)
{
    struct shard *s = table_shard(a, q);
    if (a->writer != NULL)
        answers_writer_put(a->writer, q, NULL, PUT_DELETES);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, q);
    if (e != NULL && e->unread == 0 && !e->asked) {
        entry_forget(s, e);
        entry_tidy(s, e);
    }
    pthread_mutex_unlock(&s->lock);
}

/* The answer of ours whose record was read, if it is in memory and no later one follows. */
static struct kept_answer *read_back(struct answers *a, struct shard *s, struct entry *e,
                                     bool *ret_known, bool *ret_replaces)
{
    *ret_known = e != NULL && e->unread > 0;
    if (!*ret_known)
        return NULL;
    if (--e->unread > 0) { /* the next one takes its place at once */
        entry_unpin(a, s, e);
        return NULL;
    }
    if (e->pending != NULL)
        pending_is_stored(a, s, e);
    *ret_known = e->kept != NULL;
    *ret_replaces = e->replaces;
    return e->kept == NULL ? NULL : answer_hold(e->kept);
}

bool answers_learn_own(struct answers *a, const struct question *q, const struct answer *answer)
{
    if (answer != NULL) {
        answers_writer_put(a->writer, q, answer_keep(answer), PUT_READ_BACK);
        return true;
    }
    bool known = false, replaces = false;
    struct shard *s = table_shard(a, q);
    pthread_mutex_lock(&s->lock);
    struct kept_answer *kept = read_back(a, s, table_find(s, q), &known, &replaces);
    pthread_mutex_unlock(&s->lock);
    if (kept != NULL)
        answers_writer_put(a->writer, q, kept, replaces ? PUT_READ_BACK_REPLACES : PUT_READ_BACK);
    return known;
}

void answers_in_file(struct answers *a, const struct question *q)
{
    struct shard *s = table_shard(a, q);
    pthread_mutex_lock(&s->lock);
    struct entry *e = table_find(s, q);
    if (e != NULL)
        entry_unpin(a, s, e);
    pthread_mutex_unlock(&s->lock);
}

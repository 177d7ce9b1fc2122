/* Inside of answers.h, shared by its files:
 *
 *     answers.c          find, settle, leave, open, close
 *     answers_table.c    shards, entries, memory, mail
 *     answers_journal.c  the topic of answers: what goes there and what comes from there
 *     answers_writer.c   the thread that writes the file
 *
 * Shards of a hash table: an entry is asked about (it has a leader or its answer is being stored,
 * maybe followers), or an answer in memory, or both parts of it are gone and only its own record is
 * still on its way through the topic. News travel to a loop by its mailbox.
 *
 * Lock order: shard, then mailbox. The storing thread (answers_writer.c) has a lock of its own,
 * never taken together with these two. What is said of a shard or an entry here wants its lock. */
#ifndef SLUICE_ENRICH_ANSWERS_TABLE_H
#define SLUICE_ENRICH_ANSWERS_TABLE_H

#include <pthread.h>
#include <stdatomic.h>

#include "lib/enrich/answers.h"
#include "lib/enrich/answers_file.h"
#include "lib/enrich/answers_filter.h"
#include "lib/enrich/answers_writer.h"

enum { SHARDS = 16, BUCKETS_FIRST = 64 };

struct entry {
    struct question q;
    struct entry *next;          /* in the bucket */
    struct entry *newer, *older; /* in the list by last use; only when `listed` */
    bool listed;                 /* it may leave memory: the file has it */
    bool asked;                  /* somebody leads, or the answer is being stored */
    bool replaces;               /* the verdict takes the place of an older one */
    struct kept_answer *kept;    /* the answer, when not asked about */
    struct waiter *leader;       /* NULL while asked about: settled, being stored */
    struct waiter *first, *last; /* followers, in the order of coming */

    /* with a journal */
    struct kept_answer *pending; /* settled and appended, not acknowledged */
    int unread;                  /* records of ours that were not read back yet */
    int pins;                    /* the same, until they are in the file: it stays in memory */
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
    struct answers_journal journal;
    struct answers_filter *filter; /* what the file may know; NULL: others write it too */
    struct shard shards[SHARDS];
    atomic_uint_fast64_t hits, misses, coalesced;
    atomic_uint_fast64_t stored, learnt; /* by the journal */
};

struct answers_client {
    struct answers *a;
    struct answers_file *file; /* for reading; NULL: memory only */
    struct kept_answer *hit;   /* what the last find returned */
    struct loop_bell *bell;
    pthread_mutex_t lock;
    struct waiter *first, *last; /* mail */
};

/* --- answers_table.c --- */

struct shard *table_shard(struct answers *a, const struct question *q);
struct entry *table_find(struct shard *s, const struct question *q); /* or NULL */
struct entry *table_add(struct shard *s, const struct question *q);
void table_clear(struct shard *s); /* frees all of it; nobody waits any more */

/* The entry's answer; the one it had goes. It counts as used last, and may be gone at once if
 * memory is short: not to be used afterwards unless it is pinned. */
void entry_keep(struct answers *a, struct shard *s, struct entry *e, struct kept_answer *kept);
void entry_forget(struct shard *s, struct entry *e); /* its answer only */
void entry_touch(struct shard *s, struct entry *e);

/* Frees the entry when nothing is left of it. */
void entry_tidy(struct shard *s, struct entry *e);

/* One record of ours is in the file, or never will be. */
void entry_unpin(struct answers *a, struct shard *s, struct entry *e);

void entry_add_follower(struct entry *e, struct waiter *w);
void entry_remove_follower(struct entry *e, struct waiter *w);

/* It is not asked about any more: leader and followers are told. */
void entry_tell_all(struct entry *e, struct kept_answer *kept);

/* To the waiter's loop: `told` comes there. kept NULL: it leads. */
void mail_post(struct waiter *w, struct kept_answer *kept, bool leads);
void mail_take_back(struct waiter *w);
void mail_deliver(void *client);

/* --- answers_journal.c --- */

/* The leader's verdict goes to the journal. The shard is not locked. */
void answers_append(struct answers *a, struct waiter *w, struct kept_answer *kept);

/* Called when a record of ours is in the file. Storing thread. */
void answers_in_file(struct answers *a, const struct question *q);

#endif

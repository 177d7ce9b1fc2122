/* What was ever answered, and who is asking now: identical questions in flight are one call for
 * the whole process, and what is known is not asked again.
 *
 *     find ──> HIT                                 the answer
 *          ├─> JOINED  ──────────────────────────> told ANSWERED, when the leader has it
 *          │     └──(the leader leaves)──────────> told LEADS
 *          └─> LEADS ── settle ── (durable) ─────> told ANSWERED
 *                └───── leave ──> one follower leads
 *
 * Ensures: 1. at most one leader for a question in this process. 2. ANSWERED comes only when the
 * answer is as durable as the store makes it: what is not told can be bought again, what is told
 * cannot. 3. A leader that refuses the question for good refuses it for its followers too.
 * 4. Memory: `memory_bytes` for answers that are not in use; the file holds them all.
 *
 * Threads: answers_* any thread; a client and its waiters belong to their loop, where `told` runs,
 * never from inside a call. Locks are short, one for each of some shards by question. */
#ifndef SLUICE_ENRICH_ANSWERS_H
#define SLUICE_ENRICH_ANSWERS_H

#include "lib/base/loop.h"
#include "lib/enrich/answer.h"
#include "lib/enrich/options.h"

struct answers;
struct answers_client;

/* Somewhere else where answers are kept, before they count as stored: the topic of answers.
 * `append` is called on the thread that stores; it hands `token` back to answers_appended, on any
 * thread, when the record is acknowledged there. */
struct answers_journal {
    void *arg;
    void (*append)(void *arg, const struct question *q, struct kept_answer *kept, void *token);
};

enum answers_news { NEWS_ANSWERED, NEWS_LEADS };

/* Somebody who wants to know. Zero it, fill question and told; it stays where it is until told or
 * answers_leave. */
struct waiter {
    struct question question;
    void (*told)(struct waiter *w, enum answers_news news, const struct answer *answer);
    bool ignore_refusal; /* a remembered refusal is no answer for this one */

    /* of answers.c */
    enum { WAITER_OUT, WAITER_LEADS, WAITER_STORING, WAITER_FOLLOWS, WAITER_MAILED } state;
    struct answers_client *client;
    struct waiter *prev, *next; /* among the followers, or in the mailbox */
    struct kept_answer *mail;
    bool leads_by_mail;
};

struct answers_counts {
    uint64_t hits, misses, coalesced, races, stored;
};

/* `path`: the file; NULL: memory only. sync_full: safe against power loss too. Errors: ERR_IO,
 * ERR_CONFIG (not a file of ours). Caller owns *ret. */
enum status answers_open(const struct answers_options *opt, const char *path, bool sync_full,
                         struct answers **ret, struct error *err) MUST_CHECK;
void answers_close(struct answers *a); /* after its clients; what is queued is stored first */

/* From now on answers go there too; before the first client. */
void answers_set_journal(struct answers *a, const struct answers_journal *journal);
void answers_appended(struct answers *a, void *token);

/* An answer that somebody else stored: known from now on. Durable at the next return of
 * answers_flush, with `note` (a text such as positions, may be NULL) in the same step. */
void answers_learn(struct answers *a, const struct question *q, const struct answer *answer);
enum status answers_flush(struct answers *a, const char *note, struct error *err) MUST_CHECK;

/* The last note, or NULL. Caller owns it (mem_free). */
char *answers_note(struct answers *a);

void answers_count(struct answers *a, struct answers_counts *ret);

/* Whether the store has failed for good; *err says why. */
bool answers_broken(struct answers *a, struct error *err);

/* A loop's door. Caller owns it. */
struct answers_client *answers_client_open(struct answers *a, struct loop *loop);
void answers_client_close(struct answers_client *c); /* has no waiters any more */

enum answers_found { FOUND_HIT, FOUND_JOINED, FOUND_LEADS };

/* HIT: *ret is valid until the next call for this client. Else told() comes, or (LEADS) the waiter
 * owes a settle or a leave. */
enum answers_found answers_find(struct answers_client *c, struct waiter *w,
                                const struct answer **ret);

/* The leader's verdict. keep: remember it; else only those who wait now are told. */
void answers_settle(struct answers_client *c, struct waiter *w, const struct answer *answer,
                    bool keep);

/* This waiter is not interested any more (any state but out). What a leader has settled already
 * is stored all the same. */
void answers_leave(struct answers_client *c, struct waiter *w);

#endif

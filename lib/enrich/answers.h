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

/* Where answers are kept for all processes: a log, such as the topic of answers, whose last record
 * of a question counts. An answer counts as stored when the journal has it; the file is then a copy
 * of the log, written only by what is read back from it, in its order.
 *
 * `append` is called on a loop's thread. It hands `token` back, on any thread, to answers_appended
 * when the record is acknowledged, or to answers_unappended when it never will be. */
struct answers_journal {
    void *arg;
    void (*append)(void *arg, const struct question *q, const struct answer *answer,
                   const char *model, void *token);
};

enum answers_news { NEWS_ANSWERED, NEWS_LEADS };

/* Somebody who wants to know. Zero it, fill question and told; it stays where it is until told or
 * answers_leave. */
struct waiter {
    struct question question;
    void (*told)(struct waiter *w, enum answers_news news, const struct answer *answer);
    bool ignore_refusal; /* a remembered refusal is no answer for this one */
    const char *model;   /* who answered, for people who read the journal; may be NULL */

    /* of answers.c */
    enum { WAITER_OUT, WAITER_LEADS, WAITER_STORING, WAITER_FOLLOWS, WAITER_MAILED } state;
    struct answers_client *client;
    struct waiter *prev, *next; /* among the followers, or in the mailbox */
    struct kept_answer *mail;
    bool leads_by_mail;
    uint64_t seen;     /* how many were learnt when it looked last */
    int64_t looked_ms; /* when that was; 0: it has not looked itself */
};

struct answers_counts {
    uint64_t hits, misses, coalesced, races, stored, learnt;
};

/* `path`: the file; NULL: memory only. sync_full: safe against power loss too. Errors: ERR_IO,
 * ERR_CONFIG (not a file of ours). Caller owns *ret. */
enum status answers_open(const struct answers_options *opt, const char *path, bool sync_full,
                         struct answers **ret, struct error *err) MUST_CHECK;
void answers_close(struct answers *a); /* after its clients; what is queued is stored first */

/* From now on answers go there; before the first client. Needs a file, which nobody else writes. */
enum status answers_set_journal(struct answers *a, const struct answers_journal *journal,
                                struct error *err) MUST_CHECK;
void answers_appended(struct answers *a, void *token);
void answers_unappended(struct answers *a,
                        void *token); /* nobody is told: it can be bought again */

/* The journal will never take this one: it counts as refused instead. *ret is what is to be
 * appended in its place, valid until the token goes. */
void answers_append_refused(struct answers *a, void *token, enum reason reason, const char *why,
                            const struct answer **ret);

/* What was read from the journal, in its order. All of it is in the file at the next return of
 * answers_flush, with `note` (a text such as positions, may be NULL) in the same step. Without a
 * file: kept in memory. */
void answers_learn(struct answers *a, const struct question *q, const struct answer *answer);
void answers_unlearn(struct answers *a, const struct question *q); /* deleted there */

/* The same for a record that this process appended. False: its answer is not in memory; call again
 * with the answer, as read. */
bool answers_learn_own(struct answers *a, const struct question *q, const struct answer *answer);
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

/* A leader that has not begun to ask looks again, unless it has just looked: what somebody else
 * stored meanwhile need not be bought. True: as HIT, the waiter is out and followers are told. */
bool answers_look_again(struct answers_client *c, struct waiter *w, const struct answer **ret);

/* The leader's verdict. keep: remember it; else only those who wait now are told. */
void answers_settle(struct answers_client *c, struct waiter *w, const struct answer *answer,
                    bool keep);

/* This waiter is not interested any more (any state but out). What a leader has settled already
 * is stored all the same. */
void answers_leave(struct answers_client *c, struct waiter *w);

#endif

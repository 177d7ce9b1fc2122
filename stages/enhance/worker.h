/* Inside of an enhance worker, shared by its files:
 *
 *     worker.c     open, events of reader and writer, stop, close
 *     flow.c       the way of a post: take -> send -> commit -> release
 *     handback.c   partitions that leave, and the orderly end
 *
 * Loop thread only. */
#ifndef SLUICE_ENHANCE_WORKER_H
#define SLUICE_ENHANCE_WORKER_H

#include "lib/base/backoff.h"
#include "stages/enhance/enhance.h"
#include "stages/enhance/output.h"
#include "stages/enhance/pace.h"
#include "stages/enhance/spending.h"
#include "stages/enhance/window.h"

enum { OUT_ENHANCED, OUT_DEAD };
enum { TAKE_MAX = 256 };

struct enhance {
    struct worker w; /* first: the stage hands this out */
    const struct enhance_options *opt;
    struct post_limits limits;
    struct reader *reader;
    struct writer *writer;
    struct enricher *enricher;
    struct window **wins; /* by partition; NULL: not ours */
    int32_t win_count;
    int32_t turn;          /* the partition whose outputs are sent first this time */
    int32_t first_to_take; /* the one that is polled first */
    size_t bytes;          /* in all windows, as of the last take */
    struct slot_pool pool;
    struct output out;
    struct position *positions; /* scratch for a commit, one per partition */
    struct buf metadata;        /* of these */
    struct record recs[TAKE_MAX];
    struct loop_idle *more; /* runs the pump once more, without sleeping */
    struct loop_timer *commit_timer, *give_up_timer;
    struct journal_gate *gate; /* NULL: no journal */
    bool barred;               /* take nothing: answers of former owners are still being read */
    bool blocked;              /* the writer said ST_AGAIN: wait for writable */
    bool stopping;             /* take nothing new, finish, end */
    bool revoking;             /* an answer is owed to the reader */
    bool given_up;             /* the time for asks of leaving partitions is over */
    size_t batch_records;
    size_t answered;        /* since the last commit was handed over */
    int64_t batch_since_ns; /* its first output was there; 0: none yet */
    bool patient;           /* outputs wait for the commit before they are sent */
    int64_t commit_interval_ns[PACES];
    struct backoff retry; /* after aborts */
    int64_t retry_at_ns;  /* no commit before; 0: at any time */
    struct counter *in, *enhanced, *commits, *aborts, *abandoned;
    struct counter *dead[REASON_COUNT]; /* made at the first letter of that reason */
    struct gauge *in_flight, **lag;
    struct hist *latency;
    struct spending spending; /* when answers cost money */
};

/* --- flow.c --- */

/* Everything that can be done now is done; called from the loop, at most once a turn. */
void enhance_pump(void *arg);

/* Let the pump run in this or the next turn of the loop. */
void enhance_schedule(struct enhance *e);

void enhance_confirm(struct enhance *e, uint64_t batch);
void enhance_resend(struct enhance *e);

/* --- handback.c --- */

void enhance_assign(struct enhance *e, const struct position *pos, size_t n, uint32_t epoch);
void enhance_revoke(struct enhance *e, const int32_t *partitions, size_t n);
void enhance_lose(struct enhance *e, const int32_t *partitions, size_t n);
void enhance_stop(struct enhance *e);

/* Whether partitions that leave are done with: then answers the reader, or ends the worker. */
void enhance_settle(struct enhance *e);

/* Drops all slots of a partition: their posts belong to somebody else now. */
void enhance_drop(struct enhance *e, int32_t partition);

#endif

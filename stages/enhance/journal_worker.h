/* Inside of the journal, shared by its files:
 *
 *     journal.c          gates, open, stop, close
 *     journal_append.c   our answers, on their way to the topic
 *     journal_tail.c     the topic, on its way into the file
 *
 * Loop thread of the journal's worker, unless said otherwise. */
#ifndef SLUICE_ENHANCE_JOURNAL_WORKER_H
#define SLUICE_ENHANCE_JOURNAL_WORKER_H

#include <pthread.h>

#include "lib/base/runner.h"
#include "stages/enhance/journal.h"

/* The end of each value of ours: who wrote it, so that we know our own when we read it back. */
enum { BY_BYTES = sizeof ",\"by\":\"0123456789abcdef\"}" - 1 };

/* An answer on its way. */
struct append {
    struct append *next;
    void *token;
    struct question q;
    struct buf value;
    uint64_t batch; /* when it was handed over */
};

struct append_list {
    struct append *first, *last;
};

struct journal {
    struct answers *answers;
    char by[BY_BYTES + 1];
    pthread_mutex_t lock;
    struct loop_bell *bell;     /* under lock; NULL while the worker does not run */
    bool comes_by_itself;       /* under lock: the worker will look for more without a bell */
    struct append_list fresh;   /* under lock: not seen by the worker yet */
    struct journal_gate *gates; /* under lock */
    uint64_t shut;              /* under lock: how often any gate was shut */
    bool failed;                /* under lock: for good, as err says */
    struct error err;
};

struct journal_gate {
    struct journal_gate *next;
    struct journal *journal;
    struct loop_bell *bell;
    struct journal_gate_events events;
    bool told;           /* that the journal has failed */
    uint64_t wants, has; /* under lock: has < wants: shut */
};

/* A partition of the topic. */
struct tail_part {
    int64_t start;   /* where reading began */
    int64_t read;    /* all before it was taken */
    int64_t noted;   /* as of the flush that runs */
    int64_t applied; /* all before it is in the file */
    int64_t target;  /* where it ended when a gate was shut last */
};

struct journal_worker {
    struct worker w; /* first */
    struct journal *j;
    const char *topic;
    struct loop_bell *bell;
    struct loop_timer *stop_timer;
    bool stopping, closing;

    /* journal_append.c */
    struct writer *writer;
    struct loop_timer *gap_timer;
    int64_t begun_ms;                        /* of the last batch */
    struct append_list sent, filled, unsent; /* handed over, in the open batch, not yet */

    /* journal_tail.c */
    struct reader *reader;
    struct tail_part *parts;
    int32_t part_count;
    struct record *recs;
    struct buf text;       /* scratch */
    struct buf note;       /* of the flush that runs */
    struct runner *runner; /* flushes, and looks where the topic ends */
    struct job flush, look;
    bool flushing, looking, look_failed;
    size_t unflushed; /* records taken since the last flush began */
    int64_t flushed_ms;
    enum status flush_status, look_status;
    struct error flush_err, look_err;
    struct watermark *ends;
    uint64_t looks_for, target_of; /* gates shut up to this: asked for, known */
    bool warm, complained;
    int64_t opened_ms, odd;
    int64_t shown_ms, shown; /* of the last line about progress */
    struct loop_timer *tick;
    struct gauge *lag;
};

/* --- journal.c --- */

void journal_open_gates(struct journal_worker *jw, uint64_t upto);

/* Ends the worker when it is to stop and nothing is on its way. */
void journal_settle(struct journal_worker *jw);

/* --- journal_append.c --- */

/* Any thread: see struct answers_journal. */
void journal_append(void *arg, const struct question *q, const struct answer *answer,
                    const char *model, void *token);

enum status append_open(struct journal_worker *jw, struct error *err) MUST_CHECK;
void append_pump(struct journal_worker *jw);
bool append_idle(struct journal_worker *jw);
void append_close(struct journal_worker *jw);
void append_drop(struct answers *answers, struct append_list *list);

/* --- journal_tail.c --- */

/* Blocks; the topic exists. anew: it was made just now, what the file says of offsets is void. */
enum status tail_open(struct journal_worker *jw, bool anew, struct error *err) MUST_CHECK;
void tail_pump(struct journal_worker *jw);
void tail_close(struct journal_worker *jw);

#endif

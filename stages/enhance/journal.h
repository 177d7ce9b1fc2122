/* The topic of answers: where the replicas of enhance on Kafka tell each other what they have paid
 * for. A stage of its own with one worker, so that an answer never waits for a commit of posts:
 *
 *     an answer of ours -> value -> writer (idempotent, acks=all, no transaction) -> acknowledged
 *     every record of the topic -> reader without a group -> the local file of answers
 *
 * The file is a copy of the topic up to the offsets that stand in it as its note, written in one
 * step with the answers: a restart reads only what is new, an empty folder is filled from the
 * start. The last record of a question counts, as in every compacted topic.
 *
 * Ensures: 1. No answer is reported as stored before all in-sync replicas of the topic have it.
 * 2. A gate that was shut opens when the file holds all that was in the topic after the shutting:
 * nothing is asked that a former owner of the partition had stored.
 *
 * Threads: journal_new and journal_free on the main thread, before the stage is started and after
 * it has ended; gates on their loop. */
#ifndef SLUICE_ENHANCE_JOURNAL_H
#define SLUICE_ENHANCE_JOURNAL_H

#include "lib/enrich/answers.h"
#include "lib/stage/stage.h"

struct journal;
struct journal_gate;

/* `answers` is borrowed, has a file and no clients yet. */
enum status journal_new(struct answers *answers, struct journal **ret,
                        struct error *err) MUST_CHECK;

/* What was not acknowledged is forgotten. After the clients of `answers`, before answers_close.
 * NULL is accepted. */
void journal_free(struct journal *journal);

/* stage_env.stage_opt is the journal. Ready when the topic was read to where it ended at the start;
 * stop: what was appended is acknowledged, for at most --drain-timeout. */
extern const struct stage_ops journal_ops;

/* A worker's gate; open. Both run on the loop. `failed`, at most once: the journal has ended with
 * this error, and no answer will be stored any more. */
struct journal_gate_events {
    void (*opened)(void *arg);
    void (*failed)(void *arg, const struct error *err);
    void *arg;
};
struct journal_gate *journal_gate_open(struct journal *journal, struct loop *loop,
                                       const struct journal_gate_events *events);
void journal_gate_shut(struct journal_gate *gate);  /* `opened` follows, once for the last shut */
void journal_gate_close(struct journal_gate *gate); /* NULL is accepted */

#endif

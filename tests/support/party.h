/* A reader and a writer with everything they said, for tests of brokers: events are counted,
 * records are copied, and every wait ends at a condition or fails at a deadline.
 *
 * Many parties may share one stage (one loop). One thread. */
#ifndef SLUICE_TESTS_PARTY_H
#define SLUICE_TESTS_PARTY_H

#include "lib/broker/broker.h"

enum { PARTY_PARTITIONS = 16, PARTY_WAIT_MS = 60000 };

/* One loop, one broker. */
struct scene {
    struct loop *loop;
    struct loop_timer *timer;
    struct broker_options opt;
    struct broker *broker;
    bool (*cond)(void *arg);
    void *cond_arg;
    int64_t deadline_ms;
    bool met;
};

/* A record as it was read; the bytes end with a zero that is not counted. */
struct got {
    struct span key, value;
    struct header headers[4];
    size_t header_count;
    int64_t offset, timestamp_ms;
    int32_t partition;
    uint32_t epoch;
};

struct party {
    struct scene *scene;
    struct reader *reader;
    struct writer *writer;
    bool hold;  /* do not answer `revoking` */
    bool exits; /* in a child process: a failed writer ends it with 3, without a word */

    /* What the reader said. */
    bool owned[PARTY_PARTITIONS];
    int64_t begins[PARTY_PARTITIONS]; /* position told by `assigned` */
    int64_t next[PARTY_PARTITIONS];   /* after the last record got; begins before that */
    char *metadata[PARTY_PARTITIONS];
    uint32_t epoch, epoch_before;
    int assigned, revoking, lost;
    bool reader_failed;
    struct error reader_error;

    /* What the writer said. */
    uint64_t committed; /* number of the last batch */
    bool any_committed;
    int aborted, writable;
    bool writer_failed;
    struct error writer_error, abort_error;

    struct got *got;
    size_t got_count, want;
};

/* Opens opt (which must stay); fails the test when that fails. */
void scene_open(struct scene *scene, const struct broker_options *opt);
void scene_close(struct scene *scene);

/* Runs the loop until cond(arg); fails the test after PARTY_WAIT_MS. */
void scene_until(struct scene *scene, bool (*cond)(void *arg), void *arg);

/* A reader; cfg->loop and cfg->events are filled in here. */
void party_read(struct party *party, struct scene *scene, struct reader_config cfg);

/* A reader without a group over partitions 0..count-1, each from `offset`. */
void party_tap(struct party *party, struct scene *scene, const char *topic, int32_t count,
               int64_t offset);

/* A writer, tied to the party's reader when it has one. */
void party_write(struct party *party, struct scene *scene, struct writer_config cfg);

/* Closes both, frees everything, leaves it zeroed. */
void party_close(struct party *party);

/* Polls what is there now into `got` (at most `max` records in all), releasing at once. */
void party_poll(struct party *party, size_t max);

/* Runs until `got` holds `count` records; not one more is polled. */
void party_want(struct party *party, size_t count);

/* Runs until exactly `count` partitions are owned. */
void party_own(struct party *party, int count);

/* Sends a record to topic index 0 with the current time; waits for room when there is none. */
void party_send(struct party *party, int32_t partition, const char *key, const char *value);
void party_send_out(struct party *party, const struct out *out);

/* Hands the batch over with these positions; returns its number at once. */
uint64_t party_hand_over(struct party *party, const struct position *pos, size_t n);

/* The same, and waits until it is committed; fails the test when it is not. */
void party_commit(struct party *party, const struct position *pos, size_t n);

/* The record's value as a string. */
const char *got_value(const struct got *got);

#endif

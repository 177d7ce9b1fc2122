/* What the sentences of the broker contract share: names that no other test uses, and the usual
 * parties. Failing calls fail the test. One thread. */
#ifndef SLUICE_TESTS_BROKER_PLAY_H
#define SLUICE_TESTS_BROKER_PLAY_H

#include "tests/contract/broker_contract.h"
#include "tests/support/party.h"

extern const struct contract_fixture *fixture;

/* A scene with two topics, and a group that has no position yet. */
struct play {
    struct scene scene;
    char in[64], out[64], group[64];
};

int play_setup(void **state);      /* topics of two partitions */
int play_setup_four(void **state); /* of four */
int play_teardown(void **state);

void play_topic(struct play *s, const char *topic, int32_t partitions);

/* A writer of one topic without a reader. */
void play_feed(struct play *s, struct party *feed, const char *topic);

/* Commits the values "0", "1", … of `count` records, in partition i % partitions. */
void play_numbers(struct play *s, const char *topic, int count, int32_t partitions);

/* A member of s->group on s->in; the second joins, the third also writes to s->out. */
struct reader_config play_member(struct play *s, const char *instance);
void play_join(struct play *s, struct party *party, const char *instance);
void play_join_writing(struct play *s, struct party *party, const char *instance);

/* The position after this record. */
struct position play_after(const struct got *got);

/* The committed position of s->group on s->in. */
int64_t play_position(struct play *s, int32_t partition);

struct watermark play_watermark(struct play *s, const char *topic, int32_t partition);

/* s->out holds these values in partition 0 and no others: read to a sentinel written now. */
void play_expect_out(struct play *s, const char *const *values, size_t count);

/* The parts of the suite; each returns the number of failures. */
int broker_contract_records(void);
int broker_contract_groups(void);
int broker_contract_admin(void);

#endif

/* Membership of a reader in its group: leases on partitions, renewed and shared out in rounds that
 * run on a thread of their own. Loop thread only, but for what a round holds while it runs. */
#ifndef SLUICE_BROKER_SQLITE_GROUP_H
#define SLUICE_BROKER_SQLITE_GROUP_H

#include <stdatomic.h>

#include "lib/base/runner.h"
#include "lib/broker/broker.h"
#include "lib/broker/sqlite/board.h"
#include "lib/broker/sqlite/db.h"

struct sqlite_reader;

/* What is known about a lease on the loop thread. */
struct lease {
    bool held, leaving; /* leaving: revoked, not given up yet */
    bool released;      /* given up: the next round lets it go */
    uint32_t epoch;
};

/* A partition that this member has just been given. */
struct claim {
    struct position pos; /* metadata is owned */
    int64_t end;
};

/* A round of the group: renew, bury the dead, release, share. One at a time. */
struct round {
    struct job job;
    struct lease *leases; /* copy of the reader's, taken at submission */
    /* results */
    enum status st;
    struct error err;
    bool changed; /* other members should look */
    int32_t *lost, *revoke;
    size_t lost_count, revoke_count, claim_count;
    struct claim *claims;
    uint32_t epoch;
};

struct sqlite_reader;

struct group {
    struct sqlite_reader *reader;
    char *name, *instance, *guard_topic;
    char boot[40];
    int64_t member;
    struct runner *runner;
    struct db db;         /* runner's thread while a round runs */
    struct lease *leases; /* one for each partition */
    struct round round;
    bool joined; /* runner's thread */
    bool running, again;
    bool assigned;            /* said so, if only that there is none */
    int64_t failing_since_ms; /* 0: the last round went well */
    uint64_t mark;
    struct loop_timer *timer;
};

enum status group_start(struct sqlite_reader *reader, const struct reader_config *cfg,
                        struct error *err) MUST_CHECK;
void group_stop(struct sqlite_reader *reader);  /* leaves the group */
void group_round(struct sqlite_reader *reader); /* look at the group now */

/* The file took a commit: whatever fails from now on begins its --broker-timeout anew. */
void group_file_works(struct sqlite_reader *reader);

/* Members of a group that are alive; `board` is another one than theirs. In a transaction. */
enum status group_live_members(struct db *db, const struct board *board, const char *group,
                               int *ret_count, struct error *err) MUST_CHECK;

/* These leases turned out to be another member's: `lost`, and a new look at the group. */
void group_lost(struct sqlite_reader *reader, const int32_t *partitions, size_t n);

#endif

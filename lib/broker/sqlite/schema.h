/* The tables of the file, for users of the sqlite3 shell too:
 *
 *     "raw_posts/0"  one table for each partition: offset, timestamp (ms since 1970), key,
 *                    headers (see headers.h), value. A table of its own, because then records
 *                    are appended at the right edge of its tree
 *     raw_posts      a view of all partitions with key and value as text
 *     topics         id, topic, partitions, kind: plain, input (retention waits for a group),
 *                    compacted
 *     partitions     start: the first offset kept, so that none is used twice;
 *                    counted, bytes: retention has added up the records below `counted`
 *     groups         epoch: goes up with each assignment
 *     positions      offset (NULL: none yet), metadata; member and epoch: whose lease it is
 *     members        who reads as what; renewed_ms by CLOCK_BOOTTIME of the boot `boot`
 *
 * Columns group_id name the consumer group. Any thread, with a connection of its own. */
#ifndef SLUICE_BROKER_SQLITE_SCHEMA_H
#define SLUICE_BROKER_SQLITE_SCHEMA_H

#include "lib/broker/broker.h"
#include "lib/broker/sqlite/db.h"

/* Makes the tables in an empty file; else checks that the file is ours and not newer. */
enum status schema_ensure(struct db *db, struct error *err) MUST_CHECK;

struct topic {
    int64_t id;
    int32_t partitions; /* 0: there is no such topic */
};

enum status schema_find_topic(struct db *db, const char *topic, struct topic *ret,
                              struct error *err) MUST_CHECK;

/* The same, but a topic that is not there is ERR_CONFIG by name. */
enum status schema_need_topic(struct db *db, const char *topic, struct topic *ret,
                              struct error *err) MUST_CHECK;

enum status schema_make_topic(struct db *db, const char *topic, enum topic_kind kind,
                              int32_t partitions, bool *ret_made, struct error *err) MUST_CHECK;

enum status schema_watermark(struct db *db, const char *topic, int32_t partition,
                             struct watermark *ret, struct error *err) MUST_CHECK;

#endif

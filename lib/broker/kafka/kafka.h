/* What the files of the Kafka broker share: the broker's context, client configuration, the table
 * of errors. librdkafka is included in this folder only; 2.0.2 (Debian 12) must do.
 *
 * Threads: a struct kafka is read by any thread; its handles are made once, under the lock. */
#ifndef SLUICE_BROKER_KAFKA_KAFKA_H
#define SLUICE_BROKER_KAFKA_KAFKA_H

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lib/broker/ops.h"

/* Handles for look-ups, made when first needed. Both are consumers without a group. They differ in
 * isolation.level, which librdkafka sends with ListOffsets: "the end" is the last stable offset
 * for the first and the high watermark for the second. */
enum lookup { LOOKUP_COMMITTED, LOOKUP_UNCOMMITTED, LOOKUP_COUNT };

struct kafka {
    const struct broker_options *opt; /* borrowed */
    char *servers;                    /* "host:port,…" */
    int64_t timeout_ms;
    pthread_mutex_t lock;
    bool lock_made;
    struct kafka_lookup {
        rd_kafka_t *rk;         /* under lock until made, then constant */
        _Atomic int last_error; /* rd_kafka_resp_err_t of the last connection trouble */
        char last_text[320];    /* under lock */
        struct kafka *kafka;
    } lookups[LOOKUP_COUNT];
};

/* --- conf.c --- */

/* A feeder is a producer whose batches are acknowledged one by one as they come (source); a
 * producer's are gathered until positions are committed. */
enum kafka_role { KAFKA_CONSUMER, KAFKA_PRODUCER, KAFKA_FEEDER, KAFKA_LOOKUP };

/* One setting of ours; those that must hold come after the user's -X in no case: -X may not name
 * them. */
struct kafka_setting {
    const char *name, *value;
};

/* A configuration with servers, security, our settings and the user's -X for the role. Caller owns
 * *ret until rd_kafka_new takes it. ERR_CONFIG: a property that is unknown, wrong or protected. */
enum status kafka_conf_new(const struct kafka *kafka, enum kafka_role role, rd_kafka_conf_t **ret,
                           struct error *err) MUST_CHECK;

/* Sets one more. A setting that this version of librdkafka lacks is reported at debug. */
enum status kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                           struct error *err) MUST_CHECK;

/* A numeric property as it stands; `otherwise` when it is absent. */
int64_t kafka_conf_number(const rd_kafka_conf_t *conf, const char *name, int64_t otherwise);

/* Whether options and -X are right, without a connection. */
enum status kafka_conf_check(const struct kafka *kafka, struct error *err) MUST_CHECK;

/* rd_kafka_new, which takes conf in every case. */
enum status kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret,
                             struct error *err) MUST_CHECK;

/* --- errors.c --- */

/* The outcome of an error code: ST_RETRY transient, ST_ABORT this batch, ST_FATAL. */
enum status kafka_outcome(rd_kafka_resp_err_t code);

/* Fill err with "WHAT: broker's text; cure" and the kind of the code; returns its outcome. `detail`
 * may be NULL (then librdkafka's text of the code). */
enum status kafka_error(struct error *err, rd_kafka_resp_err_t code, const char *detail,
                        const char *fmt, ...) PRINTF_LIKE(4, 5);

/* The same for an error object, which it destroys; NULL is ST_OK. */
enum status kafka_error_take(struct error *err, rd_kafka_error_t *error, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

/* --- lookup.c: any thread, blocking --- */

/* The handle, made when needed. */
enum status kafka_lookup(struct kafka *kafka, enum lookup which, rd_kafka_t **ret,
                         struct error *err) MUST_CHECK;
void kafka_lookups_fini(struct kafka *kafka);

/* One try to get the metadata of a topic (NULL: of all) on any handle, at most wait_ms. */
enum status kafka_metadata(rd_kafka_t *rk, const char *topic, int wait_ms,
                           const struct rd_kafka_metadata **ret, struct error *err) MUST_CHECK;

/* Calls `attempt` until it says other than ST_RETRY, or the broker time-out is over: then ST_FATAL
 * with its last error. */
enum status kafka_retry(struct kafka *kafka, enum status (*attempt)(void *arg, struct error *err),
                        void *arg, struct error *err) MUST_CHECK;

/* One ListOffsets for all elements of `list` (-2: the start, -1: the end, else a time), written
 * back as offsets. */
enum status kafka_list_offsets(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list, int wait_ms,
                               struct error *err) MUST_CHECK;

/* Whether a read_committed reader can find any record in the topic. The markers of transactions
 * fill offsets too, so where offsets say "maybe" it reads. */
enum status kafka_topic_filled(struct kafka *kafka, const char *topic, bool *ret,
                               struct error *err) MUST_CHECK;

/* max.message.bytes of a topic; Kafka's default when it may not be asked. */
enum status kafka_topic_limit(struct kafka *kafka, const char *topic, int64_t *ret,
                              struct error *err) MUST_CHECK;

/* A setting of a topic, or NULL when it may not be asked. Caller owns *ret. */
enum status kafka_topic_setting(struct kafka *kafka, const char *topic, const char *name,
                                char **ret, struct error *err) MUST_CHECK;

/* Runs an admin request that `send` puts on a queue, and hands the result event back (caller
 * destroys it). */
enum status kafka_admin(struct kafka *kafka,
                        void (*send)(rd_kafka_t *rk, rd_kafka_AdminOptions_t *opt,
                                     rd_kafka_queue_t *queue, void *arg),
                        rd_kafka_admin_op_t op, void *arg, const char *what, rd_kafka_event_t **ret,
                        struct error *err) MUST_CHECK;

/* --- slots of the ops table: admin.c, groups.c --- */

enum status kafka_partitions(void *ctx, const char *topic, int32_t *ret_count, struct error *err);
enum status kafka_topic_ensure(void *ctx, const char *topic, enum topic_kind kind,
                               int32_t partitions, bool *ret_made, struct error *err);
enum status kafka_topic_keeps(void *ctx, const char *topic, bool *ret, struct error *err);
enum status kafka_topics(void *ctx, void (*fn)(void *, const char *, int32_t), void *arg,
                         struct error *err);
enum status kafka_watermarks(void *ctx, const char *topic, struct watermark *ret, int32_t count,
                             struct error *err);
enum status kafka_offset_at(void *ctx, const char *topic, int32_t partition, int64_t timestamp_ms,
                            int64_t *ret_offset, struct error *err);
enum status kafka_groups(void *ctx, void (*fn)(void *, const char *, int), void *arg,
                         struct error *err);
enum status kafka_positions(void *ctx, const char *group, const char *topic, struct position *ret,
                            int32_t count, struct error *err);
enum status kafka_positions_set(void *ctx, const char *group, const char *topic,
                                const struct position *pos, size_t count, struct error *err);

#endif

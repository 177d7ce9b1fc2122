/* What an implementation of a broker fills in: the plug itself. The contract of each slot is that
 * of the function of the same name in broker.h; only what is added here is said here.
 *
 * Threads: as broker.h says of each function.
 *
 * The framework allocates the contexts (broker_size, reader_size, writer_size, zeroed) before
 * `open` and frees them after `close`; close accepts a half-built context, which is what it gets
 * when open failed. */
#ifndef SLUICE_BROKER_OPS_H
#define SLUICE_BROKER_OPS_H

#include "lib/broker/broker.h"

struct broker_ops {
    const char *scheme;           /* "sqlite": the part of the URL before the first colon */
    const char *(*library)(void); /* "SQLite 3.40.1" */
    size_t broker_size, reader_size, writer_size;
    int64_t commit_interval_ms; /* where the option does not say */

    /* `rest` is the URL after "scheme:". */
    enum status (*open)(void *ctx, const struct broker_options *opt, const char *rest,
                        struct error *err);
    void (*close)(void *ctx);
    enum status (*check)(const struct broker_options *opt, const char *rest, struct error *err);

    enum status (*partitions)(void *ctx, const char *topic, int32_t *ret_count, struct error *err);
    enum status (*topic_ensure)(void *ctx, const char *topic, enum topic_kind kind,
                                int32_t partitions, bool *ret_made, struct error *err);
    enum status (*topic_keeps)(void *ctx, const char *topic, bool *ret,
                               struct error *err);                    /* NULL: true */
    enum status (*cluster)(void *ctx, char **ret, struct error *err); /* NULL: "" */
    enum status (*topics)(void *ctx, void (*fn)(void *, const char *, int32_t), void *arg,
                          struct error *err);
    enum status (*groups)(void *ctx, void (*fn)(void *, const char *, int), void *arg,
                          struct error *err);
    enum status (*watermarks)(void *ctx, const char *topic, struct watermark *ret, int32_t count,
                              struct error *err);
    enum status (*positions)(void *ctx, const char *group, const char *topic, struct position *ret,
                             int32_t count, struct error *err);
    enum status (*positions_set)(void *ctx, const char *group, const char *topic,
                                 const struct position *pos, size_t count, struct error *err);
    enum status (*offset_at)(void *ctx, const char *topic, int32_t partition, int64_t timestamp_ms,
                             int64_t *ret_offset, struct error *err);
    enum status (*retain)(void *ctx, bool force, int64_t *ret_deleted, struct error *err);

    enum status (*reader_open)(void *reader, void *ctx, const struct reader_config *cfg,
                               struct error *err);
    enum status (*reader_poll)(void *reader, int32_t partition, struct record *ret, size_t max,
                               size_t max_bytes, size_t *ret_n, struct error *err);
    void (*reader_release)(void *reader, struct record *recs, size_t n);
    void (*reader_give_up)(void *reader);
    int64_t (*reader_end)(const void *reader, int32_t partition);
    int64_t (*reader_position)(const void *reader, int32_t partition); /* NULL: -1 */
    void (*reader_close)(void *reader);

    /* `reader`: the context of cfg->reader, or NULL. */
    enum status (*writer_open)(void *writer, void *ctx, void *reader,
                               const struct writer_config *cfg, struct error *err);
    int32_t (*writer_partitions)(const void *writer, int topic);
    enum status (*writer_send)(void *writer, const struct out *out, struct error *err);
    bool (*writer_can_commit)(const void *writer);
    enum status (*writer_commit)(void *writer, const struct position *pos, size_t n,
                                 uint64_t *ret_number, struct error *err);
    bool (*writer_idle)(const void *writer);
    void (*writer_close)(void *writer);
};

extern const struct broker_ops sqlite_broker_ops;
extern const struct broker_ops kafka_broker_ops;

/* The rule of where a group begins, the same for every broker (see reader_config.guard_topic).
 * `committed` and `start` are of all `count` partitions of the topic; resolves partition p.
 * ST_FATAL with ERR_CONFIG: positions missing, or below the log's start (with the count lost). */
enum status start_resolve(const char *group, const char *topic, const struct position *committed,
                          const struct watermark *log, int32_t count, int32_t p, bool guard_filled,
                          const char *guard_topic, enum missing_position on_missing,
                          int64_t *ret_offset, struct error *err) MUST_CHECK;

#endif

/* Finds the implementation by the URL's scheme and hands every call on. No logic of its own: what
 * both brokers share stands in start.c and partition.c. */
#include "lib/broker/broker.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/broker/ops.h"

static const struct broker_ops *const implementations[] = {&sqlite_broker_ops, &kafka_broker_ops};

struct broker {
    const struct broker_ops *ops;
    void *ctx;
    char *name;
    int64_t commit_interval_ms;
};

struct reader {
    const struct broker_ops *ops;
    void *ctx;
};

struct writer {
    const struct broker_ops *ops;
    void *ctx;
};

static const char *effective_url(const struct broker_options *opt, char **ret_owned)
{
    *ret_owned = NULL;
    if (opt->url != NULL)
        return opt->url;
    if (opt->bootstrap == NULL)
        return "sqlite:sluice.db";
    return *ret_owned = mem_printf("kafka://%s", opt->bootstrap);
}

/* *ret_rest: what follows the colon of the URL. */
static enum status find_ops(const char *url, const struct broker_ops **ret, const char **ret_rest,
                            struct error *err)
{
    const char *colon = strchr(url, ':');
    struct span scheme = span_make(url, colon == NULL ? 0 : (size_t)(colon - url));
    for (size_t i = 0; i < sizeof implementations / sizeof *implementations; i++) {
        if (!span_is(scheme, implementations[i]->scheme))
            continue;
        *ret = implementations[i];
        *ret_rest = colon + 1;
        return ST_OK;
    }
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "broker '%s': unknown kind; use sqlite:PATH or kafka://HOST:PORT,…", url);
}

const char *broker_file(const struct broker_options *opt)
{
    char *owned;
    const char *url = effective_url(opt, &owned), *path;
    const struct broker_ops *ops;
    bool embedded =
        owned == NULL && find_ops(url, &ops, &path, NULL) == ST_OK && ops == &sqlite_broker_ops;
    mem_free(owned);
    return embedded ? path : NULL;
}

enum status broker_check(const struct broker_options *opt, struct error *err)
{
    char *owned;
    const char *url = effective_url(opt, &owned), *rest;
    const struct broker_ops *ops;
    enum status st = find_ops(url, &ops, &rest, err);
    if (st == ST_OK)
        st = ops->check(opt, rest, err);
    mem_free(owned);
    return st;
}

enum status broker_open(const struct broker_options *opt, struct broker **ret, struct error *err)
{
    char *owned;
    const char *url = effective_url(opt, &owned), *rest;
    struct broker *b = mem_zalloc(sizeof *b);
    b->name = mem_strdup(url);
    b->commit_interval_ms = opt->commit_interval_ms;
    mem_free(owned);
    enum status st = find_ops(b->name, &b->ops, &rest, err);
    if (st == ST_OK) {
        b->ctx = mem_zalloc(b->ops->broker_size);
        st = b->ops->open(b->ctx, opt, rest, err);
    }
    if (st == ST_OK)
        *ret = b;
    else
        broker_close(b);
    return st;
}

void broker_close(struct broker *b)
{
    if (b == NULL)
        return;
    if (b->ctx != NULL && b->ops != NULL)
        b->ops->close(b->ctx);
    mem_free(b->ctx);
    mem_free(b->name);
    mem_free(b);
}

void broker_print_versions(FILE *out)
{
    for (size_t i = 0; i < sizeof implementations / sizeof *implementations; i++)
        fprintf(out, "%s\n", implementations[i]->library());
}

const char *broker_name(const struct broker *b)
{
    return b->name;
}

int64_t broker_commit_interval_ms(const struct broker *b)
{
    return b->commit_interval_ms > 0 ? b->commit_interval_ms : b->ops->commit_interval_ms;
}

enum status broker_partitions(struct broker *b, const char *topic, int32_t *ret_count,
                              struct error *err)
{
    return b->ops->partitions(b->ctx, topic, ret_count, err);
}

enum status broker_topic_ensure(struct broker *b, const char *topic, enum topic_kind kind,
                                int32_t partitions, bool *ret_made, struct error *err)
{
    return b->ops->topic_ensure(b->ctx, topic, kind, partitions, ret_made, err);
}

enum status broker_topic_keeps(struct broker *b, const char *topic, bool *ret, struct error *err)
{
    if (b->ops->topic_keeps != NULL)
        return b->ops->topic_keeps(b->ctx, topic, ret, err);
    *ret = true;
    return ST_OK;
}

enum status broker_cluster(struct broker *b, char **ret, struct error *err)
{
    if (b->ops->cluster != NULL)
        return b->ops->cluster(b->ctx, ret, err);
    *ret = mem_strdup("");
    return ST_OK;
}

enum status broker_topics(struct broker *b, void (*fn)(void *, const char *, int32_t), void *arg,
                          struct error *err)
{
    return b->ops->topics(b->ctx, fn, arg, err);
}

enum status broker_groups(struct broker *b, void (*fn)(void *, const char *, int), void *arg,
                          struct error *err)
{
    return b->ops->groups(b->ctx, fn, arg, err);
}

enum status broker_watermarks(struct broker *b, const char *topic, struct watermark *ret,
                              int32_t count, struct error *err)
{
    return b->ops->watermarks(b->ctx, topic, ret, count, err);
}

enum status broker_positions(struct broker *b, const char *group, const char *topic,
                             struct position *ret, int32_t count, struct error *err)
{
    return b->ops->positions(b->ctx, group, topic, ret, count, err);
}

void positions_fini(struct position *pos, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        mem_free((void *)pos[i].metadata);
        pos[i].metadata = NULL;
    }
}

enum status broker_positions_set(struct broker *b, const char *group, const char *topic,
                                 const struct position *pos, size_t count, struct error *err)
{
    return b->ops->positions_set(b->ctx, group, topic, pos, count, err);
}

enum status broker_offset_at(struct broker *b, const char *topic, int32_t partition,
                             int64_t timestamp_ms, int64_t *ret_offset, struct error *err)
{
    return b->ops->offset_at(b->ctx, topic, partition, timestamp_ms, ret_offset, err);
}

enum status broker_retain(struct broker *b, bool force, int64_t *ret_deleted, struct error *err)
{
    return b->ops->retain(b->ctx, force, ret_deleted, err);
}

enum status reader_open(struct broker *b, const struct reader_config *cfg, struct reader **ret,
                        struct error *err)
{
    struct reader *r = mem_zalloc(sizeof *r);
    r->ops = b->ops;
    r->ctx = mem_zalloc(b->ops->reader_size);
    enum status st = b->ops->reader_open(r->ctx, b->ctx, cfg, err);
    if (st == ST_OK)
        *ret = r;
    else
        reader_close(r);
    return st;
}

enum status reader_poll(struct reader *r, int32_t partition, struct record *ret, size_t max,
                        size_t max_bytes, size_t *ret_n, struct error *err)
{
    return r->ops->reader_poll(r->ctx, partition, ret, max, max_bytes, ret_n, err);
}

void reader_release(struct reader *r, struct record *recs, size_t n)
{
    r->ops->reader_release(r->ctx, recs, n);
}

void reader_give_up(struct reader *r)
{
    r->ops->reader_give_up(r->ctx);
}

int64_t reader_end(const struct reader *r, int32_t partition)
{
    return r->ops->reader_end(r->ctx, partition);
}

int64_t reader_position(const struct reader *r, int32_t partition)
{
    return r->ops->reader_position == NULL ? -1 : r->ops->reader_position(r->ctx, partition);
}

void reader_close(struct reader *r)
{
    if (r == NULL)
        return;
    r->ops->reader_close(r->ctx);
    mem_free(r->ctx);
    mem_free(r);
}

enum status writer_open(struct broker *b, const struct writer_config *cfg, struct writer **ret,
                        struct error *err)
{
    struct writer *w = mem_zalloc(sizeof *w);
    w->ops = b->ops;
    w->ctx = mem_zalloc(b->ops->writer_size);
    void *reader = cfg->reader == NULL ? NULL : cfg->reader->ctx;
    enum status st = b->ops->writer_open(w->ctx, b->ctx, reader, cfg, err);
    if (st == ST_OK)
        *ret = w;
    else
        writer_close(w);
    return st;
}

int32_t writer_partitions(const struct writer *w, int topic)
{
    return w->ops->writer_partitions(w->ctx, topic);
}

enum status writer_send(struct writer *w, const struct out *out, struct error *err)
{
    return w->ops->writer_send(w->ctx, out, err);
}

bool writer_can_commit(const struct writer *w)
{
    return w->ops->writer_can_commit(w->ctx);
}

enum status writer_commit(struct writer *w, const struct position *pos, size_t n,
                          uint64_t *ret_number, struct error *err)
{
    return w->ops->writer_commit(w->ctx, pos, n, ret_number, err);
}

bool writer_idle(const struct writer *w)
{
    return w->ops->writer_idle(w->ctx);
}

void writer_close(struct writer *w)
{
    if (w == NULL)
        return;
    w->ops->writer_close(w->ctx);
    mem_free(w->ctx);
    mem_free(w);
}

/* The headers of a record that is about to be written, and those of a dead letter, the same in
 * every stage (docs/FORMAT.md lists them). One thread at a time. */
#ifndef SLUICE_STAGE_HEADERS_H
#define SLUICE_STAGE_HEADERS_H

#include "lib/base/buf.h"
#include "lib/broker/broker.h"

/* A list that is built anew for each record; its memory is used again. */
struct headers {
    struct header *items;
    size_t n, cap;
    struct buf text; /* values that were made here; never moves */
};

/* Why a record became a dead letter, and where it came from. */
struct letter {
    enum reason reason;
    const char *message, *stage, *topic;
    const char *group; /* whose letter it is, where a stage has several groups; or NULL */
    int32_t partition; /* -1: none */
    int64_t offset;
    int attempts;
    int64_t tokens_in, tokens_out;
    bool bare; /* it goes without its value, which was too large */
};

void headers_init(struct headers *h);
void headers_fini(struct headers *h);
void headers_reset(struct headers *h);

/* Borrowed until headers_reset. */
void headers_add(struct headers *h, struct span name, struct span value);
void headers_addf(struct headers *h, struct span name, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* All headers of the record but `sluice-src`, `sluice-txn`, `sluice-error-*`, and those `skip` says
 * yes to (NULL: none more). */
void headers_pass(struct headers *h, const struct record *rec, bool (*skip)(struct span name));

/* sluice-src: TOPIC/PARTITION/OFFSET. */
void headers_add_source(struct headers *h, const char *topic, int32_t partition, int64_t offset);
void headers_add_letter(struct headers *h, const struct letter *letter);

/* The value of a header, or an absent span. */
struct span headers_find(const struct record *rec, const char *name);

/* Where a record came from: TOPIC/PARTITION/OFFSET, as in sluice-src. False when `s` is not that.
 */
struct origin {
    struct span topic; /* borrowed from s */
    int32_t partition;
    int64_t offset;
};
bool origin_parse(struct span s, struct origin *ret);

/* The same read back from a dead letter; spans are the record's, absent when a header is not there.
 */
struct letter_view {
    struct span reason, message, stage, topic, group;
    int32_t partition; /* -1: none */
    int64_t offset;
    bool bare;
};
void headers_read_letter(const struct record *rec, struct letter_view *ret);

/* A header that holds a whole number, or `otherwise`. */
int64_t headers_find_int(const struct record *rec, const char *name, int64_t otherwise);

#endif

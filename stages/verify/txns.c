/* A hash table of transactions, a bitmap of visible offsets, and for each partition the last
 * transaction of each writer: see txns.h. */
#include "stages/verify/txns.h"

#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/stage/headers.h"

struct txn {
    struct txn_name name; /* writer 0: free */
    int64_t offset;       /* of its first hidden record */
    int32_t partition;
    int32_t topic; /* -1: it has no hidden record */
    bool visible;
};

/* The last number of a writer in a partition. */
struct last {
    struct txn_name name;
    struct last *next;
};

struct txns {
    const struct sweep *outputs;
    unsigned char **seen[TXNS_TOPICS]; /* a bit for each offset, of each partition */
    struct last **last[TXNS_TOPICS];   /* by partition */
    struct txn *items;
    size_t n, cap;
    bool transactional, traced;
};

/* --- names --- */

static bool take_number(const char **at, const char *end, unsigned base, uint64_t *ret)
{
    const char *from = *at;
    uint64_t v = 0;
    for (; *at < end && *at - from < 19; (*at)++) {
        char c = **at;
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 99;
        if (digit >= base)
            break;
        v = v * base + digit;
    }
    *ret = v;
    return *at > from;
}

bool txn_of(const struct record *rec, struct txn_name *ret)
{
    struct span text = headers_find(rec, "sluice-txn");
    const char *at = text.p, *end = text.p == NULL ? NULL : text.p + text.n;
    if (at == NULL || !take_number(&at, end, 16, &ret->writer) || at == end || *at++ != '/' ||
        !take_number(&at, end, 10, &ret->number) || at != end)
        return false;
    return ret->writer != 0;
}

/* --- the table --- */

static uint64_t mix(const struct txn_name *name)
{
    uint64_t h = name->writer ^ (name->number * UINT64_C(0x9e3779b97f4a7c15));
    h ^= h >> 32;
    return h * UINT64_C(0xd6e8feb86659fd93);
}

static struct txn *slot_of(struct txn *items, size_t cap, const struct txn_name *name)
{
    size_t at = (size_t)(mix(name) >> 20) & (cap - 1);
    while (items[at].name.writer != 0 &&
           (items[at].name.writer != name->writer || items[at].name.number != name->number))
        at = (at + 1) & (cap - 1);
    return &items[at];
}

static void grow(struct txns *t)
{
    size_t cap = t->cap == 0 ? 1024 : t->cap * 2;
    struct txn *items = mem_array(cap, sizeof *items);
    for (size_t i = 0; i < t->cap; i++)
        if (t->items[i].name.writer != 0)
            *slot_of(items, cap, &t->items[i].name) = t->items[i];
    mem_free(t->items);
    t->items = items;
    t->cap = cap;
}

static struct txn *find(struct txns *t, const struct txn_name *name)
{
    if (t->n * 2 >= t->cap)
        grow(t);
    struct txn *txn = slot_of(t->items, t->cap, name);
    if (txn->name.writer == 0) {
        *txn = (struct txn){.name = *name, .topic = -1};
        t->n++;
    }
    return txn;
}

/* --- open and close --- */

struct txns *txns_new(const struct sweep outputs[TXNS_TOPICS], bool transactional)
{
    struct txns *t = mem_zalloc(sizeof *t);
    t->outputs = outputs;
    t->transactional = transactional;
    for (int k = 0; k < TXNS_TOPICS; k++) {
        size_t count = (size_t)outputs[k].count;
        t->seen[k] = mem_array(count, sizeof *t->seen[k]);
        t->last[k] = mem_array(count, sizeof *t->last[k]);
        for (size_t p = 0; p < count; p++) {
            const struct watermark *log = &outputs[k].log[p];
            t->seen[k][p] = mem_array((size_t)(log->end - log->start) / 8 + 1, 1);
        }
    }
    return t;
}

static void free_partition(struct txns *t, int topic, int32_t p)
{
    mem_free(t->seen[topic][p]);
    for (struct last *last = t->last[topic][p], *next; last != NULL; last = next) {
        next = last->next;
        mem_free(last);
    }
}

void txns_free(struct txns *t)
{
    if (t == NULL)
        return;
    for (int k = 0; k < TXNS_TOPICS; k++) {
        for (int32_t p = 0; p < t->outputs[k].count; p++)
            free_partition(t, k, p);
        mem_free(t->seen[k]);
        mem_free(t->last[k]);
    }
    mem_free(t->items);
    mem_free(t);
}

/* --- the passes --- */

static unsigned char *byte_of(const struct txns *t, int topic, const struct record *rec,
                              unsigned *ret_bit)
{
    int64_t i = rec->offset - t->outputs[topic].log[rec->partition].start;
    *ret_bit = 1U << (unsigned)(i & 7);
    return &t->seen[topic][rec->partition][i / 8];
}

void txns_see(struct txns *t, int topic, const struct record *rec)
{
    unsigned bit;
    struct txn_name name;
    unsigned char *byte = byte_of(t, topic, rec, &bit);
    *byte = (unsigned char)(*byte | bit);
    t->traced = t->traced || (t->transactional && txn_of(rec, &name));
}

bool txns_traced(const struct txns *t)
{
    return t->traced;
}

/* The writer's last number here: found ones move to the front, where the next one is looked for. */
static struct last *last_of(struct txns *t, int topic, int32_t p, const struct txn_name *name)
{
    struct last **at = &t->last[topic][p], *last;
    while (*at != NULL && (*at)->name.writer != name->writer)
        at = &(*at)->next;
    if (*at != NULL) {
        last = *at;
        *at = last->next;
    } else {
        last = mem_zalloc(sizeof *last);
        last->name = *name;
    }
    last->next = t->last[topic][p];
    t->last[topic][p] = last;
    return last;
}

static void check_turn(struct txns *t, int topic, const struct record *rec,
                       const struct txn_name *name, struct verdict *v)
{
    struct last *last = last_of(t, topic, rec->partition, name);
    if (name->number < last->name.number)
        verdict_fail(v, I5, t->outputs[topic].topic, rec->partition, rec->offset,
                     "transaction %llu of writer %016llx comes behind its transaction %llu",
                     (unsigned long long)name->number, (unsigned long long)name->writer,
                     (unsigned long long)last->name.number);
    else
        last->name.number = name->number;
}

bool txns_take(struct txns *t, int topic, const struct record *rec, struct verdict *v)
{
    unsigned bit;
    bool visible = (*byte_of(t, topic, rec, &bit) & bit) != 0;
    struct txn_name name;
    if (!t->traced)
        return !visible;
    if (!txn_of(rec, &name)) {
        v->of[I5].undecided++;
        return !visible;
    }
    struct txn *txn = find(t, &name);
    txn->visible = txn->visible || visible;
    if (!visible && txn->topic < 0) {
        txn->topic = topic;
        txn->partition = rec->partition;
        txn->offset = rec->offset;
    }
    check_turn(t, topic, rec, &name, v);
    return !visible;
}

void txns_judge(const struct txns *t, struct verdict *v)
{
    int64_t aborted = 0;
    for (size_t i = 0; i < t->cap; i++) {
        const struct txn *txn = &t->items[i];
        if (txn->name.writer == 0)
            continue;
        v->of[I5].checked++;
        aborted += !txn->visible;
        if (txn->visible && txn->topic >= 0)
            verdict_fail(v, I5, t->outputs[txn->topic].topic, txn->partition, txn->offset,
                         "transaction %llu of writer %016llx is torn: this record of it was "
                         "aborted, others are visible",
                         (unsigned long long)txn->name.number,
                         (unsigned long long)txn->name.writer);
    }
    verdict_note(v, I5, "%lld transaction(s) were aborted", (long long)aborted);
}

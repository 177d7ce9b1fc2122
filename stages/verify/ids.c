/* Sums by id, and the ids of the sums that are wrong: see ids.h. */
#include "stages/verify/ids.h"

#include <stdlib.h>

#include "lib/base/mem.h"

enum { SUMS = 1 << 16, SUM_SHIFT = 64 - 16, WRONG_MAX = 256, ID_BYTES = 48 };

struct sum {
    int64_t count;
    uint64_t digests;
    bool wrong; /* and to be looked at in the second pass */
};

struct named {
    uint64_t digest;
    int64_t sent, out;
    const char *topic; /* where it was met last */
    int64_t offset;
    int32_t partition;
    char id[ID_BYTES];
};

struct ids {
    struct sum sums[SUMS];
    struct named *named; /* by digest, ordered when judged; a few hundred sums' worth */
    uint32_t *slots;     /* index into named plus one, by digest */
    size_t n, cap, mask;
};

struct ids *ids_new(void)
{
    return mem_zalloc(sizeof(struct ids));
}

void ids_free(struct ids *ids)
{
    if (ids == NULL)
        return;
    mem_free(ids->named);
    mem_free(ids->slots);
    mem_free(ids);
}

void ids_add(struct ids *ids, uint64_t digest, int weight)
{
    struct sum *sum = &ids->sums[digest >> SUM_SHIFT];
    sum->count += weight;
    sum->digests += weight > 0 ? digest : -digest;
}

bool ids_differ(struct ids *ids)
{
    int wrong = 0;
    for (int i = 0; i < SUMS && wrong < WRONG_MAX; i++) {
        ids->sums[i].wrong = ids->sums[i].count != 0 || ids->sums[i].digests != 0;
        wrong += ids->sums[i].wrong;
    }
    return wrong > 0;
}

static void grow(struct ids *ids)
{
    ids->cap = ids->cap == 0 ? 1024 : ids->cap * 2;
    ids->named = mem_realloc(ids->named, ids->cap * sizeof *ids->named);
    mem_free(ids->slots);
    ids->mask = ids->cap * 2 - 1;
    ids->slots = mem_array(ids->cap * 2, sizeof *ids->slots);
    for (size_t i = 0; i < ids->n; i++) {
        size_t at = ids->named[i].digest & ids->mask;
        while (ids->slots[at] != 0)
            at = (at + 1) & ids->mask;
        ids->slots[at] = (uint32_t)i + 1;
    }
}

static struct named *find(struct ids *ids, uint64_t digest)
{
    if (ids->n == ids->cap)
        grow(ids);
    size_t at = digest & ids->mask;
    for (; ids->slots[at] != 0; at = (at + 1) & ids->mask)
        if (ids->named[ids->slots[at] - 1].digest == digest)
            return &ids->named[ids->slots[at] - 1];
    ids->slots[at] = (uint32_t)ids->n + 1;
    ids->named[ids->n] = (struct named){.digest = digest};
    return &ids->named[ids->n++];
}

void ids_name(struct ids *ids, uint64_t digest, int weight, struct span id, const char *topic,
              int32_t partition, int64_t offset)
{
    if (!ids->sums[digest >> SUM_SHIFT].wrong)
        return;
    struct named *named = find(ids, digest);
    size_t n = id.n < ID_BYTES - 1 ? id.n : ID_BYTES - 1;
    memcpy(named->id, id.p, n);
    named->id[n] = '\0';
    *(weight > 0 ? &named->sent : &named->out) += 1;
    named->topic = topic;
    named->partition = partition;
    named->offset = offset;
}

void ids_judge(const struct ids *ids, struct verdict *v)
{
    for (size_t i = 0; i < ids->n; i++) {
        const struct named *named = &ids->named[i];
        if (named->sent != named->out)
            verdict_fail(v, I2, named->topic, named->partition, named->offset,
                         "id %s was sent %lld time(s) and came out %lld time(s)", named->id,
                         (long long)named->sent, (long long)named->out);
    }
}

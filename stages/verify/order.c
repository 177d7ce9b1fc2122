/* The last offset seen of each partition, or of each key: see order.h. */
#include "stages/verify/order.h"

#include "lib/base/mem.h"
#include "stages/enhance/window.h"
#include "stages/verify/digest.h"

struct key_entry {
    uint64_t digest; /* 0: free */
    int64_t last;
};

struct order_check {
    int promise;
    int32_t inputs, outputs[ORDER_TOPICS];
    int64_t *last[ORDER_TOPICS]; /* [output partition][input partition]: one past the last offset */
    struct key_entry *keys;
    size_t n, cap;
};

struct order_check *order_new(int promise, int32_t inputs, const int32_t outputs[ORDER_TOPICS])
{
    struct order_check *o = mem_zalloc(sizeof *o);
    o->promise = promise;
    o->inputs = inputs;
    for (int t = 0; t < ORDER_TOPICS; t++) {
        o->outputs[t] = outputs[t];
        o->last[t] = mem_array((size_t)outputs[t] * (size_t)inputs, sizeof *o->last[t]);
    }
    return o;
}

void order_free(struct order_check *o)
{
    if (o == NULL)
        return;
    for (int t = 0; t < ORDER_TOPICS; t++)
        mem_free(o->last[t]);
    mem_free(o->keys);
    mem_free(o);
}

static struct key_entry *slot_of(struct key_entry *keys, size_t cap, uint64_t digest)
{
    size_t at = digest & (cap - 1);
    while (keys[at].digest != 0 && keys[at].digest != digest)
        at = (at + 1) & (cap - 1);
    return &keys[at];
}

static int64_t *last_of_key(struct order_check *o, uint64_t digest)
{
    if (o->n * 4 >= o->cap * 3) {
        size_t cap = o->cap == 0 ? 1024 : o->cap * 2;
        struct key_entry *keys = mem_array(cap, sizeof *keys);
        for (size_t i = 0; i < o->cap; i++)
            if (o->keys[i].digest != 0)
                *slot_of(keys, cap, o->keys[i].digest) = o->keys[i];
        mem_free(o->keys);
        o->keys = keys;
        o->cap = cap;
    }
    struct key_entry *entry = slot_of(o->keys, o->cap, digest);
    if (entry->digest == 0) {
        entry->digest = digest;
        o->n++;
    }
    return &entry->last;
}

bool order_next(struct order_check *o, int topic, const struct record *output, int32_t input,
                int64_t offset, int64_t *ret_before)
{
    int64_t *last = NULL;
    if (o->promise == ORDER_NONE || (o->promise == ORDER_KEY && output->key.p == NULL) ||
        input >= o->inputs || output->partition >= o->outputs[topic])
        return true;
    if (o->promise == ORDER_PARTITION) {
        last = &o->last[topic][(size_t)output->partition * (size_t)o->inputs + (size_t)input];
    } else {
        uint64_t where = (uint64_t)input << 33 | (uint64_t)output->partition << 2 | (uint64_t)topic;
        last = last_of_key(o, digest_bytes(where, output->key) | 1);
    }
    if (offset < *last) {
        *ret_before = *last - 1;
        return false;
    }
    *last = offset + 1;
    return true;
}

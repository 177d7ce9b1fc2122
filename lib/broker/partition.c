/* Which partition a key belongs to: murmur2 as in Apache Kafka's
 * org.apache.kafka.common.utils.Utils (Austin Appleby's MurmurHash2 with the seed 0x9747b28c),
 * positive part modulo the count, so that Java producers and sluice agree. */
#include "lib/broker/broker.h"

static uint32_t murmur2(const unsigned char *p, size_t n)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)n;
    for (; n >= 4; p += 4, n -= 4) {
        uint32_t k =
            (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        k *= m;
        k ^= k >> 24;
        k *= m;
        h *= m;
        h ^= k;
    }
    if (n >= 3)
        h ^= (uint32_t)p[2] << 16;
    if (n >= 2)
        h ^= (uint32_t)p[1] << 8;
    if (n >= 1) {
        h ^= p[0];
        h *= m;
    }
    h ^= h >> 13;
    h *= m;
    h ^= h >> 15;
    return h;
}

int32_t broker_partition_of(struct span key, int32_t count, uint32_t *turn)
{
    uint32_t h = key.p == NULL ? (*turn)++ : murmur2((const unsigned char *)key.p, key.n);
    return (int32_t)((h & 0x7fffffff) % (uint32_t)count);
}

/* Digests of records: see digest.h. A value is never copied: the parts beside the enrichment are
 * fed one after the other. */
#include "stages/verify/digest.h"

/* Limits are those of the scanner: what enhance took with any setting can be read here. */
static const struct post_limits limits = {.max_bytes = (size_t)1 << 30, .max_depth = 4096};

#define MEMBER ",\"enrichment\":"
enum { MEMBER_BYTES = sizeof MEMBER - 1, HALF = DIGEST_BITS / 2 };

static uint64_t feed(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* All bits of the sum in each bit of the result; a bijection before the cut. */
static uint64_t finish(uint64_t h, int bits)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    return h >> (64 - bits);
}

static uint64_t begin(struct span key)
{
    uint64_t h = feed(UINT64_C(0xcbf29ce484222325), key.p == NULL ? "n" : "k", 1);
    h = feed(h, key.p, key.n);
    return feed(h, (const char *)&key.n, sizeof key.n);
}

uint64_t digest_bytes(uint64_t seed, struct span s)
{
    uint64_t h = feed(UINT64_C(0xcbf29ce484222325), (const char *)&seed, sizeof seed);
    return finish(feed(h, s.p, s.n), 64);
}

/* Key and value without the bytes [from, to). */
static uint64_t around(struct span key, struct span value, size_t from, size_t to, int bits)
{
    uint64_t h = feed(begin(key), value.p == NULL ? "n" : "v", 1);
    h = feed(h, value.p, from);
    return finish(feed(h, value.p + to, value.n - to), bits);
}

uint64_t digest_raw(const struct record *rec, bool *ret_own)
{
    struct post post;
    *ret_own = rec->value.p != NULL && post_scan(rec->value, &limits, &post, NULL) == ST_OK &&
               post.enrichment.p != NULL;
    if (!*ret_own)
        return around(rec->key, rec->value, rec->value.n, rec->value.n, DIGEST_BITS);
    size_t from = (size_t)(post.enrichment.p - rec->value.p);
    uint64_t rest = around(rec->key, rec->value, from, from + post.enrichment.n, HALF);
    return rest << HALF | digest_bytes(0, post.enrichment) >> (64 - HALF);
}

enum status digest_scan(struct span value, struct post *ret, struct error *err)
{
    enum status st = post_scan(value, &limits, ret, err);
    if (st == ST_OK && ret->enrichment.p == NULL)
        st = error_set(err, ST_REJECT, ERR_FAILED, "it has no enrichment");
    return st;
}

enum status digest_compare(const struct record *output, uint64_t raw, bool own, struct error *err)
{
    struct post post;
    struct span value = output->value;
    enum status st = digest_scan(value, &post, err);
    if (st != ST_OK)
        return st;
    size_t from = (size_t)(post.enrichment.p - value.p), to = from + post.enrichment.n;
    if (own && around(output->key, value, from, to, HALF) == raw >> HALF)
        return ST_OK;
    bool ours = !own && to == post.close && from >= MEMBER_BYTES &&
                memcmp(value.p + from - MEMBER_BYTES, MEMBER, MEMBER_BYTES) == 0;
    if (ours && around(output->key, value, from - MEMBER_BYTES, to, DIGEST_BITS) == raw)
        return ST_OK;
    return error_set(err, ST_REJECT, ERR_FAILED,
                     "without its enrichment it is not the bytes of its raw record");
}

bool digest_id(struct span value, struct span *ret_id, uint64_t *ret_digest)
{
    struct post post;
    if (value.p == NULL || post_scan(value, &limits, &post, NULL) != ST_OK)
        return false;
    *ret_id = post.id;
    *ret_digest = digest_bytes(post.id_is_string ? 1 : 2, post.id);
    return true;
}

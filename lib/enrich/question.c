/* libcrypto's SHA-256 (FIPS 180-4) with one context for each thread, freed when the thread ends. */
#include "lib/enrich/question.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <stdint.h>

#include "lib/base/mem.h"

static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void make_key(void)
{
    if (pthread_key_create(&key, free_context) != 0)
        mem_fail_system("threads", "no thread-specific key is left");
}

static EVP_MD_CTX *context(void)
{
    pthread_once(&once, make_key);
    EVP_MD_CTX *ctx = pthread_getspecific(key);
    if (ctx != NULL)
        return ctx;
    ctx = EVP_MD_CTX_new();
    if (ctx == NULL || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        pthread_setspecific(key, ctx) != 0)
        mem_fail_system("SHA-256", "libcrypto has none");
    return ctx;
}

void question_make(const struct span *parts, size_t n, struct question *ret)
{
    EVP_MD_CTX *ctx = context();
    bool ok = EVP_DigestInit_ex(ctx, NULL, NULL) == 1; /* the same digest again */
    for (size_t i = 0; i < n && ok; i++) {
        unsigned char length[8];
        for (size_t b = 0; b < sizeof length; b++)
            length[b] = (unsigned char)((uint64_t)parts[i].n >> (8 * b));
        ok = EVP_DigestUpdate(ctx, length, sizeof length) == 1 &&
             EVP_DigestUpdate(ctx, parts[i].n == 0 ? "" : parts[i].p, parts[i].n) == 1;
    }
    if (!ok || EVP_DigestFinal_ex(ctx, ret->key, NULL) != 1)
        mem_fail_system("SHA-256", "libcrypto cannot compute it");
}

void question_write(const struct question *q, char out[QUESTION_HEX + 1])
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < QUESTION_BYTES; i++) {
        out[2 * i] = digits[q->key[i] >> 4];
        out[2 * i + 1] = digits[q->key[i] & 15];
    }
    out[QUESTION_HEX] = '\0';
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool question_read(struct span text, struct question *ret)
{
    if (text.n != QUESTION_HEX)
        return false;
    for (int i = 0; i < QUESTION_BYTES; i++) {
        int high = digit_of(text.p[2 * i]), low = digit_of(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        ret->key[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

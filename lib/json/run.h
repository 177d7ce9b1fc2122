/* How far the plain part of a JSON string goes: the inner loop of the scanner.
 *
 * Plain are the bytes 0x20..0x7F but '"' and '\\'. Sixteen bytes a step where SSE2 is part of the
 * architecture's baseline, eight in a word elsewhere, so no dispatch at run time is needed. Never
 * reads at or behind `end`. All variants are compiled everywhere they can be, so that the tests
 * compare them. Any thread. */
#ifndef SLUICE_JSON_RUN_H
#define SLUICE_JSON_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool json_is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* All variants: the first byte that is not plain, or end. */
static inline const unsigned char *json_run_bytes(const unsigned char *p, const unsigned char *end)
{
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

/* Nonzero in the top bit of every byte of w that is zero, and perhaps of bytes above it: only the
 * lowest is meant (Mycroft's test, "Hacker's Delight" 6-1). */
static inline uint64_t json_zero_bytes(uint64_t w)
{
    return (w - 0x0101010101010101u) & ~w & 0x8080808080808080u;
}

static inline const unsigned char *json_run_words(const unsigned char *p, const unsigned char *end)
{
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u;
    for (; end - p >= 8; p += 8) {
        uint64_t w;
        memcpy(&w, p, sizeof w);
        uint64_t control = (w - ones * 0x20) & ~w;
        uint64_t hits = (control | w) & ones * 0x80;
        hits |= json_zero_bytes(w ^ ones * '"') | json_zero_bytes(w ^ ones * '\\');
        if (hits != 0)
            return p + (__builtin_ctzll(hits) >> 3);
    }
#endif
    return json_run_bytes(p, end);
}

#ifdef __SSE2__
static inline const unsigned char *json_run_sse2(const unsigned char *p, const unsigned char *end)
{
    const __m128i quote = _mm_set1_epi8('"'), slash = _mm_set1_epi8('\\');
    const __m128i space = _mm_set1_epi8(0x20);
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* A signed comparison catches 0x00..0x1F and 0x80..0xFF at once. */
        __m128i hits = _mm_or_si128(_mm_cmplt_epi8(v, space), _mm_cmpeq_epi8(v, quote));
        int mask = _mm_movemask_epi8(_mm_or_si128(hits, _mm_cmpeq_epi8(v, slash)));
        if (mask != 0)
            return p + __builtin_ctz((unsigned)mask);
    }
    return json_run_words(p, end);
}
#endif

static inline const unsigned char *json_run(const unsigned char *p, const unsigned char *end)
{
#ifdef __SSE2__
    return json_run_sse2(p, end);
#else
    return json_run_words(p, end);
#endif
}

#endif

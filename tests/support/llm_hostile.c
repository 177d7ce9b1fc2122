/* See llm_parts.h: answers that are streamed because nobody should hold them in memory, above all
 * not the client under test. */
#include <string.h>

#include "tests/support/llm_parts.h"

enum { HUGE_CHUNK = 65536, HUGE_CHUNKS = 1600 };

static char spaces[HUGE_CHUNK];

void llm_reply_huge(struct llm_reply *reply)
{
    static const char head[] = "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                               "\"content\":\"";
    static const char tail[] = "\"},\"finish_reason\":\"stop\"}]}";
    memset(spaces, ' ', sizeof spaces);
    reply->pattern = span_make(spaces, sizeof spaces);
    reply->repeat = HUGE_CHUNKS;
    reply->tail = SPAN_LIT(tail);
    buf_printf(&reply->out,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
               sizeof head - 1 + sizeof tail - 1 + (size_t)HUGE_CHUNK * HUGE_CHUNKS, head);
}

/* Deflate with fixed codes (RFC 1951, 3.2.6): one space, then "258 bytes from 1 back" over and
 * over. Such a match has 13 bits, so that the bytes repeat after 13. */
enum { BOMB_PERIOD = 13, BOMB_COPIES = 800, BOMB_CHUNK = BOMB_PERIOD * BOMB_COPIES };
enum { BOMB_REPEAT = 650, BOMB_MATCHES = 8 * BOMB_COPIES * BOMB_REPEAT + 1 };

struct bits {
    unsigned char *p;
    size_t n;
};

/* Huffman codes begin with their highest bit, other fields with their lowest. */
static void add_bits(struct bits *bits, unsigned code, int count)
{
    for (int i = count - 1; i >= 0; i--, bits->n++)
        bits->p[bits->n / 8] |= (unsigned char)((code >> i & 1) << bits->n % 8);
}

static void add_match(struct bits *bits)
{
    add_bits(bits, 0xC5, 8); /* length 258 */
    add_bits(bits, 0, 5);    /* distance 1 */
}

void llm_reply_gzip_bomb(struct llm_reply *reply)
{
    static const unsigned char gzip_head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    static char pattern[BOMB_CHUNK];
    static unsigned char tail[10];
    unsigned char begin[64] = {0}, end[64] = {0};
    struct bits bits = {begin, 0};
    add_bits(&bits, 4 | 2, 3); /* last block, fixed codes */
    add_bits(&bits, 0x30 + ' ', 8);
    for (int i = 0; i < 20; i++)
        add_match(&bits);
    for (size_t i = 0; i < BOMB_COPIES; i++)
        memcpy(pattern + i * BOMB_PERIOD, begin + 2, BOMB_PERIOD);
    /* What follows the pattern: a match of which 5 bits are there already, the end of the block. */
    bits = (struct bits){end, 3};
    add_match(&bits);
    add_bits(&bits, 0, 7);
    memcpy(tail, end + 1, 2);
    /* CRC-32 and size of what comes out: 1 + 258 * BOMB_MATCHES spaces. */
    static const uint32_t crc = 0xe8e75058;
    const uint32_t size = 1 + 258 * (uint32_t)BOMB_MATCHES;
    memcpy(tail + 2, &crc, 4);
    memcpy(tail + 6, &size, 4);
    reply->pattern = span_make(pattern, sizeof pattern);
    reply->repeat = BOMB_REPEAT;
    reply->tail = span_make(tail, sizeof tail);
    size_t total = sizeof gzip_head + 2 + (size_t)BOMB_CHUNK * BOMB_REPEAT + sizeof tail;
    buf_printf(&reply->out,
               "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
               "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
               total);
    buf_add(&reply->out, gzip_head, sizeof gzip_head);
    buf_add(&reply->out, begin, 2);
}

/* Reads a text once, from left to right, and looks every word up in a table that is made at start.
 *
 * A word is hashed character by character while it is read: a rotation and an addition each, so
 * that equal hashes mean equal words for anything of ordinary length. Letters of scripts with
 * spaces make words; Han, kana and hangul are looked up in pairs; an emoji is a word of its own. */
#include "lib/enrich/lexicon.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/utf8.h"

enum { SLOT_BITS = 12, SLOTS = 1 << SLOT_BITS, TOPICS_MAX = 64 };

/* How a script is read; also what counts when the language is judged. */
enum script {
    SCRIPT_NONE,   /* ends a word */
    SCRIPT_SYMBOL, /* emoji */
    SCRIPT_HAN,
    SCRIPT_KANA,
    SCRIPT_HANGUL,
    SCRIPT_LATIN, /* from here on: letters that make words */
    SCRIPT_CYRILLIC,
    SCRIPT_GREEK,
    SCRIPT_ARABIC,
    SCRIPT_HEBREW,
    SCRIPT_DEVANAGARI,
    SCRIPT_THAI,
    SCRIPT_BENGALI,
    SCRIPT_TAMIL,
    SCRIPT_GEORGIAN,
    SCRIPT_ARMENIAN,
    SCRIPTS
};

static const char *const script_languages[SCRIPTS] = {"und", "und", "zh", "ja", "ko", "en",
                                                      "ru",  "el",  "ar", "he", "hi", "th",
                                                      "bn",  "ta",  "ka", "hy"};

/* In the order in which a tie is decided. */
static const char *const latin_languages[LEXICON_LANGUAGES] = {"en", "de", "fr", "es",
                                                               "it", "pt", "nl"};

struct entry {
    uint64_t hash;      /* 0: free */
    uint64_t languages; /* byte i is 1: a common word of latin_languages[i] */
    uint8_t topics[2];  /* index + 1; 0: none */
    int8_t mood;
    uint8_t negates;
};

struct lexicon {
    struct entry slots[SLOTS];
    struct span topics[TOPICS_MAX];
    int topic_count;
};

struct reading {
    const struct lexicon *lex;
    uint64_t word;      /* hash of the word being read, 0 between words */
    uint64_t languages; /* sums of entry.languages */
    uint64_t seen;      /* topics met so far */
    int64_t mood;
    uint32_t common; /* words counted in `languages` */
    uint32_t pair;   /* the last character when the next may pair with it */
    int flip;        /* moods of so many words more are turned around */
    bool ukrainian;
    uint64_t letters[SCRIPTS];
    uint8_t topics[INSIGHT_TOPICS_MAX];
    int topic_count;
};

/* --- characters --- */

static const uint8_t folded[256] = {
    ['A'] = 'a', ['B'] = 'b', ['C'] = 'c', ['D'] = 'd', ['E'] = 'e', ['F'] = 'f', ['G'] = 'g',
    ['H'] = 'h', ['I'] = 'i', ['J'] = 'j', ['K'] = 'k', ['L'] = 'l', ['M'] = 'm', ['N'] = 'n',
    ['O'] = 'o', ['P'] = 'p', ['Q'] = 'q', ['R'] = 'r', ['S'] = 's', ['T'] = 't', ['U'] = 'u',
    ['V'] = 'v', ['W'] = 'w', ['X'] = 'x', ['Y'] = 'y', ['Z'] = 'z', ['a'] = 'a', ['b'] = 'b',
    ['c'] = 'c', ['d'] = 'd', ['e'] = 'e', ['f'] = 'f', ['g'] = 'g', ['h'] = 'h', ['i'] = 'i',
    ['j'] = 'j', ['k'] = 'k', ['l'] = 'l', ['m'] = 'm', ['n'] = 'n', ['o'] = 'o', ['p'] = 'p',
    ['q'] = 'q', ['r'] = 'r', ['s'] = 's', ['t'] = 't', ['u'] = 'u', ['v'] = 'v', ['w'] = 'w',
    ['x'] = 'x', ['y'] = 'y', ['z'] = 'z'};

/* The blocks of the Unicode standard below U+3000, 128 characters each. */
static const uint8_t blocks[0x3000 / 128] = {
    [0x01] = SCRIPT_LATIN,    [0x02] = SCRIPT_LATIN,    [0x03] = SCRIPT_LATIN,
    [0x04] = SCRIPT_LATIN,    [0x07] = SCRIPT_GREEK,    [0x08] = SCRIPT_CYRILLIC,
    [0x09] = SCRIPT_CYRILLIC, [0x0A] = SCRIPT_ARMENIAN, [0x0B] = SCRIPT_HEBREW,
    [0x0C] = SCRIPT_ARABIC,   [0x0D] = SCRIPT_ARABIC,   [0x12] = SCRIPT_DEVANAGARI,
    [0x13] = SCRIPT_BENGALI,  [0x17] = SCRIPT_TAMIL,    [0x1C] = SCRIPT_THAI,
    [0x21] = SCRIPT_GEORGIAN, [0x3C] = SCRIPT_LATIN,    [0x3D] = SCRIPT_LATIN,
    [0x43] = SCRIPT_SYMBOL,   [0x46] = SCRIPT_SYMBOL,   [0x47] = SCRIPT_SYMBOL,
    [0x4C] = SCRIPT_SYMBOL,   [0x4D] = SCRIPT_SYMBOL,   [0x4E] = SCRIPT_SYMBOL,
    [0x4F] = SCRIPT_SYMBOL,   [0x56] = SCRIPT_SYMBOL};

static enum script script_above(uint32_t c)
{
    static const struct {
        uint32_t first, last;
        enum script script;
    } ranges[] = {{0x3041, 0x30FF, SCRIPT_KANA},     {0x3400, 0x9FFF, SCRIPT_HAN},
                  {0xAC00, 0xD7A3, SCRIPT_HANGUL},   {0xF900, 0xFAFF, SCRIPT_HAN},
                  {0x1F000, 0x1FAFF, SCRIPT_SYMBOL}, {0x20000, 0x3FFFF, SCRIPT_HAN}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return ranges[i].script;
    return SCRIPT_NONE;
}

static enum script script_of(uint32_t c)
{
    if (c >= 0x3000)
        return script_above(c);
    if (c < 0xC0 || c == 0xD7 || c == 0xF7)
        return SCRIPT_NONE; /* signs of Latin-1 */
    return (enum script)blocks[c / 128];
}

/* Lower case for the scripts that the word list has words of. */
static uint32_t fold(uint32_t c)
{
    if ((c >= 0xC0 && c <= 0xDE) || (c >= 0x391 && c <= 0x3A9) || (c >= 0x410 && c <= 0x42F))
        return c + 0x20;
    return c == 0x386 ? 0x3AC : c;
}

static uint64_t mix(uint64_t hash, uint32_t c)
{
    return (hash << 7 | hash >> 57) + c;
}

/* The character at p (n > 0 bytes left); *ret_n gets its length. 0 for bytes that are no UTF-8. */
static uint32_t decode(const unsigned char *p, size_t n, size_t *ret_n)
{
    size_t len = utf8_char_length((const char *)p, n);
    *ret_n = len == 0 ? 1 : len;
    switch (len) {
    case 1:
        return p[0];
    case 2:
        return (p[0] & 0x1Fu) << 6 | (p[1] & 0x3Fu);
    case 3:
        return (p[0] & 0x0Fu) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
    case 4:
        return (p[0] & 0x07u) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
    default:
        return 0;
    }
}

/* --- the table --- */

static size_t slot_of(uint64_t hash)
{
    return (size_t)((hash * 0x9E3779B97F4A7C15u) >> (64 - SLOT_BITS));
}

static const struct entry *find(const struct lexicon *lex, uint64_t hash)
{
    size_t i = slot_of(hash);
    while (lex->slots[i].hash != hash && lex->slots[i].hash != 0)
        i = (i + 1) % SLOTS;
    return &lex->slots[i];
}

static uint64_t hash_word(struct span word)
{
    uint64_t hash = 0;
    const unsigned char *p = (const unsigned char *)word.p;
    for (size_t i = 0, n; i < word.n; i += n) {
        uint32_t c = decode(p + i, word.n - i, &n);
        if (script_of(c) != SCRIPT_NONE || c < 0x80)
            hash = mix(hash, c < 0x80 ? folded[c] : fold(c));
    }
    return hash;
}

static uint8_t topic_number(struct lexicon *lex, const char *name)
{
    for (int i = 0; i < lex->topic_count; i++)
        if (span_is(lex->topics[i], name))
            return (uint8_t)(i + 1);
    lex->topics[lex->topic_count] = span_of(name);
    return (uint8_t)++lex->topic_count;
}

static void add_topic(struct entry *e, uint8_t number)
{
    if (e->topics[0] == 0 || e->topics[0] == number)
        e->topics[0] = number;
    else if (e->topics[1] == 0)
        e->topics[1] = number;
}

static void add_word(struct lexicon *lex, struct span word, const struct word_group *group)
{
    uint64_t hash = hash_word(word);
    struct entry *e = &lex->slots[find(lex, hash) - lex->slots];
    e->hash = hash;
    for (int i = 0; i < 2 && group->topics[i] != NULL; i++)
        add_topic(e, topic_number(lex, group->topics[i]));
    if (group->mood != 0)
        e->mood = group->mood;
    e->negates |= group->negates;
    for (int i = 0; i < LEXICON_LANGUAGES; i++)
        if (strcmp(group->language, latin_languages[i]) == 0)
            e->languages |= (uint64_t)1 << (8 * i);
}

struct lexicon *lexicon_new(void)
{
    struct lexicon *lex = mem_zalloc(sizeof *lex);
    for (size_t g = 0; g < lexicon_group_count; g++) {
        for (const char *w = lexicon_groups[g].words; *w != '\0';) {
            size_t n = strcspn(w, " ");
            if (n > 0)
                add_word(lex, span_make(w, n), &lexicon_groups[g]);
            w += n + (w[n] == ' ');
        }
    }
    return lex;
}

void lexicon_free(struct lexicon *lex)
{
    mem_free(lex);
}

/* --- reading --- */

static void meet_topic(struct reading *r, uint8_t number)
{
    uint64_t bit = (uint64_t)1 << (number - 1);
    if ((r->seen & bit) != 0 || r->topic_count == INSIGHT_TOPICS_MAX)
        return;
    r->seen |= bit;
    r->topics[r->topic_count++] = number;
}

static void look_up(struct reading *r, uint64_t hash)
{
    const struct entry *e = find(r->lex, hash);
    if (r->flip > 0)
        r->flip--;
    if (e->hash == 0)
        return;
    r->mood += r->flip > 0 ? -e->mood : e->mood;
    if (e->negates)
        r->flip = 3;
    for (int i = 0; i < 2 && e->topics[i] != 0; i++)
        meet_topic(r, e->topics[i]);
    if (e->languages != 0 && r->common < 255) { /* so that no byte of the sum overflows */
        r->common++;
        r->languages += e->languages;
    }
}

static void end_word(struct reading *r)
{
    if (r->word != 0)
        look_up(r, r->word);
    r->word = 0;
}

/* A character above U+007F. */
static void read_wide(struct reading *r, uint32_t c)
{
    enum script script = script_of(c);
    r->letters[script]++;
    if (script >= SCRIPT_LATIN) {
        r->ukrainian = r->ukrainian || c == 0x456 || c == 0x457 || c == 0x454 || c == 0x491;
        r->word = mix(r->word, fold(c));
        return;
    }
    end_word(r);
    if (script == SCRIPT_NONE)
        return;
    if (script == SCRIPT_SYMBOL) {
        look_up(r, c);
        return;
    }
    if (r->pair != 0)
        look_up(r, mix(r->pair, c));
    r->pair = c;
}

static void read_text(struct reading *r, struct span text)
{
    const unsigned char *p = (const unsigned char *)text.p, *end = p + text.n;
    while (p < end) {
        const unsigned char *from = p;
        uint64_t word = r->word;
        for (; p < end && folded[*p] != 0; p++)
            word = mix(word, folded[*p]);
        r->word = word;
        r->letters[SCRIPT_LATIN] += (uint64_t)(p - from);
        if (p == end)
            break;
        if (*p < 0x80) {
            end_word(r);
            r->pair = 0;
            p++;
        } else {
            size_t n;
            read_wide(r, decode(p, (size_t)(end - p), &n));
            p += n;
        }
    }
    end_word(r);
}

static const char *judge_latin(const struct reading *r)
{
    int best = 0, most = 0;
    for (int i = 0; i < LEXICON_LANGUAGES; i++) {
        int count = (int)(r->languages >> (8 * i) & 0xFF);
        if (count > most) {
            most = count;
            best = i;
        }
    }
    return latin_languages[best];
}

static const char *judge_language(struct reading *r)
{
    /* One kana makes it Japanese, however many Han characters stand around it. */
    if (r->letters[SCRIPT_KANA] > 0) {
        r->letters[SCRIPT_KANA] += r->letters[SCRIPT_HAN];
        r->letters[SCRIPT_HAN] = 0;
    }
    /* A character of these says as much as a word of several letters. */
    for (int s = SCRIPT_HAN; s <= SCRIPT_HANGUL; s++)
        r->letters[s] *= 3;
    int best = SCRIPT_NONE;
    uint64_t most = 0;
    for (int s = SCRIPT_HAN; s < SCRIPTS; s++) {
        if (r->letters[s] > most) {
            most = r->letters[s];
            best = s;
        }
    }
    if (best == SCRIPT_LATIN)
        return judge_latin(r);
    return best == SCRIPT_CYRILLIC && r->ukrainian ? "uk" : script_languages[best];
}

void lexicon_read(const struct lexicon *lex, struct span text, struct insight *ret)
{
    struct reading r = {.lex = lex};
    if (text.n > 0)
        read_text(&r, text);
    ret->topic_count = r.topic_count;
    for (int i = 0; i < r.topic_count; i++)
        ret->topics[i] = lex->topics[r.topics[i] - 1];
    ret->sentiment = r.mood > 0   ? SENTIMENT_POSITIVE
                     : r.mood < 0 ? SENTIMENT_NEGATIVE
                                  : SENTIMENT_NEUTRAL;
    ret->language = judge_language(&r);
}

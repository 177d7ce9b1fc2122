/* What a text seems to be about, by a small list of words and emoji: the wits of the mock enricher.
 *
 * No understanding is claimed; it is meant to be plausible, repeatable and fast (about a quarter of
 * a microsecond for a short post). A lexicon is constant after lexicon_new: any thread may read. */
#ifndef SLUICE_ENRICH_LEXICON_H
#define SLUICE_ENRICH_LEXICON_H

#include <stddef.h>
#include <stdint.h>

#include "lib/base/span.h"

enum { INSIGHT_TOPICS_MAX = 4, LEXICON_LANGUAGES = 7 };

enum sentiment { SENTIMENT_NEUTRAL, SENTIMENT_POSITIVE, SENTIMENT_NEGATIVE };

struct insight {
    struct span topics[INSIGHT_TOPICS_MAX]; /* in the order in which the text comes to them */
    int topic_count;                        /* 0 when no word of the list occurs */
    enum sentiment sentiment;
    const char *language; /* ISO 639-1, or "und" when there is nothing to tell from */
};

/* Words that share a meaning, separated by spaces. A word may stand in several groups. */
struct word_group {
    const char *words;
    const char *topics[2];
    int8_t mood;            /* +1 or -1 */
    const char language[3]; /* common words that give a language away */
    uint8_t negates;        /* turns the mood of the next two words around */
};

extern const struct word_group lexicon_groups[];
extern const size_t lexicon_group_count;

struct lexicon;

/* Caller owns the result. */
struct lexicon *lexicon_new(void);
void lexicon_free(struct lexicon *lex);

/* One pass over UTF-8 text; bytes that are none are passed over. The spans point to constants. */
void lexicon_read(const struct lexicon *lex, struct span text, struct insight *ret);

#endif

/* Why a post became a dead letter: the fixed list of words that users group and redrive by.
 * The words are a contract: they stand in the header sluice-error-reason and in metrics. */
#ifndef SLUICE_BASE_REASON_H
#define SLUICE_BASE_REASON_H

#define REASONS(X)                                                                                 \
    X(json_invalid)                                                                                \
    X(json_too_deep)                                                                               \
    X(post_too_large)                                                                              \
    X(post_not_object)                                                                             \
    X(id_missing)                                                                                  \
    X(id_type)                                                                                     \
    X(text_missing)                                                                                \
    X(text_type)                                                                                   \
    X(member_duplicate)                                                                            \
    X(value_null)                                                                                  \
    X(answer_rejected)                                                                             \
    X(llm_schema)                                                                                  \
    X(llm_truncated)                                                                               \
    X(deadline)                                                                                    \
    X(attempts_exhausted)                                                                          \
    X(budget)                                                                                      \
    X(enricher_failed)                                                                             \
    X(output_too_large)                                                                            \
    X(sink_refused)                                                                                \
    X(source_line)

enum reason {
    REASON_NONE,
#define REASON_ENUM(word) REASON_##word,
    REASONS(REASON_ENUM)
#undef REASON_ENUM
        REASON_COUNT
};

/* The word as users see it; "none" for REASON_NONE. Any thread. */
const char *reason_word(enum reason reason);

/* REASON_NONE when the word is not in the list. Any thread. */
enum reason reason_find(const char *word);

#endif

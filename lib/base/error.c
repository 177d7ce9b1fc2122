/* Errors and the words of the two fixed lists. Nothing here allocates or fails: it runs when
 * other things have failed. */
#include "lib/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_name(enum status st)
{
    static const char *const names[] = {"ok", "again", "retry", "reject", "abort", "fatal"};
    return (unsigned)st < sizeof names / sizeof *names ? names[st] : "unknown";
}

static const char *const reason_words[REASON_COUNT] = {"none",
#define REASON_WORD(word) #word,
                                                       REASONS(REASON_WORD)
#undef REASON_WORD
};

const char *reason_word(enum reason reason)
{
    return (unsigned)reason < REASON_COUNT ? reason_words[reason] : "none";
}

enum reason reason_find(const char *word)
{
    for (int i = 1; i < REASON_COUNT; i++)
        if (strcmp(reason_words[i], word) == 0)
            return (enum reason)i;
    return REASON_NONE;
}

static void write_text(char *text, size_t size, const char *fmt, va_list ap)
{
    int n = vsnprintf(text, size, fmt, ap);
    if (n < 0)
        text[0] = '\0';
    else if ((size_t)n >= size)
        memcpy(text + size - 4, "...", 4);
}

enum status error_set(struct error *err, enum status st, enum error_kind kind, const char *fmt, ...)
{
    if (err == NULL)
        return st;
    va_list ap;
    va_start(ap, fmt);
    err->kind = kind;
    err->reason = REASON_NONE;
    write_text(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return st;
}

enum status error_reject(struct error *err, enum reason reason, const char *fmt, ...)
{
    if (err == NULL)
        return ST_REJECT;
    va_list ap;
    va_start(ap, fmt);
    err->kind = ERR_FAILED;
    err->reason = reason;
    write_text(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    return ST_REJECT;
}

void error_prefix(struct error *err, const char *fmt, ...)
{
    if (err == NULL)
        return;
    char old[sizeof err->text];
    memcpy(old, err->text, sizeof old);
    va_list ap;
    va_start(ap, fmt);
    write_text(err->text, sizeof err->text, fmt, ap);
    va_end(ap);
    size_t n = strlen(err->text);
    int k = snprintf(err->text + n, sizeof err->text - n, ": %s", old);
    if (k < 0 || (size_t)k >= sizeof err->text - n)
        memcpy(err->text + sizeof err->text - 4, "...", 4);
}

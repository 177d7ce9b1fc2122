/* One walk over the text that stops at each character where something could begin.
 *
 * Linear: what is looked at ahead is bounded, or remembered so that it is not looked at again (the
 * run of characters before an '@'), or jumped over. */
#include "lib/enrich/redact.h"

#include "lib/base/utf8.h"
#include "lib/enrich/redact_number.h"

enum { SCHEME_MAX = 16 };

static const struct {
    const char *word;
    unsigned kind;
    const char *placeholder;
} kinds_known[] = {
    {"email", REDACT_EMAIL, "[email]"}, {"phone", REDACT_PHONE, "[phone]"},
    {"url", REDACT_URL, "[url]"},       {"mention", REDACT_MENTION, "[mention]"},
    {"card", REDACT_CARD, "[card]"},
};
enum { KINDS = sizeof kinds_known / sizeof *kinds_known };

struct walk {
    struct span text;
    unsigned kinds;
    struct buf *out;
    size_t i;
    size_t copied;  /* what stands before is in `out` */
    bool in_word;   /* the character before i is part of a word */
    size_t run_end; /* of the run of an email's characters that was looked at last */
    size_t run_n;   /* bytes from run_end on that make it an email; 0: none */
    size_t url_end; /* of a URL that stays */
};

/* --- words of the option --- */

static enum status refuse_word(struct span word, struct error *err)
{
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "'%.*s' is nothing to redact: email, phone, url, mention or card are",
                     word.n > 40 ? 40 : (int)word.n, word.p);
}

static unsigned kind_of(struct span word)
{
    for (size_t k = 0; k < KINDS; k++)
        if (span_is(word, kinds_known[k].word))
            return kinds_known[k].kind;
    return 0;
}

enum status redact_parse(const char *words, unsigned *ret, struct error *err)
{
    unsigned kinds = 0;
    for (const char *p = words == NULL ? "" : words; *p != '\0';) {
        p += strspn(p, " ");
        struct span word = {p, strcspn(p, ",")};
        p += word.n;
        while (word.n > 0 && word.p[word.n - 1] == ' ')
            word.n--;
        unsigned kind = kind_of(word);
        if (kind == 0)
            return refuse_word(word, err);
        kinds |= kind;
        p += *p == ',';
    }
    *ret = kinds;
    return ST_OK;
}

/* --- small things --- */

static char at(struct span text, size_t i)
{
    return i < text.n ? text.p[i] : '\0';
}

static bool is_letter(char c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Bytes of the character at place i; 1 for what is no UTF-8. */
static size_t char_length(struct span text, size_t i)
{
    size_t n = (unsigned char)text.p[i] < 0x80 ? 1 : utf8_char_length(text.p + i, text.n - i);
    return n == 0 ? 1 : n;
}

/* Bytes of the host with at least one dot at place i, 0 for none: its last label is letters. */
static size_t host_length(struct span text, size_t i)
{
    size_t from = i, label = i, good = 0;
    bool letters = true;
    for (;;) {
        size_t n = redact_word_char(text, i);
        if (n > 0 && text.p[i] != '_') {
            letters = letters && (n > 1 || is_letter(text.p[i]));
            i += n;
        } else if (at(text, i) == '-' && i > label) {
            letters = false;
            i++;
        } else {
            if (i - label >= 2 && letters && label > from)
                good = i - from;
            if (at(text, i) != '.' || i == label)
                return good;
            label = ++i;
            letters = true;
        }
    }
}

/* --- one function for each kind: bytes at w->i, 0 for none --- */

static bool ends_url(unsigned char c)
{
    return c <= ' ' || c == 0x7F || strchr("<>\"{}|\\^`", c) != NULL;
}

/* Without the punctuation of the sentence around it. */
static size_t trim_url(struct span text, size_t from, size_t end)
{
    int open = 0;
    for (size_t i = from; i < end; i++)
        open += (text.p[i] == '(') - (text.p[i] == ')');
    while (end > from) {
        char c = text.p[end - 1];
        if (c == ')' && open < 0)
            open++;
        else if (strchr(".,;:!?'*]", c) == NULL)
            break;
        end--;
    }
    return end;
}

/* Bytes of "scheme://" or "www." at place i. */
static size_t url_head(struct span text, size_t i)
{
    size_t n = 0;
    while (n <= SCHEME_MAX && (is_letter(at(text, i + n)) ||
                               (n > 0 && (is_digit(at(text, i + n)) || at(text, i + n) == '+'))))
        n++;
    if (n >= 2 && n <= SCHEME_MAX && text.n - i - n >= 3 && memcmp(text.p + i + n, "://", 3) == 0)
        return n + 3;
    bool www = n == 3 && (text.p[i] | 0x20) == 'w' && (text.p[i + 1] | 0x20) == 'w' &&
               (text.p[i + 2] | 0x20) == 'w' && at(text, i + 3) == '.';
    return www ? 4 : 0;
}

static size_t match_url(struct walk *w)
{
    size_t head = w->in_word ? 0 : url_head(w->text, w->i);
    size_t from = w->i + head, end = from;
    if (head == 0)
        return 0;
    while (end < w->text.n && !ends_url((unsigned char)w->text.p[end]))
        end++;
    end = trim_url(w->text, from, end);
    return end > from ? end - w->i : 0;
}

static size_t local_char(struct span text, size_t i)
{
    size_t n = redact_word_char(text, i);
    return n > 0 ? n : at(text, i) != '\0' && strchr(".%+-", at(text, i)) != NULL;
}

static size_t match_email(struct walk *w)
{
    if (w->i >= w->run_end) {
        size_t end = w->i, n;
        while ((n = local_char(w->text, end)) > 0)
            end += n;
        size_t host = at(w->text, end) == '@' ? host_length(w->text, end + 1) : 0;
        w->run_end = end;
        w->run_n = host == 0 ? 0 : host + 1;
    }
    bool begins = w->i < w->run_end && strchr(".-%", w->text.p[w->i]) == NULL;
    return begins && w->run_n > 0 ? w->run_end + w->run_n - w->i : 0;
}

/* Bytes of the name at place i, which ends in a letter, digit or underscore and is not a mere
 * number; 0 for none. */
static size_t name_length(struct span text, size_t i)
{
    size_t from = i, end = i;
    bool named = false;
    for (;;) {
        size_t n = redact_word_char(text, i);
        bool joins = i > from && (at(text, i) == '.' || at(text, i) == '-');
        if (n == 0 && !joins)
            return named ? end - from : 0;
        named = named || (n > 0 && !is_digit(text.p[i]));
        i += n == 0 ? 1 : n;
        end = n > 0 ? i : end;
    }
}

static size_t match_mention(struct walk *w)
{
    if (at(w->text, w->i) != '@' || w->in_word || (w->i > 0 && w->text.p[w->i - 1] == '@'))
        return 0;
    size_t n = name_length(w->text, w->i + 1), end = w->i + 1 + n;
    if (n == 0)
        return 0;
    size_t host = at(w->text, end) == '@' ? host_length(w->text, end + 1) : 0;
    return end + (host == 0 ? 0 : host + 1) - w->i;
}

/* --- the walk --- */

static void replace(struct walk *w, unsigned kind, size_t n)
{
    buf_add(w->out, w->text.p + w->copied, w->i - w->copied);
    for (size_t k = 0; k < KINDS; k++)
        if (kinds_known[k].kind == kind)
            buf_add_str(w->out, kinds_known[k].placeholder);
    w->i += n;
    w->copied = w->i;
    w->in_word = true;
}

static bool begins_number(const struct walk *w)
{
    char c = at(w->text, w->i), next = at(w->text, w->i + 1);
    if (w->in_word || (w->kinds & (REDACT_CARD | REDACT_PHONE)) == 0)
        return false;
    return is_digit(c) || ((c == '+' || c == '(') && (is_digit(next) || next == '+'));
}

/* What begins at w->i, if anything, is replaced. */
static bool find(struct walk *w)
{
    bool in_url = w->i < w->url_end;
    size_t n = in_url ? 0 : match_url(w);
    if (n > 0 && (w->kinds & REDACT_URL) != 0) {
        replace(w, REDACT_URL, n);
        return true;
    }
    if (n > 0) {
        w->url_end = w->i + n;
        in_url = true;
    }
    if ((w->kinds & REDACT_EMAIL) != 0 && (n = match_email(w)) > 0) {
        replace(w, REDACT_EMAIL, n);
        return true;
    }
    if ((w->kinds & REDACT_MENTION) != 0 && !in_url && (n = match_mention(w)) > 0) {
        replace(w, REDACT_MENTION, n);
        return true;
    }
    return false;
}

/* A number that begins at w->i is replaced; of another one, what cannot begin one is passed. */
static bool find_number(struct walk *w)
{
    unsigned kinds = w->i < w->url_end ? w->kinds & ~(unsigned)REDACT_PHONE : w->kinds;
    struct found_number found = redact_number(kinds, w->text, w->i);
    if (found.kind != 0) {
        replace(w, found.kind, found.n);
        return true;
    }
    w->i += found.n;
    w->in_word = is_digit(w->text.p[w->i - 1]);
    return true;
}

void redact_text(unsigned kinds, struct span text, struct buf *out)
{
    struct walk w = {.text = text, .kinds = kinds, .out = out};
    while (kinds != 0 && w.i < text.n) {
        if (find(&w) || (begins_number(&w) && find_number(&w)))
            continue;
        w.in_word = redact_word_char(text, w.i) > 0;
        w.i += char_length(text, w.i);
    }
    buf_add(out, text.p + w.copied, text.n - w.copied);
}

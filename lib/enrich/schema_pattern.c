/* Turns the escapes that people know from JavaScript and Perl into POSIX extended regular
 * expressions. What would silently mean something else there is refused. */
#include <string.h>

#include "lib/enrich/schema_tree.h"

struct translation {
    const char *p;
    struct buf *out;
    const char *fault;
};

static const struct {
    char letter;
    const char *set;
} classes[] = {{'d', "0-9"}, {'w', "A-Za-z0-9_"}, {'s', " \t\n\v\f\r"}};

static const char *class_set(char letter)
{
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++)
        if (classes[i].letter == letter)
            return classes[i].set;
    return NULL;
}

/* The character that "\n" and its like stand for, or 0. */
static char control_of(char letter)
{
    static const char pairs[] = "n\nr\rt\tf\fv\v";
    for (const char *p = pairs; *p != '\0'; p += 2)
        if (*p == letter)
            return p[1];
    return '\0';
}

static bool is_alphanumeric(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* --- outside of brackets --- */

/* t->p is behind the backslash. */
static void translate_escape(struct translation *t)
{
    char c = *t->p++;
    const char *set = class_set(c);
    const char *negated = c >= 'A' && c <= 'Z' ? class_set((char)(c | 0x20)) : NULL;
    if (set != NULL) {
        buf_printf(t->out, "[%s]", set);
    } else if (negated != NULL) {
        buf_printf(t->out, "[^%s]", negated);
    } else if (control_of(c) != '\0') {
        buf_add_char(t->out, control_of(c));
    } else if (c == '\0' || is_alphanumeric(c)) {
        t->fault = c == '\0' ? "ends in a backslash" : "an escape that POSIX does not know";
    } else {
        if (strchr(".[]{}()*+?^$|\\", c) != NULL)
            buf_add_char(t->out, '\\');
        buf_add_char(t->out, c);
    }
}

/* t->p is behind the opening parenthesis. */
static void translate_group(struct translation *t)
{
    buf_add_char(t->out, '(');
    if (t->p[0] == '?' && t->p[1] == ':')
        t->p += 2;
    else if (t->p[0] == '?')
        t->fault = "look-around and named groups do not exist in POSIX";
}

/* --- within brackets --- */

/* A bracket is written anew: what POSIX can only place at its ends is kept apart. */
struct bracket {
    struct buf set;
    bool negated, has_close, has_dash, has_caret;
};

static bool begins_range(const char *p)
{
    return p[0] == '-' && p[1] != ']' && p[1] != '\0';
}

static bool ends_range(const struct bracket *b)
{
    return b->set.n > 0 && b->set.p[b->set.n - 1] == '-';
}

/* t->p is behind a backslash within a bracket. */
static void bracket_escape(struct translation *t, struct bracket *b)
{
    char c = *t->p++;
    const char *set = class_set(c);
    if (set != NULL) {
        buf_add_str(&b->set, set);
        if (*t->p == '-') { /* no range begins at a class: the dash is a dash */
            b->has_dash = true;
            t->p++;
        }
        return;
    }
    if (c == '\0' || (is_alphanumeric(c) && control_of(c) == '\0')) {
        t->fault = "an escape within [] that POSIX does not know";
        return;
    }
    if (begins_range(t->p) || ends_range(b))
        t->fault = "a range within [] that begins or ends with an escape";
    else if (c == ']')
        b->has_close = true;
    else if (c == '-')
        b->has_dash = true;
    else if (c == '^')
        b->has_caret = true;
    else
        buf_add_char(&b->set, control_of(c) != '\0' ? control_of(c) : c);
}

/* "[:alpha:]" and its like, copied as they are; false when t->p is at none. */
static bool bracket_class(struct translation *t, struct bracket *b)
{
    if (t->p[0] != '[' || t->p[1] == '\0' || strchr(":.=", t->p[1]) == NULL)
        return false;
    const char end[] = {t->p[1], ']', '\0'};
    const char *last = strstr(t->p + 2, end);
    if (last == NULL)
        return false;
    buf_add(&b->set, t->p, (size_t)(last + 2 - t->p));
    t->p = last + 2;
    return true;
}

static void write_bracket(const struct bracket *b, struct buf *out)
{
    if (b->set.n == 0 && b->has_caret && !b->has_close && !b->has_dash && !b->negated) {
        buf_add_str(out, "\\^");
        return;
    }
    bool dash_first = !b->has_close && (b->set.n == 0 || b->set.p[0] == '^');
    buf_add_str(out, b->negated ? "[^" : "[");
    if (b->has_close)
        buf_add_char(out, ']');
    if (b->has_dash && dash_first)
        buf_add_char(out, '-');
    buf_add_span(out, buf_span(&b->set));
    if (b->has_caret)
        buf_add_char(out, '^');
    if (b->has_dash && !dash_first)
        buf_add_char(out, '-');
    buf_add_char(out, ']');
}

/* One character, escape or class within a bracket. */
static void bracket_item(struct translation *t, struct bracket *b)
{
    if (*t->p == '\\') {
        t->p++;
        bracket_escape(t, b);
    } else if (*t->p == '-' && (t->p[1] == ']' || (b->set.n == 0 && !b->has_close))) {
        b->has_dash = true;
        t->p++;
    } else if (*t->p == '^' && !begins_range(t->p + 1) && !ends_range(b)) {
        b->has_caret = true;
        t->p++;
    } else if (!bracket_class(t, b)) {
        buf_add_char(&b->set, *t->p++);
    }
}

/* t->p is behind the opening bracket. */
static void translate_bracket(struct translation *t)
{
    struct bracket b = {.negated = *t->p == '^'};
    t->p += b.negated;
    if (*t->p == ']') {
        b.has_close = true;
        t->p++;
    }
    while (t->fault == NULL && *t->p != ']' && *t->p != '\0')
        bracket_item(t, &b);
    if (t->fault == NULL && *t->p == '\0')
        t->fault = "a [ without its ]";
    if (t->fault == NULL && b.set.n > 0 && b.set.p[0] == '^' && !b.has_close && !b.has_dash)
        t->fault = "a range within [] that begins with ^";
    if (t->fault == NULL) {
        t->p++;
        write_bracket(&b, t->out);
    }
    buf_fini(&b.set);
}

const char *schema_pattern_translate(const char *pattern, struct buf *out)
{
    struct translation t = {.p = pattern, .out = out};
    while (t.fault == NULL && *t.p != '\0') {
        char c = *t.p++;
        if (c == '\\') {
            translate_escape(&t);
        } else if (c == '[') {
            translate_bracket(&t);
        } else if (c == '(') {
            translate_group(&t);
        } else {
            buf_add_char(out, c);
            /* Lazy or greedy: whether something matches is the same. */
            if ((c == '*' || c == '+' || c == '?' || c == '}') && *t.p == '?')
                t.p++;
        }
    }
    return t.fault;
}

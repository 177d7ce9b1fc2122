/* Reads values strictly: a number with a letter too many, a unit that is not in the list or a
 * duration without a unit is refused rather than guessed at. One row of `kinds` per option type. */
#include "lib/config/value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { TEXT_MAX = 64 }; /* no number, word or unit is longer */

struct unit {
    const char *name;
    int64_t factor;
};

static const struct unit sizes[] = {
    {"", 1},         {"B", 1},         {"kB", 1000},       {"KB", 1000},     {"KiB", 1024},
    {"MB", 1000000}, {"MiB", 1 << 20}, {"GB", 1000000000}, {"GiB", 1 << 30}, {NULL, 0},
};

static const struct unit durations[] = {
    {"ms", 1},      {"s", 1000},     {"m", 60000}, {"min", 60000},
    {"h", 3600000}, {"d", 86400000}, {NULL, 0},
};

static bool is_limited(const struct option *row)
{
    return row->min < 0 || row->min > 0 || row->max < 0 || row->max > 0;
}

static bool is_within(const struct option *row, double v)
{
    return !is_limited(row) || (v >= row->min && v <= row->max);
}

static bool parse_bool(const struct option *row, const char *text, union value *ret)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    (void)row;
    for (size_t i = 0; i < 3; i++) {
        bool is_yes = strcasecmp(text, yes[i]) == 0;
        if (is_yes || strcasecmp(text, no[i]) == 0) {
            ret->yes = is_yes;
            return true;
        }
    }
    return false;
}

static bool parse_int(const struct option *row, const char *text, union value *ret)
{
    const char *digits = *text == '-' ? text + 1 : text;
    if (!isdigit((unsigned char)*digits))
        return false;
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || !is_within(row, (double)v))
        return false;
    ret->number = v;
    return true;
}

static bool parse_real(const struct option *row, const char *text, union value *ret)
{
    if (text[strspn(text, "0123456789+-.eE")] != '\0' || *text == '\0')
        return false;
    char *end;
    double v = strtod(text, &end);
    if (*end != '\0' || !isfinite(v) || !is_within(row, v))
        return false;
    ret->real = v;
    return true;
}

/* Digits with at most one point among them, then maybe spaces and a unit. long double holds every
 * int64_t exactly on the machines that matter, and rounds to a neighbour elsewhere. */
static const char *after_number(const char *text)
{
    const char *digits = *text == '-' ? text + 1 : text;
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || digits[n] != '.')
        return n == 0 ? NULL : digits + n;
    size_t decimals = strspn(digits + n + 1, "0123456789");
    return decimals == 0 ? NULL : digits + n + 1 + decimals;
}

static bool parse_amount(const struct option *row, const char *text, const struct unit *units,
                         union value *ret)
{
    const char *unit = after_number(text);
    if (unit == NULL)
        return false;
    while (*unit == ' ')
        unit++;
    while (units->name != NULL && strcmp(units->name, unit) != 0)
        units++;
    long double number = strtold(text, NULL);
    bool is_bare_zero = *unit == '\0' && number <= 0 && number >= 0;
    if (units->name == NULL && !is_bare_zero)
        return false;
    long double v = is_bare_zero ? 0 : roundl(number * (long double)units->factor);
    if (v >= 9223372036854775807.0L || (v < 0 && row->min >= 0) || !is_within(row, (double)v) ||
        v <= -9223372036854775807.0L)
        return false;
    ret->number = (int64_t)v;
    return true;
}

static bool parse_size(const struct option *row, const char *text, union value *ret)
{
    return parse_amount(row, text, sizes, ret);
}

static bool parse_duration(const struct option *row, const char *text, union value *ret)
{
    return parse_amount(row, text, durations, ret);
}

static bool parse_word(const struct option *row, const char *text, union value *ret)
{
    for (int i = 0; row->words[i] != NULL; i++)
        if (strcmp(row->words[i], text) == 0) {
            ret->word = i;
            return true;
        }
    return false;
}

static void describe_word(const struct option *row, struct buf *out)
{
    buf_add_str(out, "one of ");
    for (int i = 0; row->words[i] != NULL; i++)
        buf_printf(out, "%s%s", i == 0 ? "" : ", ", row->words[i]);
}

static const struct kind {
    bool (*parse)(const struct option *row, const char *text, union value *ret);
    const char *accepts;
} kinds[] = {
    [OPTION_BOOL] = {parse_bool, "true or false"},
    [OPTION_INT] = {parse_int, "a whole number"},
    [OPTION_REAL] = {parse_real, "a number"},
    [OPTION_SIZE] = {parse_size, "a size such as 4096, 64KiB, 1.5MB or 2GiB"},
    [OPTION_DURATION] = {parse_duration, "0 or a time with its unit, such as 10ms, 1.5s, 2min, 1h "
                                         "or 7d"},
    [OPTION_TEXT] = {NULL, "text"},
    [OPTION_WORD] = {parse_word, NULL},
    [OPTION_LIST] = {NULL, "a list of texts"},
};

bool value_parse(const struct option *row, const char *text, union value *ret)
{
    const struct kind *kind = &kinds[row->type];
    if (kind->parse == NULL)
        return !row->filled || *text != '\0';
    size_t n = strlen(text);
    return n > 0 && n <= TEXT_MAX && kind->parse(row, text, ret);
}

void value_store(const struct option *row, void *field, const union value *value, const char *text)
{
    switch (row->type) {
    case OPTION_BOOL:
        *(bool *)field = value->yes;
        break;
    case OPTION_REAL:
        *(double *)field = value->real;
        break;
    case OPTION_WORD:
        *(int *)field = value->word;
        break;
    case OPTION_TEXT:
        *(const char **)field = text;
        break;
    case OPTION_INT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        *(int64_t *)field = value->number;
        break;
    case OPTION_LIST:
        break;
    }
}

void value_describe(const struct option *row, struct buf *out)
{
    if (row->type == OPTION_WORD) {
        describe_word(row, out);
        return;
    }
    buf_add_str(out, kinds[row->type].accepts);
    if (row->filled)
        buf_add_str(out, " that is not empty");
    if (!is_limited(row) || row->type == OPTION_TEXT || row->type == OPTION_LIST)
        return;
    const char *unit = row->type == OPTION_SIZE ? " bytes" : "";
    unit = row->type == OPTION_DURATION ? " ms" : unit;
    buf_printf(out, ", from %.15g to %.15g%s", row->min, row->max, unit);
}

/* Tells card and phone numbers from other numbers.
 *
 * A run of digit groups is read first ("+1 (555) 123-4567" has four). Groups that are joined by
 * something else than a space are a unit: a number begins and ends at a unit's border. A run has at
 * most GROUPS groups of at most DIGITS digits, so the work at each place is bounded. */
#include "lib/enrich/redact_number.h"

#include <stdint.h>

#include "lib/base/utf8.h"
#include "lib/enrich/redact.h"

enum {
    GROUPS = 20,
    DIGITS = 20, /* a longer group is no part of a number */
    CARD_MIN = 13,
    CARD_MAX = 19,
    PHONE_MIN = 7,
    PHONE_MAX = 15, /* ITU-T E.164 */
};

enum joint { JOINT_NONE, JOINT_SPACE, JOINT_DASH, JOINT_DOT, JOINT_SLASH };

struct group {
    size_t at, n;      /* its digits */
    size_t digits;     /* of this and all groups before */
    enum joint before; /* what joins it to the one before */
    bool in_parens;
};

struct run {
    struct span text;
    size_t start; /* of the run, with '+' or '(' */
    struct group groups[GROUPS];
    size_t count;
    bool plus;
    unsigned joints; /* bits of those met */
    size_t end;
    bool cut; /* the groups behind `end` were too many or too long */
};

/* By the lead byte and the one behind it: the blocks of Unicode that hold no letters. */
static bool is_punctuation(unsigned char lead, unsigned char next)
{
    switch (lead) {
    case 0xC2: /* Latin-1 signs, but for three */
        return next != 0xAA && next != 0xB5 && next != 0xBA;
    case 0xE2: /* U+2000 to U+2BFF */
        return next < 0xB0;
    case 0xE3: /* CJK signs */
        return next == 0x80;
    case 0xEF: /* full-width signs and forms */
        return next >= 0xB8 && next <= 0xBD;
    case 0xF0: /* emoji */
        return next == 0x9F;
    default:
        return false;
    }
}

size_t redact_word_char(struct span text, size_t i)
{
    if (i >= text.n)
        return 0;
    unsigned char c = (unsigned char)text.p[i];
    if (c < 0x80)
        return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_';
    size_t n = utf8_char_length(text.p + i, text.n - i);
    return n > 1 && is_punctuation(c, (unsigned char)text.p[i + 1]) ? 0 : n;
}

static char at(struct span text, size_t i)
{
    return i < text.n ? text.p[i] : '\0';
}

static bool is_digit(struct span text, size_t i)
{
    return at(text, i) >= '0' && at(text, i) <= '9';
}

static size_t count_digits(struct span text, size_t i)
{
    size_t n = 0;
    while (n <= DIGITS && is_digit(text, i + n))
        n++;
    return n;
}

static bool starts_with(struct span text, size_t i, const char *what)
{
    size_t n = strlen(what);
    return i <= text.n && text.n - i >= n && memcmp(text.p + i, what, n) == 0;
}

/* Bytes of the space or dash at place i, ASCII or not; *ret says which. */
static size_t joint_char(struct span text, size_t i, enum joint *ret)
{
    static const struct {
        const char *text;
        enum joint joint;
    } marks[] = {
        {" ", JOINT_SPACE},
        {"-", JOINT_DASH},
        {".", JOINT_DOT},
        {"/", JOINT_SLASH},
        {"\xc2\xa0", JOINT_SPACE},     /* no-break space */
        {"\xe2\x80\xaf", JOINT_SPACE}, /* narrow no-break space */
        {"\xe2\x80\x90", JOINT_DASH},  /* hyphen */
        {"\xe2\x80\x91", JOINT_DASH},  /* non-breaking hyphen */
        {"\xe2\x80\x93", JOINT_DASH},  /* en dash */
    };
    for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
        if (at(text, i) == marks[k].text[0] && starts_with(text, i, marks[k].text)) {
            *ret = marks[k].joint;
            return strlen(marks[k].text);
        }
    }
    return 0;
}

/* --- reading a run --- */

/* "(DIGITS)", one to five: an area code. */
static bool is_area_code(struct span text, size_t i)
{
    if (at(text, i) != '(')
        return false;
    size_t from = i + 1 + (at(text, i + 1) == '+');
    size_t n = count_digits(text, from);
    return n >= 1 && n <= 5 && at(text, from + n) == ')';
}

/* One mark, or one with spaces around it. Result: bytes, 0 when there is no joint. */
static size_t read_joint(struct span text, size_t i, enum joint *ret)
{
    enum joint joint = JOINT_NONE, more;
    size_t n = 0;
    for (int marks = 0; marks < 3; marks++) {
        size_t step = joint_char(text, i + n, &more);
        if (step == 0)
            break;
        if (joint > JOINT_SPACE ? more != JOINT_SPACE : joint == more)
            return 0; /* two marks, or two spaces */
        if (more > joint)
            joint = more;
        n += step;
    }
    *ret = joint;
    return n;
}

static void add_group(struct run *r, size_t place, size_t n, enum joint before, bool in_parens)
{
    size_t digits = r->count == 0 ? 0 : r->groups[r->count - 1].digits;
    r->groups[r->count++] = (struct group){place, n, digits + n, before, in_parens};
    r->joints |= 1u << before;
    r->end = place + n + in_parens;
}

/* The group that begins at `i`, perhaps in parentheses, joined by `before`. */
static bool read_group(struct run *r, size_t i, enum joint before)
{
    bool in_parens = is_area_code(r->text, i);
    size_t place = i + in_parens;
    if (r->count == 0 && at(r->text, place) == '+') {
        r->plus = true;
        place++;
    }
    size_t n = count_digits(r->text, place);
    if (n > DIGITS || r->count == GROUPS)
        r->cut = true;
    if (n == 0 || r->cut)
        return false;
    add_group(r, place, n, before, in_parens);
    return true;
}

static void read_run(struct run *r, struct span text, size_t i)
{
    enum joint joint = JOINT_NONE;
    *r = (struct run){.text = text, .start = i, .end = i};
    while (read_group(r, r->end + (r->count == 0 ? 0 : read_joint(text, r->end, &joint)), joint)) {
        joint = JOINT_NONE;
        size_t gap = read_joint(text, r->end, &joint);
        bool goes_on = is_digit(text, r->end + gap) || is_area_code(text, r->end + gap);
        if (!goes_on)
            break;
    }
}

/* Whether a number may end behind the first n groups: there a space stands, or nothing that
 * would make it longer. */
static bool ends_at(const struct run *r, size_t n)
{
    if (n < r->count)
        return r->groups[n].before == JOINT_SPACE;
    char c = at(r->text, r->end), next = at(r->text, r->end + 1);
    if (r->cut || redact_word_char(r->text, r->end) > 0 || c == '%')
        return false;
    bool more = c != '\0' && strchr(".,:/-", c) != NULL && next >= '0' && next <= '9';
    return !more;
}

static size_t length_of(const struct run *r, size_t n)
{
    const struct group *last = &r->groups[n - 1];
    return last->at + last->n + last->in_parens - r->start;
}

/* --- cards --- */

/* ISO/IEC 7812-1 annex B, over groups from..to-1. */
static bool passes_luhn(const struct run *r, size_t from, size_t to)
{
    int sum = 0;
    bool twice = false;
    for (size_t g = to; g-- > from;) {
        for (size_t k = r->groups[g].n; k-- > 0; twice = !twice) {
            int digit = r->text.p[r->groups[g].at + k] - '0';
            digit = twice ? digit * 2 : digit;
            sum += digit > 9 ? digit - 9 : digit;
        }
    }
    return sum % 10 == 0;
}

static bool may_go_on(const struct run *r, size_t from, size_t g)
{
    const struct group *group = &r->groups[g];
    bool joined = group->before == JOINT_SPACE || group->before == JOINT_DASH;
    bool first_fits = r->groups[from].n == 4; /* that much all cards have in common */
    return g == from || (joined && first_fits && !group->in_parens && group->n > 1);
}

/* How many groups from `from` on are a card number: 0 for none. */
static size_t card_groups(const struct run *r, size_t from)
{
    size_t digits = 0, found = 0;
    char first = r->text.p[r->groups[from].at];
    if ((r->plus && from == 0) || first < '2') /* so begin ids and times in milliseconds */
        return 0;
    size_t least = first == '2' ? CARD_MIN + 2 : CARD_MIN;
    for (size_t g = from; g < r->count && digits <= CARD_MAX && may_go_on(r, from, g); g++) {
        digits += r->groups[g].n;
        if (digits >= least && digits <= CARD_MAX && ends_at(r, g + 1) &&
            passes_luhn(r, from, g + 1))
            found = g + 1 - from;
    }
    return found;
}

/* --- phones --- */

/* The number that the digits of a group make, which are at most four. */
static int value_of(const struct run *r, size_t g)
{
    int value = 0;
    for (size_t k = 0; k < r->groups[g].n && k < 4; k++)
        value = value * 10 + (r->text.p[r->groups[g].at + k] - '0');
    return value;
}

static bool is_year(const struct run *r, size_t g)
{
    return r->groups[g].n == 4 && value_of(r, g) >= 1500 && value_of(r, g) < 2200;
}

static bool is_small(const struct run *r, size_t g, int max)
{
    return r->groups[g].n <= 2 && value_of(r, g) >= 1 && value_of(r, g) <= max;
}

/* Year, month and day in the usual orders, not joined by spaces. */
static bool is_date(const struct run *r, size_t n)
{
    const struct group *g = r->groups;
    if (n < 3 || g[1].before == JOINT_SPACE || g[1].before != g[2].before)
        return false;
    if (is_year(r, 0))
        return is_small(r, 1, 12) && is_small(r, 2, 31);
    return is_year(r, 2) && is_small(r, 0, 31) && is_small(r, 1, 31);
}

static bool ends_in(const struct run *r, size_t g, const char *tail)
{
    const struct group *group = &r->groups[g];
    size_t n = strlen(tail);
    return group->n >= n && memcmp(r->text.p + group->at + group->n - n, tail, n) == 0;
}

static bool all_end_in_zeros(const struct run *r, size_t n)
{
    for (size_t g = 0; g < n; g++)
        if (!ends_in(r, g, "00"))
            return false;
    return true;
}

static bool all_years(const struct run *r, size_t n)
{
    for (size_t g = 0; g < n; g++)
        if (!is_year(r, g))
            return false;
    return true;
}

/* 1 234 567: groups of three behind the first. */
static bool has_thousands(const struct run *r, size_t n)
{
    if (n < 2 || r->groups[0].n > 3)
        return false;
    for (size_t g = 1; g < n; g++)
        if (r->groups[g].n != 3 || r->groups[g].before != r->groups[1].before)
            return false;
    return r->groups[1].before == JOINT_SPACE || r->groups[1].before == JOINT_DOT;
}

static bool is_amount(const struct run *r, size_t n, bool is_marked)
{
    if (!has_thousands(r, n))
        return false;
    bool nine_digits = n == 3 && r->groups[0].n == 3 && r->groups[1].before == JOINT_SPACE;
    return ends_in(r, n - 1, "000") || (!is_marked && !nine_digits);
}

/* Dots join addresses, versions and decimals as well. */
static bool has_phone_dots(const struct run *r, size_t n, bool is_marked)
{
    size_t first = n > 3 && r->groups[0].n <= 3 ? n - 3 : 0;
    const struct group *g = r->groups + first;
    bool american = n - first == 3 && first <= 1 && g[0].n == 3 && g[1].n == 3 && g[2].n == 4;
    if (american)
        return true;
    bool address = n == 4;
    for (size_t k = 0; k < n; k++)
        address = address && r->groups[k].n <= 3;
    return is_marked && n >= 3 && !address;
}

/* Digits without a mark or a gap: those that ids and times seldom look like. */
static bool is_bare_phone(const struct run *r)
{
    const char *p = r->text.p + r->groups[0].at;
    switch (r->groups[0].n) {
    case 10:
        return p[0] >= '2';
    case 11:
        return p[0] == '1' && p[1] >= '2';
    default:
        return false;
    }
}

/* No single digits but in front, where they are the 1, 7 or 8 of a long-distance call. */
static bool has_phone_groups(const struct run *r, size_t n)
{
    const struct group *g = r->groups;
    bool has_long = g[0].n >= 3;
    if (g[0].n == 1 && strchr("178", r->text.p[g[0].at]) == NULL)
        return false;
    for (size_t k = 1; k < n; k++) {
        has_long = has_long || g[k].n >= 3;
        if (g[k].n < 2)
            return false;
    }
    return has_long;
}

/* Whether the run has two groups, and no number stands before it. */
static bool stands_alone(const struct run *r)
{
    bool follows =
        r->start >= 2 && r->text.p[r->start - 1] == ' ' && is_digit(r->text, r->start - 2);
    return r->count == 2 && !follows;
}

/* Without a plus, an area code in parentheses or a leading zero. */
static bool is_plain_phone(const struct run *r, size_t n, unsigned joints)
{
    const struct group *g = r->groups;
    if (n == 1)
        return is_bare_phone(r);
    if ((joints & 1u << JOINT_SLASH) != 0 || all_end_in_zeros(r, n) || is_year(r, 0) ||
        !has_phone_groups(r, n))
        return false;
    bool only_spaces = joints == 1u << JOINT_SPACE;
    if (n == 2)
        return g[0].n >= 3 && g[0].n <= 5 && g[1].n == 4 && (!only_spaces || stands_alone(r));
    return !only_spaces || (g[0].n <= 3 && g[n - 1].digits >= 9);
}

static unsigned joints_of(const struct run *r, size_t n)
{
    unsigned joints = 0;
    for (size_t g = 1; g < n; g++)
        if (r->groups[g].before != JOINT_NONE)
            joints |= 1u << r->groups[g].before;
    return joints;
}

/* The group in parentheses, of the first two, or -1. */
static int area_code_of(const struct run *r, size_t n)
{
    if (r->groups[0].in_parens)
        return 0;
    return n > 1 && r->groups[1].in_parens ? 1 : -1;
}

static bool has_trunk_zero(const struct run *r, size_t n)
{
    return r->text.p[r->groups[0].at] == '0' && r->groups[n - 1].digits >= (n == 1 ? 9 : 8);
}

static bool is_phone(const struct run *r, size_t n)
{
    size_t digits = r->groups[n - 1].digits;
    if (digits < PHONE_MIN || digits > PHONE_MAX || !ends_at(r, n))
        return false;
    int area = area_code_of(r, n);
    bool is_marked = r->plus || area >= 0 || has_trunk_zero(r, n);
    unsigned joints = joints_of(r, n);
    if (is_date(r, n) || all_years(r, n) || is_amount(r, n, is_marked))
        return false;
    if ((joints & 1u << JOINT_DOT) != 0 && !has_phone_dots(r, n, is_marked))
        return false;
    if (!is_marked)
        return is_plain_phone(r, n, joints);
    if (area >= 0)
        return !is_year(r, (size_t)area);
    return r->plus || n > 1 || !ends_in(r, 0, "00000");
}

/* Whether what stands before makes it an amount, an id or the rest of a longer number. */
static bool is_led_by_other(const struct run *r)
{
    static const char *const marks[] = {"$", "#", "\xe2\x82\xac", "\xc2\xa3", "\xc2\xa5"};
    size_t i = r->start;
    const char *p = r->text.p;
    if (r->plus)
        return false;
    if (i >= 2 && strchr(".,:/-", p[i - 1]) != NULL && p[i - 1] != '\0') {
        char c = p[i - 2];
        if ((c >= '0' && c <= '9') || (p[i - 1] == '-' && redact_word_char(r->text, i - 2) > 0))
            return true;
    }
    i -= i > 0 && p[i - 1] == ' ';
    for (size_t k = 0; k < sizeof marks / sizeof *marks; k++) {
        size_t n = strlen(marks[k]);
        if (i >= n && memcmp(p + i - n, marks[k], n) == 0)
            return true;
    }
    return false;
}

static bool is_followed_by_currency(const struct run *r)
{
    size_t i = r->end + (at(r->text, r->end) == ' ');
    return at(r->text, i) == '$' || starts_with(r->text, i, "\xe2\x82\xac") ||
           starts_with(r->text, i, "\xc2\xa3");
}

/* --- the answer --- */

/* Groups of the longest phone number that begins the run, before any card in it. */
static size_t phone_groups(const struct run *r, unsigned kinds)
{
    size_t limit = r->count;
    if (is_led_by_other(r))
        return 0;
    for (size_t g = 1; (kinds & REDACT_CARD) != 0 && g < limit; g++)
        if (r->groups[g].before == JOINT_SPACE && card_groups(r, g) > 0)
            limit = g;
    /* "555-123-4567 555-...": behind the dashes of a whole number a space ends it. */
    for (size_t g = 2; g < limit; g++)
        if (r->groups[g].before == JOINT_SPACE && r->groups[g - 1].before == JOINT_DASH &&
            r->groups[g - 1].digits >= 8)
            limit = g;
    for (size_t n = limit; n > 0; n--)
        if (is_phone(r, n) && !(n == r->count && is_followed_by_currency(r)))
            return n;
    return 0;
}

/* Bytes of the unit that begins at place i: in it no number begins. */
static size_t unit_length(struct span text, size_t i)
{
    size_t n = 1;
    while (is_digit(text, i + n) ||
           (at(text, i + n) != '\0' && strchr(".,:/-", at(text, i + n)) != NULL &&
            is_digit(text, i + n + 1)))
        n++;
    return n;
}

struct found_number redact_number(unsigned kinds, struct span text, size_t i)
{
    struct run r;
    size_t n = 0;
    bool opens = at(text, i) == '(';
    if (opens && !is_area_code(text, i))
        return (struct found_number){0, 1};
    read_run(&r, text, i);
    if (r.count == 0)
        return (struct found_number){0, opens ? 1 : unit_length(text, i)};
    bool glued = i >= 2 && strchr("-.", text.p[i - 1]) != NULL && is_digit(text, i - 2);
    if ((kinds & REDACT_CARD) != 0 && !opens && !glued)
        n = card_groups(&r, 0);
    if (n > 0)
        return (struct found_number){REDACT_CARD, length_of(&r, n)};
    if ((kinds & REDACT_PHONE) != 0)
        n = phone_groups(&r, kinds);
    if (n > 0)
        return (struct found_number){REDACT_PHONE, length_of(&r, n)};
    return (struct found_number){0, opens ? 1 : unit_length(text, i)};
}

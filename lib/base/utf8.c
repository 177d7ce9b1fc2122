/* UTF-8 validation after table 3-7 of the Unicode standard: the second byte's range depends on
 * the first, all others are 80..BF. */
#include "lib/base/utf8.h"

static bool continues(unsigned char c)
{
    return (c & 0xC0) == 0x80;
}

struct form {
    unsigned char first_low, first_high;   /* of the first byte */
    unsigned char second_low, second_high; /* of the second one */
    size_t length;
};

static const struct form forms[] = {
    {0xC2, 0xDF, 0x80, 0xBF, 2}, {0xE0, 0xE0, 0xA0, 0xBF, 3}, {0xE1, 0xEC, 0x80, 0xBF, 3},
    {0xED, 0xED, 0x80, 0x9F, 3}, {0xEE, 0xEF, 0x80, 0xBF, 3}, {0xF0, 0xF0, 0x90, 0xBF, 4},
    {0xF1, 0xF3, 0x80, 0xBF, 4}, {0xF4, 0xF4, 0x80, 0x8F, 4},
};

static size_t check_form(const struct form *form, const unsigned char *p, size_t n)
{
    if (n < form->length || p[1] < form->second_low || p[1] > form->second_high)
        return 0;
    for (size_t i = 2; i < form->length; i++)
        if (!continues(p[i]))
            return 0;
    return form->length;
}

size_t utf8_char_length(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    if (n == 0 || p[0] < 0x80)
        return n == 0 ? 0 : 1;
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
        if (p[0] >= forms[i].first_low && p[0] <= forms[i].first_high)
            return check_form(&forms[i], p, n);
    return 0;
}

bool utf8_valid(const char *p, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t len = utf8_char_length(p + i, n - i);
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

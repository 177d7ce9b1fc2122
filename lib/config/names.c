/* Spelling of keys and suggestions. Everything works on short strings in fixed arrays, so that it
 * can be used while an error is being reported. */
#include "lib/config/names.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void name_dashed(const char *key, char out[NAME_SIZE])
{
    size_t n = 0;
    for (; key[n] != '\0' && n + 1 < NAME_SIZE; n++)
        out[n] = key[n] == '.' ? '-' : key[n];
    out[n] = '\0';
}

void name_flag(const char *key, char out[NAME_SIZE])
{
    char dashed[NAME_SIZE];
    name_dashed(key, dashed);
    snprintf(out, NAME_SIZE, "--%.*s", NAME_SIZE - 3, dashed);
}

void name_variable(const char *key, char out[NAME_SIZE])
{
    static const char prefix[] = "SLUICE_";
    size_t n = sizeof prefix - 1;
    memcpy(out, prefix, n);
    for (; *key != '\0' && n + 1 < NAME_SIZE; key++)
        out[n++] = *key == '.' || *key == '-' ? '_' : (char)toupper((unsigned char)*key);
    out[n] = '\0';
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Three rows of the usual matrix are enough: the swap looks two rows back. */
static size_t distance_between(const char *a, size_t an, const char *b, size_t bn)
{
    size_t rows[3][NAME_SIZE];
    for (size_t j = 0; j <= bn; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= an; i++) {
        size_t *row = rows[i % 3], *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= bn; j++) {
            size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
            row[j] = least(change, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[an % 3][bn];
}

void nearest_offer(struct nearest *near, const char *name)
{
    size_t an = strlen(near->wanted), bn = strlen(name);
    if (an >= NAME_SIZE || bn >= NAME_SIZE)
        return;
    size_t d = distance_between(near->wanted, an, name, bn);
    if (d > an / 3 + 1 || (near->best != NULL && d >= near->distance))
        return;
    near->best = name;
    near->distance = d;
}

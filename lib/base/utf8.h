/* UTF-8 as RFC 3629 defines it: no surrogates, no overlong forms, nothing above U+10FFFF.
 * Any thread. */
#ifndef SLUICE_BASE_UTF8_H
#define SLUICE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the character that begins at p (1 to 4), or 0 when it is not valid within n bytes. */
size_t utf8_char_length(const char *p, size_t n);

/* Whether all n bytes are valid. */
bool utf8_valid(const char *p, size_t n);

#endif

/* Base 64 of RFC 4648, section 4, with padding. Any thread. */
#ifndef SLUICE_BASE_BASE64_H
#define SLUICE_BASE_BASE64_H

#include "lib/base/buf.h"

void base64_encode(struct buf *out, struct span bytes);

/* False when the text is not base 64 (out then holds what came before). */
bool base64_decode(struct buf *out, struct span text);

#endif

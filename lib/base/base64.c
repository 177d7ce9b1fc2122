/* Base 64: see base64.h. */
#include "lib/base/base64.h"

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

void base64_encode(struct buf *out, struct span s)
{
    for (size_t i = 0; i < s.n; i += 3) {
        unsigned v = (unsigned)(unsigned char)s.p[i] << 16;
        v |= i + 1 < s.n ? (unsigned)(unsigned char)s.p[i + 1] << 8 : 0;
        v |= i + 2 < s.n ? (unsigned)(unsigned char)s.p[i + 2] : 0;
        char four[4] = {digits[v >> 18], digits[v >> 12 & 63],
                        i + 1 < s.n ? digits[v >> 6 & 63] : '=',
                        i + 2 < s.n ? digits[v & 63] : '='};
        buf_add(out, four, 4);
    }
}

bool base64_decode(struct buf *out, struct span s)
{
    if (s.n % 4 != 0)
        return false;
    for (size_t i = 0; i < s.n; i += 4) {
        size_t pad = i + 4 < s.n ? 0 : (size_t)(s.p[i + 3] == '=') + (size_t)(s.p[i + 2] == '=');
        unsigned v = 0;
        for (size_t k = 0; k < 4; k++) {
            const char *at = k >= 4 - pad ? digits : memchr(digits, s.p[i + k], 64);
            if (at == NULL)
                return false;
            v = v << 6 | (unsigned)(at - digits);
        }
        char three[3] = {(char)(v >> 16), (char)(v >> 8), (char)v};
        buf_add(out, three, 3 - pad);
    }
    return true;
}

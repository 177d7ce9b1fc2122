/* Takes personal data out of a text before it leaves the house. Any thread.
 *
 * Linear time, no regular expressions. What it knows:
 *   email    name@host.tld
 *   url      scheme://... and www....; wins over what stands inside
 *   mention  @name and @name@host.tld
 *   card     13 to 19 digits that pass Luhn's check, in groups by single spaces or dashes
 *   phone    7 to 15 digits as people write phone numbers; with a plus, an area code in
 *            parentheses or a leading zero almost any grouping will do, without these only common
 *            ones, so that years, dates, prices and ids stay
 * It is a sieve and no proof: a number in words or a bare name passes. */
#ifndef SLUICE_ENRICH_REDACT_H
#define SLUICE_ENRICH_REDACT_H

#include "lib/base/buf.h"
#include "lib/base/error.h"
#include "lib/base/span.h"

enum redact_kind {
    REDACT_EMAIL = 1,
    REDACT_PHONE = 2,
    REDACT_URL = 4,
    REDACT_MENTION = 8,
    REDACT_CARD = 16,
};

/* "email,phone,url,mention,card": any of these words, spaces around them are accepted; NULL and ""
 * give 0. ERR_CONFIG for any other word, naming those that exist. */
enum status redact_parse(const char *words, unsigned *ret, struct error *err) MUST_CHECK;

/* Append the text, with "[email]" and so on in the place of what was found. Bytes that are no UTF-8
 * pass as they are. */
void redact_text(unsigned kinds, struct span text, struct buf *out);

#endif

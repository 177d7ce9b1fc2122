/* What tokens cost, by model: rows "MODEL=IN/OUT" in $ per million tokens. Any thread. */
#ifndef SLUICE_ENRICH_PRICE_H
#define SLUICE_ENRICH_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/base/error.h"
#include "lib/config/option.h"

struct price {
    bool known;
    int64_t in, out; /* $ / 10^15 for a token: $ per million times 10^9 */
};

/* ERR_CONFIG: a row that cannot be read. A model without a row: *ret is not known, and free. */
enum status price_find(const struct option_list *rows, const char *model, struct price *ret,
                       struct error *err) MUST_CHECK;

/* $ / 10^9, rounded up. */
int64_t price_nano(const struct price *price, int64_t tokens_in, int64_t tokens_out);

#endif

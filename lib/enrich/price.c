/* Names of models may contain '=' and '/': the price begins behind the last '='. */
#include "lib/enrich/price.h"

#include <stdlib.h>
#include <string.h>

static enum status read_row(const char *row, const char *prices, struct price *ret,
                            struct error *err)
{
    char *end, *end_out = NULL;
    double in = strtod(prices, &end), out = -1;
    if (*end == '/')
        out = strtod(end + 1, &end_out);
    if (end == prices || end_out == NULL || end_out == end + 1 || *end_out != '\0' || !(in >= 0) ||
        !(out >= 0) || in > 1e6 || out > 1e6)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "llm-price '%s' is not MODEL=IN/OUT, in $ per million tokens "
                         "(gpt-4o-mini=0.15/0.60)",
                         row);
    *ret = (struct price){.known = true, .in = (int64_t)(in * 1e9), .out = (int64_t)(out * 1e9)};
    return ST_OK;
}

enum status price_find(const struct option_list *rows, const char *model, struct price *ret,
                       struct error *err)
{
    struct price found = {0};
    for (size_t i = 0; i < rows->n; i++) {
        struct price price;
        const char *mark = strrchr(rows->items[i], '=');
        enum status st = read_row(rows->items[i], mark == NULL ? "" : mark + 1, &price, err);
        if (st != ST_OK)
            return st;
        size_t n = (size_t)(mark - rows->items[i]);
        if (strlen(model) == n && strncmp(rows->items[i], model, n) == 0)
            found = price;
    }
    *ret = found;
    return ST_OK;
}

int64_t price_nano(const struct price *price, int64_t tokens_in, int64_t tokens_out)
{
    __extension__ typedef __int128 wide;
    wide sum = (wide)price->in * tokens_in + (wide)price->out * tokens_out;
    return (int64_t)((sum + 999999) / 1000000);
}

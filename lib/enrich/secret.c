/* See secret.h. */
#include "lib/enrich/secret.h"

#include <string.h>

#include "lib/base/mem.h"

enum { WORD_MIN = 6 };

char *secret_item(const char *list, size_t i)
{
    for (; i > 0; i--)
        list = strchr(list, ',') + 1;
    return mem_spandup(span_make(list, strcspn(list, ",")));
}

void secret_free(char *secret)
{
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    mem_free(secret);
}

void secret_hide(struct span secret, struct buf *text)
{
    if (secret.n == 0 || text->n == 0)
        return;
    char *at = text->p, *end = at + text->n;
    for (; (at = memmem(at, (size_t)(end - at), secret.p, secret.n)) != NULL; at += secret.n)
        memset(at, '*', secret.n);
}

void secret_hide_header(const char *line, struct buf *text)
{
    const char *value = strchr(line, ':');
    if (value == NULL)
        return;
    value += 1 + strspn(value + 1, " \t");
    secret_hide(span_of(value), text);
    while (*value != '\0') {
        size_t n = strcspn(value, " \t,;=\"");
        if (n >= WORD_MIN)
            secret_hide(span_make(value, n), text);
        value += n + (value[n] != '\0');
    }
}

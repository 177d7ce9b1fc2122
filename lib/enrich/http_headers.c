/* Lists of request headers; they may hold keys, and are wiped. */
#include "lib/enrich/http_headers.h"

#include <string.h>

#include "lib/base/mem.h"
#include "lib/enrich/transport.h"

struct http_headers *http_headers_new(const char *key, const char *const *extra, size_t n)
{
    struct http_headers *h = mem_zalloc(sizeof *h);
    h->list = curl_slist_append(h->list, "Content-Type: application/json");
    h->list = curl_slist_append(h->list, "Accept: application/json");
    h->list = curl_slist_append(h->list, "Expect:"); /* never wait for "100 Continue" */
    if (key != NULL) {
        char *line = mem_printf("Authorization: Bearer %s", key);
        h->list = curl_slist_append(h->list, line);
        explicit_bzero(line, strlen(line));
        mem_free(line);
    }
    for (size_t i = 0; i < n; i++)
        h->list = curl_slist_append(h->list, extra[i]);
    return h;
}

void http_headers_free(struct http_headers *h)
{
    if (h == NULL)
        return;
    for (struct curl_slist *it = h->list; it != NULL; it = it->next)
        explicit_bzero(it->data, strlen(it->data));
    curl_slist_free_all(h->list);
    mem_free(h);
}

/* What curl takes as request headers. Inside of transport.h, which makes and frees them.
 * Any thread. */
#ifndef SLUICE_ENRICH_HTTP_HEADERS_H
#define SLUICE_ENRICH_HTTP_HEADERS_H

#include <curl/curl.h>

struct http_headers {
    struct curl_slist *list;
};

#endif

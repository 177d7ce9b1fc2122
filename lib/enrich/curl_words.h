/* What libcurl's errors mean for a call, and in words that a person can act on. Any thread. */
#ifndef SLUICE_ENRICH_CURL_WORDS_H
#define SLUICE_ENRICH_CURL_WORDS_H

#include <curl/curl.h>

#include "lib/enrich/transport.h"

enum http_outcome curl_outcome(CURLcode rc);

/* `verified` is CURLINFO_SSL_VERIFYRESULT, `why` what the error buffer holds. Static. */
const char *curl_words(CURLcode rc, long verified, const char *why);

#endif

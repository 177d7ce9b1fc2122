/* A certificate that is not trusted is trouble of the endpoint, which somebody may mend while posts
 * wait; a file of ours that cannot be read is a setting. */
#include "lib/enrich/curl_words.h"

#include <openssl/x509_vfy.h>
#include <string.h>

enum http_outcome curl_outcome(CURLcode rc)
{
    switch (rc) {
    case CURLE_OK:
        return HTTP_DONE;
    case CURLE_URL_MALFORMAT:
    case CURLE_SSL_CACERT_BADFILE:
        return HTTP_UNUSABLE;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
        return HTTP_UNREACHABLE;
    case CURLE_OPERATION_TIMEDOUT:
        return HTTP_TIMEOUT;
    default:
        return HTTP_BROKEN;
    }
}

/* What is wrong with the name is told in the text alone. */
static const char *certificate_words(long verified, const char *why)
{
    if (strstr(why, "target host name") != NULL)
        return "TLS: the server's certificate is for another host name";
    switch (verified) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "TLS: the server's certificate has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "TLS: the server's certificate is not valid yet (are the clocks right?)";
    default:
        return "TLS: the server's certificate is not trusted (--llm-ca names whom to trust)";
    }
}

const char *curl_words(CURLcode rc, long verified, const char *why)
{
    if (rc == CURLE_OPERATION_TIMEDOUT && strstr(why, "SSL") != NULL)
        rc = CURLE_SSL_CONNECT_ERROR; /* a server without TLS waits for more */
    switch (rc) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "the host name cannot be resolved (DNS)";
    case CURLE_COULDNT_RESOLVE_PROXY:
        return "the name of the proxy (--llm-proxy) cannot be resolved (DNS)";
    case CURLE_PROXY:
        return "the proxy (--llm-proxy) makes no connection there";
    case CURLE_COULDNT_CONNECT:
        return "nothing accepts a connection there";
    case CURLE_PEER_FAILED_VERIFICATION:
        return certificate_words(verified, why);
    case CURLE_SSL_CACERT_BADFILE:
        return "TLS: the file of --llm-ca cannot be used";
    case CURLE_SSL_CONNECT_ERROR:
        return "TLS: no secure connection can be made (is it really https?)";
    case CURLE_OPERATION_TIMEDOUT:
        return "no complete answer in time";
    case CURLE_GOT_NOTHING:
        return "the connection was closed without an answer";
    case CURLE_PARTIAL_FILE:
        return "the answer ended in the middle";
    default:
        return "the call failed";
    }
}

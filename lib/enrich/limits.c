/* Header names are compared without case; values are short texts. */
#include "lib/enrich/limits.h"

#include <curl/curl.h>
#include <stddef.h>
#include <stdlib.h>
#include <strings.h>

enum { WAIT_MAX_MS = 3600 * 1000, VALUE_MAX = 64 };

int64_t limits_read_duration(const char *text)
{
    double ms = 0;
    while (*text == ' ')
        text++;
    if (*text == '\0')
        return -1;
    while (*text != '\0') {
        char *end;
        double n = strtod(text, &end);
        if (end == text || !(n >= 0))
            return -1;
        double unit = 1000;
        if (strncasecmp(end, "ms", 2) == 0)
            unit = 1, end += 2;
        else if (*end == 's')
            end++;
        else if (*end == 'm')
            unit = 60000, end++;
        else if (*end == 'h')
            unit = 3600000, end++;
        else if (*end == 'd')
            unit = 86400000, end++;
        else if (*end != '\0')
            return -1;
        ms += n * unit;
        text = end;
    }
    return ms > WAIT_MAX_MS ? WAIT_MAX_MS : (int64_t)ms;
}

static int64_t read_retry_after(const char *text, int64_t now_ms)
{
    int64_t ms = limits_read_duration(text);
    if (ms >= 0)
        return ms;
    time_t at = curl_getdate(text, NULL);
    if (at == -1)
        return -1;
    ms = (int64_t)at * 1000 - now_ms;
    return ms < 0 ? 0 : ms > WAIT_MAX_MS ? WAIT_MAX_MS : ms;
}

static int64_t read_count(const char *text)
{
    char *end;
    long long n = strtoll(text, &end, 10);
    return end == text || n < 0 ? -1 : n;
}

/* The value of a header line without space around it. False: none, or too long. */
static bool read_value(struct span line, size_t name_n, char value[VALUE_MAX])
{
    const char *p = line.p + name_n + 1;
    size_t n = line.n - name_n - 1;
    for (; n > 0 && (*p == ' ' || *p == '\t'); p++)
        n--;
    while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == '\n' || p[n - 1] == ' '))
        n--;
    if (n == 0 || n >= VALUE_MAX)
        return false;
    memcpy(value, p, n);
    value[n] = '\0';
    return true;
}

void limits_read_header(struct http_limits *limits, struct span line, int64_t now_ms)
{
    static const struct {
        const char *name;
        size_t field;
        enum { COUNT, DURATION, WAIT } kind;
    } rows[] = {
        {"retry-after", offsetof(struct http_limits, retry_after_ms), WAIT},
        {"retry-after-ms", offsetof(struct http_limits, retry_after_ms), COUNT},
        {"x-ratelimit-remaining-requests", offsetof(struct http_limits, remaining_requests), COUNT},
        {"x-ratelimit-remaining-tokens", offsetof(struct http_limits, remaining_tokens), COUNT},
        {"x-ratelimit-reset-requests", offsetof(struct http_limits, reset_requests_ms), DURATION},
        {"x-ratelimit-reset-tokens", offsetof(struct http_limits, reset_tokens_ms), DURATION},
    };
    const char *colon = memchr(line.p, ':', line.n);
    char value[VALUE_MAX];
    if (colon == NULL)
        return;
    size_t name_n = (size_t)(colon - line.p);
    if (!read_value(line, name_n, value))
        return;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (strlen(rows[i].name) != name_n || strncasecmp(rows[i].name, line.p, name_n) != 0)
            continue;
        int64_t got = rows[i].kind == COUNT      ? read_count(value)
                      : rows[i].kind == DURATION ? limits_read_duration(value)
                                                 : read_retry_after(value, now_ms);
        if (got >= 0)
            memcpy((char *)limits + rows[i].field, &got, sizeof got);
    }
}

/* What an OpenAI-compatible endpoint answered, turned into one of the outcomes of a call, with
 * errors in words that name the cure. Any thread. */
#ifndef SLUICE_ENRICH_OPENAI_REPLY_H
#define SLUICE_ENRICH_OPENAI_REPLY_H

#include "lib/enrich/provider.h"

/* Fills call->outcome, content, truncated, tokens and err. call->trusted decides whether a 400 is
 * about this post or about the settings. */
void openai_read_reply(const struct http_call *http, struct call *call);

/* What a user can do, as errors name it. */
struct reply_cures {
    const char *denied;    /* 401, 403 */
    const char *not_taken; /* the first question is refused */
};

/* The outcome of a call that brought no usable reply, the same for every provider on HTTP: false
 * when there is a reply with a 2xx status, which the provider reads itself. */
bool http_read_failure(const struct http_call *http, const struct reply_cures *cures,
                       struct call *call);

#endif

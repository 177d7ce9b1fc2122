/* See llm_parts.h: from a request to the bytes that answer it. What a call gets is decided here in
 * one place and in one order: key, JSON, model, concurrency, limits, then what the script draws by
 * lot. Nothing waits here; the reply says when it is to be sent. */
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/json/post.h"
#include "tests/support/llm_parts.h"

/* --- the script --- */

void llm_service_set(struct llm_service *service, const struct llm_script *script)
{
    service->script = *script;
    if (service->script.window_ms == 0)
        service->script.window_ms = 60000;
    if (service->script.error_status < 200 || service->script.error_status > 599)
        service->script.error_status = 500;
    service->script_at = service->number;
    service->window.span_us = service->script.window_ms * 1000;
}

void llm_service_reset(struct llm_service *service)
{
    const struct llm_stats *old = &service->stats;
    struct llm_window *w = &service->window;
    service->stats = (struct llm_stats){.in_flight = old->in_flight,
                                        .in_flight_max = old->in_flight,
                                        .connections_open = old->connections_open};
    llm_seen_fini(&service->seen);
    w->tokens_max = w->tokens;
    w->count_max = (int64_t)w->count;
}

void llm_service_fini(struct llm_service *service)
{
    llm_window_fini(&service->window);
    llm_seen_fini(&service->seen);
    buf_fini(&service->last);
    buf_fini(&service->message);
    buf_fini(&service->content);
    buf_fini(&service->body);
}

void llm_service_stats(const struct llm_service *service, struct llm_stats *ret)
{
    *ret = service->stats;
    ret->distinct = (int64_t)service->seen.count;
    ret->window_tokens_max = service->window.tokens_max;
    ret->window_requests_max = service->window.count_max;
}

/* Evenly from 0 to 1 (not included): the n-th lot of kind `what` under this seed. */
static double lot(const struct llm_service *service, uint64_t what)
{
    uint64_t words[3] = {(uint64_t)service->script.seed, (uint64_t)service->number, what};
    return (double)(llm_hash(17, span_make(words, sizeof words)) >> 11) * 0x1p-53;
}

static bool within_first(const struct llm_service *service, int64_t count)
{
    return count == 0 || service->number - service->script_at <= count;
}

/* --- heads --- */

static const char *reason_phrase(int status)
{
    static const struct {
        int status;
        const char *phrase;
    } phrases[] = {{200, "OK"},
                   {302, "Found"},
                   {400, "Bad Request"},
                   {401, "Unauthorized"},
                   {404, "Not Found"},
                   {429, "Too Many Requests"},
                   {500, "Internal Server Error"},
                   {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++) {
        if (phrases[i].status == status)
            return phrases[i].phrase;
    }
    return "Status";
}

/* A duration as OpenAI writes it: 120ms, 17.5s, 6m0s. */
static void add_duration(int64_t us, struct buf *out)
{
    if (us < 1000000)
        buf_printf(out, "%lldms", (long long)(us + 999) / 1000);
    else if (us < 60000000)
        buf_printf(out, "%.3gs", (double)us / 1e6);
    else
        buf_printf(out, "%lldm%llds", (long long)us / 60000000, (long long)us / 1000000 % 60);
}

static void add_limit(const char *what, int64_t limit, int64_t used, int64_t reset_us,
                      struct buf *out)
{
    if (limit == 0)
        return;
    buf_printf(out, "x-ratelimit-limit-%s: %lld\r\nx-ratelimit-remaining-%s: %lld\r\n", what,
               (long long)limit, what, (long long)(used < limit ? limit - used : 0));
    buf_printf(out, "x-ratelimit-reset-%s: ", what);
    add_duration(reset_us, out);
    buf_add_str(out, "\r\n");
}

static void add_limits(struct llm_service *service, int64_t now_us, struct buf *out)
{
    const struct llm_script *script = &service->script;
    if (script->requests_per_minute == 0 && script->tokens_per_minute == 0)
        return;
    llm_window_move(&service->window, now_us);
    int64_t reset_us = llm_window_reset_us(&service->window, now_us);
    add_limit("requests", script->requests_per_minute, (int64_t)service->window.count, reset_us,
              out);
    add_limit("tokens", script->tokens_per_minute, service->window.tokens, reset_us, out);
}

/* The head, further header lines in `more`, and service->body. */
static void reply_with(struct llm_service *service, struct llm_reply *reply, int status,
                       const char *more)
{
    struct buf *out = &reply->out;
    reply->status = status;
    buf_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n",
               status, reason_phrase(status), service->body.n);
    if (reply->end != LLM_KEEP)
        buf_add_str(out, "Connection: close\r\n");
    if (reply->is_call) {
        buf_printf(out, "x-request-id: req_%lld\r\n", (long long)service->number);
        add_limits(service, service->now_us, out);
    }
    buf_add_str(out, more);
    buf_add_str(out, "\r\n");
    buf_add_span(out, buf_span(&service->body));
}

static void reply_error(struct llm_service *service, struct llm_reply *reply, int status,
                        const char *type, const char *code, const char *message)
{
    char more[96] = "";
    double after_s = service->script.retry_after_s;
    if ((status == 429 || status == 503) && after_s > 0)
        snprintf(more, sizeof more, "Retry-After: %.0f\r\nretry-after-ms: %.0f\r\n",
                 after_s < 1 ? 1 : after_s, after_s * 1000);
    buf_reset(&service->body, 0);
    llm_error_body(type, code, message, &service->body);
    reply_with(service, reply, status, more);
}

/* --- refusals of every call --- */

/* A limit would be exceeded: 429 with the time until it would not. */
static void refuse_limit(struct llm_service *service, struct llm_reply *reply, int64_t wait_us,
                         int64_t tokens)
{
    const struct llm_script *script = &service->script;
    char more[96] = "", text[200];
    int64_t ms = wait_us == INT64_MAX ? script->window_ms : (wait_us + 999) / 1000;
    if (script->retry_after_s > 0)
        ms = (int64_t)(script->retry_after_s * 1000);
    snprintf(more, sizeof more, "Retry-After: %lld\r\nretry-after-ms: %lld\r\n",
             (long long)(ms + 999) / 1000, (long long)ms);
    bool by_tokens = script->tokens_per_minute > 0 &&
                     service->window.tokens + tokens > script->tokens_per_minute;
    snprintf(text, sizeof text,
             "Rate limit reached on %s per min: Limit %lld, Used %lld, Requested %lld. Please try "
             "again in %lldms.",
             by_tokens ? "tokens" : "requests",
             (long long)(by_tokens ? script->tokens_per_minute : script->requests_per_minute),
             (long long)(by_tokens ? service->window.tokens : (int64_t)service->window.count),
             (long long)(by_tokens ? tokens : 1), (long long)ms);
    buf_reset(&service->body, 0);
    llm_error_body(by_tokens ? "tokens" : "requests", "rate_limit_exceeded", text, &service->body);
    reply_with(service, reply, 429, more);
    reply->delay_ms = 0;
}

/* Whether the call was refused: too many at once, or above a limit. Else it is in the window. */
static bool is_limited(struct llm_service *service, struct llm_reply *reply, int64_t tokens)
{
    const struct llm_script *script = &service->script;
    if (script->max_concurrent > 0 && service->stats.in_flight > script->max_concurrent) {
        reply_error(service, reply, 429, "requests", "rate_limit_exceeded",
                    "Too many concurrent requests.");
        reply->delay_ms = 0;
        return true;
    }
    int64_t wait_us = llm_window_wait_us(&service->window, service->now_us, tokens,
                                         script->tokens_per_minute, script->requests_per_minute);
    if (wait_us > 0)
        refuse_limit(service, reply, wait_us, tokens);
    else
        llm_window_add(&service->window, service->now_us, tokens);
    return wait_us > 0;
}

static bool is_allowed(const struct llm_service *service, const struct llm_request *req)
{
    const char *key = service->script.api_key;
    struct span given = req->authorization;
    return *key == 0 || (given.n == strlen(key) + 7 && memcmp(given.p, "Bearer ", 7) == 0 &&
                         memcmp(given.p + 7, key, given.n - 7) == 0);
}

/* The next of the comma-separated names; *p moves behind it. */
static bool next_model(const char **p, struct span *ret)
{
    if (**p == 0)
        return false;
    size_t n = strcspn(*p, ",");
    *ret = span_make(*p, n);
    *p += n + ((*p)[n] == ',');
    return true;
}

static bool is_served(const struct llm_service *service, struct span model)
{
    const char *p = service->script.models;
    struct span name;
    if (*p == 0)
        return true;
    while (next_model(&p, &name)) {
        if (span_equal(name, model))
            return true;
    }
    return false;
}

/* --- what the script draws --- */

/* [[llm:MODE]] in the message. */
static bool marked_mode(struct span message, enum llm_mode *ret)
{
    static const char begin[] = "[[llm:";
    const char *at = memmem(message.p, message.n, begin, sizeof begin - 1);
    if (at == NULL)
        return false;
    at += sizeof begin - 1;
    size_t left = message.n - (size_t)(at - message.p);
    const char *end = memmem(at, left, "]]", 2);
    return end != NULL && llm_mode_find(span_make(at, (size_t)(end - at)), ret);
}

static enum llm_mode draw_mode(const struct llm_service *service, struct span message)
{
    const struct llm_script *script = &service->script;
    enum llm_mode mode = LLM_OK;
    if (marked_mode(message, &mode))
        return mode;
    if (script->mode != LLM_OK && within_first(service, script->mode_count) &&
        (script->mode_rate <= 0 || lot(service, 1) < script->mode_rate))
        return script->mode;
    if (script->bad_rate > 0 && lot(service, 2) < script->bad_rate)
        return (enum llm_mode)(LLM_WRONG_TYPE +
                               (int)(lot(service, 3) * (LLM_BAD_LAST - LLM_WRONG_TYPE + 1)));
    return LLM_OK;
}

static bool draws_error(const struct llm_service *service)
{
    const struct llm_script *script = &service->script;
    return script->error_rate > 0 && within_first(service, script->error_count) &&
           lot(service, 4) < script->error_rate;
}

static void reply_drawn_error(struct llm_service *service, struct llm_reply *reply)
{
    static const struct {
        int status;
        const char *type, *code;
    } errors[] = {{400, "invalid_request_error", NULL},
                  {401, "invalid_request_error", "invalid_api_key"},
                  {403, "invalid_request_error", "unsupported_country_region_territory"},
                  {404, "invalid_request_error", "model_not_found"},
                  {429, "requests", "rate_limit_exceeded"}};
    int status = (int)service->script.error_status;
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        if (errors[i].status == status) {
            reply_error(service, reply, status, errors[i].type, errors[i].code,
                        "The script says so.");
            return;
        }
    }
    reply_error(service, reply, status, "server_error", NULL,
                "The server had an error while processing your request.");
}

/* What is left once the whole good answer stands in reply->out: spoil it on the wire. */
static void spoil(struct llm_service *service, enum llm_mode mode, struct llm_reply *reply)
{
    struct buf *out = &reply->out;
    size_t half = out->n - service->body.n / 2;
    reply->status = mode == LLM_DRIP ? reply->status : 0;
    if (mode == LLM_DRIP) {
        reply->drip = true;
        return;
    }
    if (mode == LLM_STALL || mode == LLM_HALF || mode == LLM_RESET_MID_BODY) {
        out->n = half;
    } else {
        buf_reset(out, 0);
        if (mode == LLM_GARBAGE)
            buf_add_str(out, "\x16\x03\x01 this is not what you expect \x00\xff\r\n\r\n{}");
    }
    bool open = mode == LLM_HANG || mode == LLM_STALL;
    reply->end = open ? LLM_NEVER : mode == LLM_RESET_MID_BODY ? LLM_RESET : LLM_CLOSE;
}

/* Modes that do not begin with a good answer. False: not one of these. */
static bool reply_special(struct llm_service *service, enum llm_mode mode, struct llm_reply *reply)
{
    switch (mode) {
    case LLM_EMPTY:
        buf_reset(&service->body, 0);
        reply_with(service, reply, 200, "");
        return true;
    case LLM_QUOTA:
        reply_error(service, reply, 429, "insufficient_quota", "insufficient_quota",
                    "You exceeded your current quota, please check your plan and billing details.");
        return true;
    case LLM_REDIRECT:
        buf_reset(&service->body, 0);
        reply_with(service, reply, 302, "Location: http://llm.invalid/v1/chat/completions\r\n");
        return true;
    case LLM_HUGE:
        llm_reply_huge(reply);
        return true;
    case LLM_GZIP_BOMB:
        llm_reply_gzip_bomb(reply);
        return true;
    default:
        return false;
    }
}

/* What an accepted call gets; the body of its answer is in service->body. */
static void reply_accepted(struct llm_service *service, enum llm_mode mode, struct llm_reply *reply)
{
    service->stats.modes += mode != LLM_OK;
    if (mode == LLM_OK && draws_error(service)) {
        reply_drawn_error(service, reply);
        return;
    }
    if (reply_special(service, mode, reply))
        return;
    reply_with(service, reply, 200, "");
    if (mode >= LLM_HANG)
        spoil(service, mode, reply);
}

/* --- calls --- */

static void count_call(struct llm_service *service, const struct llm_request *req,
                       struct llm_reply *reply, bool is_lookup)
{
    struct llm_stats *stats = &service->stats;
    bool was_ok;
    reply->is_call = true;
    reply->delay_ms = service->script.delay_ms;
    service->number++;
    if (service->script.spread_ms > 0)
        reply->delay_ms += service->script.spread_ms * lot(service, 5);
    stats->calls++;
    *(is_lookup ? &stats->lookups : &stats->chats) += 1;
    if (++stats->in_flight > stats->in_flight_max)
        stats->in_flight_max = stats->in_flight;
    reply->hash = llm_hash(is_lookup ? llm_hash(1, req->target) : 0, req->body);
    if (llm_seen_add(&service->seen, reply->hash, &was_ok)) {
        stats->repeated++;
        stats->repeated_ok += was_ok;
    }
    buf_reset(&service->last, 0);
    buf_add(&service->last, req->method.p, req->size);
}

/* As OpenAI does, and gateways without its mask: the key that was given stands in the message. */
static void refuse_key(struct llm_service *service, const struct llm_request *req,
                       struct llm_reply *reply)
{
    char words[256];
    snprintf(words, sizeof words, "Incorrect API key provided: %.*s.", (int)req->authorization.n,
             req->authorization.p == NULL ? "" : req->authorization.p);
    reply_error(service, reply, 401, "invalid_request_error", "invalid_api_key", words);
}

static void call_lookup(struct llm_service *service, const struct llm_request *req,
                        struct llm_reply *reply)
{
    count_call(service, req, reply, true);
    if (!is_allowed(service, req)) {
        refuse_key(service, req, reply);
        return;
    }
    if (is_limited(service, reply, 0))
        return;
    enum llm_mode mode = draw_mode(service, req->body);
    llm_lookup_body(req, mode, &service->body);
    reply_accepted(service, mode, reply);
}

/* Whether key, JSON and model are right; else the reply says what is wrong. */
static bool is_chat_valid(struct llm_service *service, const struct llm_request *req,
                          struct llm_reply *reply, struct llm_question *question)
{
    struct error err = {0};
    if (!is_allowed(service, req)) {
        refuse_key(service, req, reply);
        return false;
    }
    if (llm_question_parse(req->body, question, &err) != ST_OK) {
        reply_error(service, reply, 400, "invalid_request_error", NULL, err.text);
        return false;
    }
    if (!is_served(service, question->model)) {
        reply_error(service, reply, 404, "invalid_request_error", "model_not_found",
                    "The model does not exist or you do not have access to it.");
        return false;
    }
    return true;
}

static void call_chat(struct llm_service *service, const struct llm_request *req,
                      struct llm_reply *reply)
{
    struct llm_question question;
    count_call(service, req, reply, false);
    if (!is_chat_valid(service, req, reply, &question))
        return;
    buf_reset(&service->message, 1 << 20);
    json_unescape(&service->message, question.content);
    struct span message = buf_span(&service->message);
    enum llm_mode mode = draw_mode(service, message);
    reply->prompt_tokens = (int64_t)req->body.n / 4;
    reply->completion_tokens =
        llm_answer_body(mode, message, question.model, service->number, reply->prompt_tokens,
                        &service->content, &service->body);
    if (is_limited(service, reply, reply->prompt_tokens + reply->completion_tokens))
        return;
    reply_accepted(service, mode, reply);
}

/* --- the rest --- */

static void call_models(struct llm_service *service, const struct llm_request *req,
                        struct llm_reply *reply)
{
    const char *p = service->script.models;
    const char *comma = "";
    struct span name;
    if (!is_allowed(service, req)) {
        reply_error(service, reply, 401, "invalid_request_error", "invalid_api_key",
                    "Incorrect API key provided.");
        return;
    }
    buf_add_str(&service->body, "{\"object\":\"list\",\"data\":[");
    while (next_model(&p, &name)) {
        buf_printf(&service->body, "%s{\"id\":\"%.*s\",\"object\":\"model\"}", comma, (int)name.n,
                   name.p);
        comma = ",";
    }
    buf_add_str(&service->body, "]}");
    reply_with(service, reply, 200, "");
}

static void call_stats(struct llm_service *service, const struct llm_request *req,
                       struct llm_reply *reply)
{
    struct llm_stats stats;
    llm_service_stats(service, &stats);
    if (span_is(req->method, "DELETE"))
        llm_service_reset(service);
    llm_stats_json(&stats, &service->body);
    reply_with(service, reply, 200, "");
}

static void call_script(struct llm_service *service, const struct llm_request *req,
                        struct llm_reply *reply)
{
    struct error err = {0};
    struct llm_script script = service->script;
    if (llm_script_set_json(&script, req->body, &err) != ST_OK) {
        reply_error(service, reply, 400, "invalid_request_error", NULL, err.text);
        return;
    }
    llm_service_set(service, &script);
    buf_add_str(&service->body, "{\"ok\":true}\n");
    reply_with(service, reply, 200, "");
}

static void call_last(struct llm_service *service, const struct llm_request *req,
                      struct llm_reply *reply)
{
    UNUSED(req);
    buf_add_span(&service->body, buf_span(&service->last));
    reply_with(service, reply, 200, "");
}

static const struct route {
    const char *method, *path; /* NULL: any; a path that ends in '/': all below it */
    void (*call)(struct llm_service *, const struct llm_request *, struct llm_reply *);
} routes[] = {
    {"POST", "/v1/chat/completions", call_chat},
    {NULL, "/lookup/", call_lookup},
    {"GET", "/v1/models", call_models},
    {"GET", "/stats", call_stats},
    {"DELETE", "/stats", call_stats},
    {"POST", "/script", call_script},
    {"GET", "/last", call_last},
};

static bool is_route(const struct route *route, const struct llm_request *req)
{
    size_t n = strlen(route->path);
    if (route->method != NULL && !span_is(req->method, route->method))
        return false;
    if (route->path[n - 1] != '/')
        return span_is(req->target, route->path);
    return req->target.n > n && memcmp(req->target.p, route->path, n) == 0;
}

void llm_service_call(struct llm_service *service, const struct llm_request *req, int64_t now_us,
                      struct llm_reply *reply)
{
    service->now_us = now_us;
    buf_reset(&service->body, 1 << 20);
    reply->end = req->close ? LLM_CLOSE : LLM_KEEP;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        if (is_route(&routes[i], req)) {
            routes[i].call(service, req, reply);
            return;
        }
    }
    reply_error(service, reply, 404, "invalid_request_error", "unknown_url",
                "There is no such path here.");
}

void llm_service_done(struct llm_service *service, const struct llm_reply *reply, bool sent)
{
    struct llm_stats *stats = &service->stats;
    if (!reply->is_call)
        return;
    stats->in_flight--;
    if (!sent) {
        stats->aborted++;
        return;
    }
    stats->status[reply->status]++;
    if (reply->status != 200)
        return;
    stats->ok++;
    stats->prompt_tokens += reply->prompt_tokens;
    stats->completion_tokens += reply->completion_tokens;
    stats->tokens += reply->prompt_tokens + reply->completion_tokens;
    llm_seen_mark(&service->seen, reply->hash);
}

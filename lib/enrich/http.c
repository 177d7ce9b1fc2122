/* The provider for a look-up service on HTTP: GET or POST for each post, the result somewhere in
 * the JSON of the reply. The request that makes the question is "URL\nbody". */
#include <jansson.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/enrich/openai_reply.h"
#include "lib/enrich/provider.h"
#include "lib/enrich/secret.h"
#include "lib/enrich/template.h"
#include "lib/enrich/text.h"
#include "lib/json/pointer.h"
#include "lib/json/tree.h"

struct request {
    struct http_call http;
    struct call *call;
    struct http_lookup *owner;
    char *url;
    struct request *next; /* free ones */
};

struct http_lookup {
    const struct http_options *opt;
    struct transport *transport;
    struct template *url, *body;
    struct http_headers *headers;
    unsigned redact;
    struct request *free;
};

/* What is wrong with a header is said without showing it. */
static enum status check_headers(const struct option_list *headers, struct error *err)
{
    for (size_t i = 0; i < headers->n; i++) {
        const char *line = headers->items[i];
        size_t name = strcspn(line, ": \t");
        if (name == 0 || line[name] != ':' || strpbrk(line, "\r\n") != NULL)
            return error_set(err, ST_FATAL, ERR_CONFIG,
                             "http-header: item %zu is not NAME: VALUE on one line", i + 1);
    }
    return ST_OK;
}

static enum status http_open(void *ctx, const struct provider_config *cfg, struct error *err)
{
    struct http_lookup *h = ctx;
    char *body = NULL;
    h->opt = &cfg->opt->http;
    h->transport = cfg->transport;
    h->redact = cfg->redact;
    if (check_headers(&h->opt->headers, err) != ST_OK)
        return ST_FATAL;
    h->headers = http_headers_new(NULL, h->opt->headers.items, h->opt->headers.n);
    if (strncmp(h->opt->url, "http://", 7) != 0 && strncmp(h->opt->url, "https://", 8) != 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "http-url '%s' begins with neither http:// nor https://", h->opt->url);
    if (h->opt->pointer[0] != '\0' && h->opt->pointer[0] != '/')
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "http-pointer '%s' is no JSON pointer: it begins with /", h->opt->pointer);
    enum status st = template_open(h->opt->url, "http-url", &h->url, err);
    if (st == ST_OK && h->opt->body != NULL)
        st = text_read(h->opt->body, "http-body", &body, err);
    if (st == ST_OK && body != NULL)
        st = template_open(body, "http-body", &h->body, err);
    mem_free(body);
    return st;
}

static void http_close(void *ctx)
{
    struct http_lookup *h = ctx;
    template_free(h->url);
    template_free(h->body);
    http_headers_free(h->headers);
    while (h->free != NULL) {
        struct request *r = h->free;
        h->free = r->next;
        buf_fini(&r->http.reply);
        mem_free(r);
    }
}

static const char *http_model(const void *ctx, int endpoint)
{
    UNUSED(ctx);
    UNUSED(endpoint);
    return "http";
}

static const char *http_variant(const void *ctx)
{
    return ((const struct http_lookup *)ctx)->opt->pointer;
}

static enum status http_prepare(void *ctx, const struct ask *ask, struct buf *body,
                                struct error *err)
{
    const struct http_lookup *h = ctx;
    struct template_values values = {
        .value = ask->value, .id = ask->id, .text = ask->text, .redact = h->redact};
    template_fill(h->url, &values, TEMPLATE_URL, body);
    buf_add_char(body, '\n');
    if (h->body != NULL)
        template_fill(h->body, &values, TEMPLATE_JSON, body);
    if (body->full)
        return error_reject(err, REASON_enricher_failed,
                            "the request for this post would be larger than %zu bytes", body->max);
    return ST_OK;
}

static void read_result(const struct http_lookup *h, const struct http_call *http,
                        struct call *call)
{
    json_error_t why;
    json_t *root = json_loadb(http->reply.p == NULL ? "" : http->reply.p, http->reply.n,
                              JSON_DECODE_ANY, &why);
    const json_t *result = root == NULL ? NULL : json_pointer_get(root, h->opt->pointer);
    call->outcome = CALL_OK;
    call->tokens_in = call->tokens_out = 0;
    if (root == NULL) {
        call->outcome = CALL_FAILED;
        error_set(&call->err, ST_FATAL, ERR_FAILED, "%s: the reply is no JSON: %s", http->url,
                  why.text);
    } else if (result == NULL) {
        call->outcome = CALL_REFUSED;
        error_reject(&call->err, REASON_answer_rejected, "the reply of %s has nothing at '%s'",
                     http->url, h->opt->pointer);
    } else {
        json_tree_write(result, &call->content);
    }
    json_decref(root);
}

static void request_give_back(struct http_lookup *h, struct request *r)
{
    r->call->owner = NULL;
    mem_free(r->url);
    r->url = NULL;
    r->next = h->free;
    h->free = r;
}

static void on_reply(struct http_call *http)
{
    static const struct reply_cures cures = {
        .denied = "does it want a login? (SLUICE_HTTP_HEADER, or SLUICE_HTTP_HEADER_FILE)",
        .not_taken = "are --http-url and --http-body as it wants them?"};
    struct request *r = http->arg;
    struct call *call = r->call;
    call->latency_us = http->latency_us;
    call->limits = http->limits;
    for (size_t i = 0; i < r->owner->opt->headers.n && http->status != 200; i++)
        secret_hide_header(r->owner->opt->headers.items[i], &http->reply);
    if (http->outcome == HTTP_DONE && http->status == 404) {
        call->outcome = CALL_REFUSED; /* this one is not known; the service is */
        error_reject(&call->err, REASON_answer_rejected, "%s answers 404", http->url);
    } else if (!http_read_failure(http, &cures, call)) {
        read_result(r->owner, http, call);
    }
    request_give_back(r->owner, r);
    call->done(call);
}

static void http_begin(void *ctx, struct call *call)
{
    struct http_lookup *h = ctx;
    struct request *r = h->free;
    if (r == NULL)
        r = mem_zalloc(sizeof *r);
    else
        h->free = r->next;
    const char *line = memchr(call->body.p, '\n', call->body.n);
    size_t n = (size_t)(line - call->body.p);
    r->owner = h;
    r->call = call;
    r->url = mem_spandup(span_make(call->body.p, n));
    call->owner = r;
    r->http.url = r->url;
    r->http.headers = h->headers;
    r->http.body = h->body == NULL ? SPAN_NULL : span_make(line + 1, call->body.n - n - 1);
    r->http.timeout_ms = call->timeout_ms;
    r->http.done = on_reply;
    r->http.arg = r;
    transport_start(h->transport, &r->http);
}

static void http_cancel(void *ctx, struct call *call)
{
    struct request *r = call->owner;
    if (r == NULL)
        return;
    transport_cancel(((struct http_lookup *)ctx)->transport, &r->http);
    request_give_back(ctx, r);
}

const struct provider_ops http_provider_ops = {
    .kind = "http",
    .ctx_size = sizeof(struct http_lookup),
    .open = http_open,
    .close = http_close,
    .model = http_model,
    .variant = http_variant,
    .prepare = http_prepare,
    .start = http_begin,
    .cancel = http_cancel,
};

/* The provider for OpenAI-compatible chat endpoints (OpenAI's API reference, "Create chat
 * completion"; vLLM, llama.cpp, Ollama and LM Studio follow it).
 *
 * The request is {"model":M, <parameters>, "messages":[...]}: what differs between endpoints comes
 * first, so that the rest, which prepare writes, is the same for all of them; messages come last,
 * so that a repair appends two more. A post is data: what a template inserts is escaped as the
 * inside of a JSON string and never read again. */
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/enrich/openai_reply.h"
#include "lib/enrich/provider.h"
#include "lib/enrich/secret.h"
#include "lib/enrich/template.h"
#include "lib/enrich/text.h"
#include "lib/json/tree.h"

enum { BODY_MAX = 8 << 20 };

struct endpoint {
    char *url;   /* of chat/completions */
    char *start; /* {"model":"…", */
    const char *model;
    char *key; /* NULL: none */
    struct http_headers *headers;
};

struct sent {
    struct http_call http;
    struct call *call;
    struct openai *owner;
    struct buf body;
    struct sent *next; /* free ones */
};

struct openai {
    const struct llm_options *opt;
    struct transport *transport;
    struct endpoint *endpoints;
    int count;
    char *parameters; /* ends before the system prompt */
    struct template *system, *prompt;
    unsigned redact;
    struct sent *free;
};

/* --- open --- */

static enum status add_body_members(const struct llm_options *opt, struct buf *b, struct error *err)
{
    json_error_t why;
    if (opt->body == NULL)
        return ST_OK;
    json_t *more = json_loads(opt->body, JSON_REJECT_DUPLICATES, &why);
    if (!json_is_object(more)) {
        json_decref(more);
        return error_set(err, ST_FATAL, ERR_CONFIG, "llm-body is no JSON object");
    }
    size_t from = b->n;
    json_tree_write(more, b);
    if (json_object_size(more) == 0) {
        b->n = from;
    } else { /* without its braces */
        memmove(b->p + from, b->p + from + 1, b->n - from - 1);
        b->p[b->n - 2] = ',';
        b->n--;
    }
    json_decref(more);
    return ST_OK;
}

static void add_format(const struct llm_options *opt, struct span schema, struct buf *b)
{
    if (opt->format == FORMAT_JSON_SCHEMA) {
        buf_add_str(b, "\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":"
                       "\"enrichment\",\"strict\":true,\"schema\":");
        buf_add_span(b, schema);
        buf_add_str(b, "}},");
    } else if (opt->format == FORMAT_LLAMA) {
        buf_add_str(b, "\"response_format\":{\"type\":\"json_object\",\"schema\":");
        buf_add_span(b, schema);
        buf_add_str(b, "},");
    } else if (opt->format == FORMAT_JSON_OBJECT) {
        buf_add_str(b, "\"response_format\":{\"type\":\"json_object\"},");
    }
}

static enum status make_parameters(struct openai *o, struct span schema, struct error *err)
{
    const struct llm_options *opt = o->opt;
    struct buf b = {0};
    if (opt->temperature >= 0)
        buf_printf(&b, "\"temperature\":%g,", opt->temperature);
    if (opt->max_tokens > 0)
        buf_printf(&b, "\"%s\":%lld,",
                   opt->max_tokens_member == 0 ? "max_tokens" : "max_completion_tokens",
                   (long long)opt->max_tokens);
    if (opt->seed >= 0)
        buf_printf(&b, "\"seed\":%lld,", (long long)opt->seed);
    add_format(opt, schema, &b);
    enum status st = add_body_members(opt, &b, err);
    buf_add_str(&b, "\"messages\":[{\"role\":\"system\",\"content\":\"");
    o->parameters = mem_strdup(buf_str(&b));
    buf_fini(&b);
    return st;
}

/* The key of endpoint i: one for all when there is one endpoint, else the i-th of a list. */
static enum status key_of(const struct llm_options *opt, size_t i, char **ret, struct error *err)
{
    *ret = NULL;
    if (opt->keys == NULL || opt->keys[0] == '\0')
        return ST_OK;
    const char *at = opt->keys;
    size_t count = 1;
    for (const char *p = at; *p != '\0'; p++)
        count += *p == ',';
    if (count != opt->urls.n)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "llm-key holds %zu key(s) for %zu llm-url(s): give one for each, by "
                         "commas, - for none",
                         count, opt->urls.n);
    char *key = secret_item(at, i);
    if (key[0] != '\0' && strcmp(key, "-") != 0)
        *ret = key;
    else
        secret_free(key);
    return ST_OK;
}

static enum status open_endpoint(struct openai *o, size_t i, struct error *err)
{
    const struct llm_options *opt = o->opt;
    struct endpoint *e = &o->endpoints[i];
    const char *url = opt->urls.items[i];
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "llm-url '%s' begins with neither http:// nor https://", url);
    if (opt->models.n != 1 && opt->models.n != opt->urls.n)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "%zu llm-model(s) for %zu llm-url(s): give one for all or one for each",
                         opt->models.n, opt->urls.n);
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    e->url = mem_printf("%.*s/chat/completions", (int)n, url);
    e->model = opt->models.items[opt->models.n == 1 ? 0 : i];
    struct buf start = {0};
    buf_add_str(&start, "{\"model\":\"");
    buf_add_json(&start, span_of(e->model));
    buf_add_str(&start, "\",");
    e->start = mem_strdup(buf_str(&start));
    buf_fini(&start);
    enum status st = key_of(opt, i, &e->key, err);
    if (st == ST_OK)
        e->headers = http_headers_new(e->key, NULL, 0);
    return st;
}

static enum status open_prompt(const char *value, const char *fallback, const char *name,
                               struct template **ret, struct error *err)
{
    char *text = NULL;
    enum status st = text_read(value != NULL ? value : fallback, name, &text, err);
    if (st == ST_OK)
        st = template_open(text, name, ret, err);
    if (st == ST_OK)
        template_quote(*ret); /* what stands in the template is the inside of a string too */
    mem_free(text);
    return st;
}

static enum status openai_open(void *ctx, const struct provider_config *cfg, struct error *err)
{
    struct openai *o = ctx;
    o->opt = &cfg->opt->llm;
    o->transport = cfg->transport;
    o->redact = cfg->redact;
    o->endpoints = mem_array(o->opt->urls.n, sizeof *o->endpoints);
    o->count = (int)o->opt->urls.n;
    enum status st = ST_OK;
    for (size_t i = 0; i < o->opt->urls.n && st == ST_OK; i++)
        st = open_endpoint(o, i, err);
    if (st == ST_OK)
        st = make_parameters(o, cfg->schema, err);
    if (st == ST_OK)
        st = open_prompt(o->opt->system, cfg->system, "llm-system", &o->system, err);
    if (st == ST_OK)
        st = open_prompt(o->opt->prompt, cfg->prompt, "llm-prompt", &o->prompt, err);
    return st;
}

static void openai_close(void *ctx)
{
    struct openai *o = ctx;
    for (int i = 0; i < o->count; i++) {
        secret_free(o->endpoints[i].key);
        mem_free(o->endpoints[i].url);
        mem_free(o->endpoints[i].start);
        http_headers_free(o->endpoints[i].headers);
    }
    mem_free(o->endpoints);
    mem_free(o->parameters);
    template_free(o->system);
    template_free(o->prompt);
    while (o->free != NULL) {
        struct sent *s = o->free;
        o->free = s->next;
        buf_fini(&s->body);
        buf_fini(&s->http.reply);
        mem_free(s);
    }
}

/* --- requests --- */

static const char *openai_model(const void *ctx, int endpoint)
{
    return ((const struct openai *)ctx)->endpoints[endpoint].model;
}

static const char *openai_variant(const void *ctx)
{
    return openai_model(ctx, 0); /* the body holds all else */
}

static enum status openai_prepare(void *ctx, const struct ask *ask, struct buf *body,
                                  struct error *err)
{
    struct openai *o = ctx;
    struct template_values values = {
        .value = ask->value, .id = ask->id, .text = ask->text, .redact = o->redact};
    buf_add_str(body, o->parameters);
    template_fill(o->system, &values, TEMPLATE_JSON, body);
    buf_add_str(body, "\"},{\"role\":\"user\",\"content\":\"");
    template_fill(o->prompt, &values, TEMPLATE_JSON, body);
    buf_add_str(body, "\"}]}");
    if (body->full)
        return error_reject(err, REASON_enricher_failed,
                            "the request for this post would be larger than %zu bytes", body->max);
    return ST_OK;
}

static bool openai_repair(void *ctx, struct span body, struct span content, const char *wrong,
                          struct buf *ret_body)
{
    UNUSED(ctx);
    assert(body.n > 2 && memcmp(body.p + body.n - 2, "]}", 2) == 0);
    buf_add(ret_body, body.p, body.n - 2);
    buf_add_str(ret_body, ",{\"role\":\"assistant\",\"content\":\"");
    buf_add_json(ret_body, content);
    buf_add_str(ret_body, "\"},{\"role\":\"user\",\"content\":\"That answer cannot be used: ");
    buf_add_json(ret_body, span_of(wrong));
    buf_add_str(ret_body, ". Answer again, with nothing but one JSON object that fits the "
                          "schema.\"}]}");
    return !ret_body->full;
}

/* --- calls --- */

static struct sent *sent_take(struct openai *o)
{
    struct sent *s = o->free;
    if (s == NULL)
        s = mem_zalloc(sizeof *s);
    else
        o->free = s->next;
    s->owner = o;
    return s;
}

static void sent_give_back(struct openai *o, struct sent *s)
{
    s->call->owner = NULL;
    s->next = o->free;
    o->free = s;
}

static void on_reply(struct http_call *http)
{
    struct sent *s = http->arg;
    struct call *call = s->call;
    call->latency_us = http->latency_us;
    call->limits = http->limits;
    if (http->status != 200)
        secret_hide(span_of(s->owner->endpoints[call->endpoint].key), &http->reply);
    openai_read_reply(http, call);
    sent_give_back(s->owner, s);
    call->done(call);
}

static void openai_start(void *ctx, struct call *call)
{
    struct openai *o = ctx;
    const struct endpoint *e = &o->endpoints[call->endpoint];
    struct sent *s = sent_take(o);
    buf_reset(&s->body, 64 << 10);
    buf_add_str(&s->body, e->start);
    buf_add_span(&s->body, call->body);
    s->call = call;
    call->owner = s;
    s->http.url = e->url;
    s->http.headers = e->headers;
    s->http.body = buf_span(&s->body);
    s->http.timeout_ms = call->timeout_ms;
    s->http.done = on_reply;
    s->http.arg = s;
    transport_start(o->transport, &s->http);
}

static void openai_cancel(void *ctx, struct call *call)
{
    struct openai *o = ctx;
    struct sent *s = call->owner;
    if (s == NULL)
        return;
    transport_cancel(o->transport, &s->http);
    sent_give_back(o, s);
}

const struct provider_ops openai_provider_ops = {
    .kind = "openai",
    .ctx_size = sizeof(struct openai),
    .open = openai_open,
    .close = openai_close,
    .model = openai_model,
    .variant = openai_variant,
    .prepare = openai_prepare,
    .repair = openai_repair,
    .start = openai_start,
    .cancel = openai_cancel,
};

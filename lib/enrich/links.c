/* The links of a chain, from the options or from `enrichers` in the configuration file:
 *
 *     enrichers:
 *       - {name: place, kind: lookup, lookup-file: places.csv}
 *       - {name: mood, kind: openai, llm-model: gpt-4o-mini, when: "/lang == en", optional: true}
 *
 * A link begins as a copy of the options; what it names itself counts for it alone. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/config/value.h"
#include "lib/enrich/engine.h"
#include "lib/enrich/redact.h"
#include "lib/enrich/text.h"
#include "lib/json/tree.h"

/* Options of the engine and of its connections, not of a link: the same for all. */
static const char *const engine_keys[] = {
    "enricher",      "budget-run",      "budget-hour",     "budget-day",
    "budget-action", "answers",         "answers-memory",  "answers-ttl",
    "record",        "replay",          "replay-missing",  "replicas",
    "llm-ca",        "llm-proxy",       "llm-proxy-login", "llm-connect-timeout",
    "llm-max-reply", "allow-link-local"};

/* --- options of a link --- */

static void *own(struct link *link, void *p)
{
    link->owned = mem_realloc(link->owned, (link->owned_count + 1) * sizeof(void *));
    return link->owned[link->owned_count++] = p;
}

static const struct option *find_row(const char *key)
{
    for (size_t i = 0; i < sizeof engine_keys / sizeof *engine_keys; i++)
        if (strcmp(engine_keys[i], key) == 0)
            return NULL;
    for (size_t i = 0; i < enrich_option_table.n; i++)
        if (strcmp(enrich_option_table.rows[i].key, key) == 0)
            return &enrich_option_table.rows[i];
    return NULL;
}

static char *text_of(const json_t *value)
{
    if (json_is_string(value))
        return mem_strdup(json_string_value(value));
    struct buf b = {0};
    json_tree_write(value, &b);
    char *text = mem_spandup(buf_span(&b));
    buf_fini(&b);
    return text;
}

static enum status set_list(struct link *link, const struct option *row, const json_t *value)
{
    struct option_list *list = (void *)((char *)&link->opt + row->offset);
    size_t n = json_is_array(value) ? json_array_size(value) : 1;
    const char **items = own(link, mem_array(n, sizeof *items));
    for (size_t i = 0; i < n; i++)
        items[i] = own(link, text_of(json_is_array(value) ? json_array_get(value, i) : value));
    *list = (struct option_list){.items = items, .n = n};
    return ST_OK;
}

static enum status set_option(struct link *link, const struct option *row, const json_t *value,
                              struct error *err)
{
    union value parsed = {0};
    if (row->type == OPTION_LIST)
        return set_list(link, row, value);
    char *text = own(link, text_of(value));
    if (!value_parse(row, text, &parsed)) {
        struct buf what = {0};
        value_describe(row, &what);
        error_set(err, ST_FATAL, ERR_CONFIG, "enrichers: %s: %s: '%s' is not %s", link->name,
                  row->key, text, buf_str(&what));
        buf_fini(&what);
        return ST_FATAL;
    }
    value_store(row, (char *)&link->opt + row->offset, &parsed, text);
    return ST_OK;
}

/* The lines of a text that the link owns, those that are empty left out. */
static void set_lines(struct link *link, const struct option *row, char *text)
{
    struct option_list *list = (void *)((char *)&link->opt + row->offset);
    size_t most = 1, n = 0;
    for (const char *p = text; *p != '\0'; p++)
        most += *p == '\n';
    const char **items = own(link, mem_array(most, sizeof *items));
    for (char *line = text, *rest; line != NULL; line = rest) {
        rest = strchr(line, '\n');
        if (rest != NULL)
            *rest++ = '\0';
        line[strcspn(line, "\r")] = '\0';
        if (line[0] != '\0')
            items[n++] = line;
    }
    *list = (struct option_list){.items = items, .n = n};
}

/* NAME-file of a secret: its value without the line break at the end. */
static enum status set_secret(struct link *link, const struct option *row, const json_t *value,
                              struct error *err)
{
    char *text = NULL;
    if (!json_is_string(value))
        return error_set(err, ST_FATAL, ERR_CONFIG, "enrichers: %s: %s-file is no file name",
                         link->name, row->key);
    enum status st = text_read_file(json_string_value(value), row->key, &text, err);
    if (st != ST_OK)
        return st;
    if (row->type == OPTION_LIST) {
        set_lines(link, row, own(link, text));
        return ST_OK;
    }
    text[strcspn(text, "\r\n")] = '\0';
    value_store(row, (char *)&link->opt + row->offset, NULL, own(link, text));
    return ST_OK;
}

static enum status set_member(struct link *link, const char *key, const json_t *value,
                              struct error *err)
{
    if (strcmp(key, "name") == 0 || strcmp(key, "kind") == 0 || strcmp(key, "when") == 0 ||
        strcmp(key, "optional") == 0)
        return ST_OK;
    const struct option *row = find_row(key);
    size_t n = strlen(key);
    if (row == NULL && n > 5 && strcmp(key + n - 5, "-file") == 0) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(n - 5), key);
        row = find_row(name);
        if (row != NULL && row->secret)
            return set_secret(link, row, value, err);
        row = NULL;
    }
    if (row == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "enrichers: %s: there is no option '%s' for a link", link->name, key);
    if (row->secret)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "enrichers: %s: %s is a secret: name a file with %s-file", link->name, key,
                         key);
    return set_option(link, row, value, err);
}

/* --- what the options mean --- */

static enum status find_kind(const char *word, int *ret, struct error *err, const char *name)
{
    for (int i = 0; enrich_kinds[i] != NULL; i++) {
        if (strcmp(enrich_kinds[i], word) == 0) {
            *ret = i;
            return ST_OK;
        }
    }
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "enrichers: %s: kind '%s' is none of mock, openai, lookup, http, exec", name,
                     word);
}

static enum status open_schema(const struct engine *e, struct link *link, struct error *err)
{
    const char *path = link->opt.llm.schema;
    const char *name = path != NULL ? path : "default schema";
    char *text = NULL;
    json_error_t why;
    enum status st = ST_OK;
    if (path != NULL)
        st = text_read_file(path, "llm-schema", &text, err);
    else
        text = mem_strdup(e->cfg.schema);
    if (st == ST_OK && text != NULL)
        st = schema_open(span_of(text), name, &link->schema, err);
    if (st == ST_OK && text != NULL) {
        json_t *root = json_loads(text, 0, &why);
        struct buf compact = {0};
        json_tree_write(root, &compact);
        link->schema_text = mem_spandup(buf_span(&compact));
        buf_fini(&compact);
        json_decref(root);
    }
    mem_free(text);
    return st;
}

static const char *model_of(const struct link *link, int endpoint)
{
    const struct option_list *models = &link->opt.llm.models;
    if (link->opt.kind != KIND_OPENAI)
        return enrich_kinds[link->opt.kind];
    return models->items[models->n == 1 ? 0 : (size_t)endpoint % models->n];
}

static enum status check_caps(const struct engine *e, const struct link *link, int endpoint,
                              struct error *err)
{
    const struct budget_options *b = &e->cfg.opt->budget;
    bool capped = b->run_usd > 0 || b->hour_usd > 0 || b->day_usd > 0;
    if (!capped || link->opt.kind != KIND_OPENAI)
        return ST_OK;
    if (link->opt.llm.max_tokens == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "a budget needs --llm-max-tokens: without it an answer may cost anything");
    if (!link->endpoints[endpoint].price.known)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "a budget needs the price of model '%s': --llm-price '%s=IN/OUT', in $ "
                         "per million tokens",
                         model_of(link, endpoint), model_of(link, endpoint));
    return ST_OK;
}

static enum status open_endpoints(const struct engine *e, struct link *link, struct error *err)
{
    size_t n = link->opt.kind == KIND_OPENAI ? link->opt.llm.urls.n : 1;
    if (n > ENDPOINTS_MAX)
        return error_set(err, ST_FATAL, ERR_CONFIG, "llm-url: at most %d", ENDPOINTS_MAX);
    link->endpoints = mem_array(n, sizeof *link->endpoints);
    link->endpoint_count = (int)n;
    for (int i = 0; i < link->endpoint_count; i++) {
        struct endpoint_state *s = &link->endpoints[i];
        s->governor = governor_new(&link->opt.governor, link->opt.llm.max_tokens, (uint64_t)i + 1);
        enum status st = price_find(&link->opt.llm.prices, model_of(link, i), &s->price, err);
        if (st == ST_OK)
            st = check_caps(e, link, i, err);
        if (st != ST_OK)
            return st;
    }
    return ST_OK;
}

/* kind/model/hash of what else decides the answers. */
static void make_title(struct link *link)
{
    const struct llm_options *llm = &link->opt.llm;
    struct question q;
    char hex[QUESTION_HEX + 1], numbers[96];
    snprintf(numbers, sizeof numbers, "%g/%lld/%lld/%d", llm->temperature,
             (long long)llm->max_tokens, (long long)llm->seed, llm->format);
    const struct span parts[] = {span_of(link->schema_text),     span_of(llm->system),
                                 span_of(llm->prompt),           span_of(numbers),
                                 span_of(link->opt.http.url),    span_of(link->opt.lookup.file),
                                 span_of(link->opt.exec.command)};
    question_make(parts, sizeof parts / sizeof *parts, &q);
    question_write(&q, hex);
    link->title = mem_printf("%s/%s/%.8s", enrich_kinds[link->opt.kind], model_of(link, 0), hex);
}

/* What a kind cannot do without. */
static enum status check_needs(const struct link *link, struct error *err)
{
    const struct {
        int kind;
        const char *value, *option;
    } needs[] = {{KIND_HTTP, link->opt.http.url, "http-url"},
                 {KIND_LOOKUP, link->opt.lookup.file, "lookup-file"},
                 {KIND_EXEC, link->opt.exec.command, "exec-command"}};
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (link->opt.kind == needs[i].kind && needs[i].value == NULL)
            return error_set(err, ST_FATAL, ERR_CONFIG, "enricher %s needs --%s",
                             enrich_kinds[link->opt.kind], needs[i].option);
    return ST_OK;
}

static void decide_payment(struct link *link)
{
    static const struct provider_ops *const providers[] = {
        [KIND_MOCK] = &mock_provider_ops,
        [KIND_OPENAI] = &openai_provider_ops,
        [KIND_HTTP] = &http_provider_ops,
        [KIND_EXEC] = NULL,
    };
    int kind = link->opt.kind;
    link->paid = kind == KIND_OPENAI || kind == KIND_HTTP ||
                 (kind == KIND_MOCK && link->opt.mock.cost_usd > 0);
    link->store = link->paid && link->opt.answers.on && (kind != KIND_HTTP || link->opt.http.store);
    link->provider = link->paid ? providers[kind] : NULL;
}

static bool has_schema(const struct link *link)
{
    return link->opt.kind == KIND_OPENAI || link->opt.kind == KIND_MOCK ||
           link->opt.llm.schema != NULL;
}

static enum status open_link(const struct engine *e, struct link *link, struct error *err)
{
    decide_payment(link);
    enum status st = check_needs(link, err);
    if (st == ST_OK && link->opt.redact != NULL)
        st = redact_parse(link->opt.redact, &link->redact, err);
    if (st == ST_OK && has_schema(link))
        st = open_schema(e, link, err);
    if (st == ST_OK && link->paid)
        st = open_endpoints(e, link, err);
    if (st == ST_OK)
        make_title(link);
    return st;
}

/* --- the chain --- */

/* What is not understood must not mean "ask about every post", which costs money. */
static enum status check_members(const json_t *object, const char *name, struct error *err)
{
    const json_t *when = json_object_get(object, "when");
    const json_t *optional = json_object_get(object, "optional");
    if (when != NULL && !json_is_string(when))
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "enrichers: %s: 'when' is a text such as \"/lang == en\"", name);
    if (optional != NULL && !json_is_boolean(optional))
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "enrichers: %s: 'optional' is true or false, without quotation marks",
                         name);
    return ST_OK;
}

static enum status read_link(struct engine *e, struct link *link, const json_t *object,
                             struct error *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *kind = json_string_value(json_object_get(object, "kind"));
    const char *when = json_string_value(json_object_get(object, "when"));
    const char *key;
    json_t *value;
    if (name == NULL || name[0] == '\0' || strlen(name) >= sizeof link->name)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "enrichers: every link needs a name of at most %d bytes",
                         LINK_NAME_MAX - 1);
    snprintf(link->name, sizeof link->name, "%s", name);
    link->opt = *e->cfg.opt;
    link->optional = json_is_true(json_object_get(object, "optional"));
    if (kind == NULL)
        return error_set(err, ST_FATAL, ERR_CONFIG, "enrichers: %s needs a kind", name);
    enum status st = check_members(object, name, err);
    if (st == ST_OK)
        st = find_kind(kind, &link->opt.kind, err, name);
    json_object_foreach((json_t *)object, key, value)
    {
        if (st == ST_OK)
            st = set_member(link, key, value, err);
    }
    if (st == ST_OK && when != NULL)
        st = when_open(when, link->name, &link->when, err);
    if (st == ST_OK)
        st = open_link(e, link, err);
    if (st != ST_OK && strstr(err->text, link->name) == NULL)
        error_prefix(err, "enrichers: %s", link->name);
    return st;
}

static enum status read_chain(struct engine *e, const json_t *root, struct error *err)
{
    size_t n = json_array_size(root);
    if (!json_is_array(root) || n == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "enrichers is a list of links: {name, kind, when, optional, ...}");
    e->links = mem_array(n, sizeof *e->links);
    e->link_count = n;
    for (size_t i = 0; i < n; i++) {
        enum status st = read_link(e, &e->links[i], json_array_get(root, i), err);
        for (size_t k = 0; k < i && st == ST_OK; k++)
            if (strcmp(e->links[k].name, e->links[i].name) == 0)
                st = error_set(err, ST_FATAL, ERR_CONFIG, "enrichers: two links are called '%s'",
                               e->links[i].name);
        if (st != ST_OK)
            return st;
    }
    if (n == 1)
        e->links[0].name[0] = '\0';
    return ST_OK;
}

enum status links_open(struct engine *e, struct error *err)
{
    json_error_t why;
    if (e->cfg.chain == NULL) {
        e->links = mem_zalloc(sizeof *e->links);
        e->link_count = 1;
        e->links[0].opt = *e->cfg.opt;
        return open_link(e, &e->links[0], err);
    }
    json_t *root = json_loads(e->cfg.chain, JSON_REJECT_DUPLICATES, &why);
    enum status st = read_chain(e, root, err);
    json_decref(root);
    return st;
}

void links_close(struct engine *e)
{
    for (size_t i = 0; i < e->link_count; i++) {
        struct link *link = &e->links[i];
        for (int k = 0; k < link->endpoint_count; k++)
            governor_free(link->endpoints[k].governor);
        mem_free(link->endpoints);
        when_free(link->when);
        schema_free(link->schema);
        mem_free(link->schema_text);
        mem_free(link->title);
        for (size_t k = 0; k < link->owned_count; k++)
            mem_free(link->owned[k]);
        mem_free(link->owned);
    }
    mem_free(e->links);
}

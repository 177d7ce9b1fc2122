/* See llm_parts.h: one table of the script's members serves the flags of the program, POST /script
 * and the usage; one of the counters serves GET /stats. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/llm_parts.h"

static const char *const mode_names[LLM_MODES] = {
    [LLM_OK] = "ok",
    [LLM_WRONG_TYPE] = "wrong_type",
    [LLM_EXTRA] = "extra",
    [LLM_NOT_JSON] = "not_json",
    [LLM_TRUNCATED] = "truncated",
    [LLM_FENCED] = "fenced",
    [LLM_REFUSAL] = "refusal",
    [LLM_INJECTED] = "injected",
    [LLM_QUOTES] = "quotes",
    [LLM_DUPLICATE] = "duplicate",
    [LLM_BAD_UTF8] = "bad_utf8",
    [LLM_EMPTY_CONTENT] = "empty_content",
    [LLM_CONTENT_FILTER] = "content_filter",
    [LLM_NO_USAGE] = "no_usage",
    [LLM_ODD_ENVELOPE] = "odd_envelope",
    [LLM_EMPTY] = "empty",
    [LLM_QUOTA] = "quota",
    [LLM_HANG] = "hang",
    [LLM_STALL] = "stall",
    [LLM_DRIP] = "drip",
    [LLM_RESET_MID_BODY] = "reset_mid_body",
    [LLM_CLOSE_EARLY] = "close_early",
    [LLM_HALF] = "half",
    [LLM_GARBAGE] = "garbage",
    [LLM_HUGE] = "huge",
    [LLM_GZIP_BOMB] = "gzip_bomb",
    [LLM_REDIRECT] = "redirect",
};

const char *llm_mode_name(enum llm_mode mode)
{
    return mode_names[mode];
}

bool llm_mode_find(struct span name, enum llm_mode *ret)
{
    for (int i = 0; i < LLM_MODES; i++) {
        if (span_is(name, mode_names[i])) {
            *ret = (enum llm_mode)i;
            return true;
        }
    }
    return false;
}

/* --- the script's members --- */

enum kind { NUMBER, COUNT, TEXT, MODE };

static const struct field {
    const char *name;
    enum kind kind;
    size_t offset, size;
} fields[] = {
#define FIELD(member, kind)                                                                        \
    {                                                                                              \
#member, kind, offsetof(struct llm_script, member),                                        \
            sizeof(((struct llm_script *)0)->member)                                               \
    }
    FIELD(delay_ms, NUMBER),
    FIELD(spread_ms, NUMBER),
    FIELD(error_rate, NUMBER),
    FIELD(error_status, COUNT),
    FIELD(error_count, COUNT),
    FIELD(retry_after_s, NUMBER),
    FIELD(tokens_per_minute, COUNT),
    FIELD(requests_per_minute, COUNT),
    FIELD(window_ms, COUNT),
    FIELD(max_concurrent, COUNT),
    FIELD(bad_rate, NUMBER),
    FIELD(mode, MODE),
    FIELD(mode_rate, NUMBER),
    FIELD(mode_count, COUNT),
    FIELD(seed, COUNT),
    FIELD(api_key, TEXT),
    FIELD(models, TEXT),
};
enum { FIELDS = sizeof fields / sizeof *fields };

/* "delay" for delay_ms is understood as well: what a user types. */
static const struct field *field_find(const char *name)
{
    char plain[64];
    size_t n = strlen(name);
    if (n >= sizeof plain)
        return NULL;
    for (size_t i = 0; i <= n; i++)
        plain[i] = name[i] == '-' ? '_' : name[i];
    for (size_t i = 0; i < FIELDS; i++) {
        const char *full = fields[i].name;
        const char *unit = strncmp(full, plain, n) == 0 ? full + n : NULL;
        if (unit != NULL && (*unit == 0 || strcmp(unit, "_ms") == 0 || strcmp(unit, "_s") == 0))
            return &fields[i];
    }
    return NULL;
}

/* What comes is a finite number of zero or more. */
static bool set_number(void *at, enum kind kind, double value)
{
    if (!(value >= 0) || value > 1e15)
        return false;
    if (kind == NUMBER)
        *(double *)at = value;
    else
        *(int64_t *)at = (int64_t)value;
    return true;
}

static bool set_text(void *at, const struct field *field, const char *text)
{
    if (field->kind == MODE)
        return llm_mode_find(span_of(text), at);
    size_t n = strlen(text);
    if (n >= field->size)
        return false;
    memcpy(at, text, n + 1);
    return true;
}

enum status llm_script_set(struct llm_script *script, const char *name, const char *text,
                           struct error *err)
{
    const struct field *field = field_find(name);
    if (field == NULL)
        return error_set(err, ST_FATAL, ERR_USAGE, "the script has no member %s", name);
    void *at = (char *)script + field->offset;
    bool good;
    if (field->kind == NUMBER || field->kind == COUNT) {
        char *end;
        double value = strtod(text, &end);
        good = *text != 0 && *end == 0 && set_number(at, field->kind, value);
    } else {
        good = set_text(at, field, text);
    }
    if (!good)
        return error_set(err, ST_FATAL, ERR_USAGE, "%s cannot be %s", field->name, text);
    return ST_OK;
}

static bool set_json(struct llm_script *script, const char *name, const json_t *value)
{
    const struct field *field = field_find(name);
    if (field == NULL)
        return false;
    void *at = (char *)script + field->offset;
    if (field->kind == NUMBER || field->kind == COUNT)
        return json_is_number(value) && set_number(at, field->kind, json_number_value(value));
    return json_is_string(value) && set_text(at, field, json_string_value(value));
}

enum status llm_script_set_json(struct llm_script *script, struct span json, struct error *err)
{
    json_error_t why;
    struct llm_script changed = *script;
    json_t *root = json_loadb(json.p, json.n, 0, &why);
    enum status st = ST_OK;
    const char *name;
    json_t *value;
    if (!json_is_object(root))
        st = error_set(err, ST_FATAL, ERR_USAGE, "the script is no JSON object: %s", why.text);
    json_object_foreach(root, name, value)
    {
        if (st == ST_OK && !set_json(&changed, name, value))
            st = error_set(err, ST_FATAL, ERR_USAGE,
                           "the script has no member %s, or it cannot be that", name);
    }
    json_decref(root);
    if (st == ST_OK)
        *script = changed;
    return st;
}

void llm_script_usage(struct buf *out)
{
    static const char *const words[] = {
        [NUMBER] = "NUMBER", [COUNT] = "N", [TEXT] = "TEXT", [MODE] = "MODE"};
    for (size_t i = 0; i < FIELDS; i++) {
        buf_add_str(out, "  --");
        for (const char *p = fields[i].name; *p != 0; p++)
            buf_add_char(out, *p == '_' ? '-' : *p);
        buf_printf(out, " %s\n", words[fields[i].kind]);
    }
    buf_add_str(out, "MODE is one of:");
    for (int i = 0; i < LLM_MODES; i++)
        buf_printf(out, " %s", mode_names[i]);
    buf_add_char(out, '\n');
}

/* --- the counters --- */

void llm_stats_json(const struct llm_stats *stats, struct buf *out)
{
    static const struct {
        const char *name;
        size_t offset;
    } counters[] = {
#define COUNTER(member) {#member, offsetof(struct llm_stats, member)}
        COUNTER(calls),
        COUNTER(chats),
        COUNTER(lookups),
        COUNTER(ok),
        COUNTER(modes),
        COUNTER(aborted),
        COUNTER(distinct),
        COUNTER(repeated),
        COUNTER(repeated_ok),
        COUNTER(in_flight),
        COUNTER(in_flight_max),
        COUNTER(tokens),
        COUNTER(prompt_tokens),
        COUNTER(completion_tokens),
        COUNTER(window_tokens_max),
        COUNTER(window_requests_max),
        COUNTER(connections),
        COUNTER(connections_open),
    };
    buf_add_char(out, '{');
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        buf_printf(out, "\"%s\":%lld,", counters[i].name,
                   (long long)*(const int64_t *)((const char *)stats + counters[i].offset));
    buf_add_str(out, "\"status\":{");
    const char *comma = "";
    for (int i = 0; i < 600; i++) {
        if (stats->status[i] == 0)
            continue;
        buf_printf(out, "%s\"%d\":%lld", comma, i, (long long)stats->status[i]);
        comma = ",";
    }
    buf_add_str(out, "}}\n");
}

/* Options of the enrichers and of the engine around paid ones. A chain's link is a copy of the
 * whole struct with what the link sets. Any thread: constant after load. */
#ifndef SLUICE_ENRICH_OPTIONS_H
#define SLUICE_ENRICH_OPTIONS_H

#include "lib/config/option.h"

enum enrich_kind { KIND_MOCK, KIND_OPENAI, KIND_LOOKUP, KIND_HTTP, KIND_EXEC };
extern const char *const enrich_kinds[]; /* in that order; ends with NULL */

enum response_format { FORMAT_JSON_SCHEMA, FORMAT_JSON_OBJECT, FORMAT_LLAMA, FORMAT_TEXT };
enum budget_action { BUDGET_PAUSE, BUDGET_PASS, BUDGET_CHEAPER, BUDGET_DEAD_LETTER };
enum replay_missing { REPLAY_STOP, REPLAY_ASK };

struct mock_options {
    int64_t latency_ms, latency_spread_ms; /* normal distribution, cut at 0 */
    double error_rate, bad_rate;           /* shares of asks */
    double cost_usd;                       /* > 0: the mock counts as paid */
    int64_t seed;
};

struct llm_options {
    struct option_list urls, models; /* endpoints in order of preference */
    const char *keys;                /* secret: one for each URL, by commas; "-": none */
    const char *schema;              /* file; NULL: the default */
    const char *system, *prompt;     /* templates, or @FILE; NULL: the default */
    double temperature;              /* below 0: not sent */
    int64_t max_tokens;              /* 0: not sent */
    int max_tokens_member;           /* 0 max_tokens, 1 max_completion_tokens */
    int64_t seed;                    /* below 0: not sent */
    int format;                      /* enum response_format */
    const char *body;                /* more members of the request, as a JSON object */
    struct option_list prices;       /* MODEL=IN/OUT: $ per million tokens */
    const char *ca_file;
    const char *proxy;       /* NULL: none, whatever the environment says */
    const char *proxy_login; /* secret: USER:PASSWORD */
};

struct http_options {
    const char *url, *body; /* templates; a body makes it a POST */
    const char *pointer;    /* where in the reply the result is */
    struct option_list headers;
    bool store; /* keep the answers as those of a paid one */
};

struct lookup_options {
    const char *file;
    const char *table;      /* SQLite: its name; NULL: the only one */
    const char *key_column; /* NULL: the first one */
    const char *match;      /* what is looked up, a template; NULL: "{{id}}" */
    const char *missing;    /* no row: "null" (the answer, also for NULL) or "dead-letter" */
    int64_t check_ms;       /* how often the file is looked at; 0: 1 s */
};

struct exec_options {
    const char *command; /* run by /bin/sh -c */
    int64_t processes;   /* 0: 1 */
    int64_t timeout_ms;  /* 0: 30 s */
    int64_t in_flight;   /* asks per process; 0: 16 */
};

struct governor_options {
    int64_t timeout_ms, connect_timeout_ms; /* of a call */
    int64_t deadline_ms;                    /* of a post; 0: none */
    int64_t attempts;
    int64_t concurrency_min, concurrency_max;
    int64_t requests_per_minute, tokens_per_minute; /* 0: no limit of ours */
    int64_t replicas;                               /* limits and caps are divided by it */
    int64_t max_reply;
    bool link_local;
};

struct budget_options {
    double run_usd, hour_usd, day_usd; /* 0: no cap */
    int action;                        /* enum budget_action */
};

struct answers_options {
    bool on;
    int64_t memory_bytes;
    int64_t ttl_ms; /* 0: for ever */
};

struct enrich_options {
    int kind; /* enum enrich_kind */
    struct mock_options mock;
    struct llm_options llm;
    struct http_options http;
    struct lookup_options lookup;
    struct exec_options exec;
    struct governor_options governor;
    struct budget_options budget;
    struct answers_options answers;
    const char *redact;          /* kinds by commas, or NULL */
    const char *record, *replay; /* cassettes */
    int replay_missing;
};
extern const struct option_table enrich_option_table;

#endif

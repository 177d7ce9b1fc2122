/* What the workers of a process share for enrichment: the chain of links as configured, and for
 * paid ones the answers, the governors of the endpoints, the budget and cassettes.
 * Threads: open and close on one thread, before the first and after the last enricher; everything
 * else any thread. */
#ifndef SLUICE_ENRICH_ENGINE_H
#define SLUICE_ENRICH_ENGINE_H

#include <stdatomic.h>

#include "lib/enrich/answers.h"
#include "lib/enrich/budget.h"
#include "lib/enrich/cassette.h"
#include "lib/enrich/governor.h"
#include "lib/enrich/options.h"
#include "lib/enrich/price.h"
#include "lib/enrich/schema.h"
#include "lib/enrich/when.h"

struct engine_config {
    const struct enrich_options *opt;
    const char *chain;                    /* JSON text of `enrichers`, or NULL: one link, by opt */
    const char *schema, *system, *prompt; /* defaults */
    const char *path;                     /* the file of answers; NULL: memory only */
    bool sync_full;
    bool shared; /* the file is shared by all processes of the group */
    void (*warn)(void *arg, const char *text); /* what a person should know */
    void *arg;                                 /* of warn */
};

struct endpoint_state {
    struct governor *governor;
    struct price price;
};

enum { LINK_NAME_MAX = 64, ENDPOINTS_MAX = 16 };

/* One enricher of the chain. */
struct link {
    char name[LINK_NAME_MAX]; /* its member of the enrichment; "" when it is the only one */
    struct enrich_options opt;
    struct when *when; /* NULL: always */
    bool optional;
    bool paid;                           /* by calls: provider, governor, budget */
    bool store;                          /* its answers are kept */
    const struct provider_ops *provider; /* when paid */
    unsigned redact;
    struct schema *schema; /* NULL: any JSON value */
    char *schema_text;     /* compact */
    struct endpoint_state *endpoints;
    int endpoint_count;
    char *title;  /* "openai/gpt-4o-mini/1a2b3c4d" */
    void **owned; /* lists that the link's options point to */
    size_t owned_count;
};

struct engine_counts {
    atomic_uint_fast64_t calls, ok, limited, failed, unreachable, refused, repairs, invalid;
    atomic_uint_fast64_t no_credit, abandoned, passed; /* abandoned: cut off; passed: by budget */
    atomic_uint_fast64_t tokens_in, tokens_out, cost_nano;
};

struct engine {
    struct engine_config cfg;
    struct link *links;
    size_t link_count;
    struct answers *answers; /* NULL: no link keeps any */
    struct budget *budget;   /* NULL: no link is paid */
    struct recorder *recorder;
    struct engine_counts counts;
};

/* Everything that cfg points to outlives the engine. Errors: ERR_CONFIG, ERR_IO. */
enum status engine_open(const struct engine_config *cfg, struct engine **ret,
                        struct error *err) MUST_CHECK;

/* What is queued is stored first. ST_FATAL: a cassette could not be written. NULL is accepted. */
enum status engine_close(struct engine *e, struct error *err);

/* Whether answers of these settings can cost money, before anything is opened. */
bool enrich_may_pay(const struct enrich_options *opt, const char *chain);

/* Whether any link's answers cost money. */
bool engine_is_paid(const struct engine *e);

/* "openai/gpt-4o-mini/1a2b3c4d", for the header sluice-enricher; several by commas. Borrowed. */
const char *engine_name(const struct engine *e);

/* Says something to a person through cfg.warn. */
void engine_warn(struct engine *e, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* --- links.c --- */

/* Reads the chain, or makes the only link. */
enum status links_open(struct engine *e, struct error *err) MUST_CHECK;
void links_close(struct engine *e);

#endif

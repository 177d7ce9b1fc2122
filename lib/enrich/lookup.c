/* The lookup enricher: see lookup.h.
 *
 * Ensures: 1. an ask is answered from one table as a whole, the old or the new. 2. reading and
 * freeing of a table after the first happen on the runner's thread. 3. a state of the file is read
 * once, whether it is good or not. */
#include "lib/enrich/lookup.h"

#include "lib/base/mem.h"
#include "lib/enrich/template.h"

enum { CHECK_MS = 1000 };

#define OWNER(job_, field) ((struct lookup *)((char *)(job_)-offsetof(struct lookup, field)))

/* --- loading again --- */

static void work_load(struct job *job) /* runner's thread */
{
    struct lookup *l = OWNER(job, load);
    l->load_status = lookup_table_load(&l->src, &l->loaded, &l->load_error);
}

static void work_free(struct job *job) /* runner's thread */
{
    struct lookup *l = OWNER(job, free_old);
    lookup_table_free(l->old);
}

static void done_free(struct job *job)
{
    struct lookup *l = OWNER(job, free_old);
    l->old = NULL;
    l->loading = false;
}

static void tell_failed(struct lookup *l, const struct error *err)
{
    l->counts.failed_loads++;
    if (l->on_failed != NULL)
        l->on_failed(l->on_failed_arg, err);
}

static void done_load(struct job *job)
{
    struct lookup *l = OWNER(job, load);
    if (l->load_status != ST_OK) {
        l->loading = false;
        tell_failed(l, &l->load_error);
        return;
    }
    l->old = l->table;
    l->table = l->loaded;
    l->loaded = NULL;
    l->counts.loads++;
    if (l->runner != NULL)
        runner_submit(l->runner, &l->free_old);
}

static void on_timer(void *arg)
{
    struct lookup *l = arg;
    struct lookup_stamp now;
    loop_timer_start(l->timer, l->opt.check_ms);
    if (l->loading)
        return;
    lookup_stamp_read(l->src.file, &now);
    if (memcmp(&now, &l->tried, sizeof now) == 0)
        return;
    l->tried = now;
    l->loading = true;
    if (l->runner == NULL)
        l->runner = runner_start(l->loop, "sluice-lookup");
    runner_submit(l->runner, &l->load);
}

/* --- slots of the ops table --- */

static enum status read_missing(struct lookup *l, struct error *err)
{
    const char *word = l->opt.missing == NULL ? "null" : l->opt.missing;
    l->refuses = strcmp(word, "dead-letter") == 0;
    if (l->refuses || strcmp(word, "null") == 0)
        return ST_OK;
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "lookup: missing must be null or dead-letter, not %s", word);
}

enum status lookup_open(void *ctx, const struct lookup_options *opt, struct loop *loop,
                        struct error *err)
{
    struct lookup *l = ctx;
    *l = (struct lookup){.opt = *opt, .loop = loop};
    l->src = (struct lookup_source){opt->file, opt->table, opt->key_column};
    l->load = (struct job){.work = work_load, .done = done_load};
    l->free_old = (struct job){.work = work_free, .done = done_free};
    if (l->opt.check_ms <= 0)
        l->opt.check_ms = CHECK_MS;
    if (opt->file == NULL || *opt->file == '\0')
        return error_set(err, ST_FATAL, ERR_CONFIG, "lookup: no file is named");
    const char *slash = strrchr(opt->file, '/');
    l->name = mem_printf("lookup/%s/1", slash == NULL ? opt->file : slash + 1);
    enum status st = read_missing(l, err);
    if (st == ST_OK)
        st = template_open(opt->match == NULL ? "{{id}}" : opt->match, "lookup: match", &l->match,
                           err);
    lookup_stamp_read(opt->file, &l->tried);
    if (st == ST_OK)
        st = lookup_table_load(&l->src, &l->table, err);
    if (st != ST_OK)
        return st;
    l->counts.loads = 1;
    l->timer = loop_timer_new(loop, on_timer, l);
    loop_timer_start(l->timer, l->opt.check_ms);
    return ST_OK;
}

void lookup_close(void *ctx)
{
    struct lookup *l = ctx;
    struct runner *runner = l->runner;
    loop_timer_free(l->timer);
    l->timer = NULL;
    l->on_failed = NULL;
    l->runner = NULL; /* nothing more is to be submitted by what it reports now */
    runner_stop(runner);
    lookup_table_free(l->old);
    lookup_table_free(l->table);
    template_free(l->match);
    buf_fini(&l->key);
    mem_free(l->name);
    *l = (struct lookup){0};
}

enum status lookup_submit(void *ctx, struct ask *ask)
{
    struct lookup *l = ctx;
    struct template_values values = {.value = ask->value, .id = ask->id, .text = ask->text};
    buf_reset(&l->key, 0);
    template_fill(l->match, &values, TEMPLATE_PLAIN, &l->key);
    struct span answer = lookup_table_find(l->table, buf_span(&l->key));
    ask->cache = CACHE_NONE;
    ask->attempts = 1;
    ask->tokens_in = ask->tokens_out = 0;
    ask->cost_usd = 0;
    ask->status = ST_OK;
    buf_reset(&ask->answer, 0);
    l->counts.found += answer.p != NULL;
    l->counts.missing += answer.p == NULL;
    if (answer.p != NULL)
        buf_add_span(&ask->answer, answer);
    else if (!l->refuses)
        buf_add_str(&ask->answer, "null");
    else
        ask->status =
            error_reject(ask_error(ask), REASON_enricher_failed, "%.200s has no row for '%.*s'",
                         l->src.file, l->key.n > 120 ? 120 : (int)l->key.n, buf_span(&l->key).p);
    return ask->status;
}

void lookup_cancel(void *ctx, struct ask *ask)
{
    UNUSED(ctx); /* nothing is ever in flight */
    UNUSED(ask);
}

bool lookup_is_paid(const void *ctx)
{
    UNUSED(ctx);
    return false;
}

const char *lookup_name(const void *ctx)
{
    return ((const struct lookup *)ctx)->name;
}

void lookup_on_failed(void *ctx, void (*fn)(void *arg, const struct error *err), void *arg)
{
    struct lookup *l = ctx;
    l->on_failed = fn;
    l->on_failed_arg = arg;
}

struct lookup_counts lookup_counts(const void *ctx)
{
    return ((const struct lookup *)ctx)->counts;
}

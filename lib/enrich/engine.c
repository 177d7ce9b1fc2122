/* Opens what is needed and no more: an unpaid chain has neither answers nor budget. */
#include "lib/enrich/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/mem.h"

void engine_warn(struct engine *e, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (e->cfg.warn != NULL)
        e->cfg.warn(e->cfg.arg, text);
}

static void warn_of_budget(void *arg, const char *text)
{
    engine_warn(arg, "%s", text);
}

static bool any_store(const struct engine *e)
{
    for (size_t i = 0; i < e->link_count; i++)
        if (e->links[i].store)
            return true;
    return false;
}

static enum status open_answers(struct engine *e, struct error *err)
{
    const struct enrich_options *opt = e->cfg.opt;
    if (!any_store(e) && opt->replay == NULL)
        return ST_OK;
    /* What was recorded does not mix with what was paid for here. */
    const char *path = opt->replay != NULL ? NULL : e->cfg.path;
    enum status st = answers_open(&opt->answers, path, e->cfg.sync_full, &e->answers, err);
    if (st == ST_OK && opt->replay != NULL)
        st = cassette_load(opt->replay, e->answers, err);
    return st;
}

static enum status check_proxy(const struct llm_options *opt, struct error *err)
{
    static const char *const schemes[] = {"http://", "https://", "socks5h://"};
    if (opt->proxy == NULL)
        return ST_OK;
    if (strchr(opt->proxy, '@') != NULL) /* not shown: it may hold a password */
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "llm-proxy holds a login, which is a secret: use SLUICE_LLM_PROXY_LOGIN");
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncmp(opt->proxy, schemes[i], strlen(schemes[i])) == 0)
            return ST_OK;
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "llm-proxy '%s' begins with none of http://, https:// and socks5h://",
                     opt->proxy);
}

static enum status open_paid(struct engine *e, struct error *err)
{
    const struct enrich_options *opt = e->cfg.opt;
    if (!engine_is_paid(e))
        return ST_OK;
    enum status st =
        budget_open(&opt->budget, e->cfg.path, e->cfg.shared ? 1 : opt->governor.replicas,
                    warn_of_budget, e, &e->budget, err);
    if (st == ST_OK)
        st = open_answers(e, err);
    if (st == ST_OK && opt->record != NULL)
        st = recorder_open(opt->record, &e->recorder, err);
    return st;
}

enum status engine_open(const struct engine_config *cfg, struct engine **ret, struct error *err)
{
    struct engine *e = mem_zalloc(sizeof *e);
    e->cfg = *cfg;
    enum status st = check_proxy(&cfg->opt->llm, err);
    if (st == ST_OK)
        st = links_open(e, err);
    if (st == ST_OK)
        st = open_paid(e, err);
    struct error ignored;
    if (st == ST_OK)
        *ret = e;
    else
        engine_close(e, &ignored);
    return st;
}

enum status engine_close(struct engine *e, struct error *err)
{
    if (e == NULL)
        return ST_OK;
    answers_close(e->answers);
    budget_close(e->budget);
    enum status st = recorder_close(e->recorder, err);
    links_close(e);
    mem_free(e);
    return st;
}

bool enrich_may_pay(const struct enrich_options *opt, const char *chain)
{
    return chain != NULL || opt->kind == KIND_OPENAI || opt->kind == KIND_HTTP ||
           opt->mock.cost_usd > 0;
}

bool engine_is_paid(const struct engine *e)
{
    for (size_t i = 0; i < e->link_count; i++)
        if (e->links[i].paid)
            return true;
    return false;
}

const char *engine_name(const struct engine *e)
{
    return e->links[0].title;
}

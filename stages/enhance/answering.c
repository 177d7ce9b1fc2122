/* Where the file of answers is: beside the embedded broker's file, shared by all processes there;
 * with Kafka, and for the filter, in the state folder. It is made when a paid enricher needs it.
 */
#include "stages/enhance/answering.h"

#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "prompt_txt.h"
#include "schema_json.h"
#include "system_txt.h"

static const char sqlite_scheme[] = "sqlite:";

static bool is_embedded(const char *broker)
{
    return broker != NULL && strncmp(broker, sqlite_scheme, sizeof sqlite_scheme - 1) == 0;
}

static enum status file_path(const struct answering *how, char **ret, struct error *err)
{
    if (is_embedded(how->broker)) {
        *ret = mem_printf("%s-answers", how->broker + sizeof sqlite_scheme - 1);
        return ST_OK;
    }
    char *folder = NULL;
    enum status st = state_dir_make(how->stage, "answers", &folder, err);
    if (st == ST_OK)
        *ret = mem_printf("%s/%s.db", folder, how->broker == NULL ? "enrich" : how->instance);
    mem_free(folder);
    return st;
}

static void warn(void *arg, const char *text)
{
    UNUSED(arg);
    log_line(LOG_WARN, "enhance", "%s", text);
}

/* A template ends without the line break that ends its file. */
static char *without_break(const char *text)
{
    size_t n = strlen(text);
    return mem_spandup(span_make(text, n > 0 && text[n - 1] == '\n' ? n - 1 : n));
}

struct texts { /* live as long as the engine that borrows them */
    char *system, *prompt, *path;
};

static void texts_free(struct texts *t)
{
    mem_free(t->system);
    mem_free(t->prompt);
    mem_free(t->path);
    mem_free(t);
}

enum status answering_open(const struct answering *how, struct engine **ret, struct error *err)
{
    struct texts *t = mem_zalloc(sizeof *t);
    t->system = without_break(embedded_system_txt);
    t->prompt = without_break(embedded_prompt_txt);
    enum status st = ST_OK;
    if (enrich_may_pay(how->opt, how->chain))
        st = file_path(how, &t->path, err);
    struct engine_config cfg = {
        .opt = how->opt,
        .chain = how->chain,
        .schema = embedded_schema_json,
        .system = t->system,
        .prompt = t->prompt,
        .path = t->path,
        .sync_full = how->sync_full,
        .shared = how->broker == NULL || is_embedded(how->broker),
        .warn = warn,
        .arg = t,
    };
    if (st == ST_OK)
        st = engine_open(&cfg, ret, err);
    if (st != ST_OK)
        texts_free(t);
    return st;
}

void answering_close(struct engine *engine)
{
    struct error err;
    if (engine == NULL)
        return;
    struct texts *t = engine->cfg.arg;
    if (engine_close(engine, &err) != ST_OK)
        log_line(LOG_ERROR, "enhance", "%s", err.text);
    texts_free(t);
}

/* Where the file of answers is: beside the embedded broker's file, shared by all processes there;
 * for the filter, in the state folder. With Kafka it is there too, this process's own copy of the
 * topic of answers: by cluster and topic, so that copies of two never mix, and held by a lock,
 * since two processes that write one copy would each believe to have read what only the other has.
 * It is made when a paid enricher needs it. */
#include "stages/enhance/answering.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "prompt_txt.h"
#include "schema_json.h"
#include "system_txt.h"

enum { LOCK_WAIT_MS = 2000 };

static const char sqlite_scheme[] = "sqlite:";

static bool is_embedded(const char *broker)
{
    return broker != NULL && strncmp(broker, sqlite_scheme, sizeof sqlite_scheme - 1) == 0;
}

struct texts { /* live as long as the engine that borrows them */
    char *system, *prompt, *path;
    int lock_fd;
};

static char *copy_path(const char *folder, const char *instance)
{
    char *path = mem_printf("%s/%s.db", folder, instance);
    for (char *c = path + strlen(folder) + 1; *c != '\0'; c++)
        if (*c == '/')
            *c = '_';
    return path;
}

/* A former process of that name may be on its way out. */
static enum status hold_copy(const char *path, const char *instance, int *ret_fd, struct error *err)
{
    char *lock = mem_printf("%s.lock", path);
    int64_t deadline_ms = clock_mono_ms() + LOCK_WAIT_MS;
    enum status st = ST_OK;
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        st = error_set(err, ST_FATAL, ERR_IO, "%s: %s; give another folder with --state-dir", lock,
                       strerror(errno));
    while (st == ST_OK && flock(fd, LOCK_EX | LOCK_NB) != 0) {
        if (clock_mono_ms() > deadline_ms)
            st = error_set(err, ST_FATAL, ERR_TEMPORARY,
                           "another process of instance '%s' holds %s; give each its own "
                           "--instance",
                           instance, path);
        nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    }
    mem_free(lock);
    if (st == ST_OK)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    return st;
}

static enum status file_path(const struct answering *how, struct texts *t, struct error *err)
{
    if (is_embedded(how->broker)) {
        t->path = mem_printf("%s-answers", how->broker + sizeof sqlite_scheme - 1);
        return ST_OK;
    }
    bool copy = how->cluster != NULL;
    char *name = copy ? mem_printf("answers/%s/%s", how->cluster, how->stage->answers_topic)
                      : mem_strdup("answers");
    char *folder = NULL;
    enum status st = state_dir_make(how->stage, name, &folder, err);
    if (st == ST_OK)
        t->path = copy_path(folder, copy ? how->instance : "enrich");
    if (st == ST_OK && copy)
        st = hold_copy(t->path, how->instance, &t->lock_fd, err);
    mem_free(name);
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

static void texts_free(struct texts *t)
{
    mem_free(t->system);
    mem_free(t->prompt);
    mem_free(t->path);
    if (t->lock_fd >= 0)
        close(t->lock_fd);
    mem_free(t);
}

enum status answering_open(const struct answering *how, struct engine **ret, struct error *err)
{
    struct texts *t = mem_zalloc(sizeof *t);
    t->system = without_break(embedded_system_txt);
    t->prompt = without_break(embedded_prompt_txt);
    t->lock_fd = -1;
    enum status st = ST_OK;
    if (!how->dry && enrich_may_pay(how->opt, how->chain))
        st = file_path(how, t, err);
    struct engine_config cfg = {
        .opt = how->opt,
        .chain = how->chain,
        .schema = embedded_schema_json,
        .system = t->system,
        .prompt = t->prompt,
        .path = t->path,
        .sync_full = how->sync_full && is_embedded(how->broker), /* a copy can be read anew */
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

bool answering_needs_journal(const struct answering *how, const struct engine *engine)
{
    return how->broker != NULL && !is_embedded(how->broker) && engine->answers != NULL &&
           how->opt->replay == NULL;
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

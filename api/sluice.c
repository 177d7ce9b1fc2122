/* The public interface: opens the configuration, the engine and the desks, and turns errors into
 * words and codes. Everything that the library knows of a process is in a handle; a handle that was
 * opened before a fork has no threads in the child, so it is refused there.
 *
 * Ensures: 1. nothing is written to stderr unless `log-level` is set. 2. the threads that open
 * starts take no signals. 3. no bad input ends the process; running out of memory does. */
#include "include/sluice.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "api/batch.h"
#include "api/desk.h"
#include "api/keeper.h"
#include "api/tables.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/broker/broker.h"
#include "lib/config/config.h"
#include "lib/config/general.h"
#include "lib/stage/options.h"
#include "stages/enhance/options.h"

extern char **environ;

struct sluice {
    pid_t pid;
    struct config *cfg;
    struct keeper *keeper;
    struct desk **desks;
    size_t desk_count;
};

/* The configuration is read by one thread at a time. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static int fail(enum sluice_code code, const char *text, char *why)
{
    if (why != NULL)
        snprintf(why, SLUICE_WHY_MAX, "%s", text);
    return (int)code;
}

static int fail_by(const struct error *err, char *why)
{
    static const enum sluice_code codes[] = {
        [ERR_FAILED] = SLUICE_FAILED, [ERR_USAGE] = SLUICE_CONFIG,
        [ERR_BUG] = SLUICE_FAILED,    [ERR_UNAVAILABLE] = SLUICE_UNAVAILABLE,
        [ERR_IO] = SLUICE_IO,         [ERR_TEMPORARY] = SLUICE_FAILED,
        [ERR_FENCED] = SLUICE_FAILED, [ERR_AUTH] = SLUICE_AUTH,
        [ERR_CONFIG] = SLUICE_CONFIG,
    };
    return fail(codes[err->kind], err->text, why);
}

/* --- open --- */

static const void *section(const struct sluice *s, const struct option_table *table)
{
    return config_section(s->cfg, table);
}

static enum status load(struct sluice *s, const char *config_file, const char *const *settings,
                        struct error *err)
{
    size_t n = 0;
    while (settings != NULL && settings[n] != NULL)
        n++;
    const char **all = mem_array(n + 2, sizeof *all);
    char *file = config_file == NULL ? NULL : mem_printf("config=%s", config_file);
    if (n > 0)
        memcpy(all, settings, n * sizeof *all);
    all[n] = file;
    struct config_source src = {
        .tables = all_tables, .table_count = all_table_count, .env = environ, .settings = all};
    enum status st = config_load(&src, &s->cfg, err);
    mem_free(file);
    mem_free(all);
    return st;
}

static void set_up_log(const struct sluice *s)
{
    const struct general_options *general = section(s, &general_option_table);
    bool wanted = config_is_set(s->cfg, "log-level");
    log_setup(wanted ? (enum log_level)general->log_level : LOG_OFF,
              (enum log_format)general->log_format);
}

static enum status check(void *arg, struct error *err)
{
    return keeper_check(((const struct sluice *)arg)->keeper, err);
}

static enum status open_desks(struct sluice *s, struct error *err)
{
    const struct enhance_options *opt = section(s, &enhance_option_table);
    const struct stage_options *stage = section(s, &stage_option_table);
    const struct broker_options *broker = section(s, &broker_option_table);
    s->desks = mem_array((size_t)opt->workers, sizeof *s->desks);
    enum status st = ST_OK;
    for (int i = 0; i < (int)opt->workers && st == ST_OK; i++) {
        struct desk_config cfg = {.engine = keeper_engine(s->keeper),
                                  .limits = stage_post_limits(stage),
                                  .window = (size_t)opt->window_posts,
                                  .number = i,
                                  .check = check,
                                  .arg = s,
                                  .patience_ms = broker->timeout_ms};
        st = desk_open(&cfg, &s->desks[i], err);
        s->desk_count += st == ST_OK;
    }
    return st;
}

static enum status open_all(struct sluice *s, const char *config_file, const char *const *settings,
                            struct error *err)
{
    config_allow_tree("enrichers");
    enum status st = load(s, config_file, settings, err);
    if (st != ST_OK)
        return st;
    set_up_log(s);
    st = keeper_open(s->cfg, &s->keeper, err);
    if (st == ST_OK)
        st = open_desks(s, err);
    return st;
}

int sluice_open(const char *config_file, const char *const *settings, struct sluice **ret,
                char *why)
{
    struct sluice *s = mem_zalloc(sizeof *s);
    struct error err = {0};
    sigset_t all, old;
    s->pid = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_mutex_lock(&opening);
    enum status st = open_all(s, config_file, settings, &err);
    pthread_mutex_unlock(&opening);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (st != ST_OK) {
        sluice_close(s);
        return fail_by(&err, why);
    }
    *ret = s;
    return SLUICE_OK;
}

void sluice_close(struct sluice *s)
{
    if (s == NULL || s->pid != getpid()) /* after a fork: its threads and locks are the parent's */
        return;
    for (size_t i = 0; i < s->desk_count; i++)
        desk_close(s->desks[i]);
    keeper_close(s->keeper);
    config_free(s->cfg);
    mem_free(s->desks);
    mem_free(s);
}

/* --- batches --- */

static struct desk *least_loaded(const struct sluice *s)
{
    struct desk *best = s->desks[0];
    for (size_t i = 1; i < s->desk_count; i++)
        if (desk_load(s->desks[i]) < desk_load(best))
            best = s->desks[i];
    return best;
}

int sluice_enrich(struct sluice *s, const struct sluice_post *posts, size_t n,
                  struct sluice_batch **ret, char *why)
{
    struct error err = {0};
    if (s->pid != getpid())
        return fail(SLUICE_FAILED,
                    "the handle was opened before a fork: open one in the child process", why);
    if (n == 0) {
        *ret = mem_zalloc(sizeof **ret);
        return SLUICE_OK;
    }
    if (desk_answer(least_loaded(s), posts, n, ret, &err) != ST_OK)
        return fail_by(&err, why);
    return SLUICE_OK;
}

const struct sluice_result *sluice_results(const struct sluice_batch *batch)
{
    return batch->results;
}

void sluice_batch_free(struct sluice_batch *batch)
{
    if (batch == NULL)
        return;
    arena_fini(&batch->bytes);
    mem_free(batch->results);
    mem_free(batch);
}

const char *sluice_version(void)
{
    return SLUICE_VERSION;
}

int sluice_abi(void)
{
    return SLUICE_ABI;
}

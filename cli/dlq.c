/* sluice dlq: dead letters as something to work with. This file: the words, and redrive, which runs
 * one worker for each reason in turn. */
#include "cli/dlq.h"

#include <stdio.h>
#include <string.h>

#include "cli/look.h"
#include "cli/pipeline.h"
#include "lib/base/mem.h"
#include "lib/stage/drain.h"
#include "lib/stage/instance.h"
#include "lib/stage/life.h"
#include "stages/redrive/redrive.h"

enum { WAIT_MS = 100 };

static const struct option rows[] = {
    {.key = "reason",
     .arg = "WORD",
     OPTION_AT_TEXT(struct dlq_flags, reason),
     .flag_only = true,
     .help = "only letters with this reason, such as json_invalid or deadline"},
    {.key = "stage",
     .arg = "STAGE",
     OPTION_AT_TEXT(struct dlq_flags, stage),
     .flag_only = true,
     .help = "list, show, export: only letters of source, enhance or sink"},
    {.key = "limit",
     .arg = "N",
     OPTION_AT_INT(struct dlq_flags, limit),
     .fallback = "0",
     .min = 0,
     .max = 1e15,
     .flag_only = true,
     .help = "show, export, redrive: at most so many letters; 0: no limit (show: 1)"},
    {.key = "rate",
     .arg = "N",
     OPTION_AT_REAL(struct dlq_flags, rate),
     .fallback = "0",
     .min = 0,
     .max = 1e9,
     .flag_only = true,
     .help = "redrive: letters per second; 0: as fast as possible"},
    {.key = "dry-run",
     OPTION_AT_BOOL(struct dlq_flags, dry_run),
     .fallback = "false",
     .flag_only = true,
     .help = "redrive: only say what would be sent"},
    {.key = "values",
     OPTION_AT_BOOL(struct dlq_flags, values),
     .fallback = "false",
     .flag_only = true,
     .help = "export: the values themselves, one a line, as `source --from -` reads them"},
    {.key = "json",
     OPTION_AT_BOOL(struct dlq_flags, json),
     .fallback = "false",
     .flag_only = true,
     .help = "list: as JSON lines"},
};
static const struct option_table flags = OPTION_TABLE("Dead letters", rows, struct dlq_flags);

/* --- redrive --- */

struct redrive_run {
    struct dlq *d;
    struct redrive_plan plan;
    struct instance instance;
    struct life *life;
    _Atomic int64_t sent, refused;
};

static int64_t left_of_limit(const struct redrive_run *run)
{
    int64_t limit = run->d->own->limit;
    return limit == 0 ? 0 : limit - run->sent;
}

/* Until the group stands at the ends, or the limit is reached, or a signal comes. */
static enum status await(struct redrive_run *run, struct stage *stage, const char *group,
                         struct error *err)
{
    struct drain drain = {.broker = run->d->broker,
                          .group = group,
                          .topic = run->d->app->stage->dead_topic,
                          .count = run->plan.end_count};
    bool reached = false;
    enum status st = ST_OK;
    drain.ends = mem_array((size_t)drain.count, sizeof *drain.ends);
    for (int32_t p = 0; p < drain.count; p++)
        drain.ends[p] = (struct watermark){.end = run->plan.ends[p]};
    while (st == ST_OK && !reached && !stage_ended(stage) && life_signal(run->life) == 0) {
        st = drain_reached(&drain, &reached, err);
        if (st == ST_OK && !reached)
            life_wait(run->life, WAIT_MS);
    }
    drain_fini(&drain);
    return st;
}

static enum status redrive_reason(struct redrive_run *run, enum reason reason, struct error *err)
{
    const struct app *app = run->d->app;
    char group[GROUP_NAME_MAX];
    redrive_group(reason, group);
    struct redrive_setup setup = {.plan = &run->plan,
                                  .reason = reason,
                                  .group = group,
                                  .limit = left_of_limit(run),
                                  .rate = run->d->own->rate,
                                  .sent = &run->sent,
                                  .refused = &run->refused};
    struct stage_env env = {.broker = run->d->broker,
                            .broker_opt = app->broker,
                            .opt = app->stage,
                            .instance = run->instance.name,
                            .stage_opt = &setup};
    struct stage *stage = NULL;
    int64_t before = run->sent;
    enum status st = stage_start(&redrive_ops, &env, 1, run->life, &stage, err);
    if (st != ST_OK)
        return st;
    st = await(run, stage, group, err);
    stage_stop(stage);
    while (!stage_ended(stage))
        life_wait(run->life, WAIT_MS);
    if (st == ST_OK)
        st = stage_result(stage, err);
    stage_free(stage);
    printf("%-20s %10lld sent\n", reason_word(reason), (long long)(run->sent - before));
    return st;
}

static void print_bare(const struct redrive_run *run)
{
    for (int r = 0; r < REASON_COUNT; r++)
        if (run->plan.bare[r] > 0)
            printf("%-20s %10lld cannot be sent: their values were too large to be kept\n",
                   reason_word((enum reason)r), (long long)run->plan.bare[r]);
}

static enum status redrive_all(struct redrive_run *run, struct error *err)
{
    enum status st = ST_OK;
    int64_t found = 0;
    for (int r = 0; r < REASON_COUNT && st == ST_OK; r++) {
        int64_t letters = run->plan.letters[r];
        found += letters;
        if (letters > 0 && run->d->own->dry_run)
            printf("%-20s %10lld would be sent\n", reason_word((enum reason)r), (long long)letters);
        else if (letters > 0 && (run->d->own->limit == 0 || left_of_limit(run) > 0) &&
                 life_signal(run->life) == 0)
            st = redrive_reason(run, (enum reason)r, err);
    }
    if (st == ST_OK && found == 0)
        printf("nothing to redrive\n");
    return st;
}

enum status dlq_redrive(struct dlq *d, struct error *err)
{
    struct redrive_run run = {.d = d, .life = life_open(), .instance = {.lock_fd = -1}};
    enum status st = redrive_plan(&run.plan, d->broker, d->app->stage->dead_topic, d->reason,
                                  d->app->broker->timeout_ms, err);
    if (st == ST_OK)
        st = instance_open(&run.instance, "redrive", d->app->stage, err);
    if (st == ST_OK)
        st = redrive_all(&run, err);
    if (st == ST_OK)
        print_bare(&run);
    if (st == ST_OK && run.refused > 0)
        d->app->exit_code = 1;
    instance_close(&run.instance);
    redrive_plan_fini(&run.plan);
    life_close(run.life);
    return st;
}

/* --- the words --- */

static enum status parse_reason(struct dlq *d, struct error *err)
{
    const char *word = d->own->reason;
    if (word == NULL)
        return ST_OK;
    d->reason = reason_find(word);
    if (d->reason == REASON_NONE)
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "--reason '%s': there is no such reason; `sluice dlq list` shows those "
                         "that occur",
                         word);
    return ST_OK;
}

static enum status run(struct app *app, struct error *err)
{
    static const struct {
        const char *word;
        size_t arguments;
        enum status (*fn)(struct dlq *d, struct error *err);
    } words[] = {{"list", 1, dlq_list},
                 {"show", 2, dlq_show},
                 {"export", 1, dlq_export},
                 {"redrive", 1, dlq_redrive}};
    struct dlq d = {.app = app, .own = app->own};
    size_t n = config_argument_count(app->cfg), i = 0;
    const char *word = n > 0 ? config_argument(app->cfg, 0) : "";
    while (i < sizeof words / sizeof *words && strcmp(word, words[i].word) != 0)
        i++;
    if (i == sizeof words / sizeof *words || n > words[i].arguments)
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "usage: dlq list, dlq show [TOPIC/PARTITION/OFFSET], dlq export, or "
                         "dlq redrive");
    d.place = n > 1 ? config_argument(app->cfg, 1) : NULL;
    enum status st = parse_reason(&d, err);
    if (st == ST_OK)
        st = pipeline_check(app, err);
    if (st == ST_OK)
        st = look_open(app->broker, &d.broker, err);
    if (st == ST_OK)
        st = words[i].fn(&d, err);
    broker_close(d.broker);
    return st;
}

const struct command dlq_command = {
    .name = "dlq",
    .summary = "dead letters: list by reason, show, export, send again",
    .synopsis = "dlq list | show [TOPIC/PARTITION/OFFSET] | export | redrive [OPTION]...",
    .examples = "  sluice dlq list\n"
                "  sluice dlq show dead_posts/0/42\n"
                "  sluice dlq show --reason json_invalid --limit 3\n"
                "  sluice dlq export --stage source --values > mended.jsonl\n"
                "  sluice dlq redrive --dry-run\n"
                "  sluice dlq redrive --reason deadline --rate 100\n\n",
    .tables = {&general_option_table, &broker_option_table, &stage_option_table},
    .own = &flags,
    .max_arguments = 2,
    .run = run,
};

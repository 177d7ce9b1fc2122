/* One look at the dead letters before anything is sent: how many of each reason, and which topics
 * the writer needs. */
#include <stdio.h>

#include "lib/base/mem.h"
#include "lib/stage/sweep.h"
#include "stages/redrive/redrive.h"

struct look {
    struct redrive_plan *plan;
    struct position *pos[REASON_COUNT]; /* of the groups; NULL: not asked for */
    enum status st;
    struct error *err;
};

void redrive_group(enum reason reason, char ret[GROUP_NAME_MAX])
{
    snprintf(ret, GROUP_NAME_MAX, "sluice-redrive.%s", reason_word(reason));
}

bool redrive_wants(const struct record *rec, enum reason reason, struct letter_view *ret)
{
    headers_read_letter(rec, ret);
    return !ret->bare && ret->topic.n > 0 && ret->partition >= 0 &&
           span_is(ret->stage, "enhance") && span_is(ret->reason, reason_word(reason));
}

static enum reason reason_of(struct span word)
{
    char text[64];
    snprintf(text, sizeof text, "%.*s", (int)(word.n < 63 ? word.n : 63),
             word.p == NULL ? "" : word.p);
    return reason_find(text);
}

static enum status note_topic(struct redrive_plan *plan, struct span topic, struct error *err)
{
    for (size_t i = 0; i < plan->topic_count; i++)
        if (span_is(topic, plan->topics[i]))
            return ST_OK;
    if (plan->topic_count == WRITER_TOPICS_MAX)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "the dead letters come from more than %d topics: redrive them reason by "
                         "reason, or export them",
                         WRITER_TOPICS_MAX);
    plan->topics[plan->topic_count++] = mem_spandup(topic);
    return ST_OK;
}

static bool look_at(void *arg, const struct record *rec)
{
    struct look *look = arg;
    struct letter_view letter;
    headers_read_letter(rec, &letter);
    enum reason reason = reason_of(letter.reason);
    const struct position *pos = look->pos[reason];
    if (pos == NULL || rec->offset < pos[rec->partition].offset)
        return true;
    if (redrive_wants(rec, reason, &letter)) {
        look->plan->letters[reason]++;
        look->st = note_topic(look->plan, letter.topic, look->err);
    } else if (letter.bare && span_is(letter.stage, "enhance")) {
        look->plan->bare[reason]++;
    }
    return look->st == ST_OK;
}

static enum status take_positions(struct look *look, const struct sweep *sweep, enum reason only,
                                  struct error *err)
{
    char group[GROUP_NAME_MAX];
    enum status st = ST_OK;
    for (int r = REASON_NONE + 1; r < REASON_COUNT && st == ST_OK; r++) {
        if (only != REASON_NONE && r != (int)only)
            continue;
        struct position *pos = mem_array((size_t)sweep->count, sizeof *pos);
        redrive_group((enum reason)r, group);
        st = broker_positions(sweep->broker, group, sweep->topic, pos, sweep->count, err);
        if (st == ST_OK)
            look->pos[r] = pos;
        else
            mem_free(pos);
    }
    return st;
}

static void take_ends(struct redrive_plan *plan, const struct sweep *sweep)
{
    plan->end_count = sweep->count;
    plan->ends = mem_array((size_t)sweep->count, sizeof *plan->ends);
    for (int32_t p = 0; p < sweep->count; p++)
        plan->ends[p] = sweep->log[p].end;
}

enum status redrive_plan(struct redrive_plan *plan, struct broker *broker, const char *dead_topic,
                         enum reason only, int64_t timeout_ms, struct error *err)
{
    *plan = (struct redrive_plan){0};
    struct sweep sweep = {0};
    struct look look = {.plan = plan, .err = err};
    enum status st = sweep_open(&sweep, broker, dead_topic, timeout_ms, err);
    if (st == ST_OK)
        st = take_positions(&look, &sweep, only, err);
    if (st == ST_OK) {
        take_ends(plan, &sweep);
        st = sweep_run(&sweep, look_at, &look, err);
    }
    if (st == ST_OK)
        st = look.st;
    for (int r = 0; r < REASON_COUNT; r++) {
        if (look.pos[r] != NULL)
            positions_fini(look.pos[r], sweep.count);
        mem_free(look.pos[r]);
    }
    sweep_close(&sweep);
    return st;
}

void redrive_plan_fini(struct redrive_plan *plan)
{
    for (size_t i = 0; i < plan->topic_count; i++)
        mem_free(plan->topics[i]);
    mem_free(plan->ends);
    *plan = (struct redrive_plan){0};
}

/* sluice topics: what is there, and how far the groups are; topics make: those of the pipeline, for
 * who starts stages in an order; topics reset: move a group; topics retain: delete now what
 * retention allows to. */
#include <stdio.h>
#include <string.h>

#include "cli/look.h"
#include "cli/pipeline.h"
#include "cli/place.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"

struct topics_flags {
    const char *to;
    bool dry_run, force;
};

static const struct option rows[] = {
    {.key = "to",
     .arg = "PLACE",
     OPTION_AT_TEXT(struct topics_flags, to),
     .flag_only = true,
     .help = "reset: where the group shall stand: start, end, OFFSET, -N (the last N) or a time"},
    {.key = "dry-run",
     OPTION_AT_BOOL(struct topics_flags, dry_run),
     .fallback = "false",
     .flag_only = true,
     .help = "reset: only show what would change"},
    {.key = "force",
     OPTION_AT_BOOL(struct topics_flags, force),
     .fallback = "false",
     .flag_only = true,
     .help = "retain: delete also what a group has not read yet, and raw posts without any group"},
};
static const struct option_table flags = OPTION_TABLE("Topics", rows, struct topics_flags);

struct names {
    char **items;
    int32_t *numbers;
    size_t n;
};

static void add_name(void *arg, const char *name, int32_t number)
{
    struct names *names = arg;
    names->items = mem_realloc(names->items, (names->n + 1) * sizeof(char *));
    names->numbers = mem_realloc(names->numbers, (names->n + 1) * sizeof *names->numbers);
    names->items[names->n] = mem_strdup(name);
    names->numbers[names->n++] = number;
}

static void names_fini(struct names *names)
{
    for (size_t i = 0; i < names->n; i++)
        mem_free(names->items[i]);
    mem_free(names->items);
    mem_free(names->numbers);
}

/* --- list --- */

static int64_t sum_records(const struct watermark *log, int32_t count)
{
    int64_t n = 0;
    for (int32_t i = 0; i < count; i++)
        n += log[i].end - log[i].start;
    return n;
}

/* Lag over the partitions where the group has a position; -1 when it has none. */
static enum status group_lag(struct broker *broker, const char *group, const char *topic,
                             const struct watermark *log, int32_t count, int64_t *ret,
                             struct error *err)
{
    struct position *pos = mem_array((size_t)count, sizeof *pos);
    enum status st = broker_positions(broker, group, topic, pos, count, err);
    bool known = false;
    int64_t lag = 0;
    for (int32_t i = 0; st == ST_OK && i < count; i++) {
        known = known || pos[i].offset >= 0;
        int64_t from = pos[i].offset >= 0 ? pos[i].offset : log[i].start;
        lag += log[i].end > from ? log[i].end - from : 0;
    }
    if (st == ST_OK)
        positions_fini(pos, count);
    mem_free(pos);
    *ret = known ? lag : -1;
    return st;
}

static enum status list_topic(struct broker *broker, const char *topic, int32_t count,
                              const struct names *groups, struct error *err)
{
    struct watermark *log = mem_array((size_t)count, sizeof *log);
    enum status st = broker_watermarks(broker, topic, log, count, err);
    if (st == ST_OK)
        printf("%-24s %10d %14lld\n", topic, (int)count, (long long)sum_records(log, count));
    for (size_t g = 0; st == ST_OK && g < groups->n; g++) {
        int64_t lag = -1;
        st = group_lag(broker, groups->items[g], topic, log, count, &lag, err);
        if (st == ST_OK && lag >= 0)
            printf("  group %-26s %-10s %lld behind, %d member(s)\n", groups->items[g], "",
                   (long long)lag, (int)groups->numbers[g]);
    }
    mem_free(log);
    return st;
}

/* Deleted by somebody since its name was read. */
static bool has_gone(struct broker *broker, const char *topic)
{
    int32_t count = -1;
    struct error ignored;
    return broker_partitions(broker, topic, &count, &ignored) == ST_OK && count == 0;
}

static void add_group(void *arg, const char *group, int members)
{
    add_name(arg, group, members);
}

static enum status list(struct broker *broker, struct error *err)
{
    struct names topics = {0}, groups = {0};
    enum status st = broker_topics(broker, add_name, &topics, err);
    if (st == ST_OK)
        st = broker_groups(broker, add_group, &groups, err);
    if (st == ST_OK)
        printf("%-24s %10s %14s\n", "TOPIC", "PARTITIONS", "RECORDS");
    POINT("topics.named", "", -1, (int64_t)topics.n);
    for (size_t i = 0; st == ST_OK && i < topics.n; i++) {
        if (has_gone(broker, topics.items[i]))
            continue;
        st = list_topic(broker, topics.items[i], topics.numbers[i], &groups, err);
        if (st != ST_OK && has_gone(broker, topics.items[i]))
            st = ST_OK;
    }
    names_fini(&topics);
    names_fini(&groups);
    return st;
}

/* --- reset --- */

struct reset {
    const char *group, *topic;
    int32_t count;
    struct watermark *log;
    struct position *old, *fresh;
};

static enum status plan(struct reset *r, struct broker *broker, const struct place *place,
                        struct error *err)
{
    enum status st = broker_watermarks(broker, r->topic, r->log, r->count, err);
    if (st == ST_OK)
        st = broker_positions(broker, r->group, r->topic, r->old, r->count, err);
    for (int32_t i = 0; st == ST_OK && i < r->count; i++) {
        r->fresh[i] = (struct position){.partition = i, .metadata = ""};
        st = place_resolve(broker, r->topic, i, &r->log[i], place, &r->fresh[i].offset, err);
    }
    return st;
}

static void print_plan(const struct reset *r, const struct place *place)
{
    printf("%-24s %12s %12s\n", "PARTITION", "NOW", "THEN");
    for (int32_t i = 0; i < r->count; i++) {
        const char *note = "";
        if (place->kind == PLACE_OFFSET && place->value > r->log[i].end)
            note = "  the end: there is no such offset yet";
        else if (place->kind == PLACE_OFFSET && place->value < r->log[i].start)
            note = "  the start: what was before is gone";
        printf("%s/%-12d %12lld %12lld%s\n", r->topic, (int)i, (long long)r->old[i].offset,
               (long long)r->fresh[i].offset, note);
    }
}

/* What the move means for the records; the numbers are of offsets, and Kafka's markers have some.
 */
static void print_effect(const struct reset *r)
{
    int64_t back = 0, skipped = 0, unread = 0;
    bool anew = false, ahead = false;
    for (int32_t i = 0; i < r->count; i++) {
        int64_t now = r->old[i].offset, then = r->fresh[i].offset;
        if (now < 0)
            unread += then - r->log[i].start;
        else if (then < now)
            back += now - then;
        else
            skipped += then - now;
        anew = anew || now < 0;
        ahead = ahead || (now >= 0 && r->old[i].metadata[0] != '\0');
    }
    if (back > 0)
        printf("From THEN to NOW, up to %lld record(s), are processed again: their outputs will "
               "repeat.\n",
               (long long)back);
    if (skipped > 0)
        printf("From NOW to THEN, up to %lld record(s), are skipped: this group will never process "
               "them.\n",
               (long long)skipped);
    if (anew)
        printf(
            "Where NOW is -1 the group has no position; up to %lld record(s) before THEN are not "
            "processed by it.\n",
            (long long)unread);
    if (ahead)
        printf(
            "What was sent ahead of NOW (--order key or none) and lies above THEN will repeat.\n");
}

static enum status apply(struct reset *r, struct broker *broker, const struct topics_flags *own,
                         struct error *err)
{
    struct place place;
    enum status st = place_parse("--to", own->to, &place, err);
    if (st == ST_OK)
        st = plan(r, broker, &place, err);
    if (st != ST_OK)
        return st;
    print_plan(r, &place);
    print_effect(r);
    if (own->dry_run) {
        printf("nothing was changed (--dry-run)\n");
        return ST_OK;
    }
    st = broker_positions_set(broker, r->group, r->topic, r->fresh, (size_t)r->count, err);
    if (st == ST_OK)
        printf("group '%s' stands there now\n", r->group);
    return st;
}

static enum status reset(struct app *app, struct broker *broker, struct error *err)
{
    struct reset r = {.group = config_argument(app->cfg, 1), .topic = config_argument(app->cfg, 2)};
    const struct topics_flags *own = app->own;
    enum status st = broker_partitions(broker, r.topic, &r.count, err);
    if (st != ST_OK)
        return st;
    if (r.count == 0)
        return error_set(err, ST_FATAL, ERR_CONFIG, "topic '%s' does not exist on %s", r.topic,
                         broker_name(broker));
    r.log = mem_array((size_t)r.count, sizeof *r.log);
    r.old = mem_array((size_t)r.count, sizeof *r.old);
    r.fresh = mem_array((size_t)r.count, sizeof *r.fresh);
    st = apply(&r, broker, own, err);
    positions_fini(r.old, r.count);
    mem_free(r.log);
    mem_free(r.old);
    mem_free(r.fresh);
    return st;
}

/* --- retain --- */

static enum status retain(struct app *app, struct broker *broker, struct error *err)
{
    const struct topics_flags *own = app->own;
    const struct broker_options *opt = app->broker;
    int64_t deleted = 0;
    if (opt->retention_ms == 0 && opt->retention_bytes == 0)
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "topics retain: say what may go: --retention-time or --retention-bytes");
    if (broker_file(opt) == NULL)
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "topics retain: Kafka deletes by itself, as its topics are set up");
    enum status st = broker_retain(broker, own->force, &deleted, err);
    if (st == ST_OK)
        printf("%lld record(s) deleted\n", (long long)deleted);
    return st;
}

/* --- verbs --- */

static enum status make(struct app *app, struct broker *broker, struct error *err)
{
    enum status st = pipeline_make_topics(app, broker, TOPICS_ALL, 0, err);
    return st == ST_OK ? list(broker, err) : st;
}

static enum status show(struct app *app, struct broker *broker, struct error *err)
{
    UNUSED(app);
    return list(broker, err);
}

static const struct verb {
    const char *name;
    size_t arguments; /* with the verb itself */
    enum status (*run)(struct app *app, struct broker *broker, struct error *err);
} verbs[] = {{"", 0, show}, {"make", 1, make}, {"reset", 3, reset}, {"retain", 1, retain}};

static const struct verb *find_verb(const struct app *app)
{
    const struct topics_flags *own = app->own;
    size_t n = config_argument_count(app->cfg);
    const char *name = n > 0 ? config_argument(app->cfg, 0) : "";
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(verbs[i].name, name) == 0 && verbs[i].arguments == n &&
            (verbs[i].run != reset || own->to != NULL))
            return &verbs[i];
    return NULL;
}

static enum status run(struct app *app, struct error *err)
{
    const struct verb *verb = find_verb(app);
    if (verb == NULL)
        return error_set(err, ST_FATAL, ERR_USAGE,
                         "usage: topics, topics make, topics reset GROUP TOPIC --to PLACE, or "
                         "topics retain [--force]");
    struct broker *broker = NULL;
    enum status st = verb->run == make ? broker_open(app->broker, &broker, err)
                                       : look_open(app->broker, &broker, err);
    if (st == ST_OK)
        st = verb->run(app, broker, err);
    broker_close(broker);
    return st;
}

static const char *const of_pipeline[] = {"raw-topic", "enhanced-topic", "dead-topic",
                                          "answers-topic", NULL};

const struct command topics_command = {
    .name = "topics",
    .summary = "list topics with counts and the lag of each group; make, trim them; move a group",
    .synopsis = "topics [make | reset GROUP TOPIC --to PLACE [--dry-run] | retain [--force]] "
                "[OPTION]...",
    .examples = "  sluice topics\n"
                "  sluice topics make --partitions 12\n"
                "  sluice topics reset sluice-sink enhanced_posts --to start --dry-run\n"
                "  sluice topics reset sluice-enhance raw_posts --to 2026-01-31T12:00:00Z\n"
                "  sluice topics retain --retention-time 7d\n\n",
    .tables = {&general_option_table, &broker_option_table, &stage_option_table},
    .of_pipeline = of_pipeline,
    .own = &flags,
    .max_arguments = 3,
    .words = "make reset retain",
    .run = run,
};

/* sluice verify: decides from the topics alone whether each raw post came out exactly once, and
 * prints what it found as a table or as JSON. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/look.h"
#include "lib/base/buf.h"
#include "stages/verify/verify.h"

struct verify_flags {
    bool json, drained;
    const char *observed;
};

static const struct option rows[] = {
    {.key = "json",
     OPTION_AT_BOOL(struct verify_flags, json),
     .fallback = "false",
     .flag_only = true,
     .help = "as JSON"},
    {.key = "drained",
     OPTION_AT_BOOL(struct verify_flags, drained),
     .fallback = "false",
     .flag_only = true,
     .help = "a lag of the group is a failure"},
    {.key = "observed",
     .arg = "FILE",
     OPTION_AT_TEXT(struct verify_flags, observed),
     .flag_only = true,
     .help = "lines of `tap --json` that a reader saw during the run, compared with what is there "
             "now (I4)"},
};
static const struct option_table flags = OPTION_TABLE("Verify", rows, struct verify_flags);

static const char *state_name(const struct invariant *inv)
{
    static const char *const names[] = {"ok", "FAILED", "not decidable"};
    return names[verdict_state(inv)];
}

/* --- as a table --- */

static void print_examples(const struct invariant *inv)
{
    for (size_t i = 0; i < inv->example_count; i++) {
        const struct example *ex = &inv->examples[i];
        printf("        %s/%d/%lld: %s\n", ex->topic, (int)ex->partition, (long long)ex->offset,
               ex->text);
    }
    if (inv->failed > (int64_t)inv->example_count && inv->example_count > 0)
        printf("        and %lld more\n", (long long)(inv->failed - (int64_t)inv->example_count));
}

static void print_row(const struct invariant *inv)
{
    printf("  %-3s %-62s %-13s %12lld %10lld", inv->id, inv->what, state_name(inv),
           (long long)inv->checked, (long long)inv->failed);
    if (inv->undecided > 0 && inv->checked > 0)
        printf("  %lld not decidable%s", (long long)inv->undecided, inv->note != NULL ? ":" : "");
    if (inv->note != NULL)
        printf("  %s", inv->note);
    printf("\n");
    print_examples(inv);
}

static void print_table(const struct verdict *v)
{
    printf("  %-3s %-62s %-13s %12s %10s\n", "", "INVARIANT", "STATE", "CHECKED", "FAILED");
    for (int i = 0; i < INVARIANTS; i++)
        print_row(&v->of[i]);
    printf(verdict_holds(v) ? "  everything that can be decided holds\n" : "  FAILED\n");
}

/* --- as JSON --- */

static void add_text(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    if (text == NULL) {
        buf_add_str(b, "null");
        return;
    }
    buf_add_char(b, '"');
    buf_add_json(b, span_of(text));
    buf_add_char(b, '"');
}

static void add_example(struct buf *b, const struct example *ex)
{
    buf_printf(b, "{\"partition\":%d,\"offset\":%lld", (int)ex->partition, (long long)ex->offset);
    add_text(b, "topic", ex->topic);
    add_text(b, "text", ex->text);
    buf_add_char(b, '}');
}

static void add_invariant(struct buf *b, const struct invariant *inv)
{
    static const char *const states[] = {"ok", "failed", "not decidable"};
    buf_printf(b, "{\"checked\":%lld,\"failed\":%lld,\"undecided\":%lld", (long long)inv->checked,
               (long long)inv->failed, (long long)inv->undecided);
    add_text(b, "invariant", inv->id);
    add_text(b, "what", inv->what);
    add_text(b, "state", states[verdict_state(inv)]);
    add_text(b, "note", inv->note);
    buf_add_str(b, ",\"examples\":[");
    for (size_t i = 0; i < inv->example_count; i++) {
        if (i > 0)
            buf_add_char(b, ',');
        add_example(b, &inv->examples[i]);
    }
    buf_add_str(b, "]}");
}

static void print_json(const struct verdict *v)
{
    struct buf b = {0};
    buf_printf(&b, "{\"holds\":%s,\"invariants\":[", verdict_holds(v) ? "true" : "false");
    for (int i = 0; i < INVARIANTS; i++) {
        if (i > 0)
            buf_add_char(&b, ',');
        add_invariant(&b, &v->of[i]);
    }
    buf_add_str(&b, "]}\n");
    fwrite(b.p, 1, b.n, stdout);
    buf_fini(&b);
}

/* --- all of it --- */

static enum status run(struct app *app, struct error *err)
{
    const struct verify_flags *own = app->own;
    struct broker *broker = NULL;
    struct verdict *v = NULL;
    enum status st = look_open(app->broker, &broker, err);
    if (st == ST_OK) {
        struct verify_config cfg = {.broker = broker,
                                    .group = app->enhance->group,
                                    .raw_topic = app->stage->raw_topic,
                                    .enhanced_topic = app->stage->enhanced_topic,
                                    .dead_topic = app->stage->dead_topic,
                                    .observed = own->observed,
                                    .order = app->enhance->order,
                                    .drained = own->drained,
                                    .ahead = app->broker->delivery == AT_LEAST_ONCE,
                                    .timeout_ms = app->broker->timeout_ms};
        st = verify_run(&cfg, &v, err);
    }
    if (st == ST_OK && own->json)
        print_json(v);
    else if (st == ST_OK)
        print_table(v);
    if (st == ST_OK)
        app->exit_code = verdict_holds(v) ? 0 : 1;
    verdict_free(v);
    broker_close(broker);
    return st;
}

static const char *const of_pipeline[] = {"raw-topic", "enhanced-topic", "dead-topic", NULL};

const struct command verify_command = {
    .name = "verify",
    .summary = "decide from the topics alone whether each raw post came out exactly once",
    .synopsis = "verify [--drained] [--json] [--observed FILE] [OPTION]...",
    .examples = "  sluice verify\n"
                "  sluice verify --drained --order key\n"
                "  sluice tap enhanced_posts --json > seen.jsonl     # during the run\n"
                "  sluice verify --observed seen.jsonl\n\n",
    .tables = {&general_option_table, &broker_option_table, &stage_option_table,
               &enhance_option_table},
    .of_pipeline = of_pipeline,
    .own = &flags,
    .run = run,
};

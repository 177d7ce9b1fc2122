/* Counting and remembering: see verdict.h. */
#include "stages/verify/verdict.h"

#include <stdarg.h>
#include <stdio.h>

#include "lib/base/mem.h"

static const struct {
    const char *id, *what;
} names[INVARIANTS] = {
    [I1] = {"I1", "each raw record came out exactly once"},
    [I2] = {"I2", "each id came out as often as it was sent"},
    [I3] = {"I3", "outputs have the order that is promised"},
    [I4] = {"I4", "a reader during the run saw what is there now"},
    [I5] = {"I5", "a transaction is all or nothing"},
    [I7] = {"I7", "dead letters carry the bytes of their raw record"},
    [I8] = {"I8", "outputs are the bytes of their raw record and an enrichment"},
    [I9] = {"I9", "positions lie within the log"},
};

struct verdict *verdict_new(void)
{
    struct verdict *v = mem_zalloc(sizeof *v);
    for (int i = 0; i < INVARIANTS; i++) {
        v->of[i].id = names[i].id;
        v->of[i].what = names[i].what;
    }
    return v;
}

void verdict_free(struct verdict *v)
{
    for (int i = 0; v != NULL && i < INVARIANTS; i++) {
        for (size_t k = 0; k < v->of[i].example_count; k++) {
            mem_free(v->of[i].examples[k].topic);
            mem_free(v->of[i].examples[k].text);
        }
        mem_free(v->of[i].note);
    }
    mem_free(v);
}

enum invariant_state verdict_state(const struct invariant *inv)
{
    if (inv->failed > 0)
        return INVARIANT_FAILED;
    return inv->checked == 0 && inv->undecided > 0 ? INVARIANT_UNDECIDED : INVARIANT_OK;
}

bool verdict_holds(const struct verdict *v)
{
    for (int i = 0; i < INVARIANTS; i++)
        if (v->of[i].failed > 0)
            return false;
    return true;
}

static char *format(const char *fmt, va_list ap)
{
    char text[600];
    vsnprintf(text, sizeof text, fmt, ap);
    return mem_strdup(text);
}

void verdict_fail(struct verdict *v, enum invariant_name name, const char *topic, int32_t partition,
                  int64_t offset, const char *fmt, ...)
{
    struct invariant *inv = &v->of[name];
    inv->failed++;
    if (inv->example_count == EXAMPLES_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    inv->examples[inv->example_count++] = (struct example){.topic = mem_strdup(topic),
                                                           .partition = partition,
                                                           .offset = offset,
                                                           .text = format(fmt, ap)};
    va_end(ap);
}

void verdict_note(struct verdict *v, enum invariant_name name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    mem_free(v->of[name].note);
    v->of[name].note = format(fmt, ap);
    va_end(ap);
}

/* The exec enricher: see exec.h. Which ask goes to which process, and what becomes of it.
 *
 * Ensures: 1. a call is in exactly one list: waiting (fresh, failed_before) or a worker's. 2. an
 * answer without "seq" is the oldest call's, cancelled or not, so cancelled calls stay in a
 * worker's list until their line has come. 3. done() is never called inside of submit. */
#include "lib/enrich/exec.h"

#include <sys/wait.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "lib/enrich/exec_answer.h"

enum {
    IN_FLIGHT = 16,
    TIMEOUT_MS = 30000,
    ATTEMPTS = 3,
    BACKOFF_MS = 50,
    BACKOFF_MAX_MS = 5000,
    CLOSE_GRACE_MS = 1000,
    UNSENT_MAX = 16 << 20, /* bytes that wait for a process before it is asked more */
    ASK_MAX = 48 << 20,
    CANNOT_RUN = 126, /* statuses of the shell: not executable, 127 not found */
    NOT_FOUND = 127,
};

struct exec_call {
    struct ask *ask; /* NULL: cancelled */
    struct exec_list *list;
    struct exec_call *before, *after;
    int64_t number;      /* of the ask: waiting lists are sorted by it */
    int64_t seq;         /* given anew each time it is asked: a worker's list is in this order */
    int asked, failures; /* times */
};

/* --- lists --- */

static void list_remove(struct exec_call *call)
{
    struct exec_list *list = call->list;
    *(call->before == NULL ? &list->first : &call->before->after) = call->after;
    *(call->after == NULL ? &list->last : &call->after->before) = call->before;
    call->before = call->after = NULL;
    call->list = NULL;
    list->n--;
}

static void list_add_behind(struct exec_list *list, struct exec_call *before,
                            struct exec_call *call)
{
    call->list = list;
    call->before = before;
    call->after = before == NULL ? list->first : before->after;
    *(call->before == NULL ? &list->first : &call->before->after) = call;
    *(call->after == NULL ? &list->last : &call->after->before) = call;
    list->n++;
}

static void list_add_by_number(struct exec_list *list, struct exec_call *call)
{
    struct exec_call *before = list->last;
    while (before != NULL && before->number > call->number)
        before = before->before;
    list_add_behind(list, before, call);
}

static void list_clear(struct exec_list *list)
{
    while (list->first != NULL) {
        struct exec_call *call = list->first;
        list_remove(call);
        if (call->ask != NULL)
            call->ask->owner = NULL;
        mem_free(call);
    }
}

/* --- asking --- */

static void start_hang_timer(struct exec *e)
{
    int64_t next_ms = INT64_MAX;
    for (int64_t i = 0; i < e->opt.processes; i++) {
        const struct exec_worker *w = &e->workers[i];
        if (w->calls.n > 0 && exec_process_runs(&w->process) && w->oldest_since_ms < next_ms)
            next_ms = w->oldest_since_ms;
    }
    if (next_ms < INT64_MAX)
        loop_timer_start(e->hang, next_ms + e->opt.timeout_ms - clock_mono_ms());
}

static void ask_worker(struct exec_worker *w, struct exec_call *call)
{
    struct exec *e = w->exec;
    bool is_first = w->calls.n == 0;
    list_remove(call);
    list_add_behind(&w->calls, w->calls.last, call);
    call->seq = e->next_seq++;
    call->asked++;
    w->alone = call->failures > 0;
    if (is_first)
        w->oldest_since_ms = clock_mono_ms();
    exec_question_write(call->seq, call->ask, &e->line);
    exec_process_send(&w->process, buf_span(&e->line));
    buf_reset(&e->line, 1 << 20);
    if (is_first)
        start_hang_timer(e);
}

static bool has_room(const struct exec_worker *w)
{
    return exec_process_runs(&w->process) && !w->alone && w->calls.n < w->exec->opt.in_flight &&
           exec_process_unsent(&w->process) < UNSENT_MAX;
}

/* The running process that was asked least, besides `besides`. */
static struct exec_worker *find_idlest(struct exec *e, const struct exec_worker *besides)
{
    struct exec_worker *best = NULL;
    for (int64_t i = 0; i < e->opt.processes; i++) {
        struct exec_worker *w = &e->workers[i];
        if (w != besides && has_room(w) && (best == NULL || w->calls.n < best->calls.n))
            best = w;
    }
    return best;
}

/* One process is kept for what failed before, until it has nothing else to do. */
static void ask_more(struct exec *e)
{
    struct exec_worker *w, *kept = NULL;
    while (e->failed_before.n > 0 && (kept = find_idlest(e, NULL)) != NULL && kept->calls.n == 0)
        ask_worker(kept, e->failed_before.first);
    if (e->failed_before.n == 0)
        kept = NULL;
    while (e->fresh.n > 0 && (w = find_idlest(e, kept)) != NULL)
        ask_worker(w, e->fresh.first);
}

/* --- answering --- */

/* The call leaves its list and is no more; its asker is told. */
static void tell(struct exec_call *call)
{
    struct ask *ask = call->ask;
    if (call->list != NULL)
        list_remove(call);
    if (ask != NULL) {
        ask->attempts = call->asked;
        ask->owner = NULL;
    }
    mem_free(call);
    if (ask != NULL)
        ask->done(ask);
}

/* After three failures the ask is refused; before that it waits for its next turn. */
static void fail_or_wait(struct exec *e, struct exec_call *call, const struct exec_worker *w)
{
    struct ask *ask = call->ask;
    list_remove(call);
    if (ask == NULL) {
        mem_free(call);
        return;
    }
    if (call->failures < ATTEMPTS) {
        list_add_by_number(call->failures > 0 ? &e->failed_before : &e->fresh, call);
        return;
    }
    int status = WIFEXITED(w->process.status) ? WEXITSTATUS(w->process.status) : 0;
    bool is_missing = status == NOT_FOUND || status == CANNOT_RUN;
    if (w->spare_asks)
        ask->status = error_reject(ask_error(ask), REASON_enricher_failed,
                                   "the program did not answer within %lld ms, %d times",
                                   (long long)e->opt.timeout_ms, call->failures);
    else if (is_missing && !w->has_answered)
        ask->status = error_set(ask_error(ask), ST_FATAL, ERR_CONFIG,
                                "the program cannot be run (%s): %.200s", w->process.ended_by,
                                e->opt.command);
    else
        ask->status = error_reject(ask_error(ask), REASON_enricher_failed,
                                   "the program ended while it was asked, %d times: %s",
                                   call->failures, w->process.ended_by);
    tell(call);
}

static void on_again(void *arg)
{
    struct exec_worker *w = arg;
    w->alone = w->has_answered = w->omits_seq = w->spare_asks = false;
    w->exec->counts.starts++;
    if (exec_process_start(&w->process, NULL) != ST_OK)
        loop_timer_start(w->again, backoff_next(&w->backoff));
    else
        ask_more(w->exec);
}

/* A process is gone. What it was asked counts a failure, unless we killed it. */
static void on_end(void *arg)
{
    struct exec_worker *w = arg;
    for (struct exec_call *call = w->calls.first; call != NULL; call = call->after)
        call->failures += !w->spare_asks;
    while (w->calls.first != NULL)
        fail_or_wait(w->exec, w->calls.first, w);
    loop_timer_start(w->again, backoff_next(&w->backoff));
    ask_more(w->exec);
}

static void kill_worker(struct exec_worker *w)
{
    w->spare_asks = true;
    exec_process_kill(&w->process);
}

static void on_hang(void *arg)
{
    struct exec *e = arg;
    int64_t now_ms = clock_mono_ms();
    for (int64_t i = 0; i < e->opt.processes; i++) {
        struct exec_worker *w = &e->workers[i];
        if (w->calls.n == 0 || !exec_process_runs(&w->process) ||
            now_ms - w->oldest_since_ms < e->opt.timeout_ms)
            continue;
        e->counts.hangs++;
        w->calls.first->failures++;
        kill_worker(w);
    }
    start_hang_timer(e);
}

static struct exec_call *find_call(const struct exec_worker *w, int64_t seq)
{
    struct exec_call *call = w->calls.first;
    while (call != NULL && call->seq != seq)
        call = call->after;
    return call;
}

static void on_line(void *arg, struct span line, bool cut)
{
    struct exec_worker *w = arg;
    struct exec *e = w->exec;
    struct exec_answer answer;
    if (!exec_answer_read(line, cut, &answer))
        return; /* a blank line */
    struct exec_call *call = answer.seq < 0 ? w->calls.first : find_call(w, answer.seq);
    if (answer.seq < 0)
        w->omits_seq = true;
    e->counts.bad_lines += answer.fault != NULL;
    if (call == NULL)
        return;
    /* A stray line shifts all that follow, where they are told apart by their order alone. */
    if (answer.fault != NULL && answer.seq < 0)
        kill_worker(w);
    if (answer.fault == NULL)
        backoff_reset(&w->backoff);
    w->has_answered = true;
    if (call == w->calls.first)
        w->oldest_since_ms = clock_mono_ms();
    if (call->ask != NULL)
        exec_answer_give(&answer, call->ask);
    w->alone = false;
    tell(call);
    ask_more(e);
}

/* --- slots of the ops table --- */

static uint32_t hash_text(const char *text)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *text != '\0'; text++)
        h = (h ^ (unsigned char)*text) * 16777619u;
    return h;
}

static enum status open_worker(struct exec *e, struct exec_worker *w, uint64_t seed,
                               struct error *err)
{
    w->exec = e;
    w->process = (struct exec_process){
        .loop = e->loop, .command = e->opt.command, .on_line = on_line, .on_end = on_end, .arg = w};
    w->again = loop_timer_new(e->loop, on_again, w);
    backoff_init(&w->backoff, BACKOFF_MS, BACKOFF_MAX_MS, seed);
    e->counts.starts++;
    return exec_process_start(&w->process, err);
}

enum status exec_open(void *ctx, const struct exec_options *opt, struct loop *loop,
                      struct error *err)
{
    struct exec *e = ctx;
    enum status st = ST_OK;
    *e = (struct exec){.opt = *opt, .loop = loop, .next_seq = 1};
    if (opt->command == NULL || *opt->command == '\0')
        return error_set(err, ST_FATAL, ERR_CONFIG, "exec: no command is given");
    e->opt.processes = opt->processes > 0 ? opt->processes : 1;
    e->opt.timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : TIMEOUT_MS;
    e->opt.in_flight = opt->in_flight > 0 ? opt->in_flight : IN_FLIGHT;
    e->name = mem_printf("exec/command/%08x", hash_text(opt->command));
    e->workers = mem_array((size_t)e->opt.processes, sizeof *e->workers);
    e->hang = loop_timer_new(loop, on_hang, e);
    for (int64_t i = 0; st == ST_OK && i < e->opt.processes; i++)
        st = open_worker(e, &e->workers[i], (uint64_t)clock_mono_ns() + (uint64_t)i, err);
    return st;
}

void exec_close(void *ctx)
{
    struct exec *e = ctx;
    size_t n = e->workers == NULL ? 0 : (size_t)e->opt.processes;
    struct exec_process **processes = mem_array(n, sizeof *processes);
    for (size_t i = 0; i < n; i++)
        processes[i] = &e->workers[i].process;
    exec_process_close_all(processes, n, CLOSE_GRACE_MS);
    mem_free(processes);
    for (size_t i = 0; i < n; i++) {
        list_clear(&e->workers[i].calls);
        loop_timer_free(e->workers[i].again);
    }
    list_clear(&e->fresh);
    list_clear(&e->failed_before);
    loop_timer_free(e->hang);
    buf_fini(&e->line);
    mem_free(e->workers);
    mem_free(e->name);
    *e = (struct exec){0};
}

enum status exec_submit(void *ctx, struct ask *ask)
{
    struct exec *e = ctx;
    ask->cache = CACHE_NONE;
    ask->attempts = 0;
    ask->tokens_in = ask->tokens_out = 0;
    ask->cost_usd = 0;
    ask->owner = NULL;
    /* A byte of text may need six as JSON. */
    if (ask->value.n > ASK_MAX / 8 || ask->text.n > ASK_MAX / 8 || ask->id.n > ASK_MAX / 8)
        return ask->status =
                   error_reject(ask_error(ask), REASON_enricher_failed,
                                "the post is too large for a program: %zu bytes", ask->value.n);
    struct exec_call *call = mem_zalloc(sizeof *call);
    call->ask = ask;
    call->number = e->next_number++;
    ask->owner = call;
    list_add_by_number(&e->fresh, call);
    ask_more(e);
    return ST_AGAIN;
}

void exec_cancel(void *ctx, struct ask *ask)
{
    struct exec *e = ctx;
    struct exec_call *call = ask->owner;
    if (call == NULL) /* it has ended already */
        return;
    ask->owner = NULL;
    call->ask = NULL;
    if (call->list == &e->fresh || call->list == &e->failed_before)
        tell(call);
}

bool exec_is_paid(const void *ctx)
{
    UNUSED(ctx);
    return false;
}

const char *exec_name(const void *ctx)
{
    return ((const struct exec *)ctx)->name;
}

struct exec_counts exec_counts(const void *ctx)
{
    return ((const struct exec *)ctx)->counts;
}

/* The way of a post through a worker, in four steps that each run over all partitions:
 *
 *     take     poll records while the window has room; decode, ask
 *     send     outputs of done slots, in offset order per partition, into the writer's batch
 *     commit   hand the batch over with the positions, when it is due
 *     release  (when it is durable) give the records' bytes back
 *
 * Ensures: nothing is asked before the answers of the partitions' former owners are known (barred);
 * a batch is opened by the first output that is ready, so nothing is asked for inside an
 * open transaction; a slot is sent only when all before it have been; what an abort takes back is
 * sent again from the slots, never read or asked again. */
#include <assert.h>
#include <stdio.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "stages/enhance/worker.h"

enum { TAKE_ROUNDS = 8 }; /* so many polls before outputs get their turn again */

void enhance_schedule(struct enhance *e)
{
    loop_idle_start(e->more);
}

/* --- take --- */

static void answered(struct enhance *e, struct slot *slot, enum status st)
{
    slot->state = st == ST_OK ? SLOT_DONE : SLOT_DEAD;
    window_answered(slot->win, slot);
    e->answered++;
    POINT("enhance.answered", e->w.env->opt->raw_topic, slot->rec.partition, slot->rec.offset);
    if (st == ST_FATAL)
        worker_fail(&e->w, slot->step.ask.err);
}

static void on_answer(struct ask *ask)
{
    struct slot *slot = ask->arg;
    struct enhance *e = slot->win->owner;
    slot->win->asking--;
    answered(e, slot, ask->status);
    enhance_schedule(e);
}

static void ask_about(struct enhance *e, struct slot *slot)
{
    POINT("enhance.taken", e->w.env->opt->raw_topic, slot->rec.partition, slot->rec.offset);
    slot->step.ask.redriven =
        slot->rec.header_count > 0 && headers_find(&slot->rec, "sluice-redrive").p != NULL;
    enum status st =
        step_begin(&slot->step, e->enricher, slot->rec.value, &e->limits, on_answer, slot);
    if (st != ST_AGAIN) {
        answered(e, slot, st);
        return;
    }
    slot->win->asking++;
    POINT("enhance.asked", e->w.env->opt->raw_topic, slot->rec.partition, slot->rec.offset);
}

static void take_record(struct enhance *e, struct window *win, struct record *rec)
{
    struct slot *slot = window_add(win, rec);
    if (slot != NULL)
        ask_about(e, slot);
    else
        reader_release(e->reader, rec, 1); /* done by an earlier owner of the partition */
}

/* One poll of one partition. Returns whether there may be more right now. */
static bool take_some(struct enhance *e, struct window *win)
{
    size_t max = window_room(win) < TAKE_MAX ? window_room(win) : TAKE_MAX;
    size_t room = enricher_room(e->enricher); /* again when an answer has come */
    max = room < max ? room : max;
    size_t max_bytes = (size_t)e->opt->window_bytes;
    if (win->polled_dry || win->revoking || max == 0 || e->bytes >= max_bytes)
        return false;
    struct error err;
    size_t n = 0;
    enum status st =
        reader_poll(e->reader, win->partition, e->recs, max, max_bytes - e->bytes, &n, &err);
    if (st == ST_AGAIN) {
        win->polled_dry = true;
        return false;
    }
    if (st != ST_OK) {
        worker_fail(&e->w, &err);
        return false;
    }
    size_t before = win->bytes;
    for (size_t i = 0; i < n; i++)
        take_record(e, win, &e->recs[i]);
    e->bytes += win->bytes - before;
    counter_add(e->in, n);
    return true;
}

/* Partitions take turns, so that a full one holds nobody up; and where the enricher has little
 * room, it is first the turn of those that got none the last time. */
static bool take(struct enhance *e)
{
    bool more = false;
    if (e->stopping || e->barred)
        return false;
    for (int round = 0; round < TAKE_ROUNDS && (round == 0 || more); round++) {
        int32_t first = e->first_to_take;
        more = false;
        for (int32_t i = 0; i < e->win_count; i++) {
            int32_t p = (first + i) % e->win_count;
            if (e->wins[p] == NULL || !take_some(e, e->wins[p]))
                continue;
            e->first_to_take = (p + 1) % e->win_count;
            more = true;
        }
    }
    return more;
}

/* --- send --- */

/* What the broker refuses for its size becomes a dead letter, and what is refused then loses its
 * value: the letter itself must get through. */
static enum status make_smaller(struct slot *slot, const struct error *err)
{
    if (slot->bare)
        return ST_FATAL;
    if (slot->state == SLOT_DEAD)
        slot->bare = true;
    else
        *ask_error(&slot->step.ask) = *err;
    if (!slot->bare)
        slot->step.ask.err->reason = REASON_output_too_large;
    slot->state = SLOT_DEAD;
    return ST_OK;
}

static enum status send_slot(struct enhance *e, struct slot *slot)
{
    for (;;) {
        struct out out;
        struct error err;
        output_build(&e->out, slot, &out);
        out.topic = slot->state == SLOT_DEAD ? OUT_DEAD : OUT_ENHANCED;
        out.partition = slot->rec.partition % writer_partitions(e->writer, out.topic);
        enum status st = writer_send(e->writer, &out, &err);
        if (st == ST_REJECT && make_smaller(slot, &err) == ST_OK)
            continue;
        if (st == ST_REJECT)
            worker_fail(&e->w, &err);
        return st;
    }
}

static enum status send_window(struct enhance *e, struct window *win, size_t most)
{
    struct slot *slot;
    for (size_t n = 0; n < most && (slot = window_next(win)) != NULL; n++) {
        enum status st = send_slot(e, slot);
        if (st != ST_OK)
            return st;
        POINT("enhance.sent", e->w.env->opt->raw_topic, slot->rec.partition, slot->rec.offset);
        window_sent(win);
        if (e->batch_records++ == 0 && e->batch_since_ns == 0)
            e->batch_since_ns = clock_mono_ns();
    }
    return ST_OK;
}

static void send_of_each(struct enhance *e, size_t most)
{
    for (int32_t i = 0; i < e->win_count && !e->blocked; i++) {
        struct window *win = e->wins[(e->turn + i) % e->win_count];
        if (win != NULL && send_window(e, win, most) != ST_OK) {
            e->blocked = true;
            e->turn = (e->turn + i) % e->win_count;
        }
    }
}

/* A batch begins with one output of each partition: those that a transaction meets within a
 * millisecond librdkafka tells the broker of together, and spins for a millisecond each time. */
static void send(struct enhance *e)
{
    if (e->batch_records == 0)
        send_of_each(e, 1);
    send_of_each(e, SIZE_MAX);
}

/* --- commit --- */

static size_t collect_positions(struct enhance *e)
{
    size_t n = 0;
    buf_reset(&e->metadata, 0);
    buf_reserve(&e->metadata, (size_t)e->win_count * (POSITION_METADATA_MAX + 1));
    for (int32_t i = 0; i < e->win_count; i++) {
        struct window *win = e->wins[i];
        size_t from = e->metadata.n;
        int64_t at =
            win == NULL ? -1 : window_position(win, reader_position(e->reader, i), &e->metadata);
        if (at < 0)
            continue;
        buf_add_char(&e->metadata, '\0');
        e->positions[n++] =
            (struct position){.partition = i, .offset = at, .metadata = e->metadata.p + from};
    }
    return n;
}

/* Whether we must still wait after an abort: what made it may take a while to pass. */
static bool backs_off(struct enhance *e)
{
    if (e->retry_at_ns == 0)
        return false;
    int64_t left_ns = e->retry_at_ns - clock_mono_ns();
    if (left_ns <= 0) {
        e->retry_at_ns = 0;
        return false;
    }
    loop_timer_start(e->commit_timer, (left_ns + 999999) / 1000000);
    return true;
}

/* Posts that were not taken yet, as far as known. */
static int64_t waiting(const struct enhance *e)
{
    int64_t n = 0;
    for (int32_t i = 0; i < e->win_count; i++) {
        int64_t left =
            e->wins[i] == NULL ? 0 : reader_end(e->reader, i) - reader_position(e->reader, i);
        n += left > 0 ? left : 0;
    }
    return n;
}

static bool is_due(struct enhance *e)
{
    size_t enough = (size_t)e->w.env->broker_opt->commit_records;
    if (e->batch_records >= enough || (e->patient && e->answered >= enough) || e->stopping ||
        e->revoking)
        return true;
    enum pace pace = pace_of(e->answered, e->patient ? waiting(e) : 0);
    int64_t left_ns = e->batch_since_ns + e->commit_interval_ns[pace] - clock_mono_ns();
    if (left_ns <= 0)
        return true;
    loop_timer_start(e->commit_timer, (left_ns + 999999) / 1000000);
    return false;
}

/* Where calls take far longer than a commit, outputs wait for it here and are sent all at once:
 * each time a transaction meets a new partition, librdkafka's main thread spins for a millisecond.
 */
static bool holds_back(struct enhance *e)
{
    if (!e->patient || e->batch_records > 0 || e->stopping || e->revoking)
        return false;
    bool ready = false;
    for (int32_t i = 0; i < e->win_count && !ready; i++)
        ready = e->wins[i] != NULL && window_next(e->wins[i]) != NULL;
    if (!ready)
        return false;
    if (e->batch_since_ns == 0)
        e->batch_since_ns = clock_mono_ns();
    return !is_due(e);
}

/* Returns whether a batch was handed over: then there is room for the next one. */
static bool commit(struct enhance *e)
{
    if (!writer_can_commit(e->writer) || backs_off(e) || (e->batch_records > 0 && !is_due(e)))
        return false;
    struct error err;
    uint64_t number = 0;
    size_t n = collect_positions(e);
    if (n == 0)
        return false;
    enum status st = writer_commit(e->writer, e->positions, n, &number, &err);
    if (st != ST_OK) {
        assert(st != ST_AGAIN); /* writer_can_commit said yes */
        worker_fail(&e->w, &err);
        return false;
    }
    POINT("enhance.handed", e->w.env->opt->raw_topic, -1, (int64_t)number);
    for (size_t i = 0; i < n; i++)
        window_handed(e->wins[e->positions[i].partition], number, e->positions[i].offset);
    e->batch_records = e->answered = 0;
    e->batch_since_ns = 0;
    e->blocked = false;
    return true;
}

/* --- release --- */

static struct counter *dead_counter(struct enhance *e, enum reason reason)
{
    if (e->dead[reason] == NULL) {
        char labels[64];
        snprintf(labels, sizeof labels, "stage=\"enhance\",reason=\"%s\"", reason_word(reason));
        e->dead[reason] = metrics_counter(e->w.env->metrics, "sluice_dead_letters_total", labels,
                                          "Posts that became dead letters");
    }
    return e->dead[reason];
}

static void release_slot(struct enhance *e, struct slot *slot, int64_t now_us, size_t *enhanced)
{
    if (e->out.enricher != NULL)
        spending_add(&e->spending, &slot->step.ask);
    if (slot->state == SLOT_DONE)
        ++*enhanced;
    else
        counter_add(dead_counter(e, slot->step.ask.err->reason), 1);
    if (slot->rec.timestamp_ms > 0)
        hist_add(e->latency, now_us - slot->rec.timestamp_ms * 1000);
    POINT("enhance.released", e->w.env->opt->raw_topic, slot->rec.partition, slot->rec.offset);
    reader_release(e->reader, &slot->rec, 1);
    slot_free(&e->pool, slot);
}

static void release_window(struct enhance *e, struct window *win, uint64_t batch, int64_t now_us)
{
    size_t before = win->bytes, enhanced = 0;
    struct slot *slot = window_confirmed(win, batch);
    while (slot != NULL) {
        struct slot *next = slot->next;
        release_slot(e, slot, now_us, &enhanced);
        slot = next;
    }
    e->bytes -= before - win->bytes;
    counter_add(e->enhanced, enhanced);
    int64_t log_end = reader_end(e->reader, win->partition);
    gauge_set(e->lag[win->partition], log_end > win->position ? log_end - win->position : 0);
}

void enhance_confirm(struct enhance *e, uint64_t batch)
{
    int64_t now_us = clock_wall_us();
    for (int32_t i = 0; i < e->win_count; i++)
        if (e->wins[i] != NULL)
            release_window(e, e->wins[i], batch, now_us);
    counter_add(e->commits, 1);
    backoff_reset(&e->retry);
}

void enhance_resend(struct enhance *e)
{
    for (int32_t i = 0; i < e->win_count; i++)
        if (e->wins[i] != NULL)
            window_aborted(e->wins[i]);
    e->batch_records = 0;
    e->batch_since_ns = 0;
    e->blocked = false;
    counter_add(e->aborts, 1);
    e->retry_at_ns = clock_mono_ns() + backoff_next(&e->retry) * 1000000;
}

/* --- all of it --- */

static void show_in_flight(struct enhance *e)
{
    size_t n = 0;
    for (int32_t i = 0; i < e->win_count; i++)
        if (e->wins[i] != NULL)
            n += e->wins[i]->slots;
    gauge_set(e->in_flight, (int64_t)n);
}

void enhance_pump(void *arg)
{
    struct enhance *e = arg;
    bool more = take(e);
    if (!holds_back(e)) {
        send(e);
        if (commit(e) && !holds_back(e))
            send(e);
    }
    enhance_settle(e);
    show_in_flight(e);
    if (!more)
        loop_idle_stop(e->more);
}

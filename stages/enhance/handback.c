/* Partitions that come and go, and the orderly end, which is the same thing for all partitions at
 * once: ask nothing new, wait a while for asks in flight, commit what is done, let go.
 *
 * Ensures: reader_give_up is called once for each `revoking`, and only when nothing of the leaving
 * partitions is in an unconfirmed batch. */
#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "stages/enhance/worker.h"

static void grow_windows(struct enhance *e, int32_t count)
{
    if (count <= e->win_count)
        return;
    size_t n = (size_t)count;
    e->wins = mem_realloc(e->wins, n * sizeof(struct window *));
    e->positions = mem_realloc(e->positions, n * sizeof *e->positions);
    e->lag = mem_realloc(e->lag, n * sizeof(struct gauge *));
    for (int32_t i = e->win_count; i < count; i++) {
        char *labels = mem_printf("stage=\"enhance\",topic=\"%s\",partition=\"%d\"",
                                  e->w.env->opt->raw_topic, (int)i);
        e->wins[i] = NULL;
        e->lag[i] = metrics_gauge(e->w.env->metrics, "sluice_lag", labels,
                                  "Records between the committed position and the log's end");
        mem_free(labels);
    }
    e->win_count = count;
}

static enum status open_window(struct enhance *e, const struct position *pos, uint32_t epoch,
                               struct error *err)
{
    int32_t p = pos->partition;
    grow_windows(e, p + 1);
    enhance_drop(e, p);
    e->wins[p] =
        window_new(e, &e->pool, (enum order)e->opt->order, p, epoch, (size_t)e->opt->window_posts);
    enum status st = window_restore(e->wins[p], pos->offset, pos->metadata, err);
    /* A position that was not committed but chosen must be: partitions that come by no record
     * would else begin at their start next time, as new ones of a known topic do. */
    if (e->w.env->broker_opt->on_missing_position == MISSING_LATEST)
        e->wins[p]->position = -1;
    if (st != ST_OK)
        error_prefix(err,
                     "group '%s' at %s/%d: a newer sluice or another program has committed there; "
                     "run that one, or reset the position",
                     e->opt->group, e->w.env->opt->raw_topic, (int)p);
    return st;
}

void enhance_assign(struct enhance *e, const struct position *pos, size_t n, uint32_t epoch)
{
    struct error err;
    for (size_t i = 0; i < n; i++) {
        if (open_window(e, &pos[i], epoch, &err) != ST_OK) {
            worker_fail(&e->w, &err);
            return;
        }
    }
    if (n > 0)
        log_line(LOG_INFO, "enhance", "worker %d: %zu partition(s) of %s assigned", e->w.index, n,
                 e->w.env->opt->raw_topic);
    else
        log_line(LOG_INFO, "enhance",
                 "worker %d: no partition of %s is free: it waits until another member goes",
                 e->w.index, e->w.env->opt->raw_topic);
    if (e->gate != NULL) { /* what was asked before we came is not asked again */
        e->barred = true;
        journal_gate_shut(e->gate);
    } else {
        worker_ready(&e->w, true);
    }
    enhance_schedule(e);
}

/* Returns the number of asks that were cut off. */
static size_t drop_slots(struct enhance *e, struct window *win)
{
    size_t cut = win->asking;
    struct slot *slot;
    while ((slot = window_pop(win)) != NULL) {
        if (slot->state == SLOT_ASKING && win->asking > 0) {
            enricher_cancel(e->enricher, &slot->step.ask);
            win->asking--;
        }
        reader_release(e->reader, &slot->rec, 1);
        slot_free(&e->pool, slot);
    }
    return cut;
}

void enhance_drop(struct enhance *e, int32_t partition)
{
    struct window *win = partition < e->win_count ? e->wins[partition] : NULL;
    if (win == NULL)
        return;
    e->bytes -= win->bytes;
    size_t cut = drop_slots(e, win);
    if (cut > 0 && enricher_is_paid(e->enricher)) {
        log_line(LOG_WARN, "enhance", "abandoned %zu paid calls of partition %d", cut,
                 (int)partition);
        counter_add(e->abandoned, cut);
    }
    gauge_set(e->lag[partition], 0);
    window_free(win);
    e->wins[partition] = NULL;
}

void enhance_revoke(struct enhance *e, const int32_t *partitions, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (partitions[i] < e->win_count && e->wins[partitions[i]] != NULL)
            e->wins[partitions[i]]->revoking = true;
    e->revoking = true;
    e->given_up = false;
    loop_timer_start(e->give_up_timer, e->w.env->opt->revoke_wait_ms);
    enhance_schedule(e);
}

void enhance_lose(struct enhance *e, const int32_t *partitions, size_t n)
{
    log_line(
        LOG_WARN, "enhance",
        "worker %d: %zu partition(s) were lost, to another member or because this one could not be "
        "heard: what was not committed is done by whoever has them",
        e->w.index, n);
    for (size_t i = 0; i < n; i++)
        enhance_drop(e, partitions[i]);
    enhance_schedule(e);
}

void enhance_stop(struct enhance *e)
{
    e->stopping = true;
    e->given_up = false;
    loop_timer_start(e->give_up_timer, e->w.env->opt->drain_timeout_ms);
    enhance_schedule(e);
}

/* Gives up the questions that only wait: nothing new is asked for who leaves. */
static void leave_queued(struct enhance *e, struct window *win)
{
    for (uint64_t i = win->front; i != win->tail && win->asking > 0; i++) {
        struct slot *slot = win->ring[i & win->mask].slot;
        if (slot == NULL || slot->state != SLOT_ASKING ||
            !enricher_is_queued(e->enricher, &slot->step.ask))
            continue;
        enricher_cancel(e->enricher, &slot->step.ask);
        slot->state = SLOT_LEFT;
        win->asking--;
    }
}

/* Whether this window holds nothing that can still be committed. */
static bool is_over(const struct enhance *e, struct window *win)
{
    if (!window_settled(win) || window_next(win) != NULL)
        return false;
    return win->asking == 0 || e->given_up;
}

static bool leaving(const struct enhance *e, const struct window *win)
{
    return win != NULL && (win->revoking || e->stopping);
}

void enhance_settle(struct enhance *e)
{
    if (!e->revoking && !e->stopping)
        return;
    bool over = true;
    for (int32_t i = 0; i < e->win_count; i++) {
        if (!leaving(e, e->wins[i]))
            continue;
        leave_queued(e, e->wins[i]);
        over = is_over(e, e->wins[i]) && over;
    }
    if (!over || !writer_idle(e->writer))
        return;
    for (int32_t i = 0; i < e->win_count; i++)
        if (leaving(e, e->wins[i]))
            enhance_drop(e, i);
    loop_timer_stop(e->give_up_timer);
    if (e->revoking) {
        e->revoking = false;
        reader_give_up(e->reader);
    }
    if (e->stopping)
        worker_finished(&e->w);
}

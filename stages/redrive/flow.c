/* The way of a letter, in the shape of all stages: take -> send -> commit -> release. One ring
 * holds what was read of all partitions, in the order it was read:
 *
 *     head            sent             tail
 *      | in batches that | still to be   |
 *      | are not durable | looked at     |
 *
 * Ensures: 1. A letter and the position behind it are in one batch; what an abort takes back is
 * sent again from the ring, never read again. 2. The position passes letters of other reasons and
 * stages without sending them. 3. Nothing at or above the ends of the plan is sent. 4. A partition
 * that leaves is answered only when nothing of it is in an unconfirmed batch. */
#include <assert.h>

#include "lib/base/clock.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/point.h"
#include "stages/redrive/worker.h"

static const char *dead_topic(const struct redrive *r)
{
    return r->w.env->opt->dead_topic;
}

void redrive_schedule(struct redrive *r)
{
    loop_idle_start(r->more);
}

static struct entry *entry_at(struct redrive *r, uint64_t i)
{
    return &r->ring[i % RING];
}

int64_t redrive_end(const struct redrive *r, int32_t partition)
{
    const struct redrive_plan *plan = r->setup->plan;
    return partition < plan->end_count ? plan->ends[partition] : 0;
}

static size_t record_bytes(const struct record *rec)
{
    return sizeof *rec + rec->key.n + rec->value.n;
}

static bool reached_limit(const struct redrive *r)
{
    return r->setup->limit > 0 && r->out >= r->setup->limit;
}

/* --- take --- */

static void take_record(struct redrive *r, struct part *part, struct record *rec)
{
    struct letter_view letter;
    if (rec->offset >= redrive_end(r, rec->partition)) {
        part->closed = true;
        reader_release(r->reader, rec, 1);
        return;
    }
    *entry_at(r, r->tail++) =
        (struct entry){.rec = *rec, .wanted = redrive_wants(rec, r->setup->reason, &letter)};
    r->bytes += record_bytes(rec);
    part->unsent++;
}

static bool take_some(struct redrive *r, int32_t partition)
{
    struct part *part = &r->parts[partition];
    size_t room = RING - (size_t)(r->tail - r->head), n = 0;
    struct error err;
    if (!part->ours || part->dry || part->revoking || part->closed || room == 0 ||
        r->bytes >= RING_BYTES)
        return false;
    enum status st = reader_poll(r->reader, partition, r->recs, room < TAKE_MAX ? room : TAKE_MAX,
                                 TAKE_BYTES, &n, &err);
    if (st == ST_AGAIN)
        part->dry = true;
    else if (st != ST_OK)
        worker_fail(&r->w, &err);
    if (st != ST_OK)
        return false;
    for (size_t i = 0; i < n; i++)
        take_record(r, part, &r->recs[i]);
    return true;
}

static bool take(struct redrive *r)
{
    bool more = false;
    if (r->stopping || reached_limit(r))
        return false;
    for (int32_t i = 0; i < r->part_count; i++)
        if (take_some(r, i))
            more = true;
    return more;
}

/* --- send --- */

static bool is_our_header(struct span name)
{
    return span_is(name, "sluice-redrive");
}

static int topic_index(const struct redrive *r, struct span topic)
{
    const struct redrive_plan *plan = r->setup->plan;
    size_t i = 0;
    while (i < plan->topic_count && !span_is(topic, plan->topics[i]))
        i++;
    assert(i < plan->topic_count); /* the plan has seen every letter below its ends */
    return (int)i;
}

/* The time is now's: with the old one, retention by time could remove the record unread. */
static enum status send_letter(struct redrive *r, const struct record *rec, struct error *err)
{
    struct letter_view letter;
    headers_read_letter(rec, &letter);
    headers_reset(&r->headers);
    headers_pass(&r->headers, rec, is_our_header);
    headers_addf(&r->headers, SPAN_LIT("sluice-redrive"), "%s/%d/%lld", dead_topic(r),
                 (int)rec->partition, (long long)rec->offset);
    int topic = topic_index(r, letter.topic);
    struct out out = {.key = rec->key,
                      .value = rec->value,
                      .headers = r->headers.items,
                      .header_count = r->headers.n,
                      .timestamp_ms = -1,
                      .topic = topic,
                      .partition = letter.partition % writer_partitions(r->writer, topic)};
    return writer_send(r->writer, &out, err);
}

/* Whether the rate lets one more go now; sets the timer when not. */
static bool rate_allows(struct redrive *r)
{
    double rate = r->setup->rate;
    if (rate <= 0)
        return true;
    int64_t now = clock_mono_ns();
    if (r->start_ns == 0)
        r->start_ns = now;
    double wait_ms = ((double)r->out / rate) * 1e3 - (double)(now - r->start_ns) / 1e6;
    if (wait_ms <= 0)
        return true;
    loop_timer_start(r->rate_timer, wait_ms < 1 ? 1 : (int64_t)wait_ms);
    return false;
}

/* False: it must wait. */
static bool send_entry(struct redrive *r, struct entry *entry)
{
    struct error err;
    if (reached_limit(r) || !rate_allows(r))
        return false;
    enum status st = send_letter(r, &entry->rec, &err);
    if (st == ST_OK) {
        r->out++;
        POINT("redrive.sent", dead_topic(r), entry->rec.partition, entry->rec.offset);
        return true;
    }
    if (st != ST_REJECT) {
        r->blocked = true;
        return false;
    }
    log_line(LOG_WARN, "redrive", "%s/%d/%lld is left where it is: %s", dead_topic(r),
             (int)entry->rec.partition, (long long)entry->rec.offset, err.text);
    atomic_fetch_add(r->setup->refused, 1);
    entry->wanted = false;
    return true;
}

static void send(struct redrive *r)
{
    while (r->sent < r->tail && !r->blocked && !r->paused && !r->stopping) {
        struct entry *entry = entry_at(r, r->sent);
        if (!entry->gone && entry->wanted && !send_entry(r, entry))
            return;
        if (!entry->gone) {
            r->parts[entry->rec.partition].next = entry->rec.offset + 1;
            r->parts[entry->rec.partition].unsent--;
        }
        r->sent++;
    }
}

/* --- commit --- */

/* Where nothing is left to be looked at, the position is where the reader stands: behind the last
 * record there may be markers of transactions. */
static void raise_position(struct redrive *r, int32_t p)
{
    struct part *part = &r->parts[p];
    int64_t at = reader_position(r->reader, p), end = redrive_end(r, p);
    if (part->unsent > 0 || part->revoking)
        return;
    if (part->closed && at > end)
        at = end;
    if (at > part->next)
        part->next = at;
}

static size_t collect_positions(struct redrive *r)
{
    size_t n = 0;
    for (int32_t p = 0; p < r->part_count; p++) {
        struct part *part = &r->parts[p];
        if (!part->ours)
            continue;
        raise_position(r, p);
        if (part->next <= part->handed)
            continue;
        r->positions[n++] = (struct position){.partition = p, .offset = part->next, .metadata = ""};
    }
    return n;
}

static void commit(struct redrive *r)
{
    struct error err;
    uint64_t number = 0;
    if (r->paused || !writer_can_commit(r->writer))
        return;
    size_t n = collect_positions(r);
    if (n == 0)
        return;
    enum status st = writer_commit(r->writer, r->positions, n, &number, &err);
    if (st != ST_OK) {
        assert(st != ST_AGAIN); /* writer_can_commit said yes */
        worker_fail(&r->w, &err);
        return;
    }
    POINT("redrive.handed", dead_topic(r), -1, (int64_t)number);
    for (size_t i = 0; i < n; i++)
        r->parts[r->positions[i].partition].handed = r->positions[i].offset;
    assert(r->mark_count < MARKS);
    r->marks[r->mark_count].batch = number;
    r->marks[r->mark_count++].sent = r->sent;
    r->blocked = false;
}

/* --- release --- */

void redrive_pop(struct redrive *r)
{
    struct entry *entry = entry_at(r, r->head++);
    r->bytes -= record_bytes(&entry->rec);
    reader_release(r->reader, &entry->rec, 1);
}

/* Entries of partitions that have left wait for no batch. */
static void pop_gone(struct redrive *r)
{
    while (r->head < r->sent && entry_at(r, r->head)->gone)
        redrive_pop(r);
}

void redrive_confirm(struct redrive *r, uint64_t number)
{
    POINT("redrive.committed", dead_topic(r), -1, (int64_t)number);
    assert(r->mark_count > 0 && r->marks[0].batch == number);
    uint64_t end = r->marks[0].sent;
    memmove(&r->marks[0], &r->marks[1], (size_t)--r->mark_count * sizeof r->marks[0]);
    int64_t before = r->confirmed;
    while (r->head < end) {
        const struct entry *entry = entry_at(r, r->head);
        r->confirmed += entry->wanted && !entry->gone;
        redrive_pop(r);
    }
    atomic_fetch_add(r->setup->sent, r->confirmed - before);
    backoff_reset(&r->retry);
    UNUSED(number);
}

void redrive_resend(struct redrive *r)
{
    r->sent = r->head;
    r->mark_count = 0;
    r->out = r->confirmed;
    for (int32_t p = 0; p < r->part_count; p++) {
        r->parts[p].next = r->parts[p].handed = -1;
        r->parts[p].unsent = 0;
    }
    for (uint64_t i = r->head; i < r->tail; i++)
        if (!entry_at(r, i)->gone)
            r->parts[entry_at(r, i)->rec.partition].unsent++;
    r->blocked = false;
    r->paused = true;
    loop_timer_start(r->retry_timer, backoff_next(&r->retry));
}

/* --- partitions that leave, and the end --- */

static void settle(struct redrive *r)
{
    pop_gone(r);
    bool over = r->stopping || reached_limit(r);
    if ((!r->revoking && !over) || r->head < r->sent || !writer_idle(r->writer))
        return;
    for (int32_t p = 0; p < r->part_count; p++)
        if (r->parts[p].revoking)
            r->parts[p] = (struct part){0};
    if (r->revoking) {
        r->revoking = false;
        reader_give_up(r->reader);
    }
    if (over)
        worker_finished(&r->w);
}

void redrive_pump(void *arg)
{
    struct redrive *r = arg;
    bool more = take(r);
    send(r);
    commit(r);
    settle(r);
    if (!more)
        loop_idle_stop(r->more);
}

void redrive_drop(struct redrive *r, int32_t partition, uint64_t from)
{
    for (uint64_t i = from; i < r->tail; i++)
        if (entry_at(r, i)->rec.partition == partition)
            entry_at(r, i)->gone = true;
}

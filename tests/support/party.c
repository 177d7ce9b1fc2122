/* See party.h. Conditions are looked at every two milliseconds of the loop, which is simple and
 * fast enough; nothing here sleeps. */
#include "tests/support/party.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <unistd.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"

static void must(enum status st, const struct error *err)
{
    if (st != ST_OK)
        fail_msg("%s: %s", status_name(st), err->text);
}

/* --- scene --- */

static void look(void *arg)
{
    struct scene *scene = arg;
    if (scene->cond == NULL)
        return;
    scene->met = scene->cond(scene->cond_arg);
    if (scene->met || clock_mono_ms() > scene->deadline_ms)
        loop_stop(scene->loop);
    else
        loop_timer_start(scene->timer, 2);
}

void scene_open(struct scene *scene, const struct broker_options *opt)
{
    *scene = (struct scene){.opt = *opt};
    struct error err = {0};
    must(broker_open(&scene->opt, &scene->broker, &err), &err);
    scene->loop = loop_new();
    scene->timer = loop_timer_new(scene->loop, look, scene);
}

void scene_close(struct scene *scene)
{
    if (scene->loop == NULL)
        return;
    loop_timer_free(scene->timer);
    broker_close(scene->broker);
    loop_free(scene->loop);
    *scene = (struct scene){0};
}

void scene_until(struct scene *scene, bool (*cond)(void *arg), void *arg)
{
    scene->cond = cond;
    scene->cond_arg = arg;
    scene->met = false;
    scene->deadline_ms = clock_mono_ms() + PARTY_WAIT_MS;
    loop_timer_start(scene->timer, 0);
    loop_run(scene->loop);
    scene->cond = NULL;
    if (!scene->met)
        fail_msg("waited %d ms in vain", PARTY_WAIT_MS);
}

/* --- the reader's events --- */

static void on_assigned(void *arg, const struct position *pos, size_t n, uint32_t epoch)
{
    struct party *party = arg;
    party->assigned++;
    party->epoch_before = party->epoch;
    party->epoch = epoch;
    for (size_t i = 0; i < n; i++) {
        int32_t p = pos[i].partition;
        party->owned[p] = true;
        party->begins[p] = party->next[p] = pos[i].offset;
        mem_free(party->metadata[p]);
        party->metadata[p] = mem_strdup(pos[i].metadata);
    }
}

static void on_revoking(void *arg, const int32_t *partitions, size_t n)
{
    struct party *party = arg;
    party->revoking++;
    for (size_t i = 0; i < n; i++)
        party->owned[partitions[i]] = false;
    if (!party->hold)
        reader_give_up(party->reader);
}

static void on_lost(void *arg, const int32_t *partitions, size_t n)
{
    struct party *party = arg;
    party->lost++;
    for (size_t i = 0; i < n; i++)
        party->owned[partitions[i]] = false;
}

static void on_readable(void *arg)
{
    UNUSED(arg);
}

static void on_connection(void *arg, bool up, const struct error *err)
{
    UNUSED(arg);
    UNUSED(up);
    UNUSED(err);
}

static void on_reader_failed(void *arg, const struct error *err)
{
    struct party *party = arg;
    party->reader_failed = true;
    party->reader_error = *err;
}

/* --- the writer's events --- */

static void on_committed(void *arg, uint64_t number)
{
    struct party *party = arg;
    if (party->any_committed)
        assert_true(number > party->committed);
    party->any_committed = true;
    party->committed = number;
}

static void on_aborted(void *arg, uint64_t first, const struct error *why)
{
    struct party *party = arg;
    UNUSED(first);
    party->aborted++;
    if (why != NULL)
        party->abort_error = *why;
}

static void on_writable(void *arg)
{
    struct party *party = arg;
    party->writable++;
}

static void on_writer_failed(void *arg, const struct error *err)
{
    struct party *party = arg;
    party->writer_failed = true;
    party->writer_error = *err;
}

/* --- opening and closing --- */

void party_read(struct party *party, struct scene *scene, struct reader_config cfg)
{
    party->scene = scene;
    cfg.loop = scene->loop;
    cfg.events = (struct reader_events){.arg = party,
                                        .assigned = on_assigned,
                                        .revoking = on_revoking,
                                        .lost = on_lost,
                                        .readable = on_readable,
                                        .connection = on_connection,
                                        .failed = on_reader_failed};
    struct error err = {0};
    must(reader_open(scene->broker, &cfg, &party->reader, &err), &err);
}

void party_tap(struct party *party, struct scene *scene, const char *topic, int32_t count,
               int64_t offset)
{
    struct position start[PARTY_PARTITIONS];
    for (int32_t p = 0; p < count; p++)
        start[p] = (struct position){.partition = p, .offset = offset, .metadata = ""};
    party_read(
        party, scene,
        (struct reader_config){.topic = topic, .start = start, .start_count = (size_t)count});
    party_own(party, count);
}

void party_write(struct party *party, struct scene *scene, struct writer_config cfg)
{
    party->scene = scene;
    cfg.loop = scene->loop;
    cfg.reader = party->reader;
    while (cfg.topic_count < WRITER_TOPICS_MAX && cfg.topics[cfg.topic_count] != NULL)
        cfg.topic_count++;
    cfg.events = (struct writer_events){.arg = party,
                                        .committed = on_committed,
                                        .aborted = on_aborted,
                                        .writable = on_writable,
                                        .failed = on_writer_failed};
    struct error err = {0};
    must(writer_open(scene->broker, &cfg, &party->writer, &err), &err);
}

void party_close(struct party *party)
{
    writer_close(party->writer);
    reader_close(party->reader);
    for (size_t i = 0; i < party->got_count; i++) {
        struct got *got = &party->got[i];
        mem_free((void *)got->key.p);
        mem_free((void *)got->value.p);
        for (size_t h = 0; h < got->header_count; h++) {
            mem_free((void *)got->headers[h].name.p);
            mem_free((void *)got->headers[h].value.p);
        }
    }
    mem_free(party->got);
    for (int p = 0; p < PARTY_PARTITIONS; p++)
        mem_free(party->metadata[p]);
    *party = (struct party){0};
}

/* --- reading --- */

static struct span keep(struct span s)
{
    return s.p == NULL ? SPAN_NULL : span_make(mem_spandup(s), s.n);
}

static void take(struct party *party, const struct record *rec)
{
    if ((party->got_count & (party->got_count + 1)) == 0)
        party->got = mem_realloc(party->got, (2 * party->got_count + 2) * sizeof *party->got);
    struct got *got = &party->got[party->got_count++];
    *got = (struct got){.key = keep(rec->key),
                        .value = keep(rec->value),
                        .offset = rec->offset,
                        .timestamp_ms = rec->timestamp_ms,
                        .partition = rec->partition,
                        .epoch = rec->epoch};
    assert_true(rec->header_count <= 4);
    got->header_count = rec->header_count;
    for (size_t h = 0; h < rec->header_count; h++) {
        got->headers[h].name = keep(rec->headers[h].name);
        got->headers[h].value = keep(rec->headers[h].value);
    }
    assert_true(rec->offset >= party->next[rec->partition]);
    party->next[rec->partition] = rec->offset + 1;
}

static bool poll_one(struct party *party, int32_t p, size_t max)
{
    struct record recs[500];
    size_t room = max - party->got_count, n = 0;
    struct error err = {0};
    enum status st =
        reader_poll(party->reader, p, recs, room < 500 ? room : 500, 4 << 20, &n, &err);
    if (st == ST_AGAIN)
        return false;
    must(st, &err);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++)
        take(party, &recs[i]);
    reader_release(party->reader, recs, n);
    return true;
}

void party_poll(struct party *party, size_t max)
{
    for (int32_t p = 0; p < PARTY_PARTITIONS; p++) {
        while (party->owned[p] && party->got_count < max && poll_one(party, p, max))
            continue;
    }
}

static bool has_wanted(void *arg)
{
    struct party *party = arg;
    party_poll(party, party->want);
    if (party->reader_failed)
        fail_msg("the reader failed: %s", party->reader_error.text);
    return party->got_count >= party->want;
}

void party_want(struct party *party, size_t count)
{
    party->want = count;
    scene_until(party->scene, has_wanted, party);
}

static bool owns_wanted(void *arg)
{
    struct party *party = arg;
    size_t n = 0;
    for (int p = 0; p < PARTY_PARTITIONS; p++)
        n += party->owned[p];
    if (party->reader_failed)
        fail_msg("the reader failed: %s", party->reader_error.text);
    return n == party->want;
}

void party_own(struct party *party, int count)
{
    party->want = (size_t)count;
    scene_until(party->scene, owns_wanted, party);
}

/* --- writing --- */

static bool was_writable(void *arg)
{
    struct party *party = arg;
    return party->writable > 0 || party->writer_failed;
}

static void wait_writable(struct party *party)
{
    scene_until(party->scene, was_writable, party);
    if (party->writer_failed)
        fail_msg("the writer failed: %s", party->writer_error.text);
}

void party_send_out(struct party *party, const struct out *out)
{
    struct error err = {0};
    for (;;) {
        party->writable = 0;
        enum status st = writer_send(party->writer, out, &err);
        if (st != ST_AGAIN) {
            must(st, &err);
            return;
        }
        wait_writable(party);
    }
}

void party_send(struct party *party, int32_t partition, const char *key, const char *value)
{
    struct out out = {
        .key = span_of(key), .value = span_of(value), .timestamp_ms = -1, .partition = partition};
    party_send_out(party, &out);
}

uint64_t party_hand_over(struct party *party, const struct position *pos, size_t n)
{
    struct error err = {0};
    uint64_t number = 0;
    for (;;) {
        party->writable = 0;
        enum status st = writer_commit(party->writer, pos, n, &number, &err);
        if (st == ST_OK)
            return number;
        if (st != ST_AGAIN)
            must(st, &err);
        wait_writable(party);
    }
}

struct commit_wait {
    struct party *party;
    uint64_t number;
};

static bool is_decided(void *arg)
{
    struct commit_wait *wait = arg;
    struct party *party = wait->party;
    return (party->any_committed && party->committed >= wait->number) || party->aborted > 0 ||
           party->writer_failed;
}

void party_commit(struct party *party, const struct position *pos, size_t n)
{
    struct commit_wait wait = {party, party_hand_over(party, pos, n)};
    scene_until(party->scene, is_decided, &wait);
    if (party->exits && (party->writer_failed || party->aborted > 0))
        _exit(3);
    if (party->writer_failed)
        fail_msg("the writer failed: %s", party->writer_error.text);
    if (party->aborted > 0)
        fail_msg("aborted: %s", party->abort_error.text);
}

const char *got_value(const struct got *got)
{
    return got->value.p;
}

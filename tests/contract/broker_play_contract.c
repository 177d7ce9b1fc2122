/* Set-up, helpers and the list of all sentences of the broker contract. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/clock.h"
#include "lib/base/mem.h"
#include "tests/contract/broker_play.h"

const struct contract_fixture *fixture;

static int32_t partitions_in_setup = 2;

void play_topic(struct play *s, const char *topic, int32_t partitions)
{
    struct error err = {0};
    bool made = false;
    if (broker_topic_ensure(s->scene.broker, topic, TOPIC_PLAIN, partitions, &made, &err) != ST_OK)
        fail_msg("%s", err.text);
    assert_true(made);
}

int play_setup(void **state)
{
    static int serial;
    struct play *s = mem_zalloc(sizeof *s);
    long long tag = (long long)clock_wall_us();
    snprintf(s->in, sizeof s->in, "in-%lld-%d", tag, ++serial);
    snprintf(s->out, sizeof s->out, "out-%lld-%d", tag, serial);
    snprintf(s->group, sizeof s->group, "group-%lld-%d", tag, serial);
    struct broker_options opt = {.partitions = 1,
                                 .replication = -1,
                                 .timeout_ms = 30000,
                                 .commit_interval_ms = 5,
                                 .commit_records = 5000,
                                 .session_timeout_ms = 45000};
    fixture->setup(&opt);
    scene_open(&s->scene, &opt);
    play_topic(s, s->in, partitions_in_setup);
    play_topic(s, s->out, partitions_in_setup);
    *state = s;
    return 0;
}

int play_setup_four(void **state)
{
    partitions_in_setup = 4;
    int rc = play_setup(state);
    partitions_in_setup = 2;
    return rc;
}

int play_teardown(void **state)
{
    struct play *s = *state;
    scene_close(&s->scene);
    mem_free(s);
    if (fixture->teardown != NULL)
        fixture->teardown();
    return 0;
}

/* --- the usual parties --- */

void play_feed(struct play *s, struct party *feed, const char *topic)
{
    party_write(feed, &s->scene,
                (struct writer_config){.topics = {topic}, .instance = "feed", .group = "feed"});
}

/* Values "0", "1", … of `count` records, in partition i % partitions, committed. */
void play_numbers(struct play *s, const char *topic, int count, int32_t partitions)
{
    struct party feed = {0};
    play_feed(s, &feed, topic);
    for (int i = 0; i < count; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        party_send(&feed, i % partitions, text, text);
        if (i % 1000 == 999)
            party_commit(&feed, NULL, 0);
    }
    party_commit(&feed, NULL, 0);
    party_close(&feed);
}

struct reader_config play_member(struct play *s, const char *instance)
{
    return (struct reader_config){.topic = s->in, .group = s->group, .instance = instance};
}

void play_join(struct play *s, struct party *party, const char *instance)
{
    party_read(party, &s->scene, play_member(s, instance));
}

void play_join_writing(struct play *s, struct party *party, const char *instance)
{
    play_join(s, party, instance);
    party_write(
        party, &s->scene,
        (struct writer_config){.topics = {s->out}, .instance = instance, .group = s->group});
}

struct position play_after(const struct got *got)
{
    return (struct position){
        .partition = got->partition, .offset = got->offset + 1, .metadata = ""};
}

int64_t play_position(struct play *s, int32_t partition)
{
    struct position pos[PARTY_PARTITIONS] = {0};
    struct error err = {0};
    int32_t count = partition + 1;
    if (broker_positions(s->scene.broker, s->group, s->in, pos, count, &err) != ST_OK)
        fail_msg("%s", err.text);
    int64_t offset = pos[partition].offset;
    positions_fini(pos, count);
    return offset;
}

struct watermark play_watermark(struct play *s, const char *topic, int32_t partition)
{
    struct watermark log[PARTY_PARTITIONS];
    struct error err = {0};
    if (broker_watermarks(s->scene.broker, topic, log, partition + 1, &err) != ST_OK)
        fail_msg("%s", err.text);
    return log[partition];
}

/* The output topic holds these values in partition 0 and no others: read to a sentinel that is
 * written now. */
void play_expect_out(struct play *s, const char *const *values, size_t count)
{
    struct party feed = {0}, tap = {0};
    play_feed(s, &feed, s->out);
    party_send(&feed, 0, NULL, "sentinel");
    party_commit(&feed, NULL, 0);
    party_close(&feed);
    party_tap(&tap, &s->scene, s->out, 1, play_watermark(s, s->out, 0).start);
    party_want(&tap, count + 1);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(got_value(&tap.got[i]), values[i]);
    assert_string_equal(got_value(&tap.got[count]), "sentinel");
    party_close(&tap);
}

/* --- the suite --- */

int broker_contract_run(const struct contract_fixture *wanted)
{
    fixture = wanted;
    int failed = broker_contract_records();
    failed += broker_contract_groups();
    return failed + broker_contract_admin();
}

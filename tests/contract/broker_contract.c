/* The promises of lib/broker/broker.h about records, positions and back-pressure, one sentence
 * each. Nothing here knows which broker it talks to: offsets may have gaps (Kafka's transaction
 * markers), and that something is *not* there is shown by a later record that is. */
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

/* --- records --- */

static void records_of_a_partition_keep_their_order(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 5000, 2);
    struct party tap = {0};
    party_tap(&tap, &s->scene, s->in, 2, 0);
    party_want(&tap, 5000);
    int next[2] = {0, 1};
    for (size_t i = 0; i < tap.got_count; i++) {
        int32_t p = tap.got[i].partition;
        assert_int_equal(atoi(got_value(&tap.got[i])), next[p]);
        next[p] += 2;
    }
    party_close(&tap);
}

static void key_headers_and_timestamp_pass_unchanged(void **state)
{
    struct play *s = *state;
    struct header headers[] = {{SPAN_LIT("a"), SPAN_LIT("1")},
                               {SPAN_LIT("a"), SPAN_LIT("")},
                               {SPAN_LIT("nothing"), SPAN_NULL}};
    struct out full = {.key = SPAN_LIT("k\0y"),
                       .value = SPAN_LIT("v\0\xff"),
                       .headers = headers,
                       .header_count = 3,
                       .timestamp_ms = 1700000000123};
    struct party feed = {0}, tap = {0};
    play_feed(s, &feed, s->in);
    party_send_out(&feed, &full);
    party_commit(&feed, NULL, 0);
    party_tap(&tap, &s->scene, s->in, 1, 0);
    party_want(&tap, 1);
    const struct got *got = &tap.got[0];
    assert_true(span_equal(got->key, full.key));
    assert_true(span_equal(got->value, full.value));
    assert_int_equal(got->timestamp_ms, full.timestamp_ms);
    assert_int_equal(got->header_count, 3);
    for (int h = 0; h < 3; h++) {
        assert_true(span_equal(got->headers[h].name, headers[h].name));
        assert_true(span_equal(got->headers[h].value, headers[h].value));
    }
    party_close(&feed);
    party_close(&tap);
}

static void null_and_empty_are_two_things(void **state)
{
    struct play *s = *state;
    struct out outs[] = {{.key = SPAN_NULL, .value = SPAN_LIT("v"), .timestamp_ms = -1},
                         {.key = SPAN_LIT(""), .value = SPAN_LIT("v"), .timestamp_ms = -1},
                         {.key = SPAN_LIT("k"), .value = SPAN_NULL, .timestamp_ms = -1},
                         {.key = SPAN_LIT("k"), .value = SPAN_LIT(""), .timestamp_ms = -1}};
    struct party feed = {0}, tap = {0};
    play_feed(s, &feed, s->in);
    int64_t before = clock_wall_ms();
    for (int i = 0; i < 4; i++)
        party_send_out(&feed, &outs[i]);
    party_commit(&feed, NULL, 0);
    party_tap(&tap, &s->scene, s->in, 1, 0);
    party_want(&tap, 4);
    for (int i = 0; i < 4; i++) {
        assert_true(span_equal(tap.got[i].key, outs[i].key));
        assert_true(span_equal(tap.got[i].value, outs[i].value));
        assert_int_equal(tap.got[i].header_count, 0);
        assert_in_range(tap.got[i].timestamp_ms, before - 1000, clock_wall_ms() + 1000);
    }
    party_close(&feed);
    party_close(&tap);
}

static void a_record_of_almost_1_mib_passes(void **state)
{
    struct play *s = *state;
    size_t n = (1 << 20) - 1000;
    char *big = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)('a' + i % 23);
    big[n] = '\0';
    struct party feed = {0}, tap = {0};
    play_feed(s, &feed, s->in);
    party_send(&feed, 0, "k", "small");
    party_send(&feed, 0, "k", big);
    party_send(&feed, 0, "k", "small");
    party_commit(&feed, NULL, 0);
    party_tap(&tap, &s->scene, s->in, 1, 0);
    party_want(&tap, 3);
    assert_true(span_equal(tap.got[1].value, span_make(big, n)));
    assert_string_equal(got_value(&tap.got[2]), "small");
    party_close(&feed);
    party_close(&tap);
    mem_free(big);
}

/* --- positions --- */

static void records_come_again_from_the_committed_position(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 10, 1);
    struct party member = {0};
    play_join_writing(s, &member, "a");
    party_want(&member, 10);
    struct position pos = play_after(&member.got[3]);
    party_commit(&member, &pos, 1);
    party_close(&member);
    play_join_writing(s, &member, "a");
    party_want(&member, 6);
    assert_int_equal(member.begins[0], pos.offset);
    assert_string_equal(got_value(&member.got[0]), "4");
    party_close(&member);
}

static void metadata_rides_with_the_position(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 4, 2);
    char text[POSITION_METADATA_MAX + 1];
    memset(text, 'm', POSITION_METADATA_MAX);
    text[POSITION_METADATA_MAX] = '\0';
    struct party member = {0};
    play_join_writing(s, &member, "a");
    party_want(&member, 4);
    struct position pos[2] = {{0, member.next[0], text}, {1, member.next[1], "short"}};
    party_commit(&member, pos, 2);
    party_close(&member);
    play_join_writing(s, &member, "a");
    party_own(&member, 2);
    assert_string_equal(member.metadata[0], text);
    assert_string_equal(member.metadata[1], "short");
    pos[0].metadata = "";
    party_commit(&member, pos, 1);
    struct position told[2] = {0};
    struct error err = {0};
    assert_int_equal(broker_positions(s->scene.broker, s->group, s->in, told, 2, &err), ST_OK);
    assert_string_equal(told[0].metadata, "");
    assert_string_equal(told[1].metadata, "short");
    positions_fini(told, 2);
    party_close(&member);
}

struct visible {
    struct play *play;
    int64_t beyond;
};

static bool output_has_grown(void *arg)
{
    struct visible *v = arg;
    return play_watermark(v->play, v->play->out, 0).end > v->beyond;
}

static void nothing_is_visible_before_the_commit(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 3, 1);
    struct party member = {0};
    play_join_writing(s, &member, "a");
    party_want(&member, 3);
    for (int i = 0; i < 3; i++)
        party_send(&member, 0, "k", got_value(&member.got[i]));
    struct watermark log = play_watermark(s, s->out, 0);
    assert_int_equal(log.end, log.start);
    assert_int_equal(play_position(s, 0), -1);
    struct position pos = play_after(&member.got[2]);
    party_commit(&member, &pos, 1);
    scene_until(&s->scene, output_has_grown, &(struct visible){s, log.end});
    assert_int_equal(play_position(s, 0), pos.offset);
    party_close(&member);
    play_expect_out(s, (const char *const[]){"0", "1", "2"}, 3);
}

static void a_batch_that_was_not_handed_over_leaves_nothing(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 3, 1);
    struct party member = {0};
    play_join_writing(s, &member, "a");
    party_want(&member, 3);
    for (int i = 0; i < 3; i++)
        party_send(&member, 0, "k", got_value(&member.got[i]));
    party_close(&member); /* in the middle of the batch */
    play_join_writing(s, &member, "a");
    party_want(&member, 3);
    for (int i = 0; i < 3; i++)
        party_send(&member, 0, "k", got_value(&member.got[i]));
    struct position pos = play_after(&member.got[2]);
    party_commit(&member, &pos, 1);
    party_close(&member);
    play_expect_out(s, (const char *const[]){"0", "1", "2"}, 3);
}

static void a_commit_may_hold_only_positions_or_only_outputs(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 2, 1);
    struct party member = {0};
    play_join_writing(s, &member, "a");
    party_want(&member, 2);
    struct position pos = play_after(&member.got[0]);
    party_commit(&member, &pos, 1);
    assert_int_equal(play_position(s, 0), pos.offset);
    party_send(&member, 0, NULL, "alone");
    party_commit(&member, NULL, 0);
    assert_int_equal(play_position(s, 0), pos.offset);
    assert_true(writer_idle(member.writer));
    assert_true(writer_can_commit(member.writer));
    party_close(&member);
    play_expect_out(s, (const char *const[]){"alone"}, 1);
}

static void batches_that_follow_one_another_keep_their_order(void **state)
{
    struct play *s = *state;
    struct party feed = {0}, tap = {0};
    play_feed(s, &feed, s->in);
    for (int i = 0; i < 200; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        party_send(&feed, 0, NULL, text);
        party_hand_over(&feed, NULL, 0); /* not waited for: the next one fills meanwhile */
    }
    party_tap(&tap, &s->scene, s->in, 1, 0);
    party_want(&tap, 200);
    for (int i = 0; i < 200; i++)
        assert_int_equal(atoi(got_value(&tap.got[i])), i);
    party_close(&feed);
    party_close(&tap);
}

static void at_least_once_commits_outputs_and_positions_too(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 2, 1);
    struct party member = {0};
    play_join(s, &member, "a");
    party_write(
        &member, &s->scene,
        (struct writer_config){
            .topics = {s->out}, .instance = "a", .group = s->group, .delivery = AT_LEAST_ONCE});
    party_want(&member, 2);
    party_send(&member, 0, "k", "x");
    struct position pos = play_after(&member.got[1]);
    party_commit(&member, &pos, 1);
    assert_int_equal(play_position(s, 0), pos.offset);
    party_close(&member);
    play_expect_out(s, (const char *const[]){"x"}, 1);
}

/* --- back-pressure --- */

static void a_writer_that_is_full_says_so_and_says_when_there_is_room(void **state)
{
    struct play *s = *state;
    char text[1025];
    memset(text, 'x', 1024);
    text[1024] = '\0';
    struct party feed = {0}, tap = {0};
    play_feed(s, &feed, s->in);
    struct out out = {.value = span_of(text), .timestamp_ms = -1};
    struct error err = {0};
    size_t sent = 0;
    enum status st = ST_OK;
    while (sent < 300000 && (st = writer_send(feed.writer, &out, &err)) == ST_OK)
        sent++;
    assert_int_equal(st, ST_AGAIN);
    party_hand_over(&feed, NULL, 0);
    party_send(&feed, 0, NULL, "last"); /* waits for `writable` */
    party_commit(&feed, NULL, 0);
    party_close(&feed);
    party_tap(&tap, &s->scene, s->in, 1, 0);
    party_want(&tap, sent + 1);
    assert_string_equal(got_value(&tap.got[sent]), "last");
    party_close(&tap);
}

static void a_reader_that_is_not_polled_keeps_everything(void **state)
{
    struct play *s = *state;
    struct party member = {0};
    play_join(s, &member, "a");
    party_own(&member, 2);
    play_numbers(s, s->in, 20000, 1); /* the loop runs meanwhile */
    party_want(&member, 20000);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(atoi(got_value(&member.got[i])), i);
    party_close(&member);
}

static void records_that_come_later_are_announced(void **state)
{
    struct play *s = *state;
    struct party member = {0};
    play_join(s, &member, "a");
    party_own(&member, 2);
    for (int round = 1; round <= 5; round++) {
        play_numbers(s, s->in, 2, 2);
        party_want(&member, (size_t)round * 2);
    }
    party_close(&member);
}

static void a_record_stays_readable_until_it_is_released(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 3000, 1);
    struct party member = {0};
    play_join(s, &member, "a");
    party_want(&member, 1);
    struct record recs[30];
    size_t held = 0, n = 0;
    struct error err = {0};
    while (held < 30 && reader_poll(member.reader, 0, recs + held, 1, 1, &n, &err) == ST_OK) {
        assert_int_equal(n, 1);
        held++;
    }
    member.next[0] = held == 0 ? 0 : recs[held - 1].offset + 1;
    party_want(&member, 3000 - held);
    for (size_t i = 0; i < held; i++) {
        char text[32];
        snprintf(text, sizeof text, "%zu", i + 1);
        assert_true(span_is(recs[i].value, text));
    }
    for (size_t i = held; i-- > 0;)
        reader_release(member.reader, &recs[i], 1);
    party_close(&member);
}

int broker_contract_records(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(records_of_a_partition_keep_their_order, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(key_headers_and_timestamp_pass_unchanged, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(null_and_empty_are_two_things, play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(a_record_of_almost_1_mib_passes, play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(records_come_again_from_the_committed_position, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(metadata_rides_with_the_position, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_visible_before_the_commit, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(a_batch_that_was_not_handed_over_leaves_nothing, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(a_commit_may_hold_only_positions_or_only_outputs,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(batches_that_follow_one_another_keep_their_order,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(at_least_once_commits_outputs_and_positions_too, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(a_writer_that_is_full_says_so_and_says_when_there_is_room,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(a_reader_that_is_not_polled_keeps_everything, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(records_that_come_later_are_announced, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(a_record_stays_readable_until_it_is_released, play_setup,
                                        play_teardown),
    };
    return cmocka_run_group_tests_name("broker: records and positions", tests, NULL, NULL);
}

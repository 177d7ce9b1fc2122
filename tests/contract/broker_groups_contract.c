/* What a broker promises about groups: sharing, leaving, fencing, and where a group begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/contract/broker_play.h"

struct pair {
    struct party *a, *b;
    int want_a, want_b;
};

static int owned_count(const struct party *party)
{
    int n = 0;
    for (int p = 0; p < PARTY_PARTITIONS; p++)
        n += party->owned[p];
    return n;
}

static bool pair_is_shared(void *arg)
{
    struct pair *pair = arg;
    return owned_count(pair->a) == pair->want_a && owned_count(pair->b) == pair->want_b;
}

static void two_members_share_and_take_over(void **state)
{
    struct play *s = *state;
    struct party a = {0}, b = {0};
    play_join_writing(s, &a, "a");
    party_own(&a, 4);
    uint32_t epoch = a.epoch;
    play_join_writing(s, &b, "b");
    struct pair pair = {&a, &b, 2, 2};
    scene_until(&s->scene, pair_is_shared, &pair);
    for (int p = 0; p < 4; p++)
        assert_true(a.owned[p] != b.owned[p]);
    assert_true(a.revoking > 0);
    party_close(&b);
    party_own(&a, 4);
    assert_true(a.epoch > epoch);
    play_numbers(s, s->in, 40, 4);
    party_want(&a, 40);
    party_close(&a);
}

static bool was_told_to_leave(void *arg)
{
    struct party *party = arg;
    return party->revoking > 0;
}

static void revoked_partitions_stay_until_they_are_given_up(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 8, 4);
    struct party a = {.hold = true}, b = {0};
    play_join_writing(s, &a, "a");
    party_want(&a, 8);
    play_join_writing(s, &b, "b");
    scene_until(&s->scene, was_told_to_leave, &a);
    struct position pos[4];
    for (int32_t p = 0; p < 4; p++)
        pos[p] = (struct position){.partition = p, .offset = a.next[p], .metadata = ""};
    party_send(&a, 0, "k", "before leaving");
    party_commit(&a, pos, 4); /* the revoked ones too */
    a.hold = false;
    reader_give_up(a.reader);
    struct pair pair = {&a, &b, 2, 2};
    scene_until(&s->scene, pair_is_shared, &pair);
    for (int p = 0; p < 4; p++) {
        if (b.owned[p])
            assert_int_equal(b.begins[p], pos[p].offset);
    }
    party_close(&a);
    party_close(&b);
}

static bool was_stopped(void *arg)
{
    struct party *party = arg;
    return party->writer_failed || party->reader_failed || party->aborted > 0 || party->lost > 0;
}

static void a_twin_fences_the_one_before_it(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 1, 1);
    struct party old = {.hold = true}, twin = {0};
    play_join_writing(s, &old, "same");
    party_want(&old, 1);
    play_join_writing(s, &twin, "same");
    struct out out = {.value = SPAN_LIT("from the old one"), .timestamp_ms = -1};
    struct error err = {0};
    uint64_t number = 0;
    struct position pos = play_after(&old.got[0]);
    if (writer_send(old.writer, &out, &err) == ST_OK) {
        enum status st = writer_commit(old.writer, &pos, 1, &number, &err);
        assert_true(st == ST_OK || st == ST_FATAL || st == ST_ABORT);
    }
    scene_until(&s->scene, was_stopped, &old);
    assert_false(old.any_committed);
    assert_int_equal(play_position(s, 0), -1);
    party_close(&old);
    party_want(&twin, 1);
    party_send(&twin, 0, "k", "from the twin");
    party_commit(&twin, &pos, 1);
    party_close(&twin);
    play_expect_out(s, (const char *const[]){"from the twin"}, 1);
}

/* --- where a group begins --- */

static void a_new_group_begins_at_the_start_while_the_output_is_empty(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 3, 1);
    struct reader_config cfg = play_member(s, "a");
    cfg.guard_topic = s->out;
    struct party member = {0};
    party_read(&member, &s->scene, cfg);
    party_want(&member, 3);
    party_close(&member);
}

static bool reader_has_failed(void *arg)
{
    struct party *party = arg;
    return party->reader_failed;
}

static void missing_positions_stop_when_the_output_is_not_empty(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 3, 1);
    play_numbers(s, s->out, 1, 1);
    struct reader_config cfg = play_member(s, "a");
    cfg.guard_topic = s->out;
    struct party member = {0};
    party_read(&member, &s->scene, cfg);
    scene_until(&s->scene, reader_has_failed, &member);
    assert_int_equal(member.reader_error.kind, ERR_CONFIG);
    assert_non_null(strstr(member.reader_error.text, "--on-missing-position"));
    assert_int_equal(member.assigned, 0);
    party_close(&member);
}

static void missing_positions_begin_where_the_user_says(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 3, 1);
    play_numbers(s, s->out, 1, 1);
    struct reader_config cfg = play_member(s, "a");
    cfg.guard_topic = s->out;
    cfg.on_missing = MISSING_EARLIEST;
    struct party member = {0};
    party_read(&member, &s->scene, cfg);
    party_want(&member, 3);
    party_close(&member);
    cfg.on_missing = MISSING_LATEST;
    party_read(&member, &s->scene, cfg);
    party_own(&member, 2);
    play_numbers(s, s->in, 1, 1);
    party_want(&member, 1);
    assert_string_equal(got_value(&member.got[0]), "0");
    assert_true(member.got[0].offset >= 3);
    party_close(&member);
}

static void a_partition_without_position_among_others_begins_at_the_start(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 6, 2);
    play_numbers(s, s->out, 1, 1);
    struct position pos = {.partition = 0, .offset = 2, .metadata = ""};
    struct error err = {0};
    assert_int_equal(broker_positions_set(s->scene.broker, s->group, s->in, &pos, 1, &err), ST_OK);
    struct reader_config cfg = play_member(s, "a");
    cfg.guard_topic = s->out;
    struct party member = {0};
    party_read(&member, &s->scene, cfg);
    party_want(&member, 4);
    assert_int_equal(member.begins[0], 2);
    assert_int_equal(member.begins[1], 0);
    party_close(&member);
}

static void a_position_below_the_start_of_the_log_stops(void **state)
{
    struct play *s = *state;
    if (fixture->trim == NULL)
        skip();
    play_numbers(s, s->in, 5, 1);
    struct position pos = {.partition = 0, .offset = 1, .metadata = ""};
    struct error err = {0};
    assert_int_equal(broker_positions_set(s->scene.broker, s->group, s->in, &pos, 1, &err), ST_OK);
    fixture->trim(s->scene.broker, &s->scene.opt, s->in, 0, 3);
    assert_int_equal(play_watermark(s, s->in, 0).start, 3);
    struct party member = {0};
    play_join(s, &member, "a");
    scene_until(&s->scene, reader_has_failed, &member);
    assert_int_equal(member.reader_error.kind, ERR_CONFIG);
    assert_non_null(strstr(member.reader_error.text, "2 posts are lost"));
    party_close(&member);
}

int broker_contract_groups(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_members_share_and_take_over, play_setup_four,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(revoked_partitions_stay_until_they_are_given_up,
                                        play_setup_four, play_teardown),
        cmocka_unit_test_setup_teardown(a_twin_fences_the_one_before_it, play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(a_new_group_begins_at_the_start_while_the_output_is_empty,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(missing_positions_stop_when_the_output_is_not_empty,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(missing_positions_begin_where_the_user_says, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(
            a_partition_without_position_among_others_begins_at_the_start, play_setup,
            play_teardown),
        cmocka_unit_test_setup_teardown(a_position_below_the_start_of_the_log_stops, play_setup,
                                        play_teardown),
    };
    return cmocka_run_group_tests_name("broker: groups", tests, NULL, NULL);
}

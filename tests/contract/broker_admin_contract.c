/* What a broker promises about look-ups and changes, and about readers and writers on their own. */
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

static void watermarks_tell_where_a_log_begins_and_ends(void **state)
{
    struct play *s = *state;
    struct watermark log = play_watermark(s, s->in, 0);
    assert_int_equal(log.start, 0);
    assert_int_equal(log.end, 0);
    play_numbers(s, s->in, 10, 1);
    log = play_watermark(s, s->in, 0);
    assert_int_equal(log.start, 0);
    assert_true(log.end >= 10);
    assert_true(log.high >= log.end);
    assert_int_equal(play_watermark(s, s->in, 1).end, 0);
}

static void a_topic_is_made_once_and_listed(void **state)
{
    struct play *s = *state;
    struct error err = {0};
    bool made = true;
    int32_t count = 0;
    struct broker *broker = s->scene.broker;
    assert_int_equal(broker_topic_ensure(broker, s->in, TOPIC_PLAIN, 7, &made, &err), ST_OK);
    assert_false(made);
    assert_int_equal(broker_partitions(broker, s->in, &count, &err), ST_OK);
    assert_int_equal(count, 2);
    assert_int_equal(broker_partitions(broker, "there-is-no-such-topic", &count, &err), ST_OK);
    assert_int_equal(count, 0);
}

static void a_compacted_topic_keeps_its_records_and_the_cluster_its_name(void **state)
{
    struct play *s = *state;
    struct error err = {0};
    bool made = false, keeps = false;
    char *first = NULL, *second = NULL;
    struct broker *broker = s->scene.broker;
    assert_int_equal(broker_topic_ensure(broker, s->group, TOPIC_COMPACTED, 3, &made, &err), ST_OK);
    assert_true(made); /* any other name will do */
    assert_int_equal(broker_topic_keeps(broker, s->group, &keeps, &err), ST_OK);
    assert_true(keeps);
    assert_int_equal(broker_cluster(broker, &first, &err), ST_OK);
    assert_int_equal(broker_cluster(broker, &second, &err), ST_OK);
    assert_string_equal(first, second);
    mem_free(first);
    mem_free(second);
}

struct listing {
    const char *wanted;
    char last[300];
    int found, number;
    bool ordered;
};

static void list_one(void *arg, const char *name, int32_t number)
{
    struct listing *list = arg;
    list->ordered = list->ordered && strcmp(list->last, name) < 0;
    snprintf(list->last, sizeof list->last, "%s", name);
    if (strcmp(list->wanted, name) == 0) {
        list->found++;
        list->number = number;
    }
}

static void topics_are_listed_in_order(void **state)
{
    struct play *s = *state;
    struct error err = {0};
    struct listing list = {.wanted = s->out, .ordered = true};
    assert_int_equal(broker_topics(s->scene.broker, list_one, &list, &err), ST_OK);
    assert_int_equal(list.found, 1);
    assert_int_equal(list.number, 2);
    assert_true(list.ordered);
}

static void list_group(void *arg, const char *name, int members)
{
    list_one(arg, name, members);
}

static void groups_are_listed_with_their_live_members(void **state)
{
    struct play *s = *state;
    struct error err = {0};
    play_numbers(s, s->in, 1, 1);
    struct party a = {0};
    play_join_writing(s, &a, "a");
    party_want(&a, 1);
    struct position pos = play_after(&a.got[0]);
    party_commit(&a, &pos, 1);
    struct listing list = {.wanted = s->group, .ordered = true};
    assert_int_equal(broker_groups(s->scene.broker, list_group, &list, &err), ST_OK);
    assert_int_equal(list.found, 1);
    assert_int_equal(list.number, 1);
    assert_true(list.ordered);
    party_close(&a);
    list = (struct listing){.wanted = s->group, .ordered = true};
    assert_int_equal(broker_groups(s->scene.broker, list_group, &list, &err), ST_OK);
    assert_int_equal(list.found, 1);
    assert_int_equal(list.number, 0);
}

static void positions_are_not_set_under_a_live_member(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 5, 1);
    struct party a = {0};
    play_join_writing(s, &a, "a");
    party_want(&a, 5);
    struct position pos = {.partition = 0, .offset = 2, .metadata = "x"};
    struct error err = {0};
    struct broker *broker = s->scene.broker;
    assert_int_equal(broker_positions_set(broker, s->group, s->in, &pos, 1, &err), ST_REJECT);
    party_close(&a);
    assert_int_equal(broker_positions_set(broker, s->group, s->in, &pos, 1, &err), ST_OK);
    struct position told[2] = {0};
    assert_int_equal(broker_positions(broker, s->group, s->in, told, 2, &err), ST_OK);
    assert_int_equal(told[0].offset, 2);
    assert_string_equal(told[0].metadata, ""); /* cleared */
    assert_int_equal(told[1].offset, -1);
    positions_fini(told, 2);
    play_join_writing(s, &a, "a");
    party_want(&a, 3);
    assert_string_equal(got_value(&a.got[0]), "2");
    party_close(&a);
}

static void the_offset_at_a_time_is_found(void **state)
{
    struct play *s = *state;
    struct party feed = {0};
    play_feed(s, &feed, s->in);
    int64_t base = clock_wall_ms() - 100000;
    for (int i = 0; i < 10; i++) {
        struct out out = {.value = SPAN_LIT("v"), .timestamp_ms = base + i * 1000};
        party_send_out(&feed, &out);
    }
    party_commit(&feed, NULL, 0);
    party_close(&feed);
    const struct {
        int64_t at, offset;
    } rows[] = {{base - 5, 0}, {base, 0}, {base + 1, 1}, {base + 9000, 9}};
    struct error err = {0};
    struct broker *broker = s->scene.broker;
    int64_t offset = -1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(broker_offset_at(broker, s->in, 0, rows[i].at, &offset, &err), ST_OK);
        assert_int_equal(offset, rows[i].offset);
    }
    assert_int_equal(broker_offset_at(broker, s->in, 0, base + 9001, &offset, &err), ST_OK);
    assert_int_equal(offset, play_watermark(s, s->in, 0).end);
}

static void a_reader_without_group_begins_where_it_is_told(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 10, 2);
    struct position start[2] = {{0, 2, ""}, {1, 4, ""}};
    struct party tap = {0};
    party_read(&tap, &s->scene,
               (struct reader_config){.topic = s->in, .start = start, .start_count = 2});
    party_want(&tap, 4);
    int seen[2] = {0, 0};
    for (int i = 0; i < 4; i++)
        seen[tap.got[i].partition]++;
    assert_int_equal(seen[0], 3);
    assert_int_equal(seen[1], 1);
    party_close(&tap);
}

static void a_reader_knows_the_end_once_it_has_read_everything(void **state)
{
    struct play *s = *state;
    play_numbers(s, s->in, 10, 1);
    struct party tap = {0};
    party_tap(&tap, &s->scene, s->in, 1, 0);
    party_want(&tap, 10);
    party_poll(&tap, 11);
    assert_true(reader_end(tap.reader, 0) >= 10);
    party_close(&tap);
}

static void a_writer_tells_the_partition_counts_of_its_topics(void **state)
{
    struct play *s = *state;
    play_topic(s, s->group, 3); /* any other name will do */
    struct party feed = {0};
    party_write(
        &feed, &s->scene,
        (struct writer_config){.topics = {s->out, s->group}, .instance = "feed", .group = "feed"});
    assert_int_equal(writer_partitions(feed.writer, 0), 2);
    assert_int_equal(writer_partitions(feed.writer, 1), 3);
    struct out out = {.value = SPAN_LIT("v"), .timestamp_ms = -1, .partition = 2, .topic = 1};
    party_send_out(&feed, &out);
    party_commit(&feed, NULL, 0);
    assert_true(play_watermark(s, s->group, 2).end > 0);
    assert_int_equal(play_watermark(s, s->out, 1).end, 0);
    party_close(&feed);
}

static void opening_a_topic_that_is_not_there_names_it(void **state)
{
    struct play *s = *state;
    struct writer *writer = NULL;
    struct error err = {0};
    struct writer_config cfg = {.loop = s->scene.loop,
                                .topics = {"there-is-no-such-topic"},
                                .topic_count = 1,
                                .instance = "feed",
                                .group = "feed"};
    assert_int_equal(writer_open(s->scene.broker, &cfg, &writer, &err), ST_FATAL);
    assert_null(writer);
    assert_non_null(strstr(err.text, "there-is-no-such-topic"));
}

int broker_contract_admin(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(watermarks_tell_where_a_log_begins_and_ends, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(a_topic_is_made_once_and_listed, play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(
            a_compacted_topic_keeps_its_records_and_the_cluster_its_name, play_setup,
            play_teardown),
        cmocka_unit_test_setup_teardown(topics_are_listed_in_order, play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(groups_are_listed_with_their_live_members, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(positions_are_not_set_under_a_live_member, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(the_offset_at_a_time_is_found, play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(a_reader_without_group_begins_where_it_is_told, play_setup,
                                        play_teardown),
        cmocka_unit_test_setup_teardown(a_reader_knows_the_end_once_it_has_read_everything,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(a_writer_tells_the_partition_counts_of_its_topics,
                                        play_setup, play_teardown),
        cmocka_unit_test_setup_teardown(opening_a_topic_that_is_not_there_names_it, play_setup,
                                        play_teardown),
    };
    return cmocka_run_group_tests_name("broker: admin", tests, NULL, NULL);
}

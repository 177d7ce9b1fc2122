/* Errors of the protocol on every transactional call: librdkafka's mock broker answers with them,
 * and the batch must be committed all the same, sent again, or given up, as its error demands; it
 * must never hang. (The mock has no isolation and throws positions away: what readers see is tested
 * on a real broker.) */
#include "lib/broker/kafka/kafka.h"

#include <librdkafka/rdkafka_mock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "lib/base/mem.h"
#include "tests/support/party.h"

/* Numbers of https://kafka.apache.org/protocol#protocol_api_keys. */
enum call {
    PRODUCE = 0,
    FIND_COORDINATOR = 10,
    INIT_PRODUCER_ID = 22,
    ADD_PARTITIONS = 24,
    ADD_OFFSETS = 25,
    END_TXN = 26,
    TXN_OFFSET_COMMIT = 28
};

enum { RECORDS = 5, TRIES = 5 };
enum outcome { COMMITTED, SENT_AGAIN, GIVEN_UP };
static const char *const outcomes[] = {"committed", "sent again", "given up"};

#define E(name) RD_KAFKA_RESP_ERR_##name

static const struct row {
    enum call call;
    rd_kafka_resp_err_t code; /* two answers of the call are this */
    enum outcome outcome;
} rows[] = {
    /* At the start. */
    {FIND_COORDINATOR, E(COORDINATOR_NOT_AVAILABLE), COMMITTED},

    /* The broker moves its duties, or is busy: the same call again. */
    {PRODUCE, E(NOT_LEADER_FOR_PARTITION), COMMITTED},
    {PRODUCE, E(REQUEST_TIMED_OUT), COMMITTED},
    {PRODUCE, E(NOT_ENOUGH_REPLICAS), COMMITTED},
    {ADD_PARTITIONS, E(CONCURRENT_TRANSACTIONS), COMMITTED},
    {ADD_PARTITIONS, E(NOT_COORDINATOR), COMMITTED},
    {ADD_PARTITIONS, E(COORDINATOR_LOAD_IN_PROGRESS), COMMITTED},
    {ADD_OFFSETS, E(CONCURRENT_TRANSACTIONS), COMMITTED},
    {ADD_OFFSETS, E(COORDINATOR_NOT_AVAILABLE), COMMITTED},
    {ADD_OFFSETS, E(REQUEST_TIMED_OUT), COMMITTED},
    {TXN_OFFSET_COMMIT, E(NOT_COORDINATOR), COMMITTED},
    {TXN_OFFSET_COMMIT, E(COORDINATOR_LOAD_IN_PROGRESS), COMMITTED},
    {END_TXN, E(CONCURRENT_TRANSACTIONS), COMMITTED},
    {END_TXN, E(NOT_COORDINATOR), COMMITTED},
    {END_TXN, E(COORDINATOR_LOAD_IN_PROGRESS), COMMITTED},

    /* This transaction cannot be, the next one may. */
    {PRODUCE, E(UNKNOWN_PRODUCER_ID), SENT_AGAIN},
    {PRODUCE, E(INVALID_TXN_STATE), SENT_AGAIN},
    {PRODUCE, E(UNKNOWN), SENT_AGAIN},
    {ADD_PARTITIONS, E(INVALID_PRODUCER_ID_MAPPING), SENT_AGAIN},
    {ADD_PARTITIONS, E(UNKNOWN), SENT_AGAIN},
    {ADD_OFFSETS, E(UNKNOWN_PRODUCER_ID), SENT_AGAIN},
    {ADD_OFFSETS, E(UNKNOWN), SENT_AGAIN},
    {TXN_OFFSET_COMMIT, E(ILLEGAL_GENERATION), SENT_AGAIN},
    {TXN_OFFSET_COMMIT, E(REBALANCE_IN_PROGRESS), SENT_AGAIN},
    {TXN_OFFSET_COMMIT, E(UNKNOWN_MEMBER_ID), SENT_AGAIN},
    {END_TXN, E(UNKNOWN_PRODUCER_ID), SENT_AGAIN},

    /* Another one has taken our name, or we may not: stop, and let a new start look. */
    {PRODUCE, E(INVALID_PRODUCER_EPOCH), GIVEN_UP},
    {ADD_PARTITIONS, E(PRODUCER_FENCED), GIVEN_UP},
    {ADD_OFFSETS, E(INVALID_PRODUCER_EPOCH), GIVEN_UP},
    {TXN_OFFSET_COMMIT, E(INVALID_PRODUCER_EPOCH), GIVEN_UP},
    {END_TXN, E(PRODUCER_FENCED), GIVEN_UP},
};

static const char *name_of(enum call call)
{
    return call == PRODUCE            ? "Produce"
           : call == FIND_COORDINATOR ? "FindCoordinator"
           : call == INIT_PRODUCER_ID ? "InitProducerId"
           : call == ADD_PARTITIONS   ? "AddPartitionsToTxn"
           : call == ADD_OFFSETS      ? "AddOffsetsToTxn"
           : call == END_TXN          ? "EndTxn"
                                      : "TxnOffsetCommit";
}

/* The mock does not answer this question (see CMakeLists.txt). */
enum status __wrap_kafka_topic_limit(struct kafka *kafka, const char *topic, int64_t *ret,
                                     struct error *err);
enum status __wrap_kafka_topic_limit(struct kafka *kafka, const char *topic, int64_t *ret,
                                     struct error *err)
{
    UNUSED(kafka);
    UNUSED(topic);
    UNUSED(err);
    *ret = 1000000;
    return ST_OK;
}

/* --- a pipeline on a mock --- */

struct play {
    rd_kafka_t *host; /* the mock cluster lives in it */
    rd_kafka_mock_cluster_t *cluster;
    char *url;
    struct broker_options opt;
    struct scene scene;
    struct party party;
    bool open;
    int opened;
};

static void open_cluster(struct play *play)
{
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* it has no servers to talk to, and says so */
    play->host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(play->host);
    play->cluster = rd_kafka_mock_cluster_new(play->host, 1);
    assert_non_null(play->cluster);
    assert_int_equal(rd_kafka_mock_topic_create(play->cluster, "out", 1, 1), E(NO_ERROR));
    assert_int_equal(rd_kafka_mock_topic_create(play->cluster, "in", 1, 1), E(NO_ERROR));
    play->url = mem_printf("kafka://%s", rd_kafka_mock_cluster_bootstraps(play->cluster));
    play->opt = (struct broker_options){
        .url = play->url, .session_timeout_ms = 30000, .timeout_ms = 8000, .tls_verify = true};
}

static void open_play(struct play *play)
{
    char group[16]; /* another one each time: the mock lets nobody leave before its session ends */
    snprintf(group, sizeof group, "g%d", play->opened++);
    scene_open(&play->scene, &play->opt);
    party_read(&play->party, &play->scene,
               (struct reader_config){.topic = "in", .group = group, .instance = "one"});
    party_write(&play->party, &play->scene,
                (struct writer_config){.topics = {"out"}, .topic_count = 1});
    party_own(&play->party, 1);
    play->open = true;
}

static void close_play(struct play *play)
{
    if (play->open) {
        party_close(&play->party);
        scene_close(&play->scene);
    }
    play->open = false;
}

static void close_cluster(struct play *play)
{
    close_play(play);
    mem_free(play->url);
    rd_kafka_mock_cluster_destroy(play->cluster);
    rd_kafka_destroy(play->host);
}

/* --- one batch --- */

struct waiting {
    struct party *party;
    uint64_t number;
    int aborted;
};

static bool has_ended(void *arg)
{
    const struct waiting *w = arg;
    return (w->party->any_committed && w->party->committed >= w->number) ||
           w->party->aborted > w->aborted || w->party->writer_failed;
}

/* As a stage does it: what was aborted is sent again. */
static enum outcome run_batch(struct play *play, int64_t offset)
{
    struct party *party = &play->party;
    for (int i = 0; i < TRIES; i++) {
        struct waiting w = {.party = party, .aborted = party->aborted};
        for (int k = 0; k < RECORDS; k++)
            party_send(party, 0, "k", "value");
        w.number = party_hand_over(party, &(struct position){0, offset, ""}, 1);
        scene_until(&play->scene, has_ended, &w);
        if (party->writer_failed)
            return GIVEN_UP;
        if (party->aborted == w.aborted)
            return i == 0 ? COMMITTED : SENT_AGAIN;
    }
    fail_msg("aborted %d times: %s", TRIES, party->abort_error.text);
    return GIVEN_UP;
}

static void try_row(struct play *play, const struct row *row, int64_t offset)
{
    rd_kafka_mock_push_request_errors(play->cluster, (int16_t)row->call, 2, row->code, row->code);
    if (!play->open)
        open_play(play);
    enum outcome got = run_batch(play, offset);
    rd_kafka_mock_clear_request_errors(play->cluster, (int16_t)row->call);
    if (got != row->outcome)
        fail_msg("%s answers %s: %s, and should be %s (%s)", name_of(row->call),
                 rd_kafka_err2name(row->code), outcomes[got], outcomes[row->outcome],
                 play->party.writer_failed ? play->party.writer_error.text
                                           : play->party.abort_error.text);
    if (got == GIVEN_UP)
        close_play(play);
}

static void every_error_on_every_transactional_call_is_retried_aborted_or_the_end(void **state)
{
    (void)state;
    struct play play = {0};
    open_cluster(&play);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        try_row(&play, &rows[i], (int64_t)i + 1);
    close_cluster(&play);
}

static void a_coordinator_that_is_busy_at_the_start_is_asked_again(void **state)
{
    (void)state;
    struct play play = {0};
    open_cluster(&play);
    rd_kafka_mock_push_request_errors(play.cluster, INIT_PRODUCER_ID, 6, E(NOT_COORDINATOR),
                                      E(COORDINATOR_LOAD_IN_PROGRESS), E(CONCURRENT_TRANSACTIONS),
                                      E(COORDINATOR_NOT_AVAILABLE), E(REQUEST_TIMED_OUT),
                                      E(NOT_COORDINATOR));
    open_play(&play);
    assert_int_equal(run_batch(&play, 1), COMMITTED);
    close_cluster(&play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_on_every_transactional_call_is_retried_aborted_or_the_end),
        cmocka_unit_test(a_coordinator_that_is_busy_at_the_start_is_asked_again),
    };
    return cmocka_run_group_tests_name("kafka: errors of the protocol", tests, NULL, NULL);
}

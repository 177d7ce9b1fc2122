/* The broker contract on a real Kafka: topics have names of their own, so one broker serves all. */
#include <librdkafka/rdkafka.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/contract/broker_contract.h"
#include "tests/support/kafka.h"

static char url[160];

static void setup(struct broker_options *opt)
{
    opt->url = url;
    opt->tls_verify = true;
    opt->replication = -1;
    opt->session_timeout_ms = 6000;
}

/* Kafka's own DeleteRecords (KIP-107). */
static void trim(struct broker *broker, const struct broker_options *opt, const char *topic,
                 int32_t partition, int64_t offset)
{
    char why[256];
    (void)broker;
    (void)opt;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    assert_int_equal(
        rd_kafka_conf_set(conf, "bootstrap.servers", kafka_bootstrap(), why, sizeof why),
        RD_KAFKA_CONF_OK);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    assert_non_null(rk);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, topic, partition)->offset = offset;
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 10000);
    assert_non_null(event);
    assert_int_equal(rd_kafka_event_error(event), RD_KAFKA_RESP_ERR_NO_ERROR);
    rd_kafka_event_destroy(event);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_queue_destroy(queue);
    rd_kafka_destroy(rk);
}

int main(void)
{
    if (kafka_bootstrap() == NULL)
        return 0;
    snprintf(url, sizeof url, "kafka://%s", kafka_bootstrap());
    const struct contract_fixture kafka = {.name = "kafka", .setup = setup, .trim = trim};
    return broker_contract_run(&kafka);
}

/* Changes to a real Kafka that tests make while sluice runs, with librdkafka's admin requests: what
 * Kafka's own tools take seconds of Java for.
 *
 *     kafka_admin BROKERS partitions TOPIC COUNT      more partitions
 *     kafka_admin BROKERS trim TOPIC PARTITION OFFSET deletes the records below OFFSET (KIP-107)
 *     kafka_admin BROKERS set TOPIC NAME VALUE        a setting of the topic
 *     kafka_admin BROKERS delete TOPIC
 */
#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WAIT_MS = 20000 };

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "kafka_admin: %s: %s\n", what, why);
    return 1;
}

static void send_partitions(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
    char why[200];
    rd_kafka_NewPartitions_t *more =
        rd_kafka_NewPartitions_new(args[0], (size_t)strtoul(args[1], NULL, 10), why, sizeof why);
    rd_kafka_CreatePartitions(rk, &more, 1, NULL, queue);
    rd_kafka_NewPartitions_destroy(more);
}

static void send_trim(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, args[0], (int32_t)strtol(args[1], NULL, 10))->offset =
        strtoll(args[2], NULL, 10);
    rd_kafka_DeleteRecords_t *request = rd_kafka_DeleteRecords_new(list);
    rd_kafka_DeleteRecords(rk, &request, 1, NULL, queue);
    rd_kafka_DeleteRecords_destroy(request);
    rd_kafka_topic_partition_list_destroy(list);
}

static void send_set(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
    rd_kafka_ConfigResource_t *res = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, args[0]);
    rd_kafka_ConfigResource_set_config(res, args[1], args[2]);
    rd_kafka_AlterConfigs(rk, &res, 1, NULL, queue);
    rd_kafka_ConfigResource_destroy(res);
}

static void send_delete(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args)
{
    rd_kafka_DeleteTopic_t *topic = rd_kafka_DeleteTopic_new(args[0]);
    rd_kafka_DeleteTopics(rk, &topic, 1, NULL, queue);
    rd_kafka_DeleteTopic_destroy(topic);
}

static const struct command {
    const char *name;
    int args;
    void (*send)(rd_kafka_t *rk, rd_kafka_queue_t *queue, char **args);
} commands[] = {
    {"partitions", 2, send_partitions},
    {"trim", 3, send_trim},
    {"set", 3, send_set},
    {"delete", 1, send_delete},
};

/* The error of the only element, wherever this kind of result keeps it. */
static const char *element_error(rd_kafka_event_t *event)
{
    size_t n = 0;
    const rd_kafka_topic_result_t **topics = NULL;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT:
        topics = rd_kafka_CreatePartitions_result_topics(
            rd_kafka_event_CreatePartitions_result(event), &n);
        break;
    case RD_KAFKA_EVENT_DELETETOPICS_RESULT:
        topics = rd_kafka_DeleteTopics_result_topics(rd_kafka_event_DeleteTopics_result(event), &n);
        break;
    case RD_KAFKA_EVENT_ALTERCONFIGS_RESULT: {
        const rd_kafka_ConfigResource_t **res =
            rd_kafka_AlterConfigs_result_resources(rd_kafka_event_AlterConfigs_result(event), &n);
        return n == 1 ? rd_kafka_ConfigResource_error_string(res[0]) : "no answer";
    }
    default: {
        rd_kafka_resp_err_t code =
            rd_kafka_DeleteRecords_result_offsets(rd_kafka_event_DeleteRecords_result(event))
                ->elems[0]
                .err;
        return code == RD_KAFKA_RESP_ERR_NO_ERROR ? NULL : rd_kafka_err2str(code);
    }
    }
    return n == 1 && rd_kafka_topic_result_error(topics[0]) == RD_KAFKA_RESP_ERR_NO_ERROR
               ? NULL
               : "refused";
}

static int run(rd_kafka_t *rk, const struct command *command, char **args)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    command->send(rk, queue, args);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, WAIT_MS);
    const char *why = NULL;
    if (event == NULL)
        why = "no answer";
    else if (rd_kafka_event_error(event) != RD_KAFKA_RESP_ERR_NO_ERROR)
        why = rd_kafka_event_error_string(event);
    else
        why = element_error(event);
    int rc = why == NULL ? 0 : fail(command->name, why);
    if (event != NULL)
        rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    return rc;
}

int main(int argc, char **argv)
{
    char why[256];
    const struct command *command = NULL;
    for (size_t i = 0; argc > 2 && i < sizeof commands / sizeof *commands; i++)
        if (strcmp(argv[2], commands[i].name) == 0 && argc == 3 + commands[i].args)
            command = &commands[i];
    if (command == NULL)
        return fail("usage", "kafka_admin BROKERS partitions|trim|set|delete TOPIC ...");
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (rd_kafka_conf_set(conf, "bootstrap.servers", argv[1], why, sizeof why) != RD_KAFKA_CONF_OK)
        return fail(argv[1], why);
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    if (rk == NULL)
        return fail("client", why);
    int rc = run(rk, command, argv + 3);
    rd_kafka_destroy(rk);
    return rc;
}

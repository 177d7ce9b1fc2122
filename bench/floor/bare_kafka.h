/* The same for loops on librdkafka: clients that end the program when they cannot be made. */
#ifndef SLUICE_BENCH_BARE_KAFKA_H
#define SLUICE_BENCH_BARE_KAFKA_H

#include <librdkafka/rdkafka.h>

#include "bench/floor/bare.h"

/* A property that this librdkafka does not know is left out (fetch.queue.backoff.ms: since 2.2). */
static inline void set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(conf, name, value, why, sizeof why) == RD_KAFKA_CONF_INVALID)
        die(name, why);
}

static inline rd_kafka_t *client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf)
{
    char why[256];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL)
        die("client", why);
    return rk;
}

/* What every consumer here has: its positions are committed by the loop. */
static inline rd_kafka_conf_t *consumer_conf(const char *brokers, const char *group)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", brokers);
    set(conf, "group.id", group);
    set(conf, "auto.offset.reset", "earliest");
    set(conf, "isolation.level", "read_committed");
    set(conf, "enable.auto.offset.store", "false");
    set(conf, "enable.auto.commit", "false");
    set(conf, "fetch.wait.max.ms", "10");
    set(conf, "fetch.queue.backoff.ms", "5");
    return conf;
}

static inline void subscribe(rd_kafka_t *consumer, const char *topic)
{
    rd_kafka_topic_partition_list_t *topics = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(topics, topic, RD_KAFKA_PARTITION_UA);
    if (rd_kafka_subscribe(consumer, topics) != RD_KAFKA_RESP_ERR_NO_ERROR)
        die(topic, "cannot subscribe");
    rd_kafka_topic_partition_list_destroy(topics);
}

#endif

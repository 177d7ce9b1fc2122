/* How librdkafka is set up: servers, security, our settings, the user's -X.
 *
 * Ensures: what exactly-once rests on cannot be changed by -X, secrets cannot come in by -X (they
 * would show in the process list), and a password does not travel unprotected unless allowed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/broker/kafka/kafka.h"

/* A member learns by its heartbeat that another one has left: Kafka's usual 3 s are how long its
 * partitions then stand still at most. */
enum { HEARTBEAT_MS = 1000 };

static const struct {
    const char *name, *why;
} protected_names[] = {
    {"transactional.id", "it fences a zombie of this instance; use --instance"},
    {"enable.idempotence", "exactly-once rests on it"},
    {"enable.gapless.guarantee", "exactly-once rests on it"},
    {"acks", "exactly-once rests on it"},
    {"request.required.acks", "exactly-once rests on it"},
    {"isolation.level", "exactly-once rests on it"},
    {"enable.auto.commit", "positions are committed together with the outputs"},
    {"auto.commit.enable", "positions are committed together with the outputs"},
    {"auto.commit.interval.ms", "positions are committed together with the outputs"},
    {"enable.auto.offset.store", "positions are committed together with the outputs"},
    {"auto.offset.reset", "a lost position must stop; use --on-missing-position"},
    {"message.timeout.ms", "a record given up could come twice; use --broker-timeout"},
    {"delivery.timeout.ms", "a record given up could come twice; use --broker-timeout"},
    {"enable.partition.eof", "the reader rests on it"},
    {"group.id", "use --group"},
    {"group.protocol", "fencing rests on the classic protocol's generations"},
    {"bootstrap.servers", "use --broker"},
    {"metadata.broker.list", "use --broker"},
    {"sasl.password", "a secret: use SLUICE_SASL_PASSWORD or SLUICE_SASL_PASSWORD_FILE"},
    {"ssl.key.password", "a secret: use SLUICE_TLS_KEY_PASSWORD or SLUICE_TLS_KEY_PASSWORD_FILE"},
    {"ssl.key.pem", "a secret: use --tls-key with a file"},
    {"ssl.keystore.password", "a secret: use --tls-cert and --tls-key"},
    {"sasl.oauthbearer.client.secret", "a secret: it would show in the process list"},
    {"sasl.oauthbearer.config", "a secret: it would show in the process list"},
};

static const struct kafka_setting base_settings[] = {
    {"client.id", "sluice"},
    {"socket.keepalive.enable", "true"},
    {"reconnect.backoff.ms", "50"},
    {"reconnect.backoff.max.ms", "1000"},
    {"topic.metadata.refresh.interval.ms", "30000"},
};

/* The window of a stage bounds what it holds; these bound, for each partition, what librdkafka
 * fetches ahead of it. A fetch response stays in memory until the last record of it is released.
 * A consumer whose queues are all above these bounds looks at them again after
 * fetch.queue.backoff.ms; before 2.2 after a second, or when it is woken (fetch_more in reader.c).
 */
static const struct kafka_setting consumer_settings[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"isolation.level", "read_committed"},
    {"enable.partition.eof", "true"},
    {"allow.auto.create.topics", "false"},
    {"partition.assignment.strategy", "range"}, /* cooperative-sticky has bugs before 2.10 */
    {"fetch.wait.max.ms", "10"},
    {"fetch.queue.backoff.ms", "5"},
    {"fetch.error.backoff.ms", "100"},
    {"queued.min.messages", "10000"},
    {"queued.max.messages.kbytes", "16384"},
};

/* Under idempotence a record that waits is resent in order; more than one request in flight per
 * partition would only make an aborted batch longer. The cap on the queue keeps it to that. */
static const struct kafka_setting producer_settings[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"retry.backoff.ms", "5"}, /* also the wait between tries of AddOffsets: 100 by default */
    {"batch.num.messages", "10000"},
    {"queue.buffering.max.messages", "30000"},
    {"queue.buffering.max.kbytes", "65536"},
};

/* A commit flushes, so that records may gather meanwhile: a third less CPU under load, and fewer
 * requests at low rates. Who waits for the acknowledgement of each record is not to wait longer. */
static const struct kafka_setting gathering = {"linger.ms", "2"}, at_once = {"linger.ms", "0"};

static const struct kafka_setting lookup_settings[] = {
    {"enable.auto.commit", "false"},
    {"auto.offset.reset", "error"},
    {"allow.auto.create.topics", "false"},
    {"enable.partition.eof", "true"},
};

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    UNUSED(level);
    log_line(LOG_DEBUG, "kafka", "%s %s: %s", rk == NULL ? "" : rd_kafka_name(rk), facility, text);
}

enum status kafka_conf_set(rd_kafka_conf_t *conf, const char *name, const char *value,
                           struct error *err)
{
    char why[256];
    rd_kafka_conf_res_t res = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    if (res == RD_KAFKA_CONF_UNKNOWN) {
        log_line(LOG_DEBUG, "kafka", "librdkafka %s has no %s", rd_kafka_version_str(), name);
        return ST_OK;
    }
    if (res == RD_KAFKA_CONF_INVALID)
        return error_set(err, ST_FATAL, ERR_CONFIG, "kafka: %s: %s", name, why);
    return ST_OK;
}

static enum status set_all(rd_kafka_conf_t *conf, const struct kafka_setting *s, size_t n,
                           struct error *err)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < n; i++)
        st = kafka_conf_set(conf, s[i].name, s[i].value, err);
    return st;
}

#define SET_ALL(conf, table, err) set_all(conf, table, sizeof(table) / sizeof *(table), err)

static const char *security_protocol(const struct broker_options *opt)
{
    bool sasl = opt->sasl_mechanism != 0;
    if (opt->tls)
        return sasl ? "sasl_ssl" : "ssl";
    return sasl ? "sasl_plaintext" : "plaintext";
}

static enum status set_security(rd_kafka_conf_t *conf, const struct broker_options *opt,
                                struct error *err)
{
    static const char *const mechanisms[] = {NULL, "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"};
    const struct kafka_setting settings[] = {
        {"security.protocol", security_protocol(opt)},
        {"sasl.mechanisms", mechanisms[opt->sasl_mechanism]},
        {"sasl.username", opt->sasl_mechanism == 0 ? NULL : opt->sasl_username},
        {"sasl.password", opt->sasl_mechanism == 0 ? NULL : opt->sasl_password},
        {"ssl.ca.location", opt->tls ? opt->tls_ca : NULL},
        {"ssl.certificate.location", opt->tls ? opt->tls_cert : NULL},
        {"ssl.key.location", opt->tls ? opt->tls_key : NULL},
        {"ssl.key.password", opt->tls ? opt->tls_key_password : NULL},
        {"ssl.endpoint.identification.algorithm",
         !opt->tls ? NULL : (opt->tls_verify ? "https" : "none")},
        {"enable.ssl.certificate.verification",
         !opt->tls ? NULL : (opt->tls_verify ? "true" : "false")},
    };
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < sizeof settings / sizeof *settings; i++)
        if (settings[i].value != NULL)
            st = kafka_conf_set(conf, settings[i].name, settings[i].value, err);
    return st;
}

static enum status check_name(const char *name, struct error *err)
{
    for (size_t i = 0; i < sizeof protected_names / sizeof *protected_names; i++)
        if (strcmp(name, protected_names[i].name) == 0)
            return error_set(err, ST_FATAL, ERR_CONFIG, "-X %s cannot be set: %s", name,
                             protected_names[i].why);
    return ST_OK;
}

static bool starts_with(const char *text, const char *prefix, const char **ret_rest)
{
    size_t n = strlen(prefix);
    if (strncmp(text, prefix, n) != 0)
        return false;
    *ret_rest = text + n;
    return true;
}

/* One -X. Unlike a setting of ours, an unknown name is an error: the user mistyped it. */
static enum status set_property(rd_kafka_conf_t *conf, const char *item, enum kafka_role role,
                                struct error *err)
{
    const char *rest = item;
    bool producers = starts_with(item, "producer.", &rest);
    bool consumers = !producers && starts_with(item, "consumer.", &rest);
    const char *equal = strchr(rest, '=');
    if (equal == NULL || equal == rest)
        return error_set(err, ST_FATAL, ERR_CONFIG, "-X %s: write it as NAME=VALUE", item);
    char *name = mem_spandup(span_make(rest, (size_t)(equal - rest)));
    char why[256];
    enum status st = check_name(name, err);
    bool produces = role == KAFKA_PRODUCER || role == KAFKA_FEEDER;
    bool ours = (!producers || produces) && (!consumers || !produces);
    if (st == ST_OK && ours &&
        rd_kafka_conf_set(conf, name, equal + 1, why, sizeof why) != RD_KAFKA_CONF_OK)
        st = error_set(err, ST_FATAL, ERR_CONFIG, "-X %s: %s", name, why);
    mem_free(name);
    return st;
}

static enum status set_properties(rd_kafka_conf_t *conf, const struct broker_options *opt,
                                  enum kafka_role role, struct error *err)
{
    enum status st = ST_OK;
    for (size_t i = 0; st == ST_OK && i < opt->properties.n; i++)
        st = set_property(conf, opt->properties.items[i], role, err);
    return st;
}

static bool conf_is(const rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char text[64];
    size_t n = sizeof text;
    return rd_kafka_conf_get(conf, name, text, &n) == RD_KAFKA_CONF_OK && strcmp(text, value) == 0;
}

int64_t kafka_conf_number(const rd_kafka_conf_t *conf, const char *name, int64_t otherwise)
{
    char text[64];
    size_t n = sizeof text;
    if (rd_kafka_conf_get(conf, name, text, &n) != RD_KAFKA_CONF_OK)
        return otherwise;
    return strtoll(text, NULL, 10);
}

static enum status check_password_travels_safely(const rd_kafka_conf_t *conf,
                                                 const struct broker_options *opt,
                                                 struct error *err)
{
    if (opt->sasl_plaintext_allowed || !conf_is(conf, "security.protocol", "sasl_plaintext") ||
        !conf_is(conf, "sasl.mechanisms", "PLAIN"))
        return ST_OK;
    return error_set(err, ST_FATAL, ERR_CONFIG,
                     "SASL PLAIN without TLS would send the password readable; use --tls or a "
                     "SCRAM mechanism, or allow it with --sasl-plaintext-allowed");
}

static int64_t session_timeout(const struct broker_options *opt)
{
    return opt->session_timeout_ms > 0 ? opt->session_timeout_ms : 45000;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static enum status set_number(rd_kafka_conf_t *conf, const char *name, int64_t value,
                              struct error *err)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRId64, value);
    return kafka_conf_set(conf, name, text, err);
}

static enum status set_role(rd_kafka_conf_t *conf, const struct broker_options *opt,
                            enum kafka_role role, struct error *err)
{
    int64_t session = session_timeout(opt);
    if (role == KAFKA_LOOKUP)
        return SET_ALL(conf, lookup_settings, err);
    if (role != KAFKA_CONSUMER) {
        enum status st = SET_ALL(conf, producer_settings, err);
        if (st == ST_OK)
            st = set_all(conf, role == KAFKA_FEEDER ? &at_once : &gathering, 1, err);
        int64_t txn = opt->transaction_timeout_ms > 0 ? opt->transaction_timeout_ms
                                                      : smaller(10000, session * 2 / 3);
        return st == ST_OK ? set_number(conf, "transaction.timeout.ms", txn, err) : st;
    }
    enum status st = SET_ALL(conf, consumer_settings, err);
    if (st == ST_OK)
        st = set_number(conf, "session.timeout.ms", session, err);
    if (st == ST_OK)
        st = set_number(conf, "heartbeat.interval.ms", smaller(HEARTBEAT_MS, session / 3), err);
    if (st == ST_OK && session > 300000)
        st = set_number(conf, "max.poll.interval.ms", session, err);
    return st;
}

enum status kafka_conf_new(const struct kafka *kafka, enum kafka_role role, rd_kafka_conf_t **ret,
                           struct error *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, on_log);
    enum status st = kafka_conf_set(conf, "bootstrap.servers", kafka->servers, err);
    if (st == ST_OK)
        st = SET_ALL(conf, base_settings, err);
    if (st == ST_OK)
        st = set_security(conf, kafka->opt, err);
    if (st == ST_OK)
        st = set_role(conf, kafka->opt, role, err);
    if (st == ST_OK)
        st = set_properties(conf, kafka->opt, role, err);
    if (st == ST_OK)
        st = check_password_travels_safely(conf, kafka->opt, err);
    if (st == ST_OK)
        *ret = conf;
    else
        rd_kafka_conf_destroy(conf);
    return st;
}

/* A member that hangs must have lost its transaction before its partitions are given away. As
 * librdkafka has the values: -X may have changed them. */
static enum status check_timeouts(const rd_kafka_conf_t *consumer, const rd_kafka_conf_t *producer,
                                  struct error *err)
{
    int64_t session = kafka_conf_number(consumer, "session.timeout.ms", 0);
    int64_t heartbeat = kafka_conf_number(consumer, "heartbeat.interval.ms", 0);
    int64_t txn = kafka_conf_number(producer, "transaction.timeout.ms", 0);
    if (txn >= session)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "--transaction-timeout (%" PRId64 " ms) must be below "
                         "--session-timeout (%" PRId64 " ms)",
                         txn, session);
    if (heartbeat >= session)
        return error_set(err, ST_FATAL, ERR_CONFIG,
                         "heartbeat.interval.ms (%" PRId64 ") must be below --session-timeout "
                         "(%" PRId64 " ms)",
                         heartbeat, session);
    return ST_OK;
}

enum status kafka_conf_check(const struct kafka *kafka, struct error *err)
{
    rd_kafka_conf_t *consumer = NULL, *producer = NULL;
    enum status st = kafka_conf_new(kafka, KAFKA_CONSUMER, &consumer, err);
    if (st == ST_OK)
        st = kafka_conf_new(kafka, KAFKA_PRODUCER, &producer, err);
    if (st == ST_OK)
        st = check_timeouts(consumer, producer, err);
    if (consumer != NULL)
        rd_kafka_conf_destroy(consumer);
    if (producer != NULL)
        rd_kafka_conf_destroy(producer);
    return st;
}

/* librdkafka's names of files, in our words. */
static const char *cure_of(const char *why)
{
    static const struct kafka_setting cures[] = {
        {"ssl.ca.location", "; check --tls-ca: a readable file of PEM certificates"},
        {"ssl.certificate.location", "; check --tls-cert: a readable PEM certificate"},
        {"ssl.key.location",
         "; check --tls-key: a readable PEM key, whose password, if it has one, "
         "stands in SLUICE_TLS_KEY_PASSWORD or …_FILE"},
    };
    for (size_t i = 0; i < sizeof cures / sizeof *cures; i++)
        if (strstr(why, cures[i].name) != NULL)
            return cures[i].value;
    return "";
}

enum status kafka_client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **ret,
                             struct error *err)
{
    char why[300];
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (rk == NULL) {
        rd_kafka_conf_destroy(conf);
        return error_set(err, ST_FATAL, ERR_CONFIG, "kafka: %s%s", why, cure_of(why));
    }
    *ret = rk;
    return ST_OK;
}

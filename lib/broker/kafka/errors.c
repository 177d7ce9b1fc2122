/* What each error of librdkafka and of the broker means for us: one table. Codes that are not in
 * it stop, because going on after something unknown could lose or repeat a record. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "lib/broker/kafka/kafka.h"

#define ERR(name) RD_KAFKA_RESP_ERR_##name

static const struct row {
    rd_kafka_resp_err_t code;
    enum status st;
    enum error_kind kind;
    const char *cure; /* NULL: the text says it all */
} rows[] = {
    /* The broker is away or moves its duties: the same call again. */
    {ERR(_TRANSPORT), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(_ALL_BROKERS_DOWN), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(_TIMED_OUT), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(_TIMED_OUT_QUEUE), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(_MSG_TIMED_OUT), ST_ABORT, ERR_UNAVAILABLE, NULL},
    {ERR(_RESOLVE), ST_RETRY, ERR_UNAVAILABLE, "check the host names of --broker"},
    {ERR(_WAIT_COORD), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(_WAIT_CACHE), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(LEADER_NOT_AVAILABLE), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(NOT_LEADER_FOR_PARTITION), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(REQUEST_TIMED_OUT), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(BROKER_NOT_AVAILABLE), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(NETWORK_EXCEPTION), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(COORDINATOR_LOAD_IN_PROGRESS), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(COORDINATOR_NOT_AVAILABLE), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(NOT_COORDINATOR), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(NOT_CONTROLLER), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(NOT_ENOUGH_REPLICAS), ST_RETRY, ERR_UNAVAILABLE, "too few replicas are in sync"},
    {ERR(NOT_ENOUGH_REPLICAS_AFTER_APPEND), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(KAFKA_STORAGE_ERROR), ST_RETRY, ERR_IO, "the broker cannot write to its disk"},
    {ERR(OFFSET_NOT_AVAILABLE), ST_RETRY, ERR_UNAVAILABLE, NULL},
    {ERR(UNSTABLE_OFFSET_COMMIT), ST_RETRY, ERR_TEMPORARY, "a transaction of the group is open"},
    {ERR(CONCURRENT_TRANSACTIONS), ST_RETRY, ERR_TEMPORARY, NULL},
    {ERR(_QUEUE_FULL), ST_AGAIN, ERR_TEMPORARY, NULL},

    /* The group moved on: this batch is not ours to commit. */
    {ERR(ILLEGAL_GENERATION), ST_ABORT, ERR_TEMPORARY, NULL},
    {ERR(UNKNOWN_MEMBER_ID), ST_ABORT, ERR_TEMPORARY, NULL},
    {ERR(REBALANCE_IN_PROGRESS), ST_ABORT, ERR_TEMPORARY, NULL},
    {ERR(_ASSIGNMENT_LOST), ST_ABORT, ERR_TEMPORARY, NULL},
    {ERR(MSG_SIZE_TOO_LARGE), ST_ABORT, ERR_CONFIG, "see max.message.bytes of the topic"},
    {ERR(_PURGE_QUEUE), ST_ABORT, ERR_TEMPORARY, NULL},
    {ERR(_PURGE_INFLIGHT), ST_ABORT, ERR_TEMPORARY, NULL},

    /* Another client took our name. */
    {ERR(_FENCED), ST_FATAL, ERR_FENCED, "another instance runs with this --instance"},
    {ERR(PRODUCER_FENCED), ST_FATAL, ERR_FENCED, "another instance runs with this --instance"},
    {ERR(INVALID_PRODUCER_EPOCH), ST_FATAL, ERR_FENCED,
     "another instance runs with this --instance"},
    {ERR(FENCED_INSTANCE_ID), ST_FATAL, ERR_FENCED, "group.instance.id is used twice"},

    /* Who we are and what we may. */
    {ERR(_AUTHENTICATION), ST_FATAL, ERR_AUTH, "check --sasl-username and the password"},
    {ERR(SASL_AUTHENTICATION_FAILED), ST_FATAL, ERR_AUTH, "check --sasl-username and the password"},
    {ERR(UNSUPPORTED_SASL_MECHANISM), ST_FATAL, ERR_AUTH, "check --sasl-mechanism"},
    {ERR(TOPIC_AUTHORIZATION_FAILED), ST_FATAL, ERR_AUTH,
     "an ACL must allow READ (inputs), WRITE (outputs) or CREATE on the topic"},
    {ERR(GROUP_AUTHORIZATION_FAILED), ST_FATAL, ERR_AUTH, "an ACL must allow READ on the group"},
    {ERR(CLUSTER_AUTHORIZATION_FAILED), ST_FATAL, ERR_AUTH,
     "an ACL must allow it on the cluster (IDEMPOTENT_WRITE, CREATE, DESCRIBE)"},
    {ERR(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), ST_FATAL, ERR_AUTH,
     "an ACL must allow WRITE on transactional ids that begin with 'sluice.'"},

    /* Settings, ours or the cluster's. */
    {ERR(_SSL), ST_FATAL, ERR_CONFIG, "check --tls-ca, --tls-cert and --tls-key"},
    {ERR(UNKNOWN_TOPIC_OR_PART), ST_FATAL, ERR_CONFIG, "make the topic first"},
    {ERR(_UNKNOWN_TOPIC), ST_FATAL, ERR_CONFIG, "make the topic first"},
    {ERR(_UNKNOWN_PARTITION), ST_FATAL, ERR_CONFIG, "the topic has fewer partitions"},
    {ERR(TOPIC_EXCEPTION), ST_FATAL, ERR_CONFIG, "the topic's name is not allowed"},
    {ERR(INVALID_PARTITIONS), ST_FATAL, ERR_CONFIG, "check --partitions"},
    {ERR(INVALID_REPLICATION_FACTOR), ST_FATAL, ERR_CONFIG, "check --replication"},
    {ERR(INVALID_CONFIG), ST_FATAL, ERR_CONFIG, NULL},
    {ERR(POLICY_VIOLATION), ST_FATAL, ERR_CONFIG, NULL},
    {ERR(INVALID_SESSION_TIMEOUT), ST_FATAL, ERR_CONFIG,
     "the brokers allow other values of --session-timeout (group.min/max.session.timeout.ms)"},
    {ERR(INVALID_TRANSACTION_TIMEOUT), ST_FATAL, ERR_CONFIG,
     "the brokers allow less (transaction.max.timeout.ms)"},
    {ERR(INCONSISTENT_GROUP_PROTOCOL), ST_FATAL, ERR_CONFIG,
     "members of the group use other partition.assignment.strategy settings"},
    {ERR(OFFSET_OUT_OF_RANGE), ST_FATAL, ERR_CONFIG,
     "records were deleted before they were read; to go on: sluice topics reset"},
    {ERR(_AUTO_OFFSET_RESET), ST_FATAL, ERR_CONFIG,
     "records were deleted before they were read; to go on: sluice topics reset"},
    {ERR(UNSUPPORTED_VERSION), ST_FATAL, ERR_CONFIG, "brokers below 2.5 are too old"},
    {ERR(_UNSUPPORTED_FEATURE), ST_FATAL, ERR_CONFIG, "brokers below 2.5 are too old"},
    {ERR(OFFSET_METADATA_TOO_LARGE), ST_FATAL, ERR_BUG, NULL},
    {ERR(INVALID_TXN_STATE), ST_FATAL, ERR_TEMPORARY, NULL},
    {ERR(NON_EMPTY_GROUP), ST_REJECT, ERR_TEMPORARY, "stop the members of the group first"},
};

/* What the code alone does not say: librdkafka puts it into its text. These only choose the words
 * and the exit code; ST_OK leaves the outcome to the code. */
static const struct hint {
    const char *text;
    enum status st;
    enum error_kind kind;
    const char *cure;
} hints[] = {
    {"alert bad certificate", ST_FATAL, ERR_AUTH,
     "the broker wants a certificate that it trusts: --tls-cert and --tls-key"},
    {"alert certificate required", ST_FATAL, ERR_AUTH,
     "the broker wants a certificate that it trusts: --tls-cert and --tls-key"},
    {"alert unknown ca", ST_FATAL, ERR_AUTH, "the broker does not trust --tls-cert"},
    {"alert certificate unknown", ST_FATAL, ERR_AUTH, "the broker does not trust --tls-cert"},
    {"certificate verify failed", ST_FATAL, ERR_CONFIG,
     "the broker's certificate is not signed by one in --tls-ca"},
    {"connecting to a SSL listener", ST_OK, ERR_UNAVAILABLE, "does that port want --tls?"},
    {"might require SASL", ST_OK, ERR_UNAVAILABLE, "does that port want --sasl-mechanism?"},
    {"Unsupported SASL mechanism", ST_FATAL, ERR_AUTH, "check --sasl-mechanism"},
};

/* librdkafka below 2.6.1 puts its nonce into the last SCRAM message twice, and Kafka from 4.0 on
 * compares it as RFC 5802 demands (librdkafka #4895). */
static const struct hint old_scram = {
    "SASL mechanism SCRAM", ST_FATAL, ERR_AUTH,
    "check --sasl-username and the password; with Kafka 4 SCRAM needs librdkafka 2.6.1 or newer, "
    "and this one is older: there use PLAIN with --tls"};

static const struct hint *find_hint(const char *detail)
{
    if (rd_kafka_version() < 0x020601ff && strstr(detail, old_scram.text) != NULL)
        return &old_scram;
    for (size_t i = 0; i < sizeof hints / sizeof *hints; i++)
        if (strstr(detail, hints[i].text) != NULL)
            return &hints[i];
    return NULL;
}

/* Without " (after 3ms in state CONNECT, …)", which helps nobody who did not write librdkafka. */
static int length_without_state(const char *detail)
{
    const char *end = strstr(detail, " (after ");
    return (int)(end == NULL ? strlen(detail) : (size_t)(end - detail));
}

static const struct row *find(rd_kafka_resp_err_t code)
{
    static const struct row unknown = {ERR(UNKNOWN), ST_FATAL, ERR_FAILED, NULL};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].code == code)
            return &rows[i];
    return &unknown;
}

enum status kafka_outcome(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_NO_ERROR ? ST_OK : find(code)->st;
}

static enum status fill(struct error *err, rd_kafka_resp_err_t code, const char *detail,
                        const char *fmt, va_list ap)
{
    const struct row *row = find(code);
    char what[200];
    vsnprintf(what, sizeof what, fmt, ap);
    if (detail == NULL || detail[0] == '\0')
        detail = rd_kafka_err2str(code);
    const struct hint *hint = find_hint(detail);
    enum status st = hint == NULL || hint->st == ST_OK ? row->st : hint->st;
    const char *cure = hint == NULL ? row->cure : hint->cure;
    return error_set(err, st, hint == NULL ? row->kind : hint->kind, "%s: %.*s (%s)%s%s", what,
                     length_without_state(detail), detail, rd_kafka_err2name(code),
                     cure == NULL ? "" : "; ", cure == NULL ? "" : cure);
}

enum status kafka_error(struct error *err, rd_kafka_resp_err_t code, const char *detail,
                        const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    enum status st = fill(err, code, detail, fmt, ap);
    va_end(ap);
    return st;
}

enum status kafka_error_take(struct error *err, rd_kafka_error_t *error, const char *fmt, ...)
{
    if (error == NULL)
        return ST_OK;
    va_list ap;
    va_start(ap, fmt);
    enum status st = fill(err, rd_kafka_error_code(error), rd_kafka_error_string(error), fmt, ap);
    va_end(ap);
    rd_kafka_error_destroy(error);
    return st;
}

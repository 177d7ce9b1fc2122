#!/usr/bin/env bash
# run.sh [FILE.bats...] - the Flink job against a real Kafka (SLUICE_TEST_KAFKA, else one is started).
#
# What cannot be had (PyFlink's Python, Java, Maven, a broker) makes each test skipped by its name.
set -uo pipefail
cd "$(dirname "$0")/../.."

kafka_dir=
clean_up() { [ -z "$kafka_dir" ] || tests/kafka/kafka.sh stop "$kafka_dir"; }
trap clean_up EXIT
trap 'exit 143' TERM INT HUP

start_kafka() {
    local started
    started=$(tests/kafka/kafka.sh start --with $$) || return 1
    kafka_dir=$(sed -n 's/^KAFKA_DIR=//p' <<<"$started")
    SLUICE_TEST_KAFKA=$(sed -n 's/^KAFKA_BOOTSTRAP_SERVERS=//p' <<<"$started")
    export SLUICE_TEST_KAFKA
}

if ! said=$(scripts/flink.sh --install 2>&1); then
    export FLINK_MISSING="PyFlink cannot be had: $(tail -n 1 <<<"$said")"
elif [ -z "${SLUICE_TEST_KAFKA:-}" ] && ! start_kafka; then
    export FLINK_MISSING="there is no broker to test with"
fi
[ -z "${FLINK_MISSING:-}" ] || echo "# $FLINK_MISSING"
[ $# -gt 0 ] || set -- tests/flink/*.bats
bats -T --formatter tap "$@"

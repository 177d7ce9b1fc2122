#!/usr/bin/env bash
# flink-bench.sh [OPTION...] - measures the Flink job beside the same job written with json.loads; options
# are those of bench/flink/compare.py. Starts a Kafka of its own, if KAFKA_BOOTSTRAP_SERVERS is not set.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/flink.sh --install
if [ -z "${KAFKA_BOOTSTRAP_SERVERS:-}" ]; then
    started=$(tests/kafka/kafka.sh start --with $$)
    KAFKA_BOOTSTRAP_SERVERS=$(sed -n 's/^KAFKA_BOOTSTRAP_SERVERS=//p' <<<"$started")
    export KAFKA_BOOTSTRAP_SERVERS
    trap 'tests/kafka/kafka.sh stop "$(sed -n "s/^KAFKA_DIR=//p" <<<"$started")"' EXIT
fi
export LIBSLUICE=$PWD/build/libsluice.so.1 FLINK_KAFKA_JARS=$PWD/build/tools/flink-jars
export FLINK_LOG_DIR=${FLINK_LOG_DIR:-$PWD/build/flink-log} JVM_ARGS=${JVM_ARGS--Xmx2g -XX:+UseParallelGC}
mkdir -p "$FLINK_LOG_DIR"
PATH=$PWD/build/tools/flink/bin:$PATH build/tools/flink/bin/python bench/flink/compare.py "$@"

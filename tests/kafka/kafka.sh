#!/bin/bash
# Starts a real Apache Kafka (one node, KRaft) for tests, and stops it.
#
#   kafka.sh start [--sasl] [--with PID]   prints KAFKA_BOOTSTRAP_SERVERS=… KAFKA_PID=… KAFKA_DIR=…
#   kafka.sh stop DIR                      ends that broker and removes its data
#   kafka.sh jars                          fetches the jars only
#
# --sasl       clients must log in: PLAIN or SCRAM-SHA-256, user "sluice", password "sluice-pass"
# --with PID   the broker ends when that process does, so that killed tests leave nothing behind
#
# The jars come from Maven, once, into ~/.cache/sluice-tests/kafka-4.1.1 (SLUICE_TEST_CACHE
# changes the folder). Exit 77: java or mvn is missing, so a test may skip itself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=${SLUICE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-tests}
jars=$cache/kafka-4.1.1

fail() { echo "kafka.sh: $*" >&2; exit 1; }

need() { command -v "$1" >/dev/null || { echo "kafka.sh: $1 is missing" >&2; exit 77; }; }

fetch_jars() {
    need java
    [ -d "$jars" ] && return
    need mvn
    mkdir -p "$cache"
    exec 8>"$cache/lock"
    flock 8
    [ -d "$jars" ] && return
    local part=$jars.part
    rm -rf "$part"
    mvn -q -B -f "$here/pom.xml" dependency:copy-dependencies -DoutputDirectory="$part" >&2 ||
        fail "maven could not fetch the jars"
    mv "$part" "$jars"
    exec 8>&-
}

# A port that nobody listens on now. Two tests may pick the same: then start tries again.
free_port() {
    local port
    while :; do
        port=$((15000 + (RANDOM * 32768 + RANDOM) % 16000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || { echo "$port"; return; }
    done
}

write_config() { # DIR CLIENT_PORT CONTROLLER_PORT PROTOCOL
    cat >"$1/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=CLIENT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=CLIENT://127.0.0.1:$2
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:$4,CONTROLLER:PLAINTEXT
inter.broker.listener.name=CLIENT
log.dirs=$1/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
transaction.abort.timed.out.transaction.cleanup.interval.ms=500
auto.create.topics.enable=false
num.partitions=4
log.segment.bytes=268435456
END
    [ "$4" = PLAINTEXT ] || cat >>"$1/server.properties" <<END
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
sasl.mechanism.inter.broker.protocol=PLAIN
listener.name.client.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required username="sluice" password="sluice-pass" user_sluice="sluice-pass";
listener.name.client.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
END
}

format() { # DIR PROTOCOL
    local scram=()
    [ "$2" = PLAINTEXT ] || scram=(--add-scram 'SCRAM-SHA-256=[name=sluice,password=sluice-pass]')
    java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$jars/*" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.tools.StorageTool format \
        -t 4L6g3nShT-eMCtK--X86sw -c "$1/server.properties" "${scram[@]}" >"$1/format.log" 2>&1 ||
        { cat "$1/format.log" >&2; fail "formatting $1/data failed"; }
}

# Starts Java and waits for its line; 1 when it ended or said nothing for 60 s.
launch() { # DIR
    java -Xms256m -Xmx512m -XX:+UseSerialGC -cp "$jars/*" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn \
        -Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info \
        kafka.Kafka "$1/server.properties" </dev/null >"$1/server.log" 2>&1 &
    local pid=$!
    disown
    echo "$pid" >"$1/pid"
    for _ in $(seq 600); do
        grep -q 'Kafka Server started' "$1/server.log" && return 0
        kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.1
    done
    kill -9 "$pid"
    return 1
}

stop() { # DIR
    [ -f "$1/server.properties" ] || fail "$1 is not a folder of kafka.sh start"
    local pid
    pid=$(cat "$1/pid")
    kill -9 "$pid" 2>/dev/null || true
    rm -rf "$1"
}

watch_parent() { # DIR PID
    (
        while kill -0 "$2" 2>/dev/null && [ -d "$1" ]; do sleep 1; done
        [ ! -d "$1" ] || stop "$1"
    ) </dev/null >/dev/null 2>&1 &
    disown
}

start() {
    local protocol=PLAINTEXT parent='' dir port
    while [ $# -gt 0 ]; do
        case $1 in
        --sasl) protocol=SASL_PLAINTEXT ;;
        --with) parent=$2; shift ;;
        *) fail "unknown option $1" ;;
        esac
        shift
    done
    fetch_jars
    for _ in 1 2 3; do
        dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kafka.XXXXXX")
        port=$(free_port)
        write_config "$dir" "$port" "$(free_port)" "$protocol"
        format "$dir" "$protocol"
        if launch "$dir"; then
            [ -z "$parent" ] || watch_parent "$dir" "$parent"
            echo "KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$port"
            echo "KAFKA_PID=$(cat "$dir/pid")"
            echo "KAFKA_DIR=$dir"
            return
        fi
        tail -5 "$dir/server.log" >&2
        rm -rf "$dir"
    done
    fail "the broker does not start"
}

case ${1:-} in
start) shift; start "$@" ;;
stop) stop "${2:?DIR}" ;;
jars) fetch_jars ;;
*) fail "use: kafka.sh start [--sasl] [--with PID] | stop DIR | jars" ;;
esac

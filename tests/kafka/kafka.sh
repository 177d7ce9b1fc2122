#!/bin/bash
# Starts a real Apache Kafka (KRaft) for tests, and stops it.
#
#   kafka.sh start [OPTION]...             prints KAFKA_BOOTSTRAP_SERVERS=… KAFKA_PID=… KAFKA_DIR=…
#   kafka.sh stop DIR                      ends those brokers and removes their data
#   kafka.sh halt DIR [--hard] [--node N]  ends a broker, its data stays; --hard: by kill -9
#   kafka.sh resume DIR [--node N]         starts it again on the same ports
#   kafka.sh acl DIR …                     adds or removes rights (kafka-acls)
#   kafka.sh jars                          fetches the jars only, and says where they are
#
# --secure     with TLS, logins and ACLs; prints KAFKA_TLS=… (certificates both ways), KAFKA_SASL_TLS=…
#              and KAFKA_SASL=… (PLAIN, SCRAM-SHA-256, SCRAM-SHA-512) too. Users source, enhance, sink
#              and nobody have the password NAME-pass and no rights; the plain listener may do all.
#              DIR/tls holds ca.pem, wrong-ca.pem, client.pem, client.key (password "key-pass")
# --nodes N    so many brokers (1), topics and internal topics on up to three of them; the first
#              one is the controller
# --proxy PORT one more listener, KAFKA_BEHIND_PROXY=…, which says of itself that it is at
#              127.0.0.1:PORT: what connects there stays on the way through that proxy
# --with PID   the broker ends when that process does, so that killed tests leave nothing behind
#
# KAFKA_HEAP_OPTS, as in Kafka's own scripts, replaces the small heap that a broker of the tests has.
#
# The jars come from Maven, once, into ~/.cache/sluice-tests/kafka-4.1.1 (SLUICE_TEST_CACHE
# changes the folder). Exit 77: java or mvn is missing, so a test may skip itself.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=tests/support/network.sh
. "$here/../support/network.sh"
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

write_config() { # DIR CLIENT_PORT CONTROLLER_PORT
    cat >"$1/server.properties" <<END
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$3
listeners=CLIENT://127.0.0.1:$2,CONTROLLER://127.0.0.1:$3
advertised.listeners=CLIENT://127.0.0.1:$2
controller.listener.names=CONTROLLER
listener.security.protocol.map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT,TLS:SSL,LOGIN_TLS:SASL_SSL,LOGIN:SASL_PLAINTEXT
inter.broker.listener.name=CLIENT
log.dirs=$1/data
offsets.topic.replication.factor=$copies
default.replication.factor=$copies
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=$copies
transaction.state.log.min.isr=$(((copies + 1) / 2))
min.insync.replicas=$(((copies + 1) / 2))
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
    [ -n "$proxy" ] || return 0
    behind=$(free_port)
    sed -i -e "s|^listeners=.*|&,FAULTY://127.0.0.1:$behind|" \
        -e "s|^advertised.listeners=.*|&,FAULTY://127.0.0.1:$proxy|" \
        -e "s|^listener.security.protocol.map=.*|&,FAULTY:PLAINTEXT|" "$1/server.properties"
}

# --- TLS, logins and ACLs ---
users=(source enhance sink nobody)

make_certificates() { # DIR
    local name
    mkdir "$1"
    (
        cd "$1"
        for name in ca wrong-ca; do make_ca $name; done
        for name in server client; do
            make_certificate ca $name IP:127.0.0.1,DNS:localhost
        done
        openssl pkcs8 -topk8 -in client.plain -out client.key -passout pass:key-pass
        cat server.plain server.pem >server.both
    ) >"$1/openssl.log" 2>&1 || { cat "$1/openssl.log" >&2; fail "no certificates"; }
}

secure() { # DIR PORT...: adds three listeners to the configuration
    local plain='org.apache.kafka.common.security.plain.PlainLoginModule required' user mechanism
    local scram='org.apache.kafka.common.security.scram.ScramLoginModule required;'
    for user in "${users[@]}"; do plain+=" user_$user=\"$user-pass\""; done
    make_certificates "$1/tls"
    sed -i "s|^listeners=.*|&,TLS://127.0.0.1:$2,LOGIN_TLS://127.0.0.1:$3,LOGIN://127.0.0.1:$4|
        s|^advertised.listeners=.*|&,TLS://127.0.0.1:$2,LOGIN_TLS://127.0.0.1:$3,LOGIN://127.0.0.1:$4|" \
        "$1/server.properties"
    cat >>"$1/server.properties" <<END
authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer
super.users=User:ANONYMOUS
allow.everyone.if.no.acl.found=false
ssl.keystore.type=PEM
ssl.keystore.location=$1/tls/server.both
ssl.truststore.type=PEM
ssl.truststore.location=$1/tls/ca.pem
listener.name.tls.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
END
    for mechanism in login login_tls; do
        cat >>"$1/server.properties" <<END
listener.name.$mechanism.plain.sasl.jaas.config=$plain;
listener.name.$mechanism.scram-sha-256.sasl.jaas.config=$scram
listener.name.$mechanism.scram-sha-512.sasl.jaas.config=$scram
END
    done
}

format() { # DIR SECURE
    local scram=() user mechanism
    [ -z "$2" ] || for user in "${users[@]}"; do
        for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
            scram+=(--add-scram "$mechanism=[name=$user,password=$user-pass]")
        done
    done
    java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$jars/*" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn kafka.tools.StorageTool format \
        -t 4L6g3nShT-eMCtK--X86sw -c "$1/server.properties" "${scram[@]}" >"$1/format.log" 2>&1 ||
        { cat "$1/format.log" >&2; fail "formatting $1/data failed"; }
}

# Kafka's own tool for ACLs: kafka.sh acl DIR --add --allow-principal User:x …
acl() { # DIR ARGUMENTS...
    java -Xmx128m -XX:TieredStopAtLevel=1 -cp "$jars/*" \
        -Dorg.slf4j.simpleLogger.defaultLogLevel=warn org.apache.kafka.tools.AclCommand \
        --bootstrap-server "$(sed -n 's|^advertised.listeners=CLIENT://\([^,]*\).*|\1|p' "$1/server.properties")" \
        "${@:2}"
}

# Starts Java and waits for its line; 1 when it ended or said nothing for 60 s.
launch() { # DIR
    # shellcheck disable=SC2086 # several words
    java ${KAFKA_HEAP_OPTS:--Xms256m -Xmx512m -XX:+UseSerialGC} -cp "$jars/*" \
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
    for pid in "$1"/pid "$1"/[0-9]*/pid; do
        [ ! -f "$pid" ] || kill -9 "$(cat "$pid")" 2>/dev/null || true
    done
    rm -rf "$1"
}

# Sets node (its folder) and hard.
node_of() { # DIR [--hard] [--node N]
    node=$1 hard=no
    shift
    while [ $# -gt 0 ]; do
        case $1 in
        --hard) hard=yes ;;
        --node) [ "$2" = 1 ] || node=$node/$2; shift ;;
        *) fail "unknown option $1" ;;
        esac
        shift
    done
    [ -f "$node/server.properties" ] || fail "$node is not a folder of kafka.sh start"
}

halt() {
    node_of "$@"
    local pid
    pid=$(cat "$node/pid")
    if [ $hard = yes ]; then kill -9 "$pid"; else kill -TERM "$pid"; fi
    for _ in $(seq 600); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    fail "broker $pid does not end"
}

resume() {
    node_of "$@"
    launch "$node" || { tail -5 "$node/server.log" >&2; fail "the broker does not start again"; }
}

# Brokers beside the first one, which is their controller.
add_nodes() { # DIR COUNT CONTROLLER_PORT
    local n port
    for n in $(seq 2 "$2"); do
        mkdir "$1/$n"
        port=$(free_port)
        write_config "$1/$n" "$port" "$3"
        sed -i -e 's|^process.roles=.*|process.roles=broker|' -e "s|^node.id=.*|node.id=$n|" \
            -e "s|,CONTROLLER://127.0.0.1:$3||" "$1/$n/server.properties"
        format "$1/$n" ''
        launch "$1/$n" || return 1
        servers=$servers,127.0.0.1:$port
    done
}

watch_parent() { # DIR PID
    (
        while kill -0 "$2" 2>/dev/null && [ -d "$1" ]; do sleep 1; done
        [ ! -d "$1" ] || stop "$1"
    ) </dev/null >/dev/null 2>&1 &
    disown
}

start() {
    local secure='' parent='' dir port ports controller nodes=1 servers copies=1 proxy='' behind=''
    while [ $# -gt 0 ]; do
        case $1 in
        --secure) secure=yes ;;
        --nodes) nodes=$2 copies=$((nodes < 3 ? nodes : 3)); shift ;;
        --proxy) proxy=$2; shift ;;
        --with) parent=$2; shift ;;
        *) fail "unknown option $1" ;;
        esac
        shift
    done
    fetch_jars
    for _ in 1 2 3; do
        dir=$(mktemp -d "${TMPDIR:-/tmp}/sluice-kafka.XXXXXX")
        port=$(free_port)
        ports=("$(free_port)" "$(free_port)" "$(free_port)")
        controller=$(free_port)
        write_config "$dir" "$port" "$controller"
        [ -z "$secure" ] || secure "$dir" "${ports[@]}"
        format "$dir" "$secure"
        servers=127.0.0.1:$port
        if launch "$dir" && add_nodes "$dir" "$nodes" "$controller"; then
            [ -z "$parent" ] || watch_parent "$dir" "$parent"
            echo "KAFKA_BOOTSTRAP_SERVERS=$servers"
            [ -z "$behind" ] || echo "KAFKA_BEHIND_PROXY=127.0.0.1:$behind"
            echo "KAFKA_PID=$(cat "$dir/pid")"
            echo "KAFKA_DIR=$dir"
            [ -z "$secure" ] || printf 'KAFKA_%s=127.0.0.1:%s\n' TLS "${ports[0]}" \
                SASL_TLS "${ports[1]}" SASL "${ports[2]}"
            return
        fi
        tail -5 "$dir"/server.log "$dir"/*/server.log >&2 || true
        stop "$dir"
    done
    fail "the broker does not start"
}

case ${1:-} in
start) shift; start "$@" ;;
stop) stop "${2:?DIR}" ;;
halt) shift; halt "$@" ;;
resume) shift; resume "$@" ;;
acl) acl "${@:2}" ;;
jars) fetch_jars; echo "$jars" ;;
*) fail "use: kafka.sh start [OPTION]... | stop DIR | halt DIR | resume DIR | acl DIR … | jars" ;;
esac

#!/usr/bin/env bats
# What exactly-once on Kafka rests on, proved on a real broker: aborts, zombies, new partitions,
# rebalances with full windows. Outputs are read back by kcat.
load lib.bash

kafka_setup() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=f$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SESSION_TIMEOUT=6s
}

committed() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$1" -o beginning -e -q -X isolation.level=read_committed "${@:2}"
}

uncommitted_count() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$1" -o beginning -e -q -X isolation.level=read_uncommitted | wc -l
}

same_order() { # of each partition, by ids
  for p in $(seq 0 $(($1 - 1))); do
    cmp <(committed "$SLUICE_RAW_TOPIC" -p $p | ids) <(committed "$SLUICE_ENHANCED_TOPIC" -p $p | ids)
  done
}

@test "kafka: when a transaction aborts, it and the one behind it are sent again, in order" {
  kafka_setup
  posts 1 20000 | "$SLUICE" source --from - --quiet --partitions 3
  SLUICE_FAULT=fail@kafka.txn:3 "$SLUICE" enhance --drain --mock-latency 5ms --window 256 2>log
  [ "$(grep -c 'sent again' log)" -ge 5 ]
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 20000
  same_order 3
  # aborted records are in the log, but hidden from read_committed readers
  [ "$(uncommitted_count "$SLUICE_ENHANCED_TOPIC")" -gt 20000 ]
}

@test "kafka: an instance stopped beyond its session is fenced when it goes on" {
  kafka_setup
  posts 1 6000 | "$SLUICE" source --from - --quiet --partitions 2
  start "$SLUICE" enhance --mock-latency 3ms --commit-records 20 --window 64 --instance one 2>one.log
  one=$!
  wait_for 20 grep -q assigned one.log
  sleep 0.3
  kill -STOP "$one"
  start "$SLUICE" enhance --mock-latency 1ms --instance two 2>two.log
  wait_for 30 grep -q '2 partition(s).*assigned' two.log
  kill -CONT "$one"
  "$SLUICE" enhance --drain --instance three 2>three.log
  kill -TERM "$one" 2>/dev/null || true
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 6000
  same_order 2
}

@test "kafka: two processes of one name do not take turns: one ends with 76" {
  kafka_setup
  posts 1 3000 | "$SLUICE" source --from - --quiet --partitions 2
  start "$SLUICE" enhance --mock-latency 2ms --commit-records 10 --window 32 --instance same 2>one.log
  one=$!
  wait_for 20 grep -q assigned one.log
  start "$SLUICE" enhance --mock-latency 2ms --commit-records 10 --window 32 --instance same 2>two.log
  wait_for 30 grep -q assigned two.log
  # the first may be done with all of them, and learns of the other one by a commit
  posts 3001 4000 | "$SLUICE" source --from - --quiet --partitions 2
  status=0
  wait "$one" || status=$?
  [ "$status" -eq 76 ]
  grep -q 'instance' one.log
  "$SLUICE" enhance --drain --instance other 2>other.log
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 4000
}

@test "kafka: members come and go while windows are full: no gap, none twice" {
  kafka_setup
  posts 1 15000 | "$SLUICE" source --from - --quiet --partitions 4
  start "$SLUICE" enhance --mock-latency 20ms --window 256 --commit-records 100 --instance base 2>base.log
  wait_for 20 grep -q assigned base.log
  for i in 1 2 3; do
    start "$SLUICE" enhance --mock-latency 20ms --window 256 --instance "guest$i" 2>"guest$i.log"
    guest=$!
    wait_for 30 grep -q assigned "guest$i.log"
    kill -TERM "$guest"
    wait "$guest"
  done
  "$SLUICE" enhance --drain --instance last 2>last.log
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 15000
  same_order 4
}

@test "kafka: an output that grows beyond the topic's limit becomes a dead letter" {
  kafka_setup
  jars=${SLUICE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-tests}/kafka-4.1.1
  [ -d "$jars" ] || skip "the jars of Kafka are not in $jars"
  java -cp "$jars/*" org.apache.kafka.tools.TopicCommand --bootstrap-server "$SLUICE_TEST_KAFKA" --create \
    --topic "$SLUICE_ENHANCED_TOPIC" --partitions 1 --config max.message.bytes=2000 >topic.log 2>&1
  printf '{"id":1,"text":"%01800d"}\n{"id":2,"text":"small"}\n' 0 >in.jsonl
  "$SLUICE" source --from in.jsonl --quiet --partitions 1
  "$SLUICE" enhance --drain
  [ "$(committed "$SLUICE_ENHANCED_TOPIC" | ids)" = 2 ]
  committed "$SLUICE_DEAD_TOPIC" -f '%h\n' | grep -q 'sluice-error-reason=output_too_large'
}

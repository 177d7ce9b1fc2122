#!/usr/bin/env bats
# A Kafka that goes away (kill -9, not a word said) and comes back on the same data. The broker of
# these tests is their own, since the others' must not be killed.
load lib.bash

setup_file() {
  local root said
  root=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || return 0 # where there is no Kafka, there is none of our own
  export KAFKA=$root/tests/kafka/kafka.sh
  said=$("$KAFKA" start 3>&-) || return 1
  OWN=$(sed -n 's/^KAFKA_BOOTSTRAP_SERVERS=//p' <<<"$said")
  OWN_DIR=$(sed -n 's/^KAFKA_DIR=//p' <<<"$said")
  export OWN OWN_DIR
}

teardown_file() {
  [ -z "${OWN_DIR:-}" ] || "$KAFKA" stop "$OWN_DIR"
}

away_setup() {
  [ -n "${OWN:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=a$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$OWN
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SESSION_TIMEOUT=6s
}

committed() {
  kcat -C -b "$OWN" -t "$1" -o beginning -e -q -X isolation.level=read_committed "${@:2}"
}

has_outputs() { [ "$(committed "$SLUICE_ENHANCED_TOPIC" | wc -l)" -ge "$1" ]; }

@test "kafka: enhance goes on when the broker comes back, nothing lost, nothing twice" {
  away_setup
  posts 1 3000 | "$SLUICE" source --from - --quiet --partitions 2
  start "$SLUICE" enhance --mock-latency 5ms --window 64 --commit-records 50 2>log
  pid=$!
  wait_for 30 has_outputs 100
  "$KAFKA" halt "$OWN_DIR" --hard
  wait_for 30 grep -q 'away' log || { cat log; false; }
  "$KAFKA" resume "$OWN_DIR" 3>&-
  wait_for 30 grep -q 'back' log
  wait_for 60 has_outputs 3000
  kill -TERM "$pid"
  wait "$pid"
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 3000
  for p in 0 1; do
    cmp <(committed "$SLUICE_RAW_TOPIC" -p $p | ids) <(committed "$SLUICE_ENHANCED_TOPIC" -p $p | ids)
  done
}

@test "kafka: at least once, enhance goes on when the broker comes back, nothing lost" {
  away_setup
  posts 1 3000 | "$SLUICE" source --from - --quiet --partitions 2
  start "$SLUICE" enhance --delivery at-least-once --mock-latency 5ms --window 64 2>log
  pid=$!
  wait_for 30 has_outputs 100
  "$KAFKA" halt "$OWN_DIR" --hard
  wait_for 30 grep -q 'away' log || { cat log; false; }
  "$KAFKA" resume "$OWN_DIR" 3>&-
  wait_for 60 has_outputs 3000
  kill -TERM "$pid"
  wait "$pid"
  committed "$SLUICE_ENHANCED_TOPIC" | ids | sort -u >out
  exactly_once out 3000
}

@test "kafka: a source goes on when the broker comes back, each post once and in order" {
  away_setup
  mkfifo feed
  start "$SLUICE" source --from feed --partitions 1 >lines 2>log
  pid=$!
  exec 9>feed
  posts 1 1000 >&9
  wait_for 30 grep -q 'ID 1000$' lines
  "$KAFKA" halt "$OWN_DIR" --hard
  posts 1001 3000 >&9
  exec 9>&-
  "$KAFKA" resume "$OWN_DIR" 3>&-
  wait "$pid"
  grep -q 'All messages sent' lines
  committed "$SLUICE_RAW_TOPIC" | ids | cmp - <(seq 1 3000)
}

@test "kafka: a broker that stays away ends enhance and source with 69" {
  away_setup
  posts 1 2000 | "$SLUICE" source --from - --quiet --partitions 1
  mkfifo feed
  start "$SLUICE" enhance --mock-latency 10ms --window 16 --broker-timeout 3s 2>log
  enhance=$!
  start "$SLUICE" source --from feed --quiet --broker-timeout 3s 2>source.log
  source=$!
  exec 9>feed
  wait_for 30 has_outputs 50
  "$KAFKA" halt "$OWN_DIR" --hard
  posts 2001 2010 >&9
  status=0; wait "$source" || status=$?
  exec 9>&-
  cat source.log
  [ "$status" -eq 69 ]
  grep -q "$OWN" source.log
  status=0; wait "$enhance" || status=$?
  cat log
  [ "$status" -eq 69 ]
  run "$SLUICE" enhance --drain --broker-timeout 2s
  [ "$status" -eq 69 ]
  "$KAFKA" resume "$OWN_DIR" 3>&-
  "$SLUICE" enhance --drain
  committed "$SLUICE_RAW_TOPIC" | ids | sort -u >in
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out "$(wc -l <in)"
}

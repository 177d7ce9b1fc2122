#!/usr/bin/env bats
# sluice verify on a real Kafka: kills and aborted transactions leave nothing wrong, and what a foreign
# producer does wrong is found.
load lib.bash

kafka_setup() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=v$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SESSION_TIMEOUT=6s
}

@test "kafka: verify passes after kills, and beside the pipeline, with dead letters" {
  kafka_setup
  posts 1 8000 | "$SLUICE" source --from - --quiet --partitions 3
  for i in 1 2 3; do
    start "$SLUICE" enhance --mock-latency 2ms --mock-error-rate 0.02 --commit-records 50 --instance one 2>>log
    pid=$!
    wait_for 20 grep -q assigned log
    "$SLUICE" verify >beside.txt || { cat beside.txt; return 1; }
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    : >log
  done
  "$SLUICE" enhance --drain --mock-error-rate 0.02 --instance one 2>>log
  run "$SLUICE" verify --drained
  echo "$output"
  [ "$status" -eq 0 ]
  grep -Eq '^  I1 .* ok +8000 +0' <<<"$output"
}

@test "kafka: a record that was produced again, and one from nowhere, are found" {
  kafka_setup
  posts 1 200 | "$SLUICE" run --quiet --from - --partitions 1 2>/dev/null
  "$SLUICE" verify --drained
  value=$("$SLUICE" tap "$SLUICE_ENHANCED_TOPIC" --from start --count 1)
  printf '%s\t%s\n' 1 "$value" >again
  kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -p 0 -K '\t' -H "sluice-src=$SLUICE_RAW_TOPIC/0/0" -l again
  kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -p 0 -K '\t' -l again
  run "$SLUICE" verify
  echo "$output"
  [ "$status" -eq 1 ]
  grep -q "$SLUICE_RAW_TOPIC/0/0 came out again" <<<"$output"
  grep -q "unknown record: its header sluice-src is ''" <<<"$output"
  grep -q 'id 1 was sent 1 time(s) and came out 3 time(s)' <<<"$output"
}

@test "kafka: a reader during aborted transactions saw what is there now; a read_uncommitted one did not" {
  kafka_setup
  "$SLUICE" topics make --partitions 2 >/dev/null
  posts 1 6000 | "$SLUICE" source --from - --quiet
  start "$SLUICE" tap "$SLUICE_ENHANCED_TOPIC" --json >seen.jsonl
  tap=$!
  SLUICE_FAULT=fail@kafka.txn:3 "$SLUICE" enhance --drain --mock-latency 5ms --window 256 --commit-records 300 --trace-txn 2>log
  grep -q 'sent again' log
  all_seen() { [ "$(wc -l <seen.jsonl)" -ge 6000 ]; }
  wait_for 20 all_seen
  kill "$tap"
  run "$SLUICE" verify --drained --observed seen.jsonl
  echo "$output"
  [ "$status" -eq 0 ]
  grep -Eq '^  I4 .* ok +[1-9]' <<<"$output"
  # what is aborted is read beside it
  grep -Eq '^  I5 .* ok +[1-9].* [1-9][0-9]* transaction.s. were aborted' <<<"$output"
  # the aborted records, as a reader that does not wait for commits sees them
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -o beginning -e -q -X isolation.level=read_uncommitted \
    -f '{"topic":"%t","partition":%p,"offset":%o,"x":0}\n' | grep -vFf <(cut -d, -f1-3 seen.jsonl | sed 's/$/,/') >dirty.jsonl
  [ -s dirty.jsonl ]
  cat seen.jsonl dirty.jsonl >both.jsonl
  run "$SLUICE" verify --observed both.jsonl
  echo "$output"
  [ "$status" -eq 1 ]
  grep -q 'a reader saw it, and it is not there now: its transaction was aborted' <<<"$output"
}

@test "kafka: a record of an aborted transaction that became visible tears it" {
  kafka_setup
  posts 1 2000 | "$SLUICE" source --from - --quiet --partitions 1
  SLUICE_FAULT=fail@kafka.txn:2 "$SLUICE" enhance --drain --mock-latency 2ms --window 64 --commit-records 20 --trace-txn 2>log
  "$SLUICE" verify --drained
  txns() { # ISOLATION
    kcat -C -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -o beginning -e -q -X isolation.level=$1 -f '%h\n' |
      grep -o 'sluice-txn=[0-9a-f]*/[0-9]*' | sort -u
  }
  aborted=$(comm -23 <(txns read_uncommitted) <(txns read_committed) | head -1)
  [ -n "$aborted" ]
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -o beginning -e -q -X isolation.level=read_uncommitted \
    -f '%h\t%k\t%s\n' | grep -F "$aborted" | head -1 >dirty
  src=$(grep -o 'sluice-src=[^,]*' dirty | cut -f1)
  cut -f2- dirty >again
  kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -p 0 -K '\t' -H "$src" -H "$aborted" -l again
  run "$SLUICE" verify
  echo "$output"
  [ "$status" -eq 1 ]
  grep -q 'is torn: this record of it was aborted, others are visible' <<<"$output"
}

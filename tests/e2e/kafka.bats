#!/usr/bin/env bats
# The same pipeline on a real Kafka (SLUICE_TEST_KAFKA: its bootstrap servers). Outputs are read back
# by kcat with isolation.level=read_committed: a consumer that is not ours.
load lib.bash

kafka_setup() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=t$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SINK_GROUP=sink_$T SLUICE_SESSION_TIMEOUT=6s
}

# Values of a topic, to its end, as a read_committed consumer sees them.
committed() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$1" -o beginning -e -q -X isolation.level=read_committed "${@:2}"
}

@test "kafka: run prints the lines of source and sink in order" {
  kafka_setup
  run "$SLUICE" run --partitions 1
  [ "$status" -eq 0 ]
  grep -F "[SINK] Received Post ID=" <<<"$output" | head -3 >got
  printf '[SINK] Received Post ID=%s\n' 1 2 3 | cmp - got
  [ "$(grep -cF '[SINK] Received Post ID=' <<<"$output")" -eq "$(wc -l <"$ROOT/stages/source/posts.jsonl")" ]
}

@test "kafka: kill -9 of enhance at random times loses nothing and repeats nothing" {
  kafka_setup
  posts 1 20000 | "$SLUICE" source --from - --quiet --partitions 4
  for i in $(seq 1 8); do
    start "$SLUICE" enhance --mock-latency 2ms --commit-records 50 --instance one 2>>log
    pid=$!
    sleep "0.$((RANDOM % 9))"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
  done
  "$SLUICE" enhance --drain --instance one 2>>log
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 20000
}

@test "kafka: two instances share the group, one is killed, the other one finishes" {
  kafka_setup
  posts 1 20000 | "$SLUICE" source --from - --quiet --partitions 4
  start "$SLUICE" enhance --mock-latency 2ms --commit-records 50 --instance one 2>one.log
  first=$!
  wait_for 20 grep -q assigned one.log
  start "$SLUICE" enhance --mock-latency 2ms --commit-records 50 --instance two 2>two.log
  wait_for 20 grep -q assigned two.log
  kill -9 "$first"
  "$SLUICE" enhance --drain --instance three 2>three.log
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 20000
}

@test "kafka: two workers in one process keep each partition's order" {
  kafka_setup
  posts 1 4000 | "$SLUICE" source --from - --quiet --partitions 4
  "$SLUICE" enhance --drain --workers 2 --mock-latency 1ms --mock-latency-spread 2ms
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 4000
  for p in 0 1 2 3; do
    cmp <(committed "$SLUICE_RAW_TOPIC" -p $p | ids) <(committed "$SLUICE_ENHANCED_TOPIC" -p $p | ids)
  done
}

@test "kafka: a member that has looked its positions up before another one began is no reason to stop" {
  kafka_setup
  for mode in exactly-once at-least-once; do
    SLUICE_RAW_TOPIC+=m SLUICE_ENHANCED_TOPIC+=m SLUICE_GROUP+=m
    posts 1 2000 | "$SLUICE" source --from - --quiet --partitions 4
    SLUICE_FAULT=wait@kafka.positions "$SLUICE" enhance --drain --workers 2 --delivery $mode 2>log
    committed "$SLUICE_ENHANCED_TOPIC" | ids >out
    exactly_once out 2000 || { # which half it was, what it said, and whether a second look finds them
      cat log
      "$SLUICE" topics
      for topic in "$SLUICE_RAW_TOPIC" "$SLUICE_ENHANCED_TOPIC"; do
        committed "$topic" -f "$mode $topic/%p/%o %s\n" | grep -f <(sed 's/.*/"id": *&[,}]/' lost.txt)
      done
      false
    }
  done
}

@test "kafka: a member for which no partition is left is ready, and takes over" {
  kafka_setup
  posts 1 10 | "$SLUICE" source --from - --quiet --partitions 1
  start "$SLUICE" enhance --instance one 2>first.log
  first=$!
  wait_for 20 grep -q assigned first.log
  start "$SLUICE" enhance --instance two --http 127.0.0.1:0 2>spare.log
  wait_for 20 grep -Eq 'port [1-9]' spare.log
  port=$(grep -Eo 'port [0-9]+' spare.log | grep -Eo '[0-9]+')
  wait_for 20 grep -Eq 'no partition of .* is free' first.log spare.log # either of them may be left over
  wait_for 20 "$SLUICE" healthcheck "127.0.0.1:$port"
  kill -TERM "$first"
  wait_for 20 grep -q '1 partition(s) of .* assigned' spare.log
  wait_for 20 "$SLUICE" healthcheck "127.0.0.1:$port"
}

@test "kafka: order none lets posts overtake, and kill -9 still repeats none" {
  kafka_setup
  posts 1 10000 | "$SLUICE" source --from - --quiet --partitions 2
  for i in 1 2 3 4; do
    start "$SLUICE" enhance --order none --mock-latency 5ms --mock-latency-spread 20ms --instance one 2>>log
    pid=$!
    sleep "0.$((RANDOM % 9))"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
  done
  "$SLUICE" enhance --drain --order none --mock-latency 1ms --mock-latency-spread 4ms --instance one 2>>log
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 10000
}

@test "kafka: headers, key, partition and timestamp pass" {
  kafka_setup
  "$SLUICE" topics >/dev/null
  posts 5 5 | "$SLUICE" source --from - --quiet --partitions 3
  "$SLUICE" enhance --drain
  committed "$SLUICE_RAW_TOPIC" -f '%k %T %p\n' >raw
  committed "$SLUICE_ENHANCED_TOPIC" -f '%k %T %p\n' | cmp - raw
  committed "$SLUICE_ENHANCED_TOPIC" -f '%h\n' | grep -Eq "sluice-src=$SLUICE_RAW_TOPIC/[0-2]/0"
}

@test "kafka: a broker that cannot be reached is named, exit 69" {
  kafka_setup
  run "$SLUICE" run --broker kafka://127.0.0.1:1 --broker-timeout 2s
  [ "$status" -eq 69 ]
  [[ "$output" == *127.0.0.1:1* ]]
}

@test "kafka: properties that exactly-once rests on are refused by name" {
  kafka_setup
  run "$SLUICE" enhance -X transactional.id=mine
  [ "$status" -eq 78 ]
  [[ "$output" == *transactional.id* ]]
  run "$SLUICE" enhance -X no.such.property=1
  [ "$status" -eq 78 ]
  [[ "$output" == *no.such.property* ]]
}

@test "kafka: tap of a topic that ends with a transaction's marker ends" {
  kafka_setup
  posts 1 3 | "$SLUICE" run --quiet --from -
  run timeout 20 "$SLUICE" tap "$SLUICE_ENHANCED_TOPIC" --from start
  [ "$status" -eq 0 ]
  [ "${#lines[@]}" -eq 3 ]
}

@test "kafka: dead letters and a sink that is started later" {
  kafka_setup
  "$SLUICE" source --from <(posts 1 3) --quiet --partitions 1
  printf 'k\tnot json\n' | kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_RAW_TOPIC" -K '\t'
  "$SLUICE" enhance --drain
  run --separate-stderr "$SLUICE" sink --drain
  [ "$status" -eq 0 ]
  [ "$(grep -c 'Received Post' <<<"$output")" -eq 3 ]
  [ "$(committed "$SLUICE_DEAD_TOPIC")" = "not json" ]
  committed "$SLUICE_DEAD_TOPIC" -f '%h\n' | grep -q 'sluice-error-reason=json_invalid'
}

@test "kafka: SIGTERM ends enhance in order within a second of its last ask" {
  kafka_setup
  posts 1 5000 | "$SLUICE" source --from - --quiet
  start "$SLUICE" enhance --mock-latency 20ms 2>log
  enhance=$!
  wait_for 20 grep -q assigned log
  begin=$SECONDS
  kill -TERM "$enhance"
  status=0; wait "$enhance" || status=$?
  [ "$status" -eq 0 ]
  [ $((SECONDS - begin)) -le 5 ]
  "$SLUICE" enhance --drain
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 5000
}

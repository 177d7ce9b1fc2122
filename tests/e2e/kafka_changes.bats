#!/usr/bin/env bats
# A Kafka that is changed by its operators while sluice runs: partitions are added, records deleted,
# limits lowered, topics removed. Outputs are read back by kcat.
load lib.bash

kafka_setup() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=c$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SESSION_TIMEOUT=6s
}

admin() { "$(dirname "$SLUICE")/kafka_admin" "$SLUICE_TEST_KAFKA" "$@"; }

committed() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$1" -o beginning -e -q -X isolation.level=read_committed "${@:2}"
}

# long FROM TO: posts of about 930 bytes.
long() {
  awk -v a="$1" -v b="$2" 'BEGIN { for (i = a; i <= b; i++) printf "{\"id\":%d,\"text\":\"%0900d\"}\n", i, 0 }'
}

# to PARTITION: lines on stdin become records of that partition of the raw topic.
to() { kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_RAW_TOPIC" -p "$1"; }

has_outputs() { [ "$(committed "$SLUICE_ENHANCED_TOPIC" | wc -l)" -ge "$1" ]; }

enhance() { start "$SLUICE" enhance -X topic.metadata.refresh.interval.ms=500 "$@"; }

@test "kafka: partitions added to the raw topic are read from their beginning" {
  kafka_setup
  export SLUICE_PARTITIONS=2
  "$SLUICE" source --from <(posts 1 100) --quiet
  enhance 2>log
  wait_for 30 has_outputs 100
  admin partitions "$SLUICE_RAW_TOPIC" 4
  wait_for 20 eval 'posts 101 150 | to 2 2>/dev/null'
  wait_for 20 eval 'posts 151 200 | to 3 2>/dev/null'
  wait_for 40 has_outputs 200
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 200
  # outputs stay within the output topic's own two partitions
  committed "$SLUICE_ENHANCED_TOPIC" -p 0 | ids | grep -qx 101
  committed "$SLUICE_ENHANCED_TOPIC" -p 1 | ids | grep -qx 151
}

@test "kafka: partitions added to the output topic stop enhance by name" {
  kafka_setup
  export SLUICE_PARTITIONS=2
  "$SLUICE" source --from <(posts 1 50) --quiet
  enhance 2>log
  pid=$!
  wait_for 30 has_outputs 50
  admin partitions "$SLUICE_ENHANCED_TOPIC" 3
  for id in $(seq 51 150); do # the count is compared when something is committed
    kill -0 "$pid" 2>/dev/null || break
    posts "$id" "$id" | to 0
    sleep 0.1
  done
  status=0; wait "$pid" || status=$?
  [ "$status" -eq 75 ]
  grep -q "'$SLUICE_ENHANCED_TOPIC' had 2 partitions at start and has 3 now" log
  "$SLUICE" enhance --drain 2>log2
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  committed "$SLUICE_RAW_TOPIC" | ids >in
  exactly_once out "$(wc -l <in)"
}

@test "kafka: retention that passed the position stops with 78 and says how many are lost" {
  kafka_setup
  "$SLUICE" source --from <(posts 1 10) --quiet --partitions 1
  "$SLUICE" enhance --drain 2>log
  "$SLUICE" source --from <(posts 11 30) --quiet
  admin trim "$SLUICE_RAW_TOPIC" 0 17
  run "$SLUICE" enhance --drain
  [ "$status" -eq 78 ]
  [[ "$output" == *"$SLUICE_RAW_TOPIC"* ]]
  [[ "$output" == *" 7 "* ]]
  [ "$(committed "$SLUICE_ENHANCED_TOPIC" | wc -l)" -eq 10 ]
  "$SLUICE" topics reset "$SLUICE_GROUP" "$SLUICE_RAW_TOPIC" --to start
  "$SLUICE" enhance --drain
  [ "$(committed "$SLUICE_ENHANCED_TOPIC" | wc -l)" -eq 23 ]
}

@test "kafka: retention that passes the position of a running enhance stops it, and it says how many are lost" {
  kafka_setup
  "$SLUICE" source --from <(posts 1 10) --quiet --partitions 1
  enhance 2>log
  pid=$!
  wait_for 30 has_outputs 10
  kill -STOP "$pid"
  "$SLUICE" source --from <(posts 11 30) --quiet
  admin trim "$SLUICE_RAW_TOPIC" 0 25
  kill -CONT "$pid"
  status=0; wait "$pid" || status=$?
  # the fetch that waited at the broker may have brought them before they were deleted
  if [ "$status" -ne 78 ]; then cat log; fi
  [ "$status" -eq 78 ]
  grep -q "'$SLUICE_GROUP' stands at $SLUICE_RAW_TOPIC/0 offset [0-9]*, but the log begins at 25: [0-9]* posts are lost" log
  read -r at lost < <(sed -n 's/.*offset \([0-9]*\), but the log begins at 25: \([0-9]*\) posts.*/\1 \2/p' log)
  [ "$lost" -eq $((25 - at)) ]
  run "$SLUICE" enhance --drain # the next start says the same
  [ "$status" -eq 78 ]
  [[ "$output" == *"offset $at, but the log begins at 25: $lost posts are lost"* ]]
}

@test "kafka: a limit lowered while enhance runs costs one abort, and nothing is lost" {
  kafka_setup
  "$SLUICE" source --from <(posts 1 1) --quiet --partitions 1
  enhance --commit-interval 200ms 2>log
  wait_for 30 has_outputs 1
  admin set "$SLUICE_ENHANCED_TOPIC" max.message.bytes 4000
  "$SLUICE" source --from <(long 2 3000) --quiet
  "$SLUICE" enhance --drain --instance other 2>log2
  grep -q 'sent again' log log2
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 3000
}

@test "kafka: a source whose topic's limit is lowered goes on, a post too large is a dead letter" {
  kafka_setup
  mkfifo feed
  start "$SLUICE" source --from feed --partitions 1 >lines 2>log
  pid=$!
  exec 9>feed
  posts 1 1 >&9
  wait_for 20 grep -q 'ID 1$' lines
  admin set "$SLUICE_RAW_TOPIC" max.message.bytes 4000
  long 2 2000 >&9
  printf '{"id":2001,"text":"%05000d"}\n' 0 >&9
  exec 9>&-
  wait "$pid"
  committed "$SLUICE_RAW_TOPIC" | ids | sort -un >out
  exactly_once out 2000
  committed "$SLUICE_DEAD_TOPIC" -f '%h\n' | grep -q 'sluice-error-reason=post_too_large'
}

@test "kafka: a raw topic that is deleted stops enhance by name" {
  kafka_setup
  "$SLUICE" source --from <(posts 1 10) --quiet --partitions 1
  enhance 2>log
  pid=$!
  wait_for 30 has_outputs 10
  admin delete "$SLUICE_RAW_TOPIC"
  status=0; wait_for 40 eval "! kill -0 $pid 2>/dev/null"
  wait "$pid" || status=$?
  [ "$status" -eq 78 ]
  grep -q "$SLUICE_RAW_TOPIC" log
}

@test "kafka: a topic that is deleted while topics are listed is left out" {
  kafka_setup
  "$SLUICE" topics make
  SLUICE_FAULT=wait@topics.named start "$SLUICE" topics >list 2>log
  pid=$!
  sleep 1
  admin delete "$SLUICE_RAW_TOPIC"
  wait "$pid"
  run ! grep -q "$SLUICE_RAW_TOPIC" list
  grep -q "^$SLUICE_DEAD_TOPIC " list
}

#!/usr/bin/env bats
# sluice sink --redrive: what a store refused is put again by that sink, once it can take it.
load lib.bash

# 40 enriched posts in two partitions and 6 records that no store but `none` takes.
refused() {
  posts 1 40 | "$SLUICE" run --quiet --from - --partitions 2 2>/dev/null
  for i in 1 2 3; do
    sqlite3 sluice.db "INSERT INTO \"enhanced_posts/0\"(timestamp, key, value) VALUES (7, 'k$i', 'no post $i');
      INSERT INTO \"enhanced_posts/1\"(timestamp, key, value) VALUES (7, 'k$i', '[$i]')"
  done
  "$SLUICE" sink --drain --quiet 2>/dev/null
  [ "$(letters | wc -l)" -eq 6 ]
}

letters() {
  values dead_posts --json | jq -c 'select(.headers | any(. == ["sluice-error-stage", "sink"]))'
}

# What a redrive said on stderr, without colours and times.
says() {
  grep -Eq "$1 dead letter\(s\) put, $2 refused again" log || { cat log; return 1; }
}

@test "a sink puts its letters again, each once, and ends" {
  refused
  "$SLUICE" sink --redrive --to none 2>log
  says 6 0
  "$SLUICE" sink --redrive --to none 2>log
  says 0 0
  # the enriched posts themselves are not read again, and no letter has gone
  [ "$(letters | wc -l)" -eq 6 ]
}

@test "what is refused again is a new letter with the first place, and waits for the next redrive" {
  refused
  run "$SLUICE" sink --redrive
  [ "$status" -eq 1 ]
  [ "$(letters | wc -l)" -eq 12 ]
  place='[.headers[] | select(.[0] | IN("sluice-src", "sluice-error-topic", "sluice-error-partition", "sluice-error-offset", "sluice-error-group"))] + [.key, .value, .timestamp]'
  letters | jq -c "$place" | sort | uniq -c | awk '$1 != 2 { bad = 1 } END { exit bad || NR != 6 }'
  letters | jq -es 'all(.headers | map(.[0]) | (unique | length) == length)'
  "$SLUICE" sink --redrive --to none 2>log
  says 6 0
}

@test "letters of another sink, of enhance and of a source are passed by" {
  { echo nonsense; posts 1 40; } | "$SLUICE" run --quiet --from - --mock-error-rate 0.5 2>/dev/null
  sqlite3 sluice.db "INSERT INTO \"enhanced_posts/0\"(timestamp, value) VALUES (7, 'x')"
  "$SLUICE" sink --drain --quiet 2>/dev/null
  "$SLUICE" sink --drain --quiet --sink-group archive --to jsonl 2>/dev/null >archive.jsonl
  [ "$(letters | wc -l)" -eq 2 ]
  "$SLUICE" sink --redrive --to none --sink-group archive 2>log
  says 1 0
  "$SLUICE" sink --redrive --to none 2>log
  says 1 0
}

@test "kill -9 at each step of a sink's redrive loses no letter" {
  refused
  for point in sink.put:1 sink.put:4 sink.handed:1 sqlite.commit.begin:1 sqlite.commit.end:1 sink.committed:1; do
    run env SLUICE_FAULT=kill@$point "$SLUICE" sink --redrive --quiet
    [ "$status" -eq 137 ]
  done
  "$SLUICE" sink --redrive --to none 2>log
  # each of the first letters is either put now, or was refused before it is here again
  firsts=$(letters | jq -c '[.headers[] | select(.[0] == "sluice-src")]' | sort -u | wc -l)
  [ "$firsts" -eq 6 ]
  "$SLUICE" sink --redrive --to none 2>log
  says 0 0
}

@test "kafka: a sink puts its letters again" {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=s$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA SLUICE_SESSION_TIMEOUT=6s
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SINK_GROUP=sink_$T
  posts 1 20 | "$SLUICE" run --quiet --from - 2>/dev/null
  printf 'k\tno post\nk\t[]\n' | kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -p 0 -K '\t'
  "$SLUICE" sink --drain --quiet 2>/dev/null
  "$SLUICE" sink --redrive --to none 2>log
  says 2 0
  "$SLUICE" sink --redrive --to none 2>log
  says 0 0
}

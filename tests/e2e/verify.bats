#!/usr/bin/env bats
# sluice verify: a clean run passes, and every way of breaking one is found and named. The files are
# made by the real binary and broken with sqlite3.
load lib.bash

# 400 posts in two partitions, about a tenth of them dead letters of enhance.
ran() {
  "$SLUICE" run --from generate --count 400 --quiet --partitions 2 --mock-error-rate 0.1 "$@" 2>/dev/null
}

sql() {
  sqlite3 sluice.db "$@"
}

# The given invariants fail, no other does, and the exit code says so.
fails() {
  run "$SLUICE" verify --json
  [ "$status" -eq 1 ] || { echo "exit $status: $output"; return 1; }
  echo "$output"
  [ "$(jq -r '[.invariants[] | select(.state == "failed").invariant] | join(" ")' <<<"$output")" = "$*" ]
}

# An example of INVARIANT lies at TOPIC/PARTITION/OFFSET and its text has WORDS.
names() { # INVARIANT PLACE WORDS
  "$SLUICE" verify --json >found.json || true
  jq -r --arg i "$1" '.invariants[] | select(.invariant == $i).examples[] |
    "\(.topic)/\(.partition)/\(.offset): \(.text)"' found.json | tee found.txt | grep -F "$2: " | grep -qF "$3"
}

# Lets sluice-src of a row's headers be another one of the same length.
moved() { # FROM TO: an SQL expression
  echo "CAST(replace(CAST(headers AS TEXT), '$1', '$2') AS BLOB)"
}

@test "a clean run passes, dead letters and posts with an enrichment of their own too" {
  ran
  printf '%s\n' '{"id":"a","text":"x","enrichment":{"old":[1]},"tail":"}"}' '{ "id":7,"text":"x" , "enrichment" : null }' \
    'no post' '{"id":8,"text":"\u00e9"  }' >more.jsonl
  "$SLUICE" run --quiet --from more.jsonl
  # what the source would refuse: straight into the raw topic
  sql "INSERT INTO \"raw_posts/0\"(timestamp, key, value) VALUES (1, NULL, CAST('{\"id\":2,\"text\":7,\"enrichment\":1}' AS BLOB)), (1, x'', NULL)"
  "$SLUICE" enhance --drain
  run "$SLUICE" verify --drained
  echo "$output"
  [ "$status" -eq 0 ]
  grep -Eq '^  I1 .* ok +405 +0' <<<"$output"
  grep -Eq '^  I5 .* not decidable ' <<<"$output"
  grep -Fq 'everything that can be decided holds' <<<"$output"
  "$SLUICE" verify --json | jq -e '.holds and (.invariants | map(select(.invariant == "I7"))[0].checked > 10)'
}

@test "nothing processed is said so, and a lag fails only with --drained" {
  "$SLUICE" topics make --partitions 1 >/dev/null
  posts 1 10 | "$SLUICE" source --from - --quiet
  run "$SLUICE" verify
  [ "$status" -eq 0 ]
  grep -q 'has passed no record yet' <<<"$output"
  grep -q 'lag 10' <<<"$output"
  run "$SLUICE" verify --drained
  [ "$status" -eq 1 ]
  grep -q 'raw_posts/0/-1: 10 record(s) behind' <<<"$output"
}

@test "an output that is not there is found, and its id named" {
  ran
  src=$(values enhanced_posts --partition 1 --json | jq -r 'select(.offset == 7).headers[] | select(.[0] == "sluice-src")[1]')
  sql 'DELETE FROM "enhanced_posts/1" WHERE offset = 7'
  fails I1 I2
  names I1 "$src" "missing"
}

@test "an output that is there twice is found" {
  ran
  sql 'INSERT INTO "enhanced_posts/0"(timestamp, key, headers, value) SELECT timestamp, key, headers, value FROM "enhanced_posts/0" WHERE offset = 3'
  fails I1 I2
  last=$(sql 'SELECT max(offset) FROM "enhanced_posts/0"')
  names I1 "enhanced_posts/0/$last" "came out again"
}

@test "two outputs that have changed places are found, unless the order is not promised" {
  ran
  sql 'UPDATE "enhanced_posts/0" SET offset = 100000 WHERE offset = 4;
       UPDATE "enhanced_posts/0" SET offset = 4 WHERE offset = 5;
       UPDATE "enhanced_posts/0" SET offset = 5 WHERE offset = 100000'
  fails I3
  names I3 enhanced_posts/0/5 "comes behind"
  run "$SLUICE" verify --order none
  [ "$status" -eq 0 ]
  run "$SLUICE" verify --order key
  [ "$status" -eq 0 ]
}

@test "two outputs of one key that have changed places are found under order key" {
  printf '{"id":%d,"text":"x","by":"ann"}\n' $(seq 0 9) >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl --key by
  sql 'UPDATE "enhanced_posts/0" SET offset = 100 WHERE offset = 4;
       UPDATE "enhanced_posts/0" SET offset = 4 WHERE offset = 7;
       UPDATE "enhanced_posts/0" SET offset = 7 WHERE offset = 100'
  run "$SLUICE" verify --order key
  [ "$status" -eq 1 ]
  grep -q 'enhanced_posts/0/5: raw_posts/0/5 comes behind offset 7' <<<"$output"
  run "$SLUICE" verify --order none
  [ "$status" -eq 0 ]
}

@test "a position that is too far is found, and one beyond the log as well" {
  ran
  posts 1 8 | "$SLUICE" source --from - --quiet
  sql "UPDATE positions SET offset = (SELECT max(offset) + 1 FROM \"raw_posts/0\") WHERE topic = 'raw_posts' AND partition = 0"
  fails I1 I2
  names I1 "raw_posts/0/$(sql 'SELECT max(offset) FROM "raw_posts/0"')" "missing"
  sql "UPDATE positions SET offset = offset + 5 WHERE topic = 'raw_posts' AND partition = 0"
  fails I1 I2 I9
}

@test "a position that is too low is found: outputs will come again" {
  ran
  sql "UPDATE positions SET offset = offset - 1 WHERE topic = 'raw_posts' AND partition = 1"
  fails I1
  jq -e '.invariants[0].failed == 1 and (.invariants[0].examples[0].text | contains("will come out again"))' <<<"$output"
}

@test "one byte of an output is found, inside and outside of JSON" {
  ran
  sql "UPDATE \"enhanced_posts/0\" SET value = CAST(replace(CAST(value AS TEXT), 'text', 'texT') AS BLOB) WHERE offset = 2"
  fails I2 I8
  names I8 enhanced_posts/0/2 "post has no 'text'"
  sql "UPDATE \"enhanced_posts/0\" SET value = CAST(replace(CAST(value AS TEXT), 'texT', 'text') AS BLOB) WHERE offset = 2;
       UPDATE \"enhanced_posts/0\" SET value = CAST(CAST(value AS TEXT) || ' ' AS BLOB) WHERE offset = 2"
  fails I8
  names I8 enhanced_posts/0/2 "not the bytes of its raw record"
  sql "UPDATE \"enhanced_posts/0\" SET value = CAST('{' AS BLOB) WHERE offset = 2"
  fails I2 I8
}

@test "a changed key, a lost enrichment, one that stands elsewhere: found" {
  ran
  sql "UPDATE \"enhanced_posts/0\" SET key = CAST('k' AS BLOB) WHERE offset = 1"
  fails I8
  names I8 enhanced_posts/0/1 "not the bytes"
  ran --broker sqlite:b.db
  mv b.db sluice.db; rm -f sluice.db-* b.db-*
  sql "UPDATE \"enhanced_posts/0\" SET value = CAST('{\"id\":1,\"text\":\"x\"}' AS BLOB) WHERE offset = 1"
  fails I2 I8
  names I8 enhanced_posts/0/1 "no enrichment"
}

@test "only the value of a post's own enrichment may differ" {
  echo '{"id":1,"text":"x","enrichment":{"old":1},"tail":12}' >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  "$SLUICE" verify >/dev/null
  sql "UPDATE \"enhanced_posts/0\" SET value = CAST('{\"id\":1,\"text\":\"x\",\"enrichment\":[],\"tail\":12}' AS BLOB)"
  "$SLUICE" verify >/dev/null
  sql "UPDATE \"enhanced_posts/0\" SET value = CAST('{\"id\":1,\"text\":\"x\",\"enrichment\":[],\"tail\":13}' AS BLOB)"
  fails I8
}

@test "a dead letter with other bytes is found, also in its own enrichment" {
  ran
  sql "UPDATE \"dead_posts/0\" SET value = CAST(replace(CAST(value AS TEXT), '\"text\"', '\"tezt\"') AS BLOB) WHERE offset = 1"
  fails I2 I7
  names I7 dead_posts/0/1 "not the bytes of its raw record"
  rm sluice.db*
  echo '{"id":1,"text":"x","enrichment":{"old":1}}' >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl --mock-error-rate 1
  "$SLUICE" verify >/dev/null
  sql "UPDATE \"dead_posts/0\" SET value = CAST(replace(CAST(value AS TEXT), 'old\":1', 'old\":2') AS BLOB)"
  fails I7
}

@test "two dead letters for one raw record are found" {
  ran
  sql 'INSERT INTO "dead_posts/1"(timestamp, key, headers, value) SELECT timestamp, key, headers, value FROM "dead_posts/1" WHERE offset = 0'
  fails I1 I2
  names I1 "dead_posts/1/$(sql 'SELECT max(offset) FROM "dead_posts/1"')" "came out again"
}

@test "an output and a dead letter for one raw record are found" {
  printf '{"id":%d,"text":"x"}\n' 0 1 2 3 >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl --mock-error-rate 1
  [ "$(sql 'SELECT count(*) FROM dead_posts')" -eq 4 ]
  sql "INSERT INTO \"enhanced_posts/0\"(timestamp, key, headers, value) SELECT timestamp, key, headers,
       CAST(replace(CAST(value AS TEXT), '}', ',\"enrichment\":1}') AS BLOB) FROM \"dead_posts/0\" WHERE offset = 2"
  fails I1 I2
  names I1 dead_posts/0/2 "is a dead letter and in the outputs as well"
}

@test "records that come from nowhere are found" {
  printf '{"id":%d,"text":"x"}\n' 0 1 2 3 >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  sql "UPDATE \"enhanced_posts/0\" SET headers = $(moved raw_posts/0/3 raw_posts/0/9) WHERE offset = 3"
  fails I1
  names I1 enhanced_posts/0/3 "where nothing is"
  names I1 raw_posts/0/3 "missing"
  sql "UPDATE \"enhanced_posts/0\" SET headers = NULL WHERE offset = 3"
  fails I1
  names I1 enhanced_posts/0/3 "sluice-src is ''"
  # the header of another one: that one twice, this one missing, and the bytes do not fit
  sql "UPDATE \"enhanced_posts/0\" SET headers = (SELECT headers FROM \"enhanced_posts/0\" WHERE offset = 2) WHERE offset = 3"
  fails I1 I8
}

@test "what retention has removed is not decidable, and no failure" {
  ran
  sql "DELETE FROM \"raw_posts/0\" WHERE offset < 50; UPDATE partitions SET start = 50 WHERE topic = 'raw_posts' AND partition = 0"
  run "$SLUICE" verify
  echo "$output"
  [ "$status" -eq 0 ]
  grep -Eq '^  I1 .* ok .* 50 not decidable' <<<"$output"
  # outputs that retention removed: what lies before the first that is left
  sql "DELETE FROM \"enhanced_posts/1\" WHERE offset < 30; UPDATE partitions SET start = 30 WHERE topic = 'enhanced_posts' AND partition = 1"
  run "$SLUICE" verify
  echo "$output"
  [ "$status" -eq 0 ]
  # but not one from the middle
  sql 'DELETE FROM "enhanced_posts/1" WHERE offset = 60'
  fails I1 I2
}

@test "letters of source and sink are no outputs of enhance" {
  printf '%s\n' nonsense '{"id":1,"text":"x"}' >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  [ "$(values dead_posts | wc -l)" -eq 1 ]
  "$SLUICE" verify --drained
}

@test "kills under every order pass, also with positions that carry ranges" {
  posts 1 6000 | "$SLUICE" source --from - --quiet --partitions 2
  for order in none key partition; do
    start "$SLUICE" enhance --order $order --mock-latency 10ms --mock-latency-spread 30ms --window 512 2>>log
    pid=$!
    wait_for 10 grep -q assigned log
    some() { [ "$(sql "SELECT coalesce(sum(offset), 0) FROM positions" 2>/dev/null || echo 0)" -gt "${before:-0}" ]; }
    wait_for 10 some
    before=$(sql "SELECT sum(offset) FROM positions")
    "$SLUICE" verify --order none >beside.txt || { cat beside.txt; return 1; }
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
    "$SLUICE" verify --order none >after.txt || { cat after.txt; return 1; }
    : >log
  done
  "$SLUICE" enhance --drain
  "$SLUICE" verify --order none --drained
}

@test "an output among the ranges of a position is missed when it is not there" {
  posts 1 400 | "$SLUICE" source --from - --quiet --partitions 1
  start "$SLUICE" enhance --order none --mock-latency 100ms --mock-latency-spread 80ms 2>log
  ranged() { [ -n "$(sql "SELECT 1 FROM positions WHERE metadata LIKE 's1:%'" 2>/dev/null)" ]; }
  wait_for 10 ranged
  kill -9 "${PIDS[0]}"
  wait "${PIDS[0]}" 2>/dev/null || true
  ranged
  "$SLUICE" verify --order none >/dev/null
  # the highest raw record that came out lies above the position
  at=$(values enhanced_posts --json | jq -rs 'max_by(.headers | map(select(.[0] == "sluice-src"))[0][1] | split("/")[2] | tonumber).offset')
  sql "DELETE FROM \"enhanced_posts/0\" WHERE offset = $at"
  run "$SLUICE" verify --order none
  [ "$status" -eq 1 ]
  grep -q ': missing: ' <<<"$output"
}

@test "verify beside a running pipeline finds nothing wrong" {
  posts 1 3000 >in.jsonl
  start "$SLUICE" run --quiet --from in.jsonl --rate 3000 --partitions 3 --mock-latency 3ms 2>/dev/null
  wait_for 10 "$SLUICE" tap dead_posts --from start
  for i in $(seq 8); do
    "$SLUICE" verify >out.txt || { cat out.txt; return 1; }
  done
  wait "${PIDS[0]}"
  "$SLUICE" verify --drained
}

@test "what a reader saw during the run is compared with what is there now" {
  ran
  { values enhanced_posts --json; values dead_posts --json; } >seen.jsonl
  run "$SLUICE" verify --observed seen.jsonl
  [ "$status" -eq 0 ]
  grep -Eq '^  I4 .* ok +400 ' <<<"$output"
  # its last line was cut off when it was killed
  head -c -20 seen.jsonl >cut.jsonl
  "$SLUICE" verify --observed cut.jsonl
  sed 2d seen.jsonl >passed.jsonl
  run "$SLUICE" verify --observed passed.jsonl
  [ "$status" -eq 1 ]
  grep -q 'enhanced_posts/0/1: it is there now, and a reader passed over it' <<<"$output"
  sql 'UPDATE "enhanced_posts/1" SET timestamp = timestamp + 1 WHERE offset = 3; DELETE FROM "dead_posts/0" WHERE offset = 2'
  run "$SLUICE" verify --observed seen.jsonl
  [ "$status" -eq 1 ]
  grep -q 'enhanced_posts/1/3: a reader saw it with other bytes' <<<"$output"
  grep -q 'dead_posts/0/2: a reader saw it, and it is not there now' <<<"$output"
  printf 'x\ny\n' >no.jsonl
  run "$SLUICE" verify --observed no.jsonl
  [ "$status" -eq 78 ]
  [[ "$output" == *no.jsonl:1* ]]
}

@test "at most 20 examples of each kind are listed, and the rest counted" {
  ran
  sql 'DELETE FROM "enhanced_posts/0" WHERE offset BETWEEN 10 AND 59'
  run "$SLUICE" verify
  [ "$status" -eq 1 ]
  [ "$(grep -c ': missing: ' <<<"$output")" -eq 20 ]
  grep -Fq 'and 30 more' <<<"$output"
}

# 400 posts in many small transactions whose numbers are in the headers.
ran_traced() {
  ran --trace-txn --mock-latency 3ms --mock-latency-spread 3ms --window 32 "$@"
  "$SLUICE" verify --json | jq -e '.invariants[] | select(.invariant == "I5") | .state == "ok" and .checked >= 5'
}

@test "transactions: an output that is not there, and a position that is too far, are half of one" {
  ran_traced
  src=$(values enhanced_posts --partition 1 --json | jq -r 'select(.offset == 7).headers[] | select(.[0] == "sluice-src")[1]')
  sql 'DELETE FROM "enhanced_posts/1" WHERE offset = 7'
  fails I1 I2 I5
  names I5 "$src" "moved the position beyond it, without its output"
  rm sluice.db*
  ran_traced
  posts 1 8 | "$SLUICE" source --from - --quiet
  sql "UPDATE positions SET offset = (SELECT max(offset) + 1 FROM \"raw_posts/0\") WHERE topic = 'raw_posts' AND partition = 0"
  fails I1 I2 I5
}

@test "transactions: an output without its position is half of one" {
  ran_traced
  sql "UPDATE positions SET offset = offset - 1 WHERE topic = 'raw_posts' AND partition = 1"
  fails I1 I5
  jq -e '.invariants[] | select(.invariant == "I5").examples[0].text | contains("is visible without its position")' <<<"$output"
}

@test "transactions: an output that came twice, and two of different ones that changed places, are found" {
  ran_traced
  sql 'INSERT INTO "enhanced_posts/0"(timestamp, key, headers, value) SELECT timestamp, key, headers, value FROM "enhanced_posts/0" WHERE offset = 3'
  fails I1 I2 I5
  rm sluice.db*
  ran_traced
  sql 'UPDATE "enhanced_posts/0" SET offset = 100000 WHERE offset = 4;
       UPDATE "enhanced_posts/0" SET offset = 4 WHERE offset = 150;
       UPDATE "enhanced_posts/0" SET offset = 150 WHERE offset = 100000'
  fails I3 I5
  names I5 enhanced_posts/0/5 "comes behind its transaction"
}

@test "transactions: without the header nothing is decided, and records without it are counted" {
  ran
  run "$SLUICE" verify
  grep -Eq '^  I5 .* not decidable .*--trace-txn' <<<"$output"
  posts 401 410 | "$SLUICE" source --from - --quiet --trace-txn
  "$SLUICE" enhance --drain --trace-txn
  run "$SLUICE" verify --drained
  [ "$status" -eq 0 ]
  grep -Eq '^  I5 .* ok .* 400 not decidable' <<<"$output"
  run "$SLUICE" verify --delivery at-least-once
  grep -Eq '^  I5 .* not decidable .*at-least-once' <<<"$output"
}

@test "transactions: a source's own number does not pass for that of enhance" {
  posts 1 5 | "$SLUICE" source --from - --quiet --trace-txn
  "$SLUICE" enhance --drain
  values raw_posts --json | jq -es 'all(.headers | any(.[0] == "sluice-txn"))'
  values enhanced_posts --json | jq -es 'all(.headers | all(.[0] != "sluice-txn"))'
}

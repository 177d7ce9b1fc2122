#!/usr/bin/env bats
# The pipeline on the embedded broker, as a user runs it.
load lib.bash

@test "run sends the bundled posts and prints the lines of source and sink in order" {
  run "$SLUICE" run
  [ "$status" -eq 0 ]
  grep -Fxq "[SOURCE] Sent post with ID 1" <<<"$output"
  grep -Fxq "[SOURCE] All messages sent." <<<"$output"
  grep -Fxq "[SINK] Started listening to 'enhanced_posts'..." <<<"$output"
  grep -F "[SINK] Received Post ID=" <<<"$output" | head -3 >got
  printf '[SINK] Received Post ID=%s\n' 1 2 3 | cmp - got
  [ "$(grep -cF '[SINK] Received Post ID=' <<<"$output")" -eq "$(wc -l <"$ROOT/stages/source/posts.jsonl")" ]
}

@test "a second run sends the posts again and shows nothing left over" {
  "$SLUICE" run --quiet
  run "$SLUICE" run --quiet
  [ "$status" -eq 0 ]
  grep -Eq 'left over, now done +0$' <<<"$output"
  n=$(wc -l <"$ROOT/stages/source/posts.jsonl")
  [ "$(values enhanced_posts | wc -l)" -eq $((2 * n)) ]
}

@test "posts left over by an earlier source are done and counted on a line of their own" {
  posts 1 10 | "$SLUICE" source --from - --quiet --partitions 1
  posts 11 15 >more.jsonl
  run "$SLUICE" run --quiet --from more.jsonl
  [ "$status" -eq 0 ]
  grep -Eq 'enriched posts out +5$' <<<"$output"
  grep -Eq 'left over, now done +10$' <<<"$output"
}

@test "three processes do what run does" {
  posts 1 500 >in.jsonl
  "$SLUICE" source --from in.jsonl >source.txt
  "$SLUICE" enhance --drain
  "$SLUICE" sink --drain >sink.txt
  [ "$(grep -c 'Sent post with ID' source.txt)" -eq 500 ]
  sed -n 's/^\[SINK\] Received Post ID=//p' sink.txt >out
  exactly_once out 500
}

@test "the enrichment is a member of its own and no byte of the post changes" {
  cat >in.jsonl <<'P'
{"id": 1, "text": "Sunny day at the beach"}
{ "text":"\u00e9\n\"quoted\"" , "x": [1e400, {"id": 5}], "id": "a b" }
{"id":3,"text":"had one","enrichment":{"old":true},"tail":1}
P
  "$SLUICE" run --quiet --from in.jsonl
  values enhanced_posts >out.jsonl
  # taking the member out again gives the input back, byte for byte
  sed -n 1,2p out.jsonl | sed -E 's/,"enrichment":\{"topics".*\}\}$/}/' >back
  cmp <(sed -n 1p in.jsonl) <(sed -n 1p back)
  [ "$(sed -n 2p back)" = '{ "text":"\u00e9\n\"quoted\"" , "x": [1e400, {"id": 5}], "id": "a b" }' ]
  sed -n 1p out.jsonl | jq -e '(.enrichment.topics | length > 0) and .enrichment.sentiment == "positive"'
  [[ "$(sed -n 3p out.jsonl)" == '{"id":3,"text":"had one","enrichment":{"topics":'*'},"tail":1}' ]]
}

@test "a line that is not a post becomes a dead letter with its reason, and nothing is lost" {
  printf '%s\n' 'not json' '{"id":5}' '{"text":"x"}' '[1]' >bad.jsonl
  run "$SLUICE" run --quiet --from bad.jsonl
  [ "$status" -eq 0 ]
  values dead_posts --json | jq -r '.headers[] | select(.[0] == "sluice-error-reason")[1]' >reasons
  [ "$(grep -cx source_line reasons)" -eq 4 ]
  values dead_posts | cmp - bad.jsonl
  "$SLUICE" run --quiet --from bad.jsonl --dead-topic elsewhere 2>table
  grep -Fq '4  (sluice tap elsewhere --from start --json)' table
}

@test "many lines that are not posts become dead letters, and do not flood the log" {
  seq -f 'odd %g' 1 2500 >bad.jsonl
  "$SLUICE" source --from bad.jsonl --quiet 2>log
  [ "$(values dead_posts | wc -l)" -eq 2500 ]
  [ "$(grep -c 'is not a post' log)" -eq 12 ] # the first ten, the 1,000th, the 2,000th
  grep -q 'in all, 2500 lines of bad.jsonl were not posts' log
}

@test "dead letters of enhance carry reason, place and the input's bytes" {
  posts 1 1 | "$SLUICE" source --from - --quiet --partitions 1
  sqlite3 sluice.db "INSERT INTO \"raw_posts/0\"(timestamp, key, value) VALUES (1, CAST('k' AS BLOB), CAST('{\"id\":2,\"text\":7}' AS BLOB))"
  "$SLUICE" enhance --drain
  values dead_posts --json >dead.json
  jq -e '.value == "{\"id\":2,\"text\":7}" and .key == "k"' dead.json
  jq -r '.headers[] | join("=")' dead.json >headers
  grep -Fxq 'sluice-error-reason=text_type' headers
  grep -Fxq 'sluice-error-stage=enhance' headers
  grep -Fxq 'sluice-error-topic=raw_posts' headers
  grep -Fxq 'sluice-error-offset=1' headers
  grep -Fxq 'sluice-src=raw_posts/0/1' headers
}

@test "headers, key and timestamp pass, and sluice-src says where a post came from" {
  posts 7 7 >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  values raw_posts --json >raw.json
  values enhanced_posts --json >out.json
  [ "$(jq -c '[.key, .timestamp]' raw.json)" = "$(jq -c '[.key, .timestamp]' out.json)" ]
  [ "$(jq -r .key out.json)" = 7 ]
  jq -e '.headers | map(select(.[0] == "sluice-src")) == [["sluice-src", "raw_posts/0/0"]]' out.json
  jq -e '.headers | map(.[0]) | (index("sluice-run") != null) and (index("sluice-sent-us") != null)' out.json
}

@test "kill -9 of enhance at random times loses nothing and repeats nothing" {
  posts 1 20000 | "$SLUICE" source --from - --quiet --partitions 4
  for i in $(seq 1 15); do
    start "$SLUICE" enhance --mock-latency 1ms --commit-records 50 2>>log
    pid=$!
    sleep "0.0$((RANDOM % 9))$((RANDOM % 10))"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
  done
  "$SLUICE" enhance --drain
  values enhanced_posts | ids >out
  exactly_once out 20000
}

@test "two enhance processes share the partitions, also when one is killed" {
  posts 1 20000 | "$SLUICE" source --from - --quiet --partitions 4
  start "$SLUICE" enhance --mock-latency 1ms --commit-records 50 2>>log
  first=$!
  start "$SLUICE" enhance --mock-latency 1ms --commit-records 50 2>>log
  wait_for 10 grep -q 'assigned' log
  sleep 0.2
  kill -9 "$first"
  "$SLUICE" enhance --drain
  values enhanced_posts | ids >out
  exactly_once out 20000
}

@test "a member for which no partition is left is ready, and takes over" {
  posts 1 10 | "$SLUICE" source --from - --quiet --partitions 1
  start "$SLUICE" enhance 2>first.log
  first=$!
  wait_for 10 grep -q assigned first.log
  start "$SLUICE" enhance --http 127.0.0.1:0 2>spare.log
  wait_for 10 grep -q 'no partition of raw_posts is free' spare.log
  port=$(grep -Eo 'port [0-9]+' spare.log | grep -Eo '[0-9]+')
  "$SLUICE" healthcheck "127.0.0.1:$port"
  ! grep -q assigned spare.log
  kill -TERM "$first"
  wait_for 10 grep -q '1 partition(s) of raw_posts assigned' spare.log
  "$SLUICE" healthcheck "127.0.0.1:$port"
}

@test "order within a partition is the input's order" {
  posts 1 5000 | "$SLUICE" source --from - --quiet --partitions 3
  "$SLUICE" enhance --drain --mock-latency 2ms --mock-latency-spread 2ms --workers 2
  for p in 0 1 2; do
    cmp <(values raw_posts --partition $p | ids) <(values enhanced_posts --partition $p | ids)
  done
}

@test "sink --to jsonl prints the enriched posts, one a line" {
  posts 1 50 >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  "$SLUICE" topics reset sluice-sink enhanced_posts --to start
  "$SLUICE" sink --to jsonl --drain >out.jsonl
  [ "$(jq -s length out.jsonl)" -eq 50 ]
  jq -es 'all(.enrichment.language != null)' out.jsonl
}

@test "SIGTERM ends enhance with 0, and nothing is done twice" {
  posts 1 3000 | "$SLUICE" source --from - --quiet
  start "$SLUICE" enhance --mock-latency 5ms 2>enhance.log
  enhance=$!
  wait_for 10 grep -q assigned enhance.log
  sleep 0.1
  kill -TERM "$enhance"
  status=0; wait "$enhance" || status=$?
  [ "$status" -eq 0 ]
  "$SLUICE" enhance --drain
  values enhanced_posts | ids >out
  exactly_once out 3000
}

@test "the metrics, /readyz and healthcheck tell how it goes" {
  posts 1 100 | "$SLUICE" source --from - --quiet
  start "$SLUICE" enhance --http 127.0.0.1:0 2>log
  wait_for 10 grep -Eq 'port [1-9]' log
  port=$(grep -Eo 'port [0-9]+' log | grep -Eo '[0-9]+')
  wait_for 10 "$SLUICE" healthcheck "127.0.0.1:$port"
  enhanced() { curl -fsS "http://127.0.0.1:$port/metrics" | grep -q '^sluice_records_out_total{stage="enhance"} 100$'; }
  wait_for 10 enhanced
  curl -fsS "http://127.0.0.1:$port/metrics" >metrics
  grep -q '^sluice_records_in_total{stage="enhance"} 100$' metrics
  grep -q '^sluice_in_flight{stage="enhance"} 0$' metrics
  grep -q '^sluice_lag{.*partition="0".*} 0$' metrics
  grep -q '^sluice_latency_seconds_bucket{.*le="+Inf".*} 100$' metrics
  run "$SLUICE" healthcheck 127.0.0.1:1
  [ "$status" -eq 69 ]
}

@test "a closed stdout is an error with a name, and what was not printed comes next time" {
  posts 1 20000 >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  "$SLUICE" topics reset sluice-sink enhanced_posts --to start
  run bash -c "'$SLUICE' sink --drain 2>err | head -1 >/dev/null; exit \${PIPESTATUS[0]}"
  [ "$status" -eq 74 ]
  grep -q 'standard output.*--quiet' err
  "$SLUICE" sink --drain >rest.txt
  grep -Fxq '[SINK] Received Post ID=20000' rest.txt
}

@test "what cannot be printed is an error, of every command" {
  "$SLUICE" run --quiet --count 3
  local words
  for words in --help 'topics --help' topics verify 'check --offline' config version 'tap raw_posts --from start' 'dlq list'; do
    run bash -c "'$SLUICE' $words 2>&1 >/dev/full"
    [ "$status" -eq 74 ] || { echo "$words: $status"; false; }
    [[ "$output" == *"standard output: No space left on device"* ]]
    [[ "$output" != *--quiet* ]]
  done
  mkfifo nobody # a pipe whose reader has gone
  run bash -c ": <nobody & exec 4>nobody; wait; '$SLUICE' topics 2>&1 >&4"
  [ "$status" -eq 74 ]
  [[ "$output" == *"Broken pipe"* ]]
}

@test "looking makes no file: one that is missing is named" {
  local words
  for words in topics verify 'tap raw_posts' 'dlq list' 'dlq show' 'dlq export' 'dlq redrive' \
    'topics retain --retention-time 1h' 'topics reset sluice-enhance raw_posts --to start'; do
    run timeout 20 "$SLUICE" $words --broker sqlite:no/where.db
    [ "$status" -eq 78 ] || { echo "$words: $status"; false; }
    [[ "$output" == *"sqlite:no/where.db': there is no such file"* ]]
    run timeout 20 "$SLUICE" $words
    [ "$status" -eq 78 ]
    [[ "$output" == *"sqlite:sluice.db': there is no such file"* ]]
  done
  [ -z "$(ls)" ]
  "$SLUICE" topics make
  [ -e sluice.db ]
}

@test "wrong use is answered with 2 or 78 and the name of what is wrong" {
  run "$SLUICE" enhance --no-such-flag
  [ "$status" -eq 2 ]
  [[ "$output" == *no-such-flag* ]]
  for words in 'source --workers 2' 'enrich --order key' 'topics --drain' 'verify --instance x'; do
    run "$SLUICE" $words # of other commands
    [ "$status" -eq 2 ]
    [[ "$output" == *"does not apply to this command"* ]]
    run bash -c "'$SLUICE' ${words%% *} --help | grep -c -e '$(cut -d' ' -f2 <<<"$words")'"
    [ "$output" -eq 0 ]
  done
  run "$SLUICE" source --positions-topic feeds # was accepted, and did nothing
  [ "$status" -eq 2 ]
  run "$SLUICE" nonsense
  [ "$status" -eq 2 ]
  run env SLUICE_WORKERS=many "$SLUICE" enhance
  [ "$status" -eq 78 ]
  [[ "$output" == *SLUICE_WORKERS* ]]
  local name
  for name in group sink-group raw-topic enhanced-topic dead-topic; do
    run "$SLUICE" run "--$name" ''
    [ "$status" -eq 78 ]
    [[ "$output" == *"$name"*"not empty"* ]]
  done
  run "$SLUICE" run --broker carrier-pigeon:coop
  [ "$status" -eq 78 ]
  echo "not a database" >bad.db
  run "$SLUICE" run --broker sqlite:bad.db
  [ "$status" -eq 78 ]
  [[ "$output" == *bad.db* ]]
  "$SLUICE" topics make >/dev/null
  run "$SLUICE" tap no_such_topic
  [ "$status" -eq 78 ]
  [[ "$output" == *no_such_topic* ]]
}

@test "topics lists counts and lag, and reset moves a group that has no members" {
  posts 1 10 | "$SLUICE" source --from - --quiet --partitions 1
  "$SLUICE" enhance --drain
  run "$SLUICE" topics
  [ "$status" -eq 0 ]
  grep -Eq '^raw_posts +1 +10$' <<<"$output"
  grep -Eq 'group sluice-enhance +0 behind' <<<"$output"
  run "$SLUICE" topics reset sluice-enhance raw_posts --to start --dry-run
  grep -q 'nothing was changed' <<<"$output"
  "$SLUICE" topics reset sluice-enhance raw_posts --to -2
  "$SLUICE" enhance --drain
  [ "$(values enhanced_posts | wc -l)" -eq 12 ]
}

@test "reset says what is done again, what is skipped, and that an offset does not exist" {
  posts 1 10 | "$SLUICE" source --from - --quiet --partitions 1
  "$SLUICE" topics reset sluice-enhance raw_posts --to 4 >out # it has no position yet
  grep -q 'no position; up to 4 record(s) before THEN are not processed' out
  run ! grep -Eq 'repeat|skipped' out
  "$SLUICE" enhance --drain
  "$SLUICE" topics reset sluice-enhance raw_posts --to 7 >out
  grep -q 'up to 3 record(s), are processed again: their outputs will repeat' out
  run ! grep -Eq 'skipped|no position' out
  "$SLUICE" topics reset sluice-enhance raw_posts --to 999999 >out
  grep -Eq '^raw_posts/0 +7 +10  the end: there is no such offset yet$' out
  grep -q 'up to 3 record(s), are skipped: this group will never process them' out
  run ! grep -Eq 'repeat|no position' out
  "$SLUICE" topics reset sluice-enhance raw_posts --to end >out # where it is
  run ! grep -Eq 'repeat|skipped|no position|no such' out
  "$SLUICE" enhance --drain
  [ "$(values enhanced_posts | ids | paste -sd,)" = 5,6,7,8,9,10 ]
}

@test "a group without a position does not start over when outputs exist" {
  posts 1 5 >in.jsonl
  "$SLUICE" run --quiet --from in.jsonl
  run "$SLUICE" enhance --group other --drain
  [ "$status" -eq 78 ]
  [[ "$output" == *on-missing-position* ]]
}

@test "the generator is repeatable and the rate is kept" {
  "$SLUICE" source --from generate --count 100 --seed 5 --quiet --broker sqlite:a.db
  "$SLUICE" source --from generate --count 100 --seed 5 --quiet --broker sqlite:b.db
  cmp <(values raw_posts --broker sqlite:a.db) <(values raw_posts --broker sqlite:b.db)
  begin=$(date +%s%N)
  "$SLUICE" source --from generate --count 100 --rate 200 --quiet
  took=$((($(date +%s%N) - begin) / 1000000))
  [ "$took" -ge 450 ]
}

@test "keys come from a delimiter, a member, or not at all" {
  printf 'k1\t{"id":1,"text":"a"}\n' | "$SLUICE" source --from - --key-delim '\t' --quiet --partitions 1
  printf '{"id":2,"text":"a","author":"ann"}\n' | "$SLUICE" source --from - --key author --quiet
  printf '{"id":3,"text":"a"}\n' | "$SLUICE" source --from - --key none --quiet
  [ "$(values raw_posts --json | jq -c .key | tr '\n' ' ')" = '"k1" "ann" null ' ]
}

@test "at-least-once loses nothing either" {
  posts 1 5000 | "$SLUICE" source --from - --quiet
  start "$SLUICE" enhance --delivery at-least-once --mock-latency 1ms 2>log
  wait_for 10 grep -q assigned log
  sleep 0.1
  kill -9 "${PIDS[0]}"
  "$SLUICE" enhance --drain --delivery at-least-once
  values enhanced_posts | ids | sort -u >out
  exactly_once out 5000
}

@test "a file that is damaged is refused by name" {
  "$SLUICE" run --quiet
  cp sluice.db broken.db
  dd if=/dev/urandom of=broken.db bs=1024 seek=1 count=64 conv=notrunc status=none
  run "$SLUICE" run --quiet --broker sqlite:broken.db
  [ "$status" -eq 74 ] || [ "$status" -eq 78 ]
  [[ "$output" == *broken.db* ]]
}

@test "check says what it finds and changes nothing" {
  run "$SLUICE" check
  [ "$status" -eq 0 ]
  [[ "$output" == *"it will be made"* ]]
  [ ! -e sluice.db ]
  "$SLUICE" run --quiet
  run "$SLUICE" check
  [ "$status" -eq 0 ]
  [[ "$output" == *"topic raw_posts: 1 partition"* ]]
  [[ "$output" == *"enricher mock"* ]]
  run "$SLUICE" check --dead-topic raw_posts --offline
  [ "$status" -eq 78 ]
}

@test "check --offline reads the options of broker, http and enricher, and starts and writes nothing" {
  refused() { # WORDS FLAG...
    run timeout 20 "$SLUICE" check --offline "${@:2}"
    [ "$status" -eq 78 ] || { echo "$*: $status $output"; return 1; }
    [[ "$output" == *"$1"* ]] || { echo "$*: $output"; return 1; }
  }
  refused 'unknown kind' --broker carrier-pigeon:coop
  refused 'path of the file is missing' --broker sqlite:
  refused 'servers are missing' --broker kafka://
  refused no.such.property --broker kafka://127.0.0.1:1 -X no.such.property=1
  refused '--http' --http 127.0.0.1
  refused http-url --enricher http --http-url ftp://127.0.0.1/
  refused no-such.csv --enricher lookup --lookup-file no-such.csv
  echo '{"type":' >schema.json
  refused schema --enricher openai --llm-url http://127.0.0.1:1/v1 --llm-schema schema.json
  rm schema.json
  # what is right passes although nothing answers there
  run -0 timeout 20 "$SLUICE" check --offline --broker kafka://127.0.0.1:1 -X linger.ms=1 --http on \
    --enricher openai --llm-url http://127.0.0.1:1/v1 --budget-day 1 --llm-price gpt-4o-mini=1/1
  [[ "$output" == *"nothing was asked"* ]]
  run -0 "$SLUICE" check --offline --enricher exec --exec-command 'touch started; cat'
  [[ "$output" == *"start its program"* ]]
  [ -z "$(ls -A)" ]
}

@test "config shows each value with its origin, and the file it prints can be read back" {
  SLUICE_WORKERS=3 "$SLUICE" config >sluice.yaml
  grep -q '^workers: 3 .*SLUICE_WORKERS' sluice.yaml
  "$SLUICE" config --config sluice.yaml --json | jq -e '.workers.value == 3'
  "$SLUICE" version | grep -q '^sluice '
}

@test "order none lets posts overtake, and a kill repeats none" {
  posts 1 5000 | "$SLUICE" source --from - --quiet --partitions 2
  for i in 1 2 3 4 5; do
    start "$SLUICE" enhance --order none --mock-latency 10ms --mock-latency-spread 30ms 2>>log
    pid=$!
    wait_for 10 grep -q assigned log
    sleep "0.1$((RANDOM % 10))"
    kill -9 "$pid"
    wait "$pid" 2>/dev/null || true
  done
  "$SLUICE" enhance --drain --order key --mock-latency 1ms --mock-latency-spread 3ms
  values enhanced_posts | ids >out
  exactly_once out 5000
}

@test "a group that is told to begin at the end stands there from then on, in partitions without news too" {
  posts 1 40 | "$SLUICE" run --quiet --from - --partitions 4 2>/dev/null
  sqlite3 sluice.db "DELETE FROM positions WHERE group_id = 'sluice-enhance'"
  run -78 "$SLUICE" enhance --drain
  timeout 20 "$SLUICE" enhance --drain --on-missing-position latest
  posts 41 41 | "$SLUICE" source --from - --quiet
  "$SLUICE" enhance --drain
  values enhanced_posts | ids >out
  exactly_once out 41
  "$SLUICE" verify --drained
}

@test "run --to jsonl writes nothing but posts to stdout" {
  "$SLUICE" run --to jsonl >out.jsonl 2>log
  [ "$(wc -l <out.jsonl)" -eq 229 ]
  jq -e '.enrichment' out.jsonl >/dev/null
}

@test "topics that are one and the same are refused by every command that would go round with them" {
  same() {
    run -78 timeout 10 "$SLUICE" "$@"
    grep -q "must differ: '.*' stands twice" <<<"$output"
  }
  same enhance --raw-topic dead_posts
  same run --raw-topic a --enhanced-topic a
  same source --dead-topic raw_posts
  same sink --enhanced-topic raw_posts
  same dlq redrive --dead-topic raw_posts
  same check --offline --answers-topic raw_posts
}

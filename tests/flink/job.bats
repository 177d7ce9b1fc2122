#!/usr/bin/env bats
# stages/enhance/flink in a local mini-cluster: its outputs are those of `sluice enhance`, and each
# post comes out once whatever dies. `sluice verify` is the judge; it reads the topics alone.
load lib.bash

# What must become a dead letter, and what looks as if it must: each file is one record.
poison() { # FOLDER
  mkdir "$1" && cd "$1"
  printf 'not json' >01; printf '{"id":1}' >02; printf '{"text":"no id"}' >03; printf '[1,2]' >04
  printf '{"id":5,"text":7}' >05; printf '{"id":6,"text":"bad \xff utf-8"}' >06
  printf '\0\0\0\0\1{"id":7,"text":"framed"}' >07; printf '{"id":8,"id":8,"text":"twice"}' >08
  printf '{"id":9,"text":"has one","enrichment":{"old":true},"more":[1.50e+3]}' >09
  printf '{"id":10,"text":"a \\ud800 lone \\u00e9"}' >10; printf ' {"text":"\xf0\x9f\x8d\x95","id":"x"} ' >11
  printf '{"id":12,"text":"%s"}' "$(head -c 1100000 /dev/zero | tr '\0' a)" >12
  cd ..
}

produce() { # ARGUMENT...
  kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_RAW_TOPIC" -X message.max.bytes=4000000 \
    -X compression.codec=gzip "$@"
}

# Key, value, time, headers in order of their names; sorted by where the record came from.
records() { # TOPIC
  "$SLUICE" tap "$1" --from start --json | jq -cS '{key, value, value_base64, timestamp,
    headers: ([.headers[] | select(.[0] | . != "sluice-error-attempts" and . != "sluice-error-tokens")] | sort),
    src: (.headers[] | select(.[0] == "sluice-src")[1])}' | sort
}

@test "flink: outputs and dead letters are those of sluice enhance, byte for byte" {
  "$SLUICE" source --from "$ROOT/stages/source/posts.jsonl" --quiet
  poison bad
  for file in bad/*; do produce -k "$(basename "$file")" "$file"; done
  produce -p 0 bad/01; produce -p 1 bad/10                # no key
  printf 'gone:' | produce -K : -Z                        # no value
  printf 'mark:{"id":13,"text":"has headers"}' | produce -K : -H trace=1 -H sluice-src=older/0/0
  flink --drain
  "$SLUICE" verify --drained --order none
  records "$SLUICE_ENHANCED_TOPIC" >enhanced.flink
  records "$SLUICE_DEAD_TOPIC" >dead.flink
  SLUICE_ENHANCED_TOPIC=native_$T SLUICE_DEAD_TOPIC=ndead_$T SLUICE_GROUP=native_$T \
    "$SLUICE" enhance --drain 2>native.log
  records native_$T >enhanced.native
  records ndead_$T >dead.native
  [ "$(wc -l <dead.native)" -eq 11 ]
  [ "$(wc -l <enhanced.native)" -eq $(($(wc -l <"$ROOT/stages/source/posts.jsonl") + 5)) ]
  cmp enhanced.native enhanced.flink
  cmp dead.native dead.flink
  jq -r '.headers[] | select(.[0] == "sluice-error-reason")[1]' dead.flink | sort | uniq -c
}

@test "flink: the plan asks about each post once, though there are two outputs" {
  flink --explain >plan
  sed -n '/Optimized Execution Plan/,$p' plan >execution
  [ "$(grep -c 'PythonCalc(' execution)" -eq 1 ]
  [ "$(grep -c 'Sink(' execution)" -eq 2 ]
}

@test "flink: a killed Python process and a killed JVM lose and repeat nothing; parallelism is an option" {
  start_flink --parallelism 3 --set mock-latency=1ms
  posts 1 20000 >feed
  start "$SLUICE" source --from feed --quiet --rate 400
  wait_for 300 enhanced_at_least 500
  workers_are 3
  kill -9 "$(workers | head -n 1)"
  wait_for 300 enhanced_at_least 4000
  kill -9 "$(jvm_of "$JOB")"
  wait_for 60 job_has_ended
  status=0
  wait "$JOB" || status=$?
  [ "$status" -eq 1 ]
  start_flink --parallelism 2
  wait_for 300 enhanced_at_least 10000
  kill_tree "$JOB" # all of it at once
  wait "${PIDS[1]}" # the source
  flink --drain
  each_came_out_once 20000
}

@test "flink: SIGTERM writes a savepoint, and the next start goes on with it" {
  start_flink
  posts 1 4000 >feed
  start "$SLUICE" source --from feed --quiet --rate 300
  wait_for 300 enhanced_at_least 500
  kill -TERM "$JOB"
  wait "$JOB"
  grep 'stopped; savepoint' flink.log
  run flink --drain
  [ "$status" -eq 0 ]
  [[ $output == *"going on with "*savepoint-* ]]
  wait "${PIDS[1]}"
  flink --drain
  each_came_out_once 4000
}

@test "flink: it takes over from sluice enhance, and sluice enhance from it" {
  posts 1 300 | send
  "$SLUICE" enhance --drain 2>native.log
  posts 301 600 | send
  run flink --drain # no checkpoint, but positions
  [ "$status" -eq 78 ]
  [[ $output == *--take-over* ]]
  flink --drain --take-over
  posts 601 900 | send
  "$SLUICE" enhance --drain 2>native.log
  each_came_out_once 900
}

@test "flink: what cannot work is said at once" {
  run flink --transaction-timeout 900001 # above the broker's: Flink would try for ever
  [ "$status" -eq 78 ]
  [[ $output == *transaction.max.timeout.ms* ]]
  run flink --set enricher=nobody
  [ "$status" -eq 78 ]
  [[ $output == *enricher* ]]
  posts 1 5 | send
  "$SLUICE" enhance --drain --group other_$T 2>native.log
  run flink # outputs, but no position of this group
  [ "$status" -eq 78 ]
  [[ $output == *on-missing-position* ]]
  run flink --set broker=sqlite:x.db
  [ "$status" -eq 78 ]
}

@test "flink: answers that were paid for are not bought again after a kill" {
  [ -x "$ROOT/build/test/llm_server" ] || skip "there is no build/test/llm_server"
  start "$ROOT/build/test/llm_server" --port-file port --delay 20 >llm.log
  wait_for 20 test -s port
  cat >sluice.yml <<EOF
enricher: openai
llm-url: "http://127.0.0.1:$(cat port)/v1"
EOF
  export OPENAI_API_KEY=test
  posts 1 3000 | send
  start_flink --config sluice.yml --parallelism 1
  wait_for 300 enhanced_at_least 400
  kill_tree "$JOB"
  flink --config sluice.yml --parallelism 1 --drain
  each_came_out_once 3000
  calls=$(curl -fsS "http://127.0.0.1:$(cat port)/stats" | jq .calls)
  echo "calls: $calls for 3000 questions"
  [ "$calls" -ge 3000 ] && [ "$calls" -le 3200 ] # a batch was in flight at the kill
}

@test "flink: nothing is bought twice when one of two Python processes is killed, but what was in flight" {
  [ -x "$ROOT/build/test/llm_server" ] || skip "there is no build/test/llm_server"
  start "$ROOT/build/test/llm_server" --port-file port --delay 20 >llm.log
  wait_for 20 test -s port
  calls() { curl -fsS "http://127.0.0.1:$(cat port)/stats" | jq .calls; }
  cat >sluice.yml <<EOF
enricher: openai
llm-url: "http://127.0.0.1:$(cat port)/v1"
EOF
  export OPENAI_API_KEY=test
  posts 1 6000 | send
  start_flink --config sluice.yml --parallelism 2 --batch 50 --checkpoint-interval "8 s"
  # Far more is answered than the last checkpoint knows of: all that is asked about again.
  far_ahead() { [ "$(calls)" -ge $(($(committed "$SLUICE_ENHANCED_TOPIC" | wc -l) + 1000)) ]; }
  wait_for 300 far_ahead
  workers_are 2
  asked=$(calls)
  [ "$asked" -lt 5500 ]
  kill -9 "$(workers | head -n 1)"
  wait_for 300 enhanced_at_least 6000
  kill -TERM "$JOB"
  wait "$JOB"
  flink --config sluice.yml --parallelism 2 --drain
  each_came_out_once 6000
  echo "calls: $(calls) for 6000 questions, $asked at the kill"
  [ "$(calls)" -ge 6000 ] && [ "$(calls)" -le 6100 ] # a batch of each process was in flight
}

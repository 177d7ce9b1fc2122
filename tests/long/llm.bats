#!/usr/bin/env bats
# What takes minutes of the engine of paid answers: a limit per minute over three of them, an endpoint
# that slows down, and replicas that are killed for a minute.
load ../e2e/lib.bash
load ../e2e/llm.bash

@test "95 to 100 % of the tokens a minute are used for three minutes, and no server that enforces the limit refuses" {
  limit=200000
  llm --delay 50 --tokens-per-minute $limit
  posts 1 4000 >posts.jsonl
  start "$SLUICE" enrich --no-answers --enricher openai --llm-url "$LLM" --llm-tokens-per-minute $limit posts.jsonl >out.jsonl
  sleep 10 # the warm-up that is asked for
  before=$(stat_of tokens)
  sleep 180
  used=$(($(stat_of tokens) - before))
  echo "# used $used of $((3 * limit)): $((used * 100 / (3 * limit))) %, most in a minute $(stat_of window_tokens_max)" >&3
  [ "$used" -ge $((3 * limit * 95 / 100)) ]
  [ "$used" -le $((3 * limit)) ]
  [ "$(stat_of window_tokens_max)" -le $limit ]
  [ "$(stat_of 'status["429"] // 0')" -eq 0 ]
}

@test "concurrency follows an endpoint that slows from 50 ms to 2 s and back within ten seconds" {
  HTTP=9469
  llm --delay 50
  posts 1 200000 | "$SLUICE" source --from - --quiet
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --http 127.0.0.1:$HTTP 2>enhance.log
  wait_for 30 eval '[ "$(metric "$HTTP" sluice_llm_concurrency_limit)" -ge 256 ]'
  script '{"delay_ms":2000}'
  wait_for 10 eval '[ "$(metric "$HTTP" sluice_llm_concurrency_limit)" -le 128 ]'
  low=$(metric "$HTTP" sluice_llm_concurrency_limit)
  script '{"delay_ms":50}'
  wait_for 10 eval '[ "$(metric "$HTTP" sluice_llm_concurrency_limit)" -ge 192 ]'
  kill -TERM "${PIDS[-1]}"
  wait "${PIDS[-1]}"
  done=$(values enhanced_posts | wc -l)
  calls=$(stat_of calls)
  echo "# limit 256, then $low, then at least 192; $calls calls for $done posts" >&3
  [ $((calls * 10)) -le $((done * 11)) ]
  [ "$(stat_of repeated)" -eq 0 ]
}

# Two replicas on one file share the answers: what is asked twice was in flight at a kill.
@test "kill -9 every two seconds for a minute, two replicas: calls stay within what was in flight" {
  llm --delay 50
  posts 1 60000 | "$SLUICE" source --from - --quiet --partitions 8
  declare -a replica
  kills=0
  run_replica() {
    "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 128 --instance "r$1" 2>>"r$1.log" 3>&- &
    replica[$1]=$!
    PIDS+=($!)
  }
  run_replica 0
  run_replica 1
  for i in $(seq 30); do
    sleep 2
    victim=$((i % 2))
    kill -9 "${replica[$victim]}"
    wait "${replica[$victim]}" || true
    kills=$((kills + 1))
    run_replica $victim
  done
  wait_for 240 eval '[ "$(values enhanced_posts | wc -l)" -ge 60000 ]'
  kill -TERM "${replica[@]}"
  wait "${replica[@]}" || true
  values enhanced_posts | ids >got
  exactly_once got 60000
  calls=$(stat_of calls)
  echo "# $calls calls for 60000 posts, $kills kills of at most 128 in flight" >&3
  [ "$calls" -le $((60000 + kills * 128)) ]
}

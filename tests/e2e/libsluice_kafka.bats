#!/usr/bin/env bats
# libsluice.so with a Kafka broker in its configuration: it shares what was paid for with enhance.
load lib.bash
load llm.bash
load libsluice.bash

setup_file() { install_library; }

paid() { user --set enricher=openai --set "llm-url=$LLM" "$@"; }

@test "libsluice on kafka: what enhance has paid is not bought again, nor the other way round" {
  kafka_setup
  llm --delay 5
  texts 300 250 | "$SLUICE" source --from - --quiet
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM"
  [ "$(stat_of calls)" -eq 250 ]
  drained 300 | sort >theirs
  texts 300 250 | paid --batch 300 | sort | cmp - theirs
  [ "$(stat_of calls)" -eq 250 ]
  posts 1 100 | paid --threads 4 --batch 10 >new
  [ "$(stat_of calls)" -eq 350 ]
  [ "$(records | sort -u | wc -l)" -eq 350 ]
  posts 1 100 | "$SLUICE" source --from - --quiet
  again 2
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" 2>enhance.log
  [ "$(drained 400 | wc -l)" -eq 400 ]
  [ "$(stat_of calls)" -eq 350 ]
}

@test "libsluice on kafka: killed after its batch, on another machine it asks nothing again" {
  kafka_setup
  llm --delay 5
  posts 1 200 >in.jsonl
  run -137 paid --die --batch 200 <in.jsonl
  [ "$(stat_of calls)" -eq 200 ]
  XDG_STATE_HOME=$TMP/elsewhere paid --batch 200 <in.jsonl 2>said | ids | cmp - <(seq 1 200)
  [ "$(stat_of calls)" -eq 200 ]
  [ ! -s said ]
}

@test "libsluice on kafka: several processes at once have copies of their own" {
  kafka_setup
  llm --delay 20
  posts 1 100 >in.jsonl
  for i in 1 2 3; do start bash -c "exec '$USER_PROGRAM' --set enricher=openai --set llm-url=$LLM <in.jsonl >out$i"; done
  for pid in "${PIDS[@]:1}"; do wait "$pid"; done
  cmp out1 out2
  cmp out1 out3
  [ "$(wc -l <out1)" -eq 100 ]
  [ "$(find state -name '*.db' | wc -l)" -eq 3 ]
}

@test "libsluice on kafka: a broker that cannot be reached is said; the mock needs none" {
  llm
  export SLUICE_BROKER=kafka://127.0.0.1:1
  run -69 paid --set broker-timeout=2s </dev/null
  [[ $output == *"127.0.0.1:1"* ]]
  [ "${#lines[@]}" -eq 1 ]
  posts 1 3 | user | ids | cmp - <(seq 1 3)
}

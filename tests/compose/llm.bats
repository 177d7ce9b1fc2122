#!/usr/bin/env bats
# compose/llm.yml: enhance asks an OpenAI-compatible server; the project's own stands in.
load lib.bash

setup_file() {
  project llm docker-compose.yml compose/llm.yml
  export BROKER_SERVICES="kafka llm"
  begin
}
teardown_file() { finish; }

# What the server has counted since its start.
counted() { curl -fsS "http://$(dc port llm 8000)/stats" | jq "$1"; }

# Questions are told apart by their text.
distinct_texts() { jq -c .text stages/source/posts.jsonl | sort -u | wc -l; }

@test "llm: docker compose up prints every bundled post once, and each question is asked once" {
  need_engine
  all_bundled_posts_come_out_once
  [ "$(counted .calls)" -eq "$(distinct_texts)" ]
  [ "$(counted .repeated)" -eq 0 ]
  sluice tap enhanced_posts --from start --json >"$TMP/out"
  jq -r '.headers[] | select(.[0] == "sluice-enricher")[1]' "$TMP/out" | grep -c '^openai/gpt-4o-mini/' |
    grep -qx "$(wc -l <stages/source/posts.jsonl)"
  [ "$(jq -r .value "$TMP/out" | jq -c '.enrichment | keys' | sort -u)" = '["language","sentiment","topics"]' ]
}

@test "llm: the stand-in has no root, no capabilities, no file system to write to" {
  need_engine
  status=$(dc exec -T llm cat /proc/1/status)
  grep -qE '^Uid:\s10001\s' <<<"$status"
  grep -qE '^CapBnd:\s0+$' <<<"$status"
  grep -qE '^NoNewPrivs:\s1$' <<<"$status"
  run dc exec -T llm touch /tmp/x
  [ "$status" -ne 0 ]
}

@test "llm: what is paid is on the volume: a restart of enhance asks nothing again" {
  need_engine
  before=$(counted .calls)
  dc restart enhance
  dc up -d --force-recreate --no-deps source
  wait_for 60 sunk_count_is $((2 * $(wc -l <stages/source/posts.jsonl)))
  [ "$(counted .calls)" -eq "$before" ]
}

@test "llm: three replicas of enhance share the partitions" {
  need_engine
  three_replicas_share_the_partitions
}

@test "llm: a replica is killed while posts flow, and each comes out once" {
  need_engine
  a_killed_replica_loses_and_repeats_nothing
}

@test "llm: going down while posts flow kills nobody and loses nothing" {
  need_engine
  going_down_loses_nothing
}

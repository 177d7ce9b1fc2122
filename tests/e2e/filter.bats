#!/usr/bin/env bats
# sluice enrich: posts in, enriched posts out, no broker.
load lib.bash

@test "enrich keeps the order, also when answers come late" {
  posts 1 3000 >in.jsonl
  "$SLUICE" enrich --mock-latency 3ms --mock-latency-spread 3ms <in.jsonl >out.jsonl
  cmp <(ids <in.jsonl) <(ids <out.jsonl)
  [ ! -e sluice.db ]
}

@test "a refused line goes to stderr with number and reason, the others go on, exit 1" {
  printf '{"id":1,"text":"a"}\nnonsense\n\n{"id":3,"text":"c"}\n' >in.jsonl
  run --separate-stderr "$SLUICE" enrich in.jsonl
  [ "$status" -eq 1 ]
  [ "${#lines[@]}" -eq 2 ]
  [[ "$stderr" == "line 2: json_invalid: "* ]]
}

@test "with --dead refused lines go to a file as JSON lines" {
  printf 'nonsense\n{"id":3,"text":"c"}\n' >in.jsonl
  run "$SLUICE" enrich in.jsonl --dead dead.jsonl
  [ "$status" -eq 1 ]
  jq -e '.line == 1 and .reason == "json_invalid" and .value == "nonsense"' dead.jsonl
}

@test "enrich answers on a pipe that stays open, line by line" {
  mkfifo in
  start bash -c "exec '$SLUICE' enrich <in >out 2>err"
  exec 9>in
  echo '{"id":1,"text":"Just had a great coffee!"}' >&9
  wait_for 5 grep -q enrichment out
  exec 9>&-
  wait "${PIDS[0]}"
}

@test "the same text gets the same answer every time" {
  posts 1 100 | "$SLUICE" enrich >a
  posts 1 100 | "$SLUICE" enrich >b
  cmp a b
}

@test "a line that is too long is refused as a whole, whatever it begins with, and --post-max-bytes allows more" {
  spaces() { head -c 5000000 /dev/zero | tr '\0' ' '; }
  { spaces; posts 1 1; echo '{"id":1,"text":"a"}'"$(spaces)"',garbage'; posts 2 2; } >in.jsonl
  run -1 --separate-stderr "$SLUICE" enrich in.jsonl
  [ "$(ids <<<"$output")" = 2 ]
  grep -q "^line 1: post_too_large: the line is longer than 4194304 bytes" <<<"$stderr"
  grep -q "^line 2: post_too_large" <<<"$stderr"
  echo "{\"id\":1,\"text\":\"$(head -c 5000000 /dev/zero | tr '\0' a)\"}" >big.jsonl
  run -1 "$SLUICE" enrich big.jsonl
  "$SLUICE" enrich --post-max-bytes 8MiB big.jsonl >out.jsonl
  [ "$(wc -c <out.jsonl)" -gt 5000000 ]
  "$SLUICE" run --from big.jsonl --post-max-bytes 8MiB --to jsonl 2>log | cmp - out.jsonl
}

#!/usr/bin/env bats
# ARCHITECTURE.md follows one post through the code; this asserts that sequence from the trace log,
# so that the document cannot rot.
load lib.bash

# Points in order of their first passing, of one stage or of all.
passed() {
  grep -Eo "trace: $1\.[a-z]+" trace | cut -d' ' -f2 | awk '!seen[$0]++'
}

@test "follow_one_post: the life of a post is what ARCHITECTURE.md says" {
  posts 1 1 >in.jsonl
  "$SLUICE" run --from in.jsonl --log-level trace --log-format text 2>trace >/dev/null
  sed -n '/follow_one_post begin/,/follow_one_post end/p' "$ROOT/ARCHITECTURE.md" |
    grep -Eo '`(source|enhance|sink)\.[a-z]+`' | tr -d '`' >want
  # Stages are threads of their own: within one the order is exact, between two it is that of the
  # commits that make a record visible: what is sent before one comes before what is read after it.
  for stage in source enhance sink; do
    diff <(grep "^$stage\." want) <(passed $stage)
  done
  diff <(grep -Ex 'source.sent|enhance.taken|enhance.sent|sink.put' want) \
    <(passed '(source|enhance|sink)' | grep -Ex 'source.sent|enhance.taken|enhance.sent|sink.put')
}

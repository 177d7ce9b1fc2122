#!/usr/bin/env bats
# ARCHITECTURE.md follows one post through the code; this asserts that sequence from the trace log,
# so that the document cannot rot.
load lib.bash

@test "follow_one_post: the life of a post is what ARCHITECTURE.md says" {
  posts 1 1 >in.jsonl
  "$SLUICE" run --from in.jsonl --log-level trace --log-format text 2>trace >/dev/null
  sed -n '/follow_one_post begin/,/follow_one_post end/p' "$ROOT/ARCHITECTURE.md" |
    grep -Eo '`(source|enhance|sink)\.[a-z]+`' | tr -d '`' >want
  [ -s want ]
  grep -Eo 'trace: (source|enhance|sink)\.[a-z]+' trace | cut -d' ' -f2 | awk '!seen[$0]++' >order
  diff want order
}

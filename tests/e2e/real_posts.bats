#!/usr/bin/env bats
# Real posts, which are not part of the repository, through both brokers: every output has the input's
# bytes untouched and one enrichment.
load lib.bash

real_setup() {
  POSTS=$ROOT/../shared/data/posts-real.jsonl
  [ -e "$POSTS" ] || skip "no real posts beside this checkout (../shared/data/posts-real.jsonl)"
}

# The outputs (stdin) without their enrichment must be the inputs, in any order.
check_outputs() {
  sed -E 's/,"enrichment":\{"topics":\[[^]]*\],"sentiment":"[a-z]+","language":"[a-z]+"\}\}$/}/' | sort >back
  sort "$POSTS" | cmp - back
}

@test "real posts pass the embedded broker byte for byte" {
  real_setup
  "$SLUICE" run --quiet --from "$POSTS" --partitions 3
  values enhanced_posts | check_outputs
}

@test "real posts pass Kafka byte for byte" {
  real_setup
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=r$RANDOM$RANDOM
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  "$SLUICE" run --quiet --from "$POSTS" --partitions 3 --broker "kafka://$SLUICE_TEST_KAFKA" \
    --group "g$T" --sink-group "s$T"
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -o beginning -e -q \
    -X isolation.level=read_committed | check_outputs
}

#!/usr/bin/env bats
# compose/original.yml: ZooKeeper, Kafka, source, enhance as a PyFlink job, sink.
load lib.bash
load flink.bash

setup_file() {
  flink_project original compose/original.yml
  begin
}
teardown_file() { finish; }

@test "original: docker compose up prints every bundled post once" {
  need_engine
  bundled_posts_come_out_once_by_flink
  sunk | grep -qx 1
}

@test "original: a job that is stopped and started again repeats nothing" {
  need_engine
  dc stop -t 60 enhance
  posts 1 500 >"$TMP/later.jsonl"
  POSTS=$TMP/later.jsonl dc up -d --no-deps source
  dc up -d --no-deps enhance
  total=$(($(wc -l <stages/source/posts.jsonl) + 500))
  wait_for 400 all_have_come_out "$total"
  each_came_out_once "$total"
}

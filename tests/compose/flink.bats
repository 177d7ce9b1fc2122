#!/usr/bin/env bats
# compose/flink.yml: enhance as a job on JobManager and TaskManager.
load lib.bash
load flink.bash

setup_file() {
  FLINK_SERVICES="jobmanager taskmanager enhance" flink_project flink docker-compose.yml compose/flink.yml
  begin
}
teardown_file() { finish; }

@test "flink cluster: docker compose up prints every bundled post once" {
  need_engine
  bundled_posts_come_out_once_by_flink
  dc logs enhance | grep -F 'a new start'
  address=$(dc port jobmanager 8081)
  curl -fsS "http://$address/jobs/overview" | jq -e '.jobs[] | select(.name == "sluice-enhance" and .state == "RUNNING")'
}

@test "flink cluster: the TaskManager is killed while posts flow, and each comes out once" {
  need_engine
  posts 1 6000 >"$TMP/many.jsonl"
  POSTS=$TMP/many.jsonl RATE=200 dc up -d --no-deps source
  bundled=$(wc -l <stages/source/posts.jsonl)
  wait_for 200 all_have_come_out $((bundled + 1000))
  docker kill -s KILL "$(dc ps -q taskmanager)"
  dc up -d --no-deps taskmanager
  wait_for 400 all_have_come_out $((bundled + 6000))
  each_came_out_once $((bundled + 6000))
}

@test "flink cluster: a stopped enhance leaves a savepoint, and goes on with it" {
  need_engine
  dc stop -t 60 enhance
  dc logs enhance | grep -F 'stopped; savepoint'
  posts 1 500 >"$TMP/later.jsonl"
  POSTS=$TMP/later.jsonl dc up -d --no-deps source
  dc up -d --no-deps enhance
  total=$(($(wc -l <stages/source/posts.jsonl) + 6500))
  wait_for 400 all_have_come_out "$total"
  dc logs enhance | grep -F 'going on with'
  each_came_out_once "$total"
}

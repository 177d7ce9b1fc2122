#!/usr/bin/env bats
# compose/embedded.yml: three containers over one SQLite file.
load lib.bash

setup_file() {
  project embedded compose/embedded.yml
  begin
}
teardown_file() { finish; }

@test "embedded: docker compose up prints every bundled post once" {
  need_engine
  all_bundled_posts_come_out_once
}

@test "embedded: three replicas of enhance share the partitions" {
  need_engine
  three_replicas_share_the_partitions
}

@test "embedded: a replica is killed while posts flow, and each comes out once" {
  need_engine
  a_killed_replica_loses_and_repeats_nothing
}

@test "embedded: going down while posts flow kills nobody and loses nothing" {
  need_engine
  going_down_loses_nothing
}

@test "embedded: docker-compose 1.29 does the same" {
  need_engine
  old=$(old_compose)
  [ -n "$old" ] || skip "there is no docker-compose 1.x"
  dc down -v -t 5
  COMPOSE="$old -p $PROJECT -f compose/embedded.yml"
  dc up -d --scale enhance=2 # once: it minds networks with default options of the engine at the next
  wait_for 90 sunk_count_is "$(wc -l <stages/source/posts.jsonl)"
  wait_for 60 members_are 2
  dc down -v -t 10 --rmi local
}

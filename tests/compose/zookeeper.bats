#!/usr/bin/env bats
# compose/zookeeper.yml: the same on ZooKeeper and Kafka 3.9.
load lib.bash

setup_file() {
  project zookeeper docker-compose.yml compose/zookeeper.yml
  export BROKER_SERVICES="zookeeper kafka"
  begin
}
teardown_file() { finish; }

@test "zookeeper: docker compose up prints every bundled post once" {
  need_engine
  all_bundled_posts_come_out_once
  dc exec -T kafka ls /var/lib/kafka/data/meta.properties
}

@test "zookeeper: three replicas of enhance share the partitions" {
  need_engine
  three_replicas_share_the_partitions
}

@test "zookeeper: a replica is killed while posts flow, and each comes out once" {
  need_engine
  a_killed_replica_loses_and_repeats_nothing
}

@test "zookeeper: going down while posts flow kills nobody and loses nothing" {
  need_engine
  going_down_loses_nothing
}

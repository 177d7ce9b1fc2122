#!/usr/bin/env bats
# docker-compose.yml: the pipeline on Kafka (KRaft).
load lib.bash

setup_file() {
  project kraft docker-compose.yml
  export BROKER_SERVICES=kafka
  begin
}
teardown_file() { finish; }

@test "compose: the Dockerfiles of the stages differ only in their last part" {
  for stage in enhance sink; do
    diff <(sed '1d; /^FROM base$/,$d' stages/source/Dockerfile) \
      <(sed '1d; /^FROM base$/,$d' stages/$stage/Dockerfile)
  done
  # The stand-in for an LLM builds on the same compiled layers.
  diff <(sed '1,2d; /AS base$/,$d' stages/source/Dockerfile) <(sed '1,2d; /AS server$/,$d' tests/llm/Dockerfile)
}

@test "compose: nothing that scales has a name or host port of its own, no port is open to others" {
  run ! grep -n container_name docker-compose.yml compose/*.yml
  python3 - docker-compose.yml compose/*.yml <<'END'
import sys, yaml
for path in sys.argv[1:]:
    for name, service in yaml.safe_load(open(path))["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), (path, name, port)
            assert name == "kafka" or port.startswith("127.0.0.1::"), (path, name, port)
END
}

@test "compose: docker-compose 1.29 takes every file" {
  old=$(old_compose)
  [ -n "$old" ] || skip "there is no docker-compose 1.x"
  "$old" -f docker-compose.yml config -q
  for file in compose/*.yml; do
    case $file in
    */embedded.yml | */original.yml) "$old" -f "$file" config -q ;;
    *) "$old" -f docker-compose.yml -f "$file" config -q ;;
    esac
  done
}

@test "compose: docker compose up prints every bundled post once" {
  need_engine
  all_bundled_posts_come_out_once
  healthy=$(docker inspect -f '{{range .State.Health.Log}}{{if eq .ExitCode 0}}{{.End.UnixMilli}}
{{end}}{{end}}' "$(dc ps -q kafka)" | head -1)
  first=$(docker logs -t "$(dc ps -q sink)" 2>&1 | grep -F 'Received Post' | head -1 | cut -d' ' -f1)
  measured "Kafka healthy to the sink's first line" \
    "$(awk -v a="$healthy" -v b="$(date -d "$first" +%s%3N)" 'BEGIN { printf "%.1f", (b - a) / 1000 }') s"
}

@test "compose: source ends well and is not started again" {
  need_engine
  wait_for 20 source_has_ended
  [ "$(docker inspect -f '{{.RestartCount}}' "$(dc ps -aq source)")" -eq 0 ]
}

@test "compose: containers have no root, no capabilities, no file system to write to" {
  need_engine
  for stage in enhance sink; do
    status=$(dc exec -T $stage cat /proc/1/status)
    grep -qE '^Uid:\s10001\s' <<<"$status"
    grep -qE '^CapEff:\s0+$' <<<"$status"
    grep -qE '^CapBnd:\s0+$' <<<"$status"
    grep -qE '^NoNewPrivs:\s1$' <<<"$status"
    run dc exec -T $stage touch /usr/local/bin/x
    [ "$status" -ne 0 ]
  done
}

@test "compose: enhance and sink become healthy" {
  need_engine
  is_healthy() { [ "$(docker inspect -f '{{.State.Health.Status}}' "$(dc ps -q "$1")")" = healthy ]; }
  wait_for 60 is_healthy enhance
  wait_for 60 is_healthy sink
}

@test "compose: metrics are on a port of 127.0.0.1 that the engine chose" {
  need_engine
  address=$(dc port enhance 9402)
  [[ $address == 127.0.0.1:* ]]
  curl -fsS "http://$address/metrics" | grep -q '^sluice_'
}

@test "compose: a post that is added to the mounted file comes out after up" {
  need_engine
  cp stages/source/posts.jsonl "$TMP/edited.jsonl"
  POSTS=$TMP/edited.jsonl dc up -d
  wait_for 30 source_has_ended
  echo '{"id": "mine", "text": "added by hand"}' >>"$TMP/edited.jsonl"
  POSTS=$TMP/edited.jsonl dc up -d
  came_out() { sunk | grep -qx mine; }
  wait_for 30 came_out
}

@test "compose: three replicas of enhance share the partitions" {
  need_engine
  three_replicas_share_the_partitions
}

@test "compose: a replica is killed while posts flow, and each comes out once" {
  need_engine
  a_killed_replica_loses_and_repeats_nothing
}

@test "compose: going down while posts flow kills nobody and loses nothing" {
  need_engine
  going_down_loses_nothing
}

@test "compose: the memory of enhance at 1,000 posts a second is measured" {
  need_engine
  posts 1 40000 >"$TMP/steady.jsonl"
  begun=$(sluice topics | awk '$1 == "enhanced_posts" { print $3 }')
  POSTS=$TMP/steady.jsonl RATE=1000 dc up -d
  wait_for 90 enhanced_at_least $((begun + 20000))
  measured "memory of enhance at 1,000 posts/s" \
    "$(docker stats --no-stream --format '{{.MemUsage}}' "$(dc ps -q enhance)")"
  rss=$(dc exec -T enhance cat /proc/1/status | awk '/VmRSS|VmHWM/ { printf "%s %.1f MB ", $1, $2 / 1024 }')
  measured "of which the process" "$rss"
}

@test "compose: the size of an image beyond Debian is measured" {
  need_engine
  image=$(docker inspect -f '{{.Image}}' "$(dc ps -q enhance)")
  whole=$(docker image inspect -f '{{.Size}}' "$image")
  debian=$(docker image inspect -f '{{.Size}}' debian:trixie-slim)
  measured "image of enhance beyond debian:trixie-slim" \
    "$(awk -v a="$whole" -v b="$debian" 'BEGIN { printf "%.1f MB", (a - b) / 1e6 }')"
}

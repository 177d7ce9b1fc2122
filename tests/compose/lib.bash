# Shared by the container tests: one compose project per file, waiting for conditions, counting.
# COMPOSE: the command with its files, set by each test file in setup_file.
bats_require_minimum_version 1.5.0
ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
cd "$ROOT" || exit 1

need_engine() {
  [ -z "${SLUICE_NO_ENGINE:-}" ] || skip "$SLUICE_NO_ENGINE"
}

# project NAME FILE...: the compose files of this test file, a port that is free, an empty folder.
project() {
  local name=sluice-test-$1-$$ file files=()
  shift
  for file; do files+=(-f "$file"); done
  export COMPOSE="docker compose -p $name ${files[*]}" PROJECT=$name
  export KAFKA_PORT=$((20000 + RANDOM % 10000)) TMP=$BATS_FILE_TMPDIR
  chmod 755 "$BATS_FILE_TMPDIR" # containers read feeds in there as another user
  export COMPOSE_PROGRESS=plain BUILDKIT_PROGRESS=plain
}

dc() {
  $COMPOSE "$@" 3>&-
}

# Images are built apart from what is measured.
begin() {
  [ -z "${SLUICE_NO_ENGINE:-}" ] || return 0
  dc build >"$TMP/build.log" 2>&1 || { tail -30 "$TMP/build.log"; return 1; }
}

finish() {
  [ -z "${SLUICE_NO_ENGINE:-}" ] || return 0
  dc down -v -t 5 --rmi local --remove-orphans >/dev/null 2>&1
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "not in time: $*"; dc ps -a; dc logs --tail 10 2>&1 | cut -c1-200; return 1; }
    sleep 0.2
  done
}

measured() { # NAME VALUE
  printf '%-55s %s\n' "$1" "$2" >>"$SLUICE_MEASURED"
}

# posts FROM TO: as JSON lines.
posts() {
  awk -v a="$1" -v b="$2" 'BEGIN { for (i = a; i <= b; i++) printf "{\"id\": %d, \"text\": \"post number %d\"}\n", i, i }'
}

# What the sink of one container has printed: the ids, one a line.
sunk() {
  docker logs "$(dc ps -q sink)" 2>/dev/null | sed -n 's/^\[SINK\] Received Post ID=//p'
}

sunk_count_is() { [ "$(sunk | wc -l)" -ge "$1" ]; }

# The path of a docker-compose 1.x, or nothing.
old_compose() {
  local p
  for p in $(type -ap docker-compose); do
    if "$p" version --short 2>/dev/null | grep -q '^1\.'; then echo "$p" && return; fi
  done
}

sluice() { # in the container of the sink, which is always there
  dc exec -T sink sluice "$@"
}

# The group has read all of its topic: "0 behind".
caught_up() { # GROUP
  sluice topics | grep -E "group $1 +0 behind" >/dev/null
}

members_are() { # N
  sluice topics | grep -E "group sluice-enhance .* $1 member" >/dev/null
}

# How many posts each replica of enhance has read, one line each.
shares() {
  local id
  for id in $(dc ps -q enhance); do
    curl -fsS "http://$(docker port "$id" 9402)/metrics" |
      awk '$1 ~ /^sluice_records_in_total/ { n += $2 } END { print n + 0 }'
  done
}

shared_by() { # REPLICAS: so many have read posts
  [ "$(shares | awk '$1 > 0' | wc -l)" -eq "$1" ]
}

# The origins (raw_posts/PARTITION/OFFSET) of all records of a topic, one a line.
origins() { # TOPIC
  sluice tap "$1" --from start --json | jq -r '.headers[] | select(.[0] == "sluice-src")[1]'
}

# Each record of raw_posts has come out exactly once. N: how many there are at least. Positions can be
# at the end before all outputs can be read: the open transaction of a killed replica hides what
# stands behind it in its partition until its time-out has passed.
each_came_out_once() { # N
  wait_for 30 came_out_once "$1"
}

came_out_once() { # N
  sluice tap raw_posts --from start --json |
    jq -r '"raw_posts/\(.partition)/\(.offset)"' | sort >"$TMP/in"
  { origins enhanced_posts; origins dead_posts; } | sort >"$TMP/out"
  echo "in $(wc -l <"$TMP/in"), out $(wc -l <"$TMP/out"), repeated $(uniq -d "$TMP/out" | wc -l)," \
    "lost $(comm -23 "$TMP/in" <(sort -u "$TMP/out") | wc -l)"
  comm -23 "$TMP/in" <(sort -u "$TMP/out") | tail -3
  [ "$(wc -l <"$TMP/in")" -ge "$1" ] && cmp "$TMP/in" "$TMP/out"
}

enhanced_at_least() { # N
  [ "$(sluice topics | awk '$1 == "enhanced_posts" { print $3 }')" -ge "$1" ]
}

# --- what every set-up must do ---

all_bundled_posts_come_out_once() {
  local n
  n=$(wc -l <stages/source/posts.jsonl)
  dc up -d
  wait_for 60 sunk_count_is "$n"
  sunk | head -1
  diff <(sunk | sort -n) <(jq -r .id stages/source/posts.jsonl | sort -n)
  [ "$n" -ge 200 ]
}

three_replicas_share_the_partitions() {
  posts 1 4000 >"$TMP/shared.jsonl"
  dc up -d --scale enhance=3 enhance
  wait_for 60 members_are 3
  POSTS=$TMP/shared.jsonl RATE=500 dc up -d --no-deps source
  wait_for 60 shared_by 3
  wait_for 60 source_has_ended
}

# Posts flow through three replicas, one is killed; who is left does the rest.
a_killed_replica_loses_and_repeats_nothing() {
  posts 1 10000 >"$TMP/many.jsonl"
  POSTS=$TMP/many.jsonl MOCK_LATENCY=2ms RATE=2000 dc up -d --scale enhance=3
  wait_for 60 members_are 3
  wait_for 60 enhanced_at_least 1500
  docker kill -s KILL "$(dc ps -q enhance | head -1)"
  wait_for 120 source_has_ended
  wait_for 120 caught_up sluice-enhance
  each_came_out_once 10000
}

source_has_ended() {
  [ "$(docker inspect -f '{{.State.Status}} {{.State.ExitCode}}' "$(dc ps -aq source)")" = "exited 0" ]
}

# While posts flow: nobody needs SIGKILL within 10 s, and all posts are there when it goes on.
going_down_loses_nothing() {
  local id start
  posts 1 20000 >"$TMP/more.jsonl"
  POSTS=$TMP/more.jsonl RATE=1000 dc up -d
  wait_for 60 members_are 1
  start=$EPOCHREALTIME
  dc stop -t 10
  measured "$PROJECT: stop while 1,000 posts/s flow" "$(elapsed "$start") s"
  for id in $(dc ps -aq); do
    docker inspect -f '{{.Name}} ended with {{.State.ExitCode}}' "$id"
    [ "$(docker inspect -f '{{.State.ExitCode}}' "$id")" != 137 ]
  done
  start=$EPOCHREALTIME
  dc down
  measured "$PROJECT: down after that" "$(elapsed "$start") s"
  dc up -d --no-deps ${BROKER_SERVICES:-} enhance sink
  wait_for 60 caught_up sluice-enhance
  wait_for 60 caught_up sluice-sink
  each_came_out_once 1000
}

elapsed() { # SINCE
  awk -v a="$1" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }'
}

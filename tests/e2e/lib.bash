# Shared by the end-to-end tests: the real binary in an empty folder.
# SLUICE: the binary (default: the build of `make test`). Nothing here sleeps for a fixed time:
# wait_for polls a condition until its deadline.
bats_require_minimum_version 1.5.0

setup() {
  ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  SLUICE=${SLUICE:-$ROOT/build/test/sluice}
  [ -x "$SLUICE" ] || { echo "no binary at $SLUICE: make build"; return 1; }
  SLUICE=$(realpath "$SLUICE")
  TMP=$(mktemp -d)
  export XDG_STATE_HOME=$TMP/state
  unset KAFKA_BOOTSTRAP_SERVERS
  cd "$TMP" || return 1
  PIDS=()
}

teardown() {
  local pid
  for pid in "${PIDS[@]}"; do kill -9 "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  cd / && rm -rf "$TMP"
}

# Starts a command in the background; its pid is in $! and it is killed at the end of the test.
# Descriptor 3 belongs to bats and must not be inherited.
start() {
  "$@" 3>&- &
  PIDS+=($!)
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "not in time: $*"; return 1; }
    sleep 0.05
  done
}

# posts FROM TO: as JSON lines.
posts() {
  awk -v a="$1" -v b="$2" 'BEGIN { for (i = a; i <= b; i++) printf "{\"id\": %d, \"text\": \"post number %d\"}\n", i, i }'
}

# Values of a topic, all of it.
values() {
  "$SLUICE" tap "$1" --from start "${@:2}"
}

# ids: of JSON lines on stdin, one a line.
ids() {
  jq -r .id
}

# exactly_once FILE N: the file holds each of 1..N once, in any order.
exactly_once() {
  local lost repeated
  sort -n "$1" | uniq -d >repeated.txt
  comm -13 <(sort -u "$1") <(seq 1 "$2" | sort) >lost.txt
  lost=$(wc -l <lost.txt) repeated=$(wc -l <repeated.txt)
  echo "lost $lost, repeated $repeated of $2:" $(head -3 lost.txt repeated.txt | grep -v '^$')
  [ "$lost" -eq 0 ] && [ "$repeated" -eq 0 ]
}

# Shared by the tests of the Flink job: topics of its own for each test, a job that is killed at the
# end, waiting for conditions. SLUICE: the binary (default: the build of `make build`).
bats_require_minimum_version 1.5.0

setup() {
  [ -z "${FLINK_MISSING:-}" ] || skip "$FLINK_MISSING"
  ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
  SLUICE=$(realpath "${SLUICE:-$ROOT/build/sluice}")
  TMP=$(mktemp -d)
  T=f$RANDOM$RANDOM
  export XDG_STATE_HOME=$TMP/state SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  unset KAFKA_BOOTSTRAP_SERVERS
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_ANSWERS_TOPIC=answers_$T SLUICE_GROUP=enhance_$T
  cd "$TMP" || return 1
  "$SLUICE" topics make >/dev/null
  PIDS=()
}

teardown() {
  local pid
  [ -z "${FLINK_MISSING:-}" ] || return 0
  for pid in "${PIDS[@]}"; do kill_tree "$pid"; done
  wait 2>/dev/null || true
  cd / && rm -rf "$TMP"
}

# A process and all below it: the JVM has a session of its own.
kill_tree() {
  local child
  for child in $(pgrep -P "$1"); do kill_tree "$child"; done
  kill -9 "$1" 2>/dev/null || true
}

flink() {
  timeout -k 5 500 "$ROOT/scripts/flink.sh" --state "$TMP/flink-state" "$@"
}

# In the background; its log is flink.log, its pid in JOB. Not by flink(): timeout would be between.
start_flink() {
  "$ROOT/scripts/flink.sh" --state "$TMP/flink-state" "$@" >>flink.log 2>&1 3>&- &
  JOB=$!
  PIDS+=("$JOB")
}

start() {
  "$@" 3>&- &
  PIDS+=($!)
}

# wait_for SECONDS COMMAND...: until the command succeeds.
wait_for() {
  local deadline=$((SECONDS + $1)); shift
  until "$@"; do
    ((SECONDS < deadline)) || { echo "not in time: $*"; tail -n 20 flink.log 2>/dev/null; return 1; }
    sleep 0.3
  done
}

posts() { # FROM TO: as JSON lines
  awk -v a="$1" -v b="$2" 'BEGIN { for (i = a; i <= b; i++) printf "{\"id\": %d, \"text\": \"post number %d\"}\n", i, i }'
}

send() { # [OPTION...]: posts on stdin
  "$SLUICE" source --from - --quiet "$@"
}

# Records that a read_committed consumer sees, which is not ours.
committed() { # TOPIC
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$1" -o beginning -e -q -X isolation.level=read_committed \
    -f '%p/%o\n' 2>/dev/null
}

enhanced_at_least() { [ "$(committed "$SLUICE_ENHANCED_TOPIC" | wc -l)" -ge "$1" ]; }

each_came_out_once() { # N: how many there must be
  "$SLUICE" verify --drained --order key | tee verdict
  [ "$(awk '$1 == "I1" { print $(NF - 1) }' verdict)" -eq "$1" ]
}

jvm_of() { pgrep -P "$1" java; }

# The Python processes that run the function, one for each subtask that has started.
workers() {
  local jvm below
  jvm=$(jvm_of "$JOB") || return 0
  for below in $(pgrep -P "$jvm"); do pgrep -P "$below" -f beam_boot || echo "$below"; done
}

workers_are() { [ "$(workers | wc -l)" -eq "$1" ]; }

job_has_ended() { ! kill -0 "$JOB" 2>/dev/null; }

#!/usr/bin/env bats
# The short round of tests/chaos: every kind of fault once or a few times, on both brokers side by
# side. A fault that failed is named with its seed: `make chaos ARGS="--only NAME --seed SEED"`
# throws the same dice.
load lib.bash

# The shim is loaded before the sanitizers' run-time, which they refuse.
with_sanitizers() {
  case ${SLUICE:-} in *asan* | *tsan*) return 0 ;; *) return 1 ;; esac
}

setup_file() {
  with_sanitizers && return 0
  local brokers=(--broker sqlite)
  [ -n "${SLUICE_TEST_KAFKA:-}" ] && brokers=()
  export CHAOS_LOG=$BATS_FILE_TMPDIR/log
  cd "$BATS_TEST_DIRNAME/../.." || return 1
  SLUICE=${SLUICE:-$PWD/build/test/sluice}
  SLUICE=$SLUICE SLUICE_LLM_SERVER=$(dirname "$SLUICE")/llm_server \
    timeout 600 tests/chaos/run.sh --short --jobs 6 "${brokers[@]}" >"$CHAOS_LOG" 2>&1 3>&- || true
}

held() { # BROKER COUNT
  with_sanitizers && skip "tried with the build without sanitizers"
  cat "$CHAOS_LOG"
  run ! grep -q "^FAIL $1" "$CHAOS_LOG"
  [ "$(grep -c "^ok   $1" "$CHAOS_LOG")" -ge "$2" ]
}

@test "a short round of faults on the embedded broker: none lost, none repeated" {
  held sqlite 27
}

@test "kafka: a short round of faults: none lost, none repeated" {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  held kafka 7
}

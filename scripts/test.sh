#!/usr/bin/env bash
# test.sh [--all] [SUITE...] - every test of the project, on a machine that has none of the tools yet.
#
# A line per suite with its counts and time; the last line is `N passed, N failed, N skipped`. Logs
# of suites are in build/test-logs/; the end of a failing one is shown. One Kafka is started for all
# suites while the first build runs. Whatever was started is stopped, at signals too.
# Invariants: a suite that cannot count its cases counts as one; a suite that ends in an error
# without a failed case counts as one failure; nothing is skipped silently.
set -uo pipefail
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8 CLICOLOR_FORCE=0
export PATH="$PWD/build/tools/bin:$PATH"

cores=$(nproc)
logs=build/test-logs
suite_limit_s=${SLUICE_SUITE_LIMIT:-900}
unset SLUICE_SUITE_LIMIT # sluice would refuse it as an option
passed=0 failed=0 skipped=0
running= kafka_pid= kafka_ready=
all=no
only=() met=() # suites that were asked for; those of them that came up
broken=() # suites with failures
for word; do
    case $word in
    --all) all=yes ;;
    -*) echo "usage: test.sh [--all] [SUITE...]" >&2 && exit 2 ;;
    *) only+=("$word") ;;
    esac
done

# --- end and signals ---
# shellcheck disable=SC2317 # called by the trap
clean_up() {
    trap - EXIT INT TERM HUP
    [ -n "$running" ] && kill -TERM -- "-$running" 2>/dev/null
    if [ -n "$kafka_pid" ]; then
        # Still starting: its group. Started: what it says about itself.
        kill -TERM -- "-$kafka_pid" 2>/dev/null
        wait "$kafka_pid" 2>/dev/null
        kafka_dir=$(sed -n 's/^KAFKA_DIR=//p' $logs/kafka.out)
        [ -n "$kafka_dir" ] && tests/kafka/kafka.sh stop "$kafka_dir" >/dev/null 2>&1
    fi
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# --- running and counting ---
wanted() {
    local name
    [ ${#only[@]} -eq 0 ] && return 0
    for name in "${only[@]}"; do
        [ "$name" = "$1" ] && met+=("$name") && return 0
    done
    return 1
}

# Suites that were asked for by name and never came up: there are none of that name, or only with --all.
say_unmet() {
    local name
    for name in "${only[@]}"; do
        [[ " ${met[*]} " == *" $name "* ]] && continue
        echo "no suite '$name' was run$([ $all = no ] && echo ': if there is one, it belongs to --all')" >&2
        failed=$((failed + 1))
    done
}

# In a session of its own, so that a signal reaches all that it started.
run_logged() { # LOG COMMAND...
    local log=$1 rc
    shift
    setsid timeout -k 10 "$suite_limit_s" "$@" >"$log" 2>&1 </dev/null &
    running=$!
    wait "$running"
    rc=$?
    running=
    return $rc
}

count_one() { # RC LOG
    if [ "$1" = 0 ]; then echo 1 0 0; else echo 0 1 0; fi
}

count_tap() { # RC LOG: what bats says
    awk '/^not ok / { f++ } /^ok .*# skip/ { s++; next } /^ok / { p++ }
         END { print p + 0, f + 0, s + 0 }' "$2"
}

count_ctest() { # RC LOG
    python3 scripts/count-ctest.py "$2.xml"
}

count_checks() { # RC LOG: one case for each check that says ok or FAIL
    local found
    found=$(awk '/^(ok|OK|PASS)[ :]/ { p++ } /^(FAIL|FAILED|not ok)[ :]/ { f++ } END { print p + 0, f + 0, 0 }' "$2")
    if [ "$found" = "0 0 0" ]; then count_one "$@"; else echo "$found"; fi
}

suite() { # NAME COUNTER COMMAND...
    local name=$1 counter=$2 log=$logs/$1.log rc p f s start=$SECONDS
    shift 2
    wanted "$name" || return 0
    run_logged "$log" "$@"
    rc=$?
    read -r p f s <<<"$("$counter" $rc "$log")"
    [ $rc -ne 0 ] && [ "${f:-0}" -eq 0 ] && f=1
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    printf '%-14s %4d passed %3d failed %3d skipped %5d s\n' \
        "$name" "$p" "$f" "$s" $((SECONDS - start))
    if [ "$f" -gt 0 ]; then
        [ $rc -eq 124 ] && echo "    stopped after $suite_limit_s s"
        echo "    --- end of $log"
        tail -n 40 "$log" | sed 's/^/    /'
        broken+=("$name")
    fi
    return $rc
}

# What failed, once more and in short, at the very end: where a long output is cut, its end is kept.
say_broken() {
    local name
    for name; do
        echo "--- failed in $name ($logs/$name.log)"
        grep -nE -A6 '^not ok|\[  (ERROR|FAILED)|\*\*\*(Failed|Timeout|Exception)|ERROR: |SUMMARY: |error:|^FAIL' \
            "$logs/$name.log" | cut -c 1-300 | head -60
    done
}

skip_suite() { # NAME WHY
    wanted "$1" || return 0
    skipped=$((skipped + 1))
    printf '%-14s skipped: %s\n' "$1" "$2"
}

# --- one Kafka for all ---
kafka_start() {
    [ -z "${SLUICE_TEST_KAFKA:-}" ] && [ -x tests/kafka/kafka.sh ] || return 0
    setsid tests/kafka/kafka.sh start --with $$ >$logs/kafka.out 2>$logs/kafka.log </dev/null &
    kafka_pid=$!
}

kafka_await() {
    local rc=77
    [ -n "$kafka_ready" ] && return 0
    kafka_ready=yes
    [ -z "${SLUICE_TEST_KAFKA:-}" ] || return 0
    if [ -n "$kafka_pid" ]; then
        wait "$kafka_pid"
        rc=$?
    fi
    if [ $rc -eq 0 ]; then
        SLUICE_TEST_KAFKA=$(sed -n 's/^KAFKA_BOOTSTRAP_SERVERS=//p' $logs/kafka.out)
        export SLUICE_TEST_KAFKA
        return 0
    fi
    unset SLUICE_TEST_KAFKA
    if [ $rc -eq 77 ]; then
        skip_suite kafka "there is no broker to test with"
    else
        failed=$((failed + 1))
        echo "kafka             0 passed   1 failed: it did not start"
        tail -n 20 $logs/kafka.log | sed 's/^/    /'
    fi
}

# --- the suites ---
build() { # PRESET
    suite "build-$1" count_one bash -c \
        "cmake --preset $1 && cmake --build --preset $1 --parallel $cores"
}

unit() { # PRESET [ctest options]
    local preset=$1 name=unit-$1
    shift
    kafka_await
    rm -f "$logs/$name.log.xml"
    suite "$name" count_ctest ctest --test-dir "build/$preset" --parallel "$cores" \
        --output-on-failure --output-junit "$PWD/$logs/$name.log.xml" \
        --test-output-size-passed 4000000 --test-output-size-failed 4000000 "$@"
}

e2e() { # PRESET FOLDER [variables]
    local preset=$1 folder=$2 name=e2e-$1 files jobs=$((cores + 1))
    shift 2
    [ "$folder" = tests/e2e ] || { name=$(basename "$folder")-$preset jobs=1; }
    shopt -s nullglob
    files=("$folder"/*.bats)
    shopt -u nullglob
    if [ ${#files[@]} -eq 0 ]; then
        skip_suite "$name" "no files in $folder"
        return
    fi
    if [ ! -x "build/$preset/sluice" ]; then
        skip_suite "$name" "there is no program"
        return
    fi
    kafka_await
    suite "$name" count_tap env SLUICE="$PWD/build/$preset/sluice" "$@" \
        scripts/e2e.sh $jobs "${files[@]}"
}

checks() {
    if [ -x scripts/checks/run.sh ]; then
        suite checks count_checks scripts/checks/run.sh
    else
        skip_suite checks "there is no scripts/checks/run.sh"
    fi
}

# The other compiler: its warnings, no objects.
clang_syntax() {
    suite clang count_one scripts/clang-syntax.sh build/test "$cores"
}

sanitizers=(ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:strict_string_checks=1
    UBSAN_OPTIONS=print_stacktrace=1)

usual() {
    build test && {
        checks # documents are compared with what the program prints
        clang_syntax
        unit test
        e2e test tests/e2e
    }
    build asan && {
        export "${sanitizers[@]}"
        unit asan
        e2e asan tests/e2e
        unset ASAN_OPTIONS UBSAN_OPTIONS
    }
}

coverage() {
    wanted coverage || return 0
    build coverage && unit coverage && e2e coverage tests/e2e
    [ -x build/tools/bin/gcovr ] || {
        [ -x build/tools/venv/bin/pip ] || python3 -m venv build/tools/venv
        build/tools/venv/bin/pip install -q --disable-pip-version-check gcovr==8.3
        mkdir -p build/tools/bin
        ln -sf ../venv/bin/gcovr build/tools/bin/gcovr
    }
    suite coverage count_one gcovr --root . --object-directory build/coverage \
        --filter 'lib/' --filter 'stages/' --filter 'api/' --filter 'cli/' --exclude '.*_test\.c' \
        --gcov-ignore-errors=all --gcov-ignore-parse-errors=all \
        --html-details build/test-logs/coverage.html --print-summary
    grep -E '^(lines|functions|branches):' $logs/coverage.log
}

# Not on Kafka: Debian's librdkafka makes its threads by thrd_create, which gcc's TSan does not know,
# and crashes under it.
threads() {
    build tsan || return
    export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
    unit tsan -LE kafka
    suite e2e-tsan count_tap env -u SLUICE_TEST_KAFKA SLUICE="$PWD/build/tsan/sluice" \
        bats -T --formatter tap tests/e2e/{embedded,llm,answers,filter}.bats
    unset TSAN_OPTIONS
}

extra() {
    threads
    suite analyze count_one scripts/analyze.sh build/test "$cores"
    wanted valgrind && [ -d build/test ] &&
        suite valgrind count_one scripts/valgrind.sh build/test
    coverage
    e2e test tests/long
    flink
    containers
}

# Says of each test that it is skipped where PyFlink is not to be had.
flink() {
    kafka_await
    suite flink count_tap env SLUICE="$PWD/build/test/sluice" tests/flink/run.sh
}

# Needs a container engine; says of each test that it is skipped where there is none.
containers() {
    suite containers count_tap tests/compose/run.sh
}

if [ $all = yes ]; then scripts/deps.sh all; else scripts/deps.sh test; fi || exit 1
mkdir -p $logs
kafka_start
usual
[ $all = yes ] && extra

say_broken "${broken[@]}"
echo "total $SECONDS s"
say_unmet
if [ $((passed + failed)) -eq 0 ]; then
    echo "no test was run" >&2
    failed=1
fi
if [ $skipped -gt 0 ]; then
    echo "$passed passed, $failed failed, $skipped skipped"
else
    echo "$passed passed, $failed failed"
fi
[ $failed -eq 0 ]

#!/usr/bin/env bash
# analyze.sh [BUILD_DIR [JOBS]] - static analysis of the product's own sources (no tests): gcc's
# -fanalyzer and clang-tidy with the checks of .clang-tidy. Silent when clean; else what was found.
set -euo pipefail
cd "$(dirname "$0")/.."
build=${1:-build/test} jobs=${2:-$(nproc)}

sources=$(jq -r '.[].file' "$build/compile_commands.json" | sed "s|^$PWD/||" |
    grep -E '^(lib|stages|cli|api)/' | grep -v '_test\.c$' | sort -u)

gcc_analyzer() {
    jq -r '.[] | "\(.directory)\t\(.file)\t\(.command)"' "$build/compile_commands.json" |
        grep -E "	$PWD/(lib|stages|cli|api)/" | grep -v '_test\.c	' | sort -u -t'	' -k2,2 |
        sed -E 's/ -o [^ ]+ -c / -fanalyzer -Werror -o \/dev\/null -c /' |
        awk -F'\t' '{ printf "cd %s && %s%c", $1, $3, 0 }' |
        xargs -0 -r -n 1 -P "$jobs" sh -c
}

clang_tidy() {
    # shellcheck disable=SC2086 # one word for each file
    printf '%s\n' $sources | xargs -r -n 4 -P "$jobs" clang-tidy -p "$build" --quiet \
        --warnings-as-errors='*' --extra-arg=-Wno-unknown-warning-option 2>/dev/null
}

rc=0
gcc_analyzer || rc=1
clang_tidy || rc=1
exit $rc

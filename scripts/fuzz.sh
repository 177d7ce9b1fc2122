#!/usr/bin/env bash
# fuzz.sh - runs every fuzz target for FUZZ_SECONDS (60) from its seeds in tests/fuzz/corpus/TARGET.
# What is found is left in build/fuzz/TARGET/ and ends the run.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/deps.sh all
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz
shopt -s nullglob
for source in tests/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    found=build/fuzz/findings/$target
    mkdir -p "$found/corpus"
    seeds=(tests/fuzz/corpus/"$target")
    [ -d "${seeds[0]}" ] || seeds=()
    echo "$target: ${FUZZ_SECONDS:-60} s"
    "build/fuzz/$target" -max_total_time="${FUZZ_SECONDS:-60}" -max_len=65536 -timeout=10 \
        -rss_limit_mb=2048 -artifact_prefix="$found/" -verbosity=0 -print_final_stats=1 \
        "$found/corpus" "${seeds[@]}" 2>&1 | tee "$found/log" |
        grep -E '^(stat::(number_of_executed_units|average_exec)|==|SUMMARY)' || true
    if compgen -G "$found/*-*" >/dev/null; then
        tail -40 "$found/log"
        exit 1
    fi
done

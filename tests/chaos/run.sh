#!/usr/bin/env bash
# run.sh [OPTION]... - faults against the real pipeline, and a count of what they lost or repeated.
#
#   --short          the round of `make test`: a few of each, in about a minute and a half
#   --only FAULT     only faults whose name contains this; may be repeated
#   --list           what there is
#   --seed N         the same dice again (printed by every run)
#   --minutes N      rounds with new dice until so many minutes have passed
#   --soak N         mixed faults for N minutes, and the slope of memory
#   --jobs N         so many at once
#
# A whole round writes docs/RELIABILITY.md. SLUICE: another binary. SLUICE_TEST_KAFKA: a broker that
# is there already; faults that hurt a broker start one of their own.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C.UTF-8

SLUICE=$(realpath "${SLUICE:-build/sluice}")
[ -x "$SLUICE" ] || { echo "chaos: no binary at $SLUICE: make build" >&2; exit 2; }
mkdir -p build/chaos
[ build/chaos/shim.so -nt tests/chaos/shim.c ] ||
    cc -std=c11 -O1 -g -Wall -Wextra -shared -fPIC -o build/chaos/shim.so tests/chaos/shim.c -ldl
LLM_SERVER=${SLUICE_LLM_SERVER:-$(dirname "$SLUICE")/llm_server}
if [ ! -x "$LLM_SERVER" ]; then
    LLM_SERVER=build/test/llm_server
    [ -x "$LLM_SERVER" ] || { cmake --preset test && cmake --build --preset test --target llm_server; } >build/chaos/build.log
fi
LLM_SERVER=$(realpath "$LLM_SERVER") SLUICE=$SLUICE CHAOS_SHIM_SO=$PWD/build/chaos/shim.so \
    exec python3 -B tests/chaos/chaos.py "$@"

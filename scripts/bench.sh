#!/usr/bin/env bash
# bench.sh [options of bench/run.py] - builds the benchmarks and runs them.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/deps.sh test
cmake --preset bench >/dev/null
cmake --build --preset bench
exec python3 bench/run.py "$@"

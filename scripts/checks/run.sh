#!/usr/bin/env bash
# run.sh - the style checks: a line `ok NAME` or `FAIL NAME` each, with file and line of what is wrong.
# lizard (function sizes) comes from PyPI into a folder of the test cache, once.
set -euo pipefail
cd "$(dirname "$0")/../.."

cache=${SLUICE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-tests}
venv=$cache/venv
if ! "$venv/bin/python" -c 'import lizard' 2>/dev/null; then
    mkdir -p "$cache"
    python3 -m venv "$venv"
    "$venv/bin/pip" install -q lizard==1.17.31
fi
exec "$venv/bin/python" scripts/checks/checks.py

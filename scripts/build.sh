#!/usr/bin/env bash
# build.sh - build/sluice, from whatever state the tree is in. Says nothing when there is nothing to
# do, so that `make run` shows the program's own lines.
set -euo pipefail
cd "$(dirname "$0")/.."

scripts/deps.sh build
mkdir -p build
if [ ! -e build/build.ninja ]; then
    echo "configuring…"
    cmake --preset release >build/configure.log 2>&1 || {
        cat build/configure.log
        exit 1
    }
fi
# On a terminal ninja draws one moving line; elsewhere its lines are kept for the case of an error.
if [ -t 1 ]; then
    ninja -C build sluice libsluice | sed '/^ninja: /d'
else
    ninja -C build sluice libsluice >build/build.log 2>&1 || {
        cat build/build.log
        exit 1
    }
fi

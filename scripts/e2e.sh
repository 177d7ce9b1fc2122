#!/usr/bin/env bash
# e2e.sh JOBS FILE.bats... - runs JOBS files at a time, the largest first, and prints what they said
# as TAP, one file after the other. Most of these tests wait for a time-out or a broker: side by side
# they take a third of the time.
set -uo pipefail
jobs=$1
shift
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
export out

# shellcheck disable=SC2016 # expanded by the inner shell
wc -c "$@" | grep '\.bats$' | sort -rn | awk '{ print $2 }' |
    xargs -r -P "$jobs" -I{} bash -c 'bats -T --formatter tap "{}" >"$out/$(basename "{}")" 2>&1'
rc=$?
cat "$out"/*.bats
exit $rc

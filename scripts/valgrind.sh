#!/usr/bin/env bash
# valgrind.sh BUILD_DIR - one pass of the unit tests and, when it is there, of the bundled run under
# Valgrind's memcheck: what the sanitizers cannot see, uninitialised values above all. Goes on after a
# failure; which programs failed stands in its last lines.
set -euo pipefail
cd "$(dirname "$0")/.."
build=$1
failed=()

memcheck() {
    echo "valgrind $*"
    run_under "$@" || failed+=("$*")
}

run_under() {
    valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite \
        --soname-synonyms=somalloc='libjemalloc*' --trace-children=no "$@"
}

while IFS= read -r program; do
    case $program in
    # A real broker at this speed only meets time-outs; torture tests count allocations by the million.
    *kafka* | *torture*) ;;
    # A child of fork has lost what threads of its parent held, and that is no leak.
    *library_process*) memcheck --leak-check=no "$program" ;;
    *) memcheck "$program" ;;
    esac
done < <(find "$build" -maxdepth 1 -name '*_test' -perm -u+x | sort)

if [ -x "$build/sluice" ]; then
    folder=$(mktemp -d)
    trap 'rm -rf "$folder"' EXIT
    memcheck "$build/sluice" run --broker "sqlite:$folder/sluice.db" --state-dir "$folder"
fi

[ ${#failed[@]} -eq 0 ] && exit 0
printf 'failed under Valgrind: %s\n' "${failed[@]}"
exit 1

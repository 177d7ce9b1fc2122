#!/usr/bin/env bash
# clang-syntax.sh BUILD_DIR [JOBS] - compiles every source of BUILD_DIR's compile_commands.json with
# clang and -Werror, without writing objects: the warnings of the other compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

# gcc's own options that clang 14 knows not: none of them changes what is warned about.
jq -r '.[] | "\(.directory)\t\(.command)"' "$1/compile_commands.json" |
    sed -E 's/\t[^ ]+ /\tclang /; s/ -o [^ ]+ -c / -fsyntax-only -Werror -Wno-unknown-warning-option -Wno-gnu-statement-expression -Qunused-arguments -c /' |
    awk -F'\t' '{ printf "cd %s && %s%c", $1, $2, 0 }' |
    xargs -0 -r -n 1 -P "${2:-2}" sh -c

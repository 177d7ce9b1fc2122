#!/usr/bin/env bash
# answers.sh [kafka://HOST:PORT] - what it costs to store a paid answer, and how fast a copy warms up.
#
# enhance runs over the same 100,000 posts with different texts (POSTS changes the number), in turns:
# without answers, storing each, finding each by the copy it has, finding each by an empty copy. The
# enricher is the mock with a price, so that nothing but sluice is measured. Prints the medians of
# TURNS (3) turns: CPU a post (user and system, of enhance alone) and seconds. The cost of storing is
# the second line less the first. Without a URL only the embedded broker is measured.
set -euo pipefail
sluice=$(realpath "${SLUICE:-$(dirname "$0")/../build/sluice}")
posts=${POSTS:-100000} turns=${TURNS:-3}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export XDG_STATE_HOME=$folder/state
awk -v n="$posts" 'BEGIN { for (i = 1; i <= n; i++) printf "{\"id\":%d,\"text\":\"text %d\"}\n", i, i }' >posts.jsonl

measure() { # NAME FLAG...: a line "NAME us s" in figures
    local name=$1
    shift
    export SLUICE_GROUP=$name$mark SLUICE_ENHANCED_TOPIC=$name$mark
    TIMEFORMAT='%U %S %R'
    { time "$sluice" enhance --drain --enricher mock --mock-cost 0.0001 --llm-concurrency 512 "$@" 2>log; } 2>time
    awk -v name="$name" -v n="$posts" '{ print name, ($1 + $2) * 1e6 / n, $3 }' time >>figures
}

median() { # NAME COLUMN
    awk -v name="$1" -v c="$2" '$1 == name { print $c }' figures | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}

for broker in "sqlite:$folder/sluice.db" ${1:+"$1"}; do
    : >figures
    : >warm
    for turn in $(seq "$turns"); do
        mark=_$turn$RANDOM
        export SLUICE_BROKER=$broker SLUICE_RAW_TOPIC=raw$mark SLUICE_DEAD_TOPIC=dead$mark SLUICE_ANSWERS_TOPIC=answers$mark
        rm -rf state sluice.db*
        "$sluice" source --from posts.jsonl --quiet --partitions 4
        measure without --no-answers --instance one
        measure storing --instance one
        measure again --instance one
        measure empty --instance two
        sed -n 's/.*read \([0-9]*\) records of topic .* in \([0-9]*\) ms.*/\1 \2/p' log >>warm
    done
    echo "${broker%%:*}"
    for name in without storing again empty; do
        printf '  %-8s %6.1f us a post, %5.1f s\n' $name "$(median $name 2)" "$(median $name 3)"
    done
    [ ! -s warm ] || sort -n -k 2 warm | awk '{ v[NR] = sprintf("  an empty copy read %d answers in %d ms: %d a second", $1, $2, $1 * 1000 / $2) } END { print v[int((NR + 1) / 2)] }'
done

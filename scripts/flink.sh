#!/usr/bin/env bash
# flink.sh [OPTION...] - runs sluice enhance as a Flink job; options are those of
# stages/enhance/flink/job.py (--help), docs/FLINK.md says more.
#
#   KAFKA_BOOTSTRAP_SERVERS=localhost:9092 scripts/flink.sh --parallelism 4
#   scripts/flink.sh --install      install only; prints nothing when all is there
#
# Installs into build/tools what is not there: PyFlink from PyPI, the Kafka connector by Maven; and
# builds libsluice. Exit 77: Python 3.9 to 3.12, Java 11 or newer, or Maven is missing, and this is not Debian.
set -euo pipefail
caller=$PWD
cd "$(dirname "$0")/.."
tools=$PWD/build/tools
venv=$tools/flink
jars=$tools/flink-jars
source=$PWD/stages/enhance/flink

find_python() { # PyFlink 2.2 is for Python 3.9 to 3.12
    local python
    for python in python3 python3.12 python3.11 python3.10 python3.9; do
        command -v $python >/dev/null &&
            $python -c 'import sys, venv, ensurepip; sys.exit(not (3, 9) <= sys.version_info < (3, 13))' \
                2>/dev/null && echo $python && return
    done
    echo "flink.sh: no Python 3.9 to 3.12 with venv, which PyFlink needs" >&2
    exit 77
}

install_pyflink() {
    local wanted
    wanted=$(cksum <"$source/requirements.txt")
    [ "$(cat "$venv/installed" 2>/dev/null)" = "$wanted" ] && return
    echo "flink.sh: installing PyFlink into build/tools (some 700 MB)" >&2
    local python
    python=$(find_python)
    rm -rf "$venv"
    $python -m venv "$venv"
    "$venv/bin/pip" install -q --disable-pip-version-check 'setuptools<81' wheel >&2
    "$venv/bin/pip" install -q --disable-pip-version-check -r "$source/requirements.txt" >&2
    echo "$wanted" >"$venv/installed"
}

install_connector() {
    [ "$jars/pom.xml" -nt "$source/pom.xml" ] && return
    command -v mvn >/dev/null || { echo "flink.sh: mvn is missing" >&2; exit 77; }
    rm -rf "$jars"
    mvn -q -B -f "$source/pom.xml" dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory="$jars" >&2
    cp "$source/pom.xml" "$jars/pom.xml"
}

install() {
    command -v java >/dev/null || { echo "flink.sh: java is missing" >&2; exit 77; }
    mkdir -p "$tools"
    exec 8>"$tools/flink.lock"
    flock 8
    install_pyflink
    install_connector
    [ -n "${LIBSLUICE:-}" ] || scripts/build.sh >&2
    exec 8>&-
}

scripts/deps.sh test
install
export LIBSLUICE=${LIBSLUICE:-$PWD/build/libsluice.so.1}
[ "${1:-}" = --install ] && exit 0

export FLINK_KAFKA_JARS=$jars
export PATH=$venv/bin:$PATH
export FLINK_LOG_DIR=${FLINK_LOG_DIR:-$PWD/build/flink-log}
export JVM_ARGS=${JVM_ARGS--Xmx2g -XX:+UseParallelGC}
mkdir -p "$FLINK_LOG_DIR"
cd "$caller"
exec "$venv/bin/python" "$source/job.py" "$@"

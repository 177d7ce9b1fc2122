#!/usr/bin/env bash
# run.sh [FILE.bats...] - the compose files and packages on a real container engine.
#
# The engine: a `docker` that works, else a script that makes one, named by SLUICE_ENGINE or found
# at ../shared/engine/engine beside the repository (`up` prints export lines, `images` makes base
# images, `down`). Without any, each test that needs one is skipped by its name. What is measured on
# the way goes to build/test-logs/containers.txt.
set -uo pipefail
cd "$(dirname "$0")/../.."

started=
clean_up() {
    [ -z "$started" ] || "$started" down
    [ -z "${copy:-}" ] || rm -rf "$copy"
}
trap clean_up EXIT
trap 'exit 143' TERM INT HUP

docker_works() { docker version >/dev/null 2>&1 && docker compose version >/dev/null 2>&1; }

# Works on a copy of the script's folder: images keep the modes of files, and the folder may be read-only.
start_engine() { # SCRIPT
    copy=$(mktemp -d)
    cp -r --no-preserve=mode "$(dirname "$1")/." "$copy" && chmod 755 "$copy/$(basename "$1")"
    local engine=$copy/$(basename "$1") lines
    "$engine" status >/dev/null 2>&1 || started=$engine
    lines=$("$engine" up) && eval "$lines" && docker_works && make_images "$engine"
}

make_images() { # ENGINE; once more without those that were made of a read-only folder
    "$1" images debian kafka zookeeper >&2 || return 1
    docker run --rm apache/kafka:4.1.1 test -w /opt/kafka/config/server.properties && return 0
    docker image rm -f apache/kafka:4.1.1 apache/kafka:3.9.1 zookeeper:3.9 >/dev/null
    "$1" images debian kafka zookeeper >&2
}

find_engine() {
    local script
    docker_works && return 0
    for script in "${SLUICE_ENGINE:-}" ../shared/engine/engine; do
        [ -n "$script" ] && [ -x "$script" ] || continue
        start_engine "$script" && return 0
        export SLUICE_NO_ENGINE="the container engine of $script does not start"
        return 1
    done
    export SLUICE_NO_ENGINE="no container engine: no docker that works, and SLUICE_ENGINE names none"
}

# Debian 12 has the docker-compose of old, 13 has not.
install_old_compose() {
    local candidate
    candidate=$(apt-cache policy docker-compose 2>/dev/null | sed -n 's/^  Candidate: //p')
    case $(id -u)$candidate in
    01.*) apt-get install -y -qq --no-install-recommends docker-compose >/dev/null 2>&1 </dev/null ;;
    esac
}

find_engine
install_old_compose
[ -z "${SLUICE_NO_ENGINE:-}" ] || echo "# $SLUICE_NO_ENGINE"
mkdir -p build/test-logs
export SLUICE_MEASURED=$PWD/build/test-logs/containers.txt
: >"$SLUICE_MEASURED"
[ $# -gt 0 ] || set -- tests/compose/*.bats
bats -T --formatter tap "$@"
rc=$?
sed 's/^/# /' "$SLUICE_MEASURED"
exit $rc

#!/usr/bin/env bash
# deps.sh [build|test|llm|all] - makes sure that what the build (default), the tests or everything else
# needs is on this machine.
#
# Each need is probed by what it gives (a command, a pkg-config module, a file), never by a package's
# name, so that the check is the same on every distribution and takes some 10 ms when nothing is
# missing. On Debian and its relatives what is missing is installed with apt; elsewhere the package
# names are printed and the exit code is 1.
set -euo pipefail
export LC_ALL=C

die() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}

# --- what is needed ---
# need | probe | apt | dnf | apk | pacman      (an empty name: look it up yourself)
build_needs='
C compiler        | cmd cc               | gcc                     | gcc                 | gcc               | gcc
C library headers | inc stdio.h          | libc6-dev               | glibc-devel         | musl-dev          | glibc
CMake >= 3.25     | cmake                | cmake                   | cmake               | cmake             | cmake
Ninja             | cmd ninja            | ninja-build             | ninja-build         | samurai           | ninja
pkg-config        | cmd pkg-config       | pkg-config              | pkgconf-pkg-config  | pkgconf           | pkgconf
librdkafka        | pc rdkafka >= 2.0.2  | librdkafka-dev          | librdkafka-devel    | librdkafka-dev    | librdkafka
libuv             | pc libuv >= 1.44     | libuv1-dev              | libuv-devel         | libuv-dev         | libuv
libcurl           | pc libcurl           | libcurl4-openssl-dev    | libcurl-devel       | curl-dev          | curl
SQLite            | pc sqlite3 >= 3.40   | libsqlite3-dev          | sqlite-devel        | sqlite-dev        | sqlite
libyaml           | pc yaml-0.1          | libyaml-dev             | libyaml-devel       | yaml-dev          | libyaml
Jansson           | pc jansson >= 2.14   | libjansson-dev          | jansson-devel       | jansson-dev       | jansson
libmicrohttpd     | pc libmicrohttpd     | libmicrohttpd-dev       | libmicrohttpd-devel | libmicrohttpd-dev | libmicrohttpd
jemalloc          | pc jemalloc >= 5.0   | libjemalloc-dev         | jemalloc-devel      | jemalloc-dev      | jemalloc
OpenSSL           | pc libcrypto         | libssl-dev              | openssl-devel       | openssl-dev       | openssl
CA certificates   | certs                | ca-certificates         | ca-certificates     | ca-certificates   | ca-certificates
'
test_needs='
C++ compiler      | cmd c++              | g++                     | gcc-c++             | g++               | gcc
cmocka            | pc cmocka            | libcmocka-dev           | libcmocka-devel     | cmocka-dev        | cmocka
bats              | cmd bats             | bats                    | bats                | bats              | bats
Java >= 17        | java                 | default-jre-headless    | java-21-openjdk-headless | openjdk21-jre-headless | jre-openjdk-headless
Maven             | cmd mvn              | maven                   | maven               | maven             | maven
kcat              | cmd kcat             | kcat                    |                     | kcat              | kcat
sqlite3           | cmd sqlite3          | sqlite3                 | sqlite              | sqlite            | sqlite
Python 3          | cmd python3          | python3                 | python3             | python3           | python
Python venv       | py venv, ensurepip   | python3-venv            | python3             | python3           | python
PyYAML            | py yaml              | python3-yaml            | python3-pyyaml      | py3-yaml          | python-yaml
Clang             | cmd clang            | clang                   | clang               | clang             | clang
clang-format 14   | format               |                         |                     |                   |
GCC sanitizers    | asan                 |                         | libasan libubsan    |                   | gcc-libs
curl              | cmd curl             | curl                    | curl                | curl              | curl
nghttpx           | cmd nghttpx          | nghttp2-proxy           | nghttp2             | nghttp2           | nghttp2
jq                | cmd jq               | jq                      | jq                  | jq                | jq
ps                | cmd ps               | procps                  | procps-ng           | procps            | procps-ng
git               | cmd git              | git                     | git                 | git               | git
'
llm_needs='
C++ compiler      | cmd c++              | g++                     | gcc-c++             | g++               | gcc
curl              | cmd curl             | curl                    | curl                | curl              | curl
Python 3          | cmd python3          | python3                 | python3             | python3           | python
Python venv       | py venv, ensurepip   | python3-venv            | python3             | python3           | python
'
all_needs='
Valgrind          | cmd valgrind         | valgrind                | valgrind            | valgrind          | valgrind
clang-tidy        | cmd clang-tidy       | clang-tidy              | clang-tools-extra   | clang-extra-tools | clang
libFuzzer         | fuzzer               | clang-runtime           | compiler-rt         | compiler-rt       | compiler-rt
'

# --- probes: succeed when the need is met ---
probe_cmd() { command -v "$1" >/dev/null; }
probe_pc() { pkg-config --exists "$*" 2>/dev/null; }
probe_py() { python3 -c "import $*" 2>/dev/null; }
probe_inc() { echo "#include <$1>" | cc -E -x c - >/dev/null 2>&1; }

probe_cmake() {
    local version
    version=$(cmake --version 2>/dev/null | sed -n '1s/[^0-9]*//p') && [ -n "$version" ] &&
        printf '3.25\n%s\n' "$version" | sort -CV
}

probe_java() {
    local major
    major=$(java -version 2>&1 | sed -n 's/.*version "\([0-9]*\).*/\1/p' | head -1)
    [ "${major:-0}" -ge 17 ]
}

probe_certs() {
    [ -e /etc/ssl/certs/ca-certificates.crt ] || [ -e /etc/ssl/cert.pem ] ||
        [ -e /etc/pki/tls/certs/ca-bundle.crt ]
}

# The layout of the sources is judged by one version of clang-format: 14. Where the distribution has
# none, install_format takes it from PyPI.
probe_format() {
    command -v clang-format-14 >/dev/null || [ -x build/tools/bin/clang-format-14 ] ||
        clang-format --version 2>/dev/null | grep -q ' 14\.'
}

probe_asan() {
    echo 'int main(void) { return 0; }' |
        cc -x c - -fsanitize=address,undefined -o /dev/null 2>/dev/null
}

probe_fuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const char *p, unsigned long n) { return p && n ? 0 : 0; }' |
        clang -x c - -fsanitize=fuzzer,address -o /dev/null 2>/dev/null
}

probe() { # PROBE [ARGUMENT...]
    local kind=$1
    shift
    "probe_$kind" "$@"
}

# --- what is missing ---
trim() {
    local text=$1
    text=${text#"${text%%[![:space:]]*}"}
    printf '%s' "${text%"${text##*[![:space:]]}"}"
}

# All pkg-config modules at once: the common case is that all are there.
modules_present() {
    local list
    list=$(awk -F'|' '$2 ~ /^ *pc / { sub(/^ *pc /, "", $2); print $2 }' <<<"$1")
    # shellcheck disable=SC2086 # one word per module, operator and version
    pkg-config --exists $list 2>/dev/null
}

find_missing() { # NEEDS COLUMN; sets missing (names), packages
    local rows=$1 column=$2 need probe_text row package modules=no
    missing=() packages=()
    modules_present "$rows" && modules=yes
    while IFS= read -r row; do
        [ -n "$row" ] || continue
        IFS='|' read -r need probe_text _ <<<"$row"
        read -ra probe_text <<<"$probe_text"
        [ "${probe_text[0]}" = pc ] && [ $modules = yes ] && continue
        probe "${probe_text[@]}" && continue
        missing+=("$(trim "$need")")
        package=$(cut -d'|' -f"$column" <<<"$row")
        # shellcheck disable=SC2206 # a cell may name two packages
        packages+=($package)
    done <<<"$rows"
}

# --- Debian ---
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo --preserve-env=DEBIAN_FRONTEND "$@"
    else
        die "not root and no sudo: run as root: $*"
    fi
}

apt_install() {
    # Standard input stays closed to apt: a script piped into a shell must not be eaten.
    as_root apt-get install -y -qq --no-install-recommends "$@" </dev/null >"$log" 2>&1
}

apt_lists_old() {
    [ -z "$(find /var/lib/apt/lists -maxdepth 1 -name '*_Packages*' -mtime -7 -print -quit \
        2>/dev/null)" ]
}

# A name that needs a look at the release: the run-time of the installed clang.
debian_names() {
    local name major
    for name; do
        if [ "$name" = clang-runtime ]; then
            # The clang that is here, or the one that is about to be installed.
            major=$({ clang --version 2>/dev/null || apt-cache depends clang; } |
                sed -n 's/.*version \([0-9]*\).*/\1/p; s/.*Depends: clang-\([0-9]*\).*/\1/p' | head -n 1)
            name=libclang-rt-$major-dev
        fi
        printf '%s\n' "$name"
    done
}

install_debian() {
    local names
    mapfile -t names < <(debian_names "$@")
    [ ${#names[@]} -gt 0 ] || return 0
    echo "deps: installing with apt: ${names[*]}"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp)
    apt_lists_old && as_root apt-get update -qq </dev/null >"$log" 2>&1
    if ! apt_install "${names[@]}"; then
        as_root apt-get update -qq </dev/null >"$log" 2>&1 || true
        apt_install "${names[@]}" || {
            tail -20 "$log" >&2
            die "apt could not install: ${names[*]}"
        }
    fi
    rm -f "$log"
}

install_format() {
    if command -v apt-cache >/dev/null && apt-cache show clang-format-14 >/dev/null 2>&1; then
        install_debian clang-format-14
        return
    fi
    echo "deps: installing clang-format 14 from PyPI into build/tools"
    python3 -m venv build/tools/venv # not in bin itself, whose python3 would then be everybody's
    build/tools/venv/bin/pip install -q --disable-pip-version-check clang-format==14.0.6
    mkdir -p build/tools/bin
    ln -sf ../venv/bin/clang-format build/tools/bin/clang-format
    ln -sf clang-format build/tools/bin/clang-format-14
}

# --- other systems ---
explain() { # COLUMN COMMAND
    find_missing "$needs" "$1"
    echo "deps: missing: $(printf '%s, ' "${missing[@]}" | sed 's/, $//')" >&2
    if [ ${#packages[@]} -gt 0 ]; then
        echo "deps: install with: $2 ${packages[*]}" >&2
    fi
    exit 1
}

cd "$(dirname "$0")/.."
case ${1:-build} in
build) needs=$build_needs ;;
test) needs=$build_needs$test_needs ;;
all) needs=$build_needs$test_needs$all_needs ;;
llm) needs=$build_needs$llm_needs ;;
*) die "usage: deps.sh [build|test|llm|all]" ;;
esac
[ "$(uname -s)" = Linux ] ||
    die "sluice needs Linux (inotify, open file description locks): use a virtual machine or container"

find_missing "$needs" 3
[ ${#missing[@]} -gt 0 ] || exit 0
if command -v apt-get >/dev/null; then
    install_debian "${packages[@]}"
elif command -v dnf >/dev/null; then
    explain 4 "dnf install"
elif command -v apk >/dev/null; then
    explain 5 "apk add"
elif command -v pacman >/dev/null; then
    explain 6 "pacman -S"
else
    die "missing: ${missing[*]}; install them with your package manager"
fi
if [[ " ${missing[*]} " == *" clang-format 14 "* ]]; then
    install_format
fi
find_missing "$needs" 3
[ ${#missing[@]} -eq 0 ] || die "still missing after the installation: ${missing[*]}"

#!/usr/bin/env bats
# The Debian package: built in Debian 12, installed and used where nothing else is.
load lib.bash

setup_file() {
  export TMP=$BATS_FILE_TMPDIR
  [ -z "${SLUICE_NO_ENGINE:-}" ] || return 0
  DOCKER_BUILDKIT=1 docker build -q -f deploy/debian/Dockerfile -o "$TMP" . >"$TMP/build.log" 2>&1 3>&- ||
    { tail -30 "$TMP/build.log"; return 1; }
}

# Installs the package into a new container of that image and runs the pipeline there.
installs_and_runs() { # IMAGE
  docker run -i --rm -v "$TMP:/deb:ro" "$1" bash -eu 3>&- <<'END'
apt-get update -qq
dpkg -i /deb/sluice-pipeline_*.deb >/tmp/log 2>&1 || apt-get install -y -qq --no-install-recommends -f >/tmp/log 2>&1
dpkg -s sluice-pipeline | grep '^Status: install ok installed'
cd /tmp
sluice version
sluice run 2>/dev/null | grep -c '^\[SINK\] Received Post ID='
test -s /usr/lib/systemd/system/sluice-enhance@.service
ldconfig -p | grep 'libsluice.so.1 '
if ldd /usr/lib/libsluice.so.1 | grep 'not found'; then exit 1; fi
test -s /usr/include/sluice.h && test -s /usr/lib/pkgconfig/sluice.pc
dpkg -r sluice-pipeline
test ! -e /usr/bin/sluice
END
}

@test "deb: it installs and runs on Debian 12" {
  need_engine
  run installs_and_runs debian:bookworm-slim
  echo "$output"
  [ "$status" -eq 0 ]
  grep -qx "$(wc -l <stages/source/posts.jsonl)" <<<"$output"
}

@test "deb: it installs and runs on Debian 13" {
  need_engine
  run installs_and_runs debian:trixie-slim
  echo "$output"
  [ "$status" -eq 0 ]
  grep -qx "$(wc -l <stages/source/posts.jsonl)" <<<"$output"
}

@test "deb: its dependencies are those of the libraries it uses, and no compiler" {
  need_engine
  depends=$(dpkg-deb -f "$TMP"/sluice-pipeline_*.deb Depends)
  for library in libc6 librdkafka1 libsqlite3-0 libuv1 libmicrohttpd12; do
    [[ $depends == *$library* ]]
  done
  depends=${depends//libgcc-s1/} # the run-time part, which libc6 needs as well
  [[ $depends != *-dev* && $depends != *gcc* ]]
}

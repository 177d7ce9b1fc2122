#!/usr/bin/env bats
# What is installed beside the program, and the examples in deploy/.
load lib.bash

# --- completions and man page ---

# What bash offers for a command line, one word a line. The last argument is what is being typed.
completed() {
  bash -c 'source /dev/stdin <<<"$1"; shift
    COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)); _sluice; printf "%s\n" "${COMPREPLY[@]}"' \
    _ "$("$SLUICE" completion bash)" "$@"
}

@test "completion: bash offers the commands" {
  completed sluice '' >words
  for command in run source enhance sink topics tap check help; do grep -qx $command words; done
  [ "$(completed sluice heal)" = healthcheck ]
}

@test "completion: bash offers the flags of a command, and no secrets" {
  [ "$(completed sluice enhance --ord)" = --order ]
  completed sluice sink '' >words
  grep -qx -- --to words
  run ! grep -qx -- --order words
  run ! grep -q password words
}

@test "completion: bash offers the words of a flag, with and without an equals sign" {
  [ "$(completed sluice enhance --order '' | xargs)" = "partition key none" ]
  [ "$(completed sluice enhance --order = pa)" = partition ]
  [ "$(completed sluice sink --to js)" = jsonl ]
  [ "$(completed sluice topics rese)" = reset ]
}

@test "completion: bash offers files where a flag takes one" {
  touch sluice.yaml
  [ "$(completed sluice run --config slu)" = sluice.yaml ]
}

@test "completion: every flag that help shows is offered in each shell" {
  for command in run source enhance sink topics tap check config; do
    "$SLUICE" $command --help | grep -oE '^ +(-X, )?--[a-z-]+' | grep -oE -- '--[a-z-]+' >shown
    [ -s shown ]
    completed sluice $command -- >offered
    while read -r flag; do
      grep -qx -- "$flag" offered
      "$SLUICE" completion zsh | grep -qF -- "$flag"
      "$SLUICE" completion fish | grep -qF -- "from $command' -l ${flag#--} "
    done <shown
  done
}

@test "completion: zsh takes its script" {
  command -v zsh >/dev/null || skip "there is no zsh"
  "$SLUICE" completion zsh >_sluice
  zsh -n _sluice
  grep -qF "[read options from this YAML file; flags and environment win over it]:FILE:_files" _sluice
  zsh -fc 'autoload -U compinit; fpath=($PWD $fpath); compinit -u -D; [[ ${_comps[sluice]} == _sluice ]]'
}

@test "completion: fish takes its script and offers the words of a flag" {
  command -v fish >/dev/null || skip "there is no fish"
  "$SLUICE" completion fish >sluice.fish
  HOME=$TMP fish -N -c 'source sluice.fish; complete -C "sluice enhance --order "' | cut -f1 | sort | xargs >got
  [ "$(cat got)" = "key none partition" ]
}

@test "completion: without a shell it says what it takes" {
  run "$SLUICE" completion
  [ "$status" -eq 2 ]
  [[ "$output" == *"bash|zsh|fish"* ]]
}

@test "man page: every flag is in it, and man has nothing to complain about" {
  "$SLUICE" config --man >sluice.1
  for command in run source enhance sink topics tap; do
    "$SLUICE" $command --help | grep -oE -- '--[a-z-]+' | sort -u >flags
    while read -r flag; do
      [ "$flag" = --no- ] || [ "$flag" = --help ] || grep -qF -- "${flag//-/\\-}" sluice.1
    done <flags
  done
  cp "$ROOT/deploy/libsluice.3" .
  if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning sluice.1 libsluice.3 | grep -v 'missing date' >complaints || true
    cat complaints
    [ ! -s complaints ]
  elif command -v man >/dev/null; then
    [ -z "$(LC_ALL=C.UTF-8 MANROFFSEQ= man --warnings -l sluice.1 libsluice.3 2>&1 >/dev/null)" ]
  else
    skip "there is neither mandoc nor man"
  fi
}

# --- installation ---

@test "install: everything lands under DESTDIR, and uninstall takes it away" {
  DESTDIR=$TMP/dest cmake --install "$(dirname "$SLUICE")" --prefix /usr >log
  cd "$TMP/dest/usr"
  [ "$(./bin/sluice version | head -1)" = "$("$SLUICE" version | head -1)" ]
  for file in share/man/man1/sluice.1 share/bash-completion/completions/sluice \
    share/zsh/vendor-completions/_sluice share/fish/vendor_completions.d/sluice.fish \
    lib/systemd/system/sluice-sink.service share/doc/sluice-pipeline/copyright share/man/man3/libsluice.3 \
    include/sluice.h lib/libsluice.so.1 lib/pkgconfig/sluice.pc lib/cmake/sluice/sluice-config.cmake; do
    [ -s $file ]
  done
  grep -qx 'ExecStart=/usr/bin/sluice sink --instance %H' lib/systemd/system/sluice-sink.service
  cmp <(sed "s|^|$TMP/dest|" "$(dirname "$SLUICE")/install_manifest.txt" | sort) \
    <(find "$TMP/dest" ! -type d | sort)
}

@test "install: systemd finds nothing wrong with the units" {
  command -v systemd-analyze >/dev/null || skip "there is no systemd-analyze"
  cmake --install "$(dirname "$SLUICE")" --prefix "$TMP/here" >log
  run systemd-analyze verify --man=no --recursive-errors=no \
    "$TMP"/here/lib/systemd/system/sluice-{source,sink,enhance@1}.service
  echo "$output"
  [ "$status" -eq 0 ]
  run ! grep -i sluice <<<"$output"
}

# --- the service manager ---

# A service manager that writes down what it hears, one state a line.
listen() {
  cat >manager.py <<'END'
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("listening", flush=True)
while True:
    print(s.recv(100).decode(), flush=True)
END
  start python3 manager.py "$TMP/notify" >heard
  wait_for 10 grep -q listening heard
  export NOTIFY_SOCKET=$TMP/notify
}

@test "service manager: a stage says READY when it works and STOPPING at SIGTERM" {
  "$SLUICE" topics make >/dev/null
  listen
  start "$SLUICE" sink
  sink=$!
  wait_for 10 grep -qx READY=1 heard
  run ! grep -q STOPPING heard
  kill -TERM "$sink"
  wait "$sink"
  wait_for 10 grep -qx STOPPING=1 heard
  [ "$(xargs <heard)" = "listening READY=1 STOPPING=1" ]
}

@test "service manager: a source that ends at once has said READY" {
  listen
  posts 1 3 | "$SLUICE" source --from - --quiet
  wait_for 10 grep -qx STOPPING=1 heard
  [ "$(xargs <heard)" = "listening READY=1 STOPPING=1" ]
}

@test "service manager: a stage that cannot start says nothing" {
  listen
  run "$SLUICE" sink --broker kafka://127.0.0.1:1 --broker-timeout 1s
  [ "$status" -eq 69 ]
  [ "$(cat heard)" = listening ]
}

# --- Kubernetes ---

@test "kubernetes: the example is sound, and sluice takes its settings" {
  python3 - "$ROOT/deploy/kubernetes/sluice.yaml" >settings <<'END'
import sys, yaml
things = list(yaml.safe_load_all(open(sys.argv[1])))
by = {(t["kind"], t["metadata"]["name"]): t for t in things}
assert len(by) == len(things), "a name stands twice"
for t in things:
    assert t["apiVersion"] and (t["kind"] == "Namespace" or t["metadata"]["namespace"] == "sluice")
for kind, name in [("StatefulSet", "enhance"), ("StatefulSet", "sink"), ("Job", "source")]:
    spec = by[kind, name]["spec"]
    pod = spec["template"]["spec"]
    box = pod["containers"][0]
    assert pod["securityContext"]["runAsNonRoot"] and not pod["automountServiceAccountToken"]
    assert pod["terminationGracePeriodSeconds"] > 35
    assert box["securityContext"] == {"allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
    assert box["args"][0] == name and "memory" in box["resources"]["limits"]
    assert "SLUICE_INSTANCE" in [e["name"] for e in box["env"]]
    if kind == "StatefulSet":
        assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
        assert box["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert box["livenessProbe"]["httpGet"]["path"] == "/healthz"
service = by["Service", "enhance"]["spec"]
enhance = by["StatefulSet", "enhance"]["spec"]
assert service["selector"] == enhance["selector"]["matchLabels"] and service["clusterIP"] == "None"
assert enhance["serviceName"] == "enhance"
for name, value in by["ConfigMap", "settings"]["data"].items():
    assert isinstance(value, str), name
    print(f"{name}={value}")
END
  [ -s settings ]
  env $(cat settings) "$SLUICE" check --offline
}

# --- images ---

@test "images: the Dockerfiles copy every folder that the program is made of" {
  cd "$ROOT"
  for dir in lib api cli include stages/*/; do
    dir=${dir%/}
    [ "$dir" = stages/source ] || grep -qx "COPY $dir $dir" stages/source/Dockerfile || { echo "$dir"; return 1; }
  done
  for file in $(grep -oE '(deploy|scripts)/[a-z.]+\.(in|cmake)' CMakeLists.txt deploy/install.cmake | cut -d: -f2 | sort -u); do
    [ ! -e "$file" ] || grep -qE "^COPY (scripts scripts|.*$file)" stages/source/Dockerfile
  done
}

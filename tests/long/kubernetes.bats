#!/usr/bin/env bats
# The example for Kubernetes against the project's own schemas, which kubernetes-validate brings
# along from PyPI (110 MB; hence not among the usual tests).
load ../e2e/lib.bash

validate() { "$VENV/bin/kubernetes-validate" --strict --quiet "$1" >said 2>&1; }

@test "kubernetes: the example fits the schema, and one with a word misspelt does not" {
  VENV=${SLUICE_TEST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/sluice-tests}/kubernetes
  [ -x "$VENV/bin/kubernetes-validate" ] || {
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install -q --disable-pip-version-check kubernetes-validate==1.37.0
  }
  validate "$ROOT/deploy/kubernetes/sluice.yaml" || { cat said; return 1; }
  sed 's/readOnlyRootFilesystem/readonlyRootFilesystem/' "$ROOT/deploy/kubernetes/sluice.yaml" >bad.yaml
  run ! validate bad.yaml
  grep -q "readonlyRootFilesystem" said
}

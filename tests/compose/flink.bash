# Shared by the container tests with Flink: PyFlink's wheels and the connector's jar are given to the
# build, since the containers of a test machine may reach neither PyPI nor Maven.

flink_project() { # NAME FILE...
  local name=$1 services=${FLINK_SERVICES:-enhance} service
  shift
  project "$name" "$@" "$BATS_FILE_TMPDIR/given.yml"
  [ -z "${SLUICE_NO_ENGINE:-}" ] || return 0
  if ! scripts/flink.sh --install >"$TMP/install.log" 2>&1 || ! fetch_wheels >>"$TMP/install.log" 2>&1; then
    export SLUICE_NO_ENGINE="PyFlink cannot be had: $(tail -n 1 "$TMP/install.log")"
    return 0
  fi
  echo "services:" >"$TMP/given.yml"
  for service in $services; do
    printf '  %s: {build: {additional_contexts: {wheels: "%s", jars: "%s"}}}\n' \
      "$service" "$ROOT/build/tools/flink-wheels" "$ROOT/build/tools/flink-jars" >>"$TMP/given.yml"
  done
}

# async-timeout: Python 3.11.2 of Debian 12 needs it, later ones do not.
fetch_wheels() {
  local wheels=build/tools/flink-wheels
  [ -e $wheels/complete ] && return
  build/tools/flink/bin/pip wheel -q -r stages/enhance/flink/requirements.txt async-timeout wheel -w $wheels &&
    touch $wheels/complete
}

all_have_come_out() { # N: at least
  local n
  n=$(sluice tap enhanced_posts --from start | wc -l)
  [ "$n" -ge "$1" ]
}

bundled_posts_come_out_once_by_flink() {
  local n start=$SECONDS
  n=$(wc -l <stages/source/posts.jsonl)
  dc up -d
  wait_for 400 sunk_count_is "$n"
  measured "$PROJECT: up to the last bundled post" "$((SECONDS - start)) s"
  sunk | head -1
  diff <(sunk | sort -n) <(jq -r .id stages/source/posts.jsonl | sort -n)
  each_came_out_once "$n"
}

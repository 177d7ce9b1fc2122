#!/usr/bin/env bats
# TLS, logins and rights on a real broker that has them (tests/kafka/kafka.sh --secure, one for the
# whole file), and where secrets may not appear. The rights are those that docs/SECURITY.md lists.
bats_require_minimum_version 1.5.0
load lib.bash
load llm.bash

setup_file() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || return 0
  "$BATS_TEST_DIRNAME/../kafka/kafka.sh" start --secure --with $$ 3>&- >"$BATS_FILE_TMPDIR/kafka"
  while IFS='=' read -r name value; do export "SECURE_$name=$value"; done <"$BATS_FILE_TMPDIR/kafka"
}

teardown_file() {
  [ -z "${SECURE_KAFKA_DIR:-}" ] || "$BATS_TEST_DIRNAME/../kafka/kafka.sh" stop "$SECURE_KAFKA_DIR"
}

secure_setup() {
  [ -n "${SECURE_KAFKA_DIR:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  TLS=$SECURE_KAFKA_DIR/tls
  ADMIN=kafka://$SECURE_KAFKA_BOOTSTRAP_SERVERS
  export SLUICE_BROKER_TIMEOUT=8s
}

# The right settings for the port that wants certificates; flags given behind win.
by_certificate() {
  SLUICE_TLS_KEY_PASSWORD=${PASSWORD-key-pass} "$SLUICE" "$1" --broker "kafka://$SECURE_KAFKA_TLS" \
    --tls --tls-ca "$TLS/ca.pem" --tls-cert "$TLS/client.pem" --tls-key "$TLS/client.key" "${@:2}"
}

# as USER COMMAND...: logged in by PLAIN over TLS.
as() {
  SLUICE_SASL_PASSWORD=${PASSWORD:-$1-pass} "$SLUICE" "$2" --broker "kafka://$SECURE_KAFKA_SASL_TLS" \
    --tls --tls-ca "$TLS/ca.pem" --sasl-mechanism PLAIN --sasl-username "$1" "${@:3}"
}

# fails CODE WORDS COMMAND...: ends with the code, and says the words.
fails() {
  local code=$1 words=$2 rc=0
  "${@:3}" >out 2>err || rc=$?
  echo "exit $rc: $(cat err)"
  [ "$rc" -eq "$code" ]
  grep -qF -- "$words" err
}

acl() {
  "$BATS_TEST_DIRNAME/../kafka/kafka.sh" acl "$SECURE_KAFKA_DIR" "$@" >/dev/null
}

@test "security: what is wrong with TLS is said in words, with the option to mend it" {
  secure_setup
  fails 78 "--tls-ca" by_certificate check --tls-ca "$TLS/wrong-ca.pem"
  fails 78 "--tls-ca" by_certificate check --tls-ca "$TLS/none.pem"
  PASSWORD= fails 78 "SLUICE_TLS_KEY_PASSWORD" by_certificate check
  PASSWORD=wrong fails 78 "SLUICE_TLS_KEY_PASSWORD" by_certificate check
  SLUICE_BROKER_TIMEOUT=2s fails 69 "--tls" "$SLUICE" check --broker "kafka://$SECURE_KAFKA_TLS"
  fails 77 "--tls-cert" "$SLUICE" check --broker "kafka://$SECURE_KAFKA_TLS" --tls --tls-ca "$TLS/ca.pem"
}

@test "security: what is wrong with a login is said in words" {
  secure_setup
  PASSWORD=wrong fails 77 "password" as source check
  SLUICE_BROKER_TIMEOUT=2s fails 69 "--sasl-mechanism" "$SLUICE" check --broker "kafka://$SECURE_KAFKA_SASL"
  SLUICE_SASL_PASSWORD=source-pass fails 78 "--sasl-plaintext-allowed" "$SLUICE" check \
    --broker "kafka://$SECURE_KAFKA_SASL" --sasl-mechanism PLAIN --sasl-username source
  fails 77 "raw_posts" as nobody check
}

@test "security: SCRAM logs in, or the error names the librdkafka that cannot" {
  secure_setup
  for mechanism in SCRAM-SHA-256 SCRAM-SHA-512; do
    rc=0
    SLUICE_SASL_PASSWORD=source-pass "$SLUICE" topics --broker "kafka://$SECURE_KAFKA_SASL_TLS" --tls \
      --tls-ca "$TLS/ca.pem" --sasl-mechanism $mechanism --sasl-username source 2>err || rc=$?
    if "$SLUICE" version | grep -qE 'librdkafka (2\.[0-5]\.|2\.6\.0)'; then
      [ $rc -eq 77 ]
      grep -q 'librdkafka 2.6.1 or newer' err
    else
      [ $rc -eq 0 ]
    fi
  done
}

@test "security: posts flow over TLS with certificates both ways" {
  secure_setup
  for topic in raw_tls enhanced_tls dead_tls; do
    acl --add --allow-principal User:CN=client --operation All --topic $topic
  done
  acl --add --allow-principal User:CN=client --operation Read --group '*'
  acl --add --allow-principal User:CN=client --operation Write --transactional-id '*'
  posts 1 500 >posts
  by_certificate run --from posts --raw-topic raw_tls --enhanced-topic enhanced_tls \
    --dead-topic dead_tls --group enhance-tls --sink-group sink-tls >out
  sed -n 's/^\[SINK\] Received Post ID=//p' out >ids
  exactly_once ids 500
}

@test "security: each stage runs with the rights that docs/SECURITY.md lists, and no others" {
  secure_setup
  "$SLUICE" topics make --broker "$ADMIN" --partitions 2
  posts 1 300 >posts
  fails 77 "raw_posts" as source source --from posts
  fails 77 "ACL" as enhance enhance --drain
  fails 77 "ACL" as sink sink --drain
  grep '^    kafka-acls.sh ' "$ROOT/docs/SECURITY.md" | sed 's/^ *kafka-acls.sh //' >rights
  [ "$(wc -l <rights)" -ge 8 ]
  # shellcheck disable=SC2086 # a line is the words of a command
  while read -r words; do acl $words; done <rights
  as source source --from posts --quiet
  as enhance enhance --drain
  as sink sink --drain >out
  sed -n 's/^\[SINK\] Received Post ID=//p' out >ids
  exactly_once ids 300
  fails 77 "enhanced_posts" as source sink --drain
}

@test "security: a right that is taken away while enhance runs ends it with 77, and nothing is lost" {
  secure_setup
  export SLUICE_RAW_TOPIC=raw_away SLUICE_ENHANCED_TOPIC=enhanced_away SLUICE_DEAD_TOPIC=dead_away
  "$SLUICE" topics make --broker "$ADMIN" --partitions 1 >/dev/null
  for topic in raw_away enhanced_away dead_away; do
    acl --add --allow-principal User:enhance --operation All --topic $topic
  done
  acl --add --allow-principal User:enhance --operation Read --group away
  acl --add --allow-principal User:enhance --operation Write --transactional-id '*'
  start as enhance enhance --group away 2>log
  pid=$!
  wait_for 20 grep -q assigned log
  acl --remove --force --allow-principal User:enhance --operation All --topic enhanced_away
  posts 1 100 | "$SLUICE" source --broker "$ADMIN" --from - --quiet
  rc=0
  wait $pid || rc=$?
  echo "exit $rc: $(tail -1 log)"
  [ "$rc" -eq 77 ]
  acl --add --allow-principal User:enhance --operation All --topic enhanced_away
  as enhance enhance --drain --group away
  "$SLUICE" tap enhanced_away --broker "$ADMIN" --from start | ids >out
  exactly_once out 100
}

# While enhance runs, and while it drains after SIGTERM: with answers on their way in both cases.
@test "security: a right to the answers that is taken away ends enhance at once, not when a drain would" {
  secure_setup
  export SLUICE_RAW_TOPIC=raw_paid SLUICE_ENHANCED_TOPIC=enhanced_paid SLUICE_DEAD_TOPIC=dead_paid SLUICE_ANSWERS_TOPIC=answers_paid
  "$SLUICE" topics make --broker "$ADMIN" --partitions 1 >/dev/null
  llm --delay 10
  echo '{"id":0,"text":"first"}' | "$SLUICE" source --broker "$ADMIN" --from - --quiet
  "$SLUICE" enhance --broker "$ADMIN" --group other --on-missing-position earliest --drain --enricher openai --llm-url "$LLM" # makes the topic
  acl --add --allow-principal User:enhance --operation All --topic raw_paid --topic enhanced_paid --topic dead_paid
  acl --add --allow-principal User:enhance --operation Read --group paid
  acl --add --allow-principal User:enhance --operation Write --transactional-id '*'
  posts 1 40 | "$SLUICE" source --broker "$ADMIN" --from - --quiet
  for when in running draining; do
    script '{"delay_ms":3000}'
    acl --add --allow-principal User:enhance --operation All --topic answers_paid
    before=$(stat_of calls)
    start as enhance enhance --group paid --on-missing-position earliest --enricher openai --llm-url "$LLM" --drain-timeout 60s 2>log.$when
    pid=$!
    asking() { [ "$(stat_of calls)" -gt "$before" ]; }
    wait_for 30 asking
    program=$(pgrep -P $pid || echo $pid)
    [ $when = running ] || kill -TERM "$program"
    acl --remove --force --allow-principal User:enhance --operation All --topic answers_paid
    at=$SECONDS rc=0
    wait $pid || rc=$?
    echo "$when: exit $rc after $((SECONDS - at)) s: $(tail -1 log.$when)"
    [ "$rc" -eq 77 ]
    [ $((SECONDS - at)) -lt 30 ]
    grep -q answers_paid log.$when
  done
  script '{"delay_ms":1}'
  acl --add --allow-principal User:enhance --operation All --topic answers_paid
  as enhance enhance --drain --group paid --on-missing-position earliest --enricher openai --llm-url "$LLM"
  "$SLUICE" tap enhanced_paid --broker "$ADMIN" --from start | jq 'select(.id > 0)' | ids >out
  exactly_once out 40
}

@test "security: a limit that may not be read stops by name instead of sending again for ever" {
  secure_setup
  export SLUICE_RAW_TOPIC=raw_low SLUICE_ENHANCED_TOPIC=enhanced_low SLUICE_DEAD_TOPIC=dead_low
  "$SLUICE" topics make --broker "$ADMIN" --partitions 1 >/dev/null
  "$(dirname "$SLUICE")/kafka_admin" "$SECURE_KAFKA_BOOTSTRAP_SERVERS" set enhanced_low max.message.bytes 5000
  acl --add --allow-principal User:enhance --operation Read --topic raw_low
  acl --add --allow-principal User:enhance --operation Write --topic enhanced_low --topic dead_low
  acl --add --allow-principal User:enhance --operation Read --group low
  acl --add --allow-principal User:enhance --operation Write --transactional-id '*'
  { posts 1 3; printf '{"id":4,"text":"%08000d"}\n' 0; posts 5 6; } >posts
  "$SLUICE" source --broker "$ADMIN" --from posts --quiet
  fails 78 "DESCRIBE_CONFIGS" as enhance enhance --drain --group low
  acl --add --allow-principal User:enhance --operation DescribeConfigs --topic enhanced_low --topic dead_low
  # What the aborted tries left behind looks like outputs until it is read.
  fails 77 "holds outputs already" as enhance enhance --drain --group low
  acl --add --allow-principal User:enhance --operation Read --topic enhanced_low
  as enhance enhance --drain --group low
  "$SLUICE" tap enhanced_low --broker "$ADMIN" --from start | ids | cmp - <(printf '%s\n' 1 2 3 5 6)
  "$SLUICE" tap dead_low --broker "$ADMIN" --from start --json | grep -q output_too_large
}

@test "security: the Kafka password is in no argument, log, metric or printed configuration" {
  secure_setup
  posts 1 50 >posts
  for topic in raw_secret enhanced_secret dead_secret; do
    acl --add --allow-principal User:source --operation All --topic $topic
  done
  acl --add --allow-principal User:source --operation Read --group '*'
  acl --add --allow-principal User:source --operation Write --transactional-id '*'
  export SLUICE_RAW_TOPIC=raw_secret SLUICE_ENHANCED_TOPIC=enhanced_secret SLUICE_DEAD_TOPIC=dead_secret
  as source source --from posts --log-level trace -X debug=security,broker >>seen 2>&1
  as source config >>seen 2>&1
  as source config --json >>seen 2>&1
  PASSWORD=source-pass-wrong fails 77 password as source check
  cat out err >>seen
  start as source enhance --group enhance-secret --http 127.0.0.1:0 --log-level trace >>seen 2>&1
  wait_for 20 grep -q 'metrics and health' seen
  port=$(sed -n 's/.*metrics and health on [^ ]*, port \([0-9]*\).*/\1/p' seen | tail -1)
  curl -fsS "http://127.0.0.1:$port/metrics" >>seen
  pid=$(pgrep -f 'enhance .*enhance-secret')
  tr '\0' ' ' <"/proc/$pid/cmdline" >>seen
  [ "$(cat "/proc/$pid/coredump_filter")" = 00000000 ]
  kill "$pid"
  [ "$(wc -l <seen)" -gt 100 ]
  run ! grep -q 'source-pass' seen
}

@test "security: the program is built hardened" {
  readelf -hW "$SLUICE" | grep -q 'Type: *DYN'
  readelf -lW "$SLUICE" | grep -q GNU_RELRO
  readelf -lW "$SLUICE" | grep GNU_STACK | grep -qv RWE
  readelf -dW "$SLUICE" | grep -qE 'BIND_NOW|FLAGS_1.*NOW'
  readelf -sW "$SLUICE" | grep -q __stack_chk_fail
  if readelf -sW "$SLUICE" | grep -qE '__asan_init|__gcov_'; then skip "a build to look into, without optimization or with checks of its own"; fi
  readelf -sW "$SLUICE" | grep -qE '__(memcpy|snprintf|vsnprintf|fread)_chk'
}

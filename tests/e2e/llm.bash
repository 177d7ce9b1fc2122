# For tests with the scripted LLM server, and with the topic of answers on Kafka; loaded after
# lib.bash.

# llm [FLAG...]: starts the server; $LLM is its base URL.
llm() {
  start "$(dirname "$SLUICE")/llm_server" --port-file port "$@" >llm.log
  wait_for 10 test -s port
  LLM=http://127.0.0.1:$(cat port)/v1
}

# stat_of MEMBER: what the server has counted.
stat_of() {
  curl -s "${LLM%/v1}/stats" | jq -r ".$1"
}

# script JSON: changes what the server does.
script() {
  curl -s -X POST "${LLM%/v1}/script" -d "$1" >script.log
}

# metric PORT NAME: the sum of its samples; 0 when it is not there.
metric() {
  curl -s "http://127.0.0.1:$1/metrics" | awk -v n="$2" '$0 !~ /^#/ && $1 ~ "^" n "(\\{|$)" { s += $2 } END { print s + 0 }'
}

# texts N D: N posts with D different texts, the same ones far apart.
texts() {
  awk -v n="$1" -v d="$2" 'BEGIN { for (i = 1; i <= n; i++) printf "{\"id\":%d,\"text\":\"text %d\"}\n", i, i % d }'
}

# --- Kafka ---

kafka_setup() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=a$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_ANSWERS_TOPIC=answers_$T SLUICE_GROUP=enhance_$T SLUICE_SESSION_TIMEOUT=6s
}

# again N: the next runs see all posts anew, as a group of their own with outputs of their own.
again() {
  export SLUICE_GROUP=enhance_${T}_$1 SLUICE_ENHANCED_TOPIC=enhanced_${T}_$1
}

records() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ANSWERS_TOPIC" -o beginning -e -q -f "${1:-%k\n}"
}

committed() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ENHANCED_TOPIC" -o beginning -e -q -X isolation.level=read_committed
}

# drained N: the same after a drain, which has ended when its last commit was acknowledged: that one
# is visible a moment later, when the coordinator has written its markers into the log.
drained() {
  local tries
  for tries in $(seq 100); do
    committed >drained.out
    [ "$(wc -l <drained.out)" -ge "$1" ] && break
    sleep 0.1
  done
  cat drained.out
}

# --- TLS ---

# front NAME [OPTION...]: nghttpx with the certificate NAME.pem before the server of `llm`: it
# speaks TLS, and HTTP/2 where the client does. $FRONT is its base URL, at $FRONT_PORT; a line for each request is in
# NAME.log: protocol, client's port.
front() {
  local name=$1 port tries
  shift
  for tries in 1 2 3; do
    port=$(free_port)
    rm -f "$name.log"
    start nghttpx --conf=/dev/null --single-thread --workers=1 --no-ocsp -L ERROR "--frontend=127.0.0.1,$port" \
      "--backend=127.0.0.1,$(cat port)" --accesslog-format='$alpn $remote_port' "--accesslog-file=$PWD/$name.log" \
      "$@" "$name.plain" "$name.pem" >"$name.out" 2>&1
    serves() { ! kill -0 "${PIDS[-1]}" || curl -sko stats.log "https://127.0.0.1:$port/stats"; }
    wait_for 10 serves
    kill -0 "${PIDS[-1]}" && break # else the port was taken by another test
    ((tries < 3))
  done
  FRONT_PORT=$port FRONT=https://127.0.0.1:$port/v1
  wait_for 10 test -s "$name.log"
  : >"$name.log"
}

# front_again NAME: one more at the last one's port, which has ended or takes no more connections.
front_again() {
  start nghttpx --conf=/dev/null --single-thread --workers=1 --no-ocsp -L ERROR "--frontend=127.0.0.1,$FRONT_PORT" \
    "--backend=127.0.0.1,$(cat port)" --accesslog-format='$alpn $remote_port' "--accesslog-file=$PWD/again.log" \
    "$1.plain" "$1.pem" >again.out 2>&1
}

# asked_by NAME PROTOCOL N: N requests and no others came to the front, all by this protocol.
asked_by() {
  all_logged() { [ "$(wc -l <"$1.log")" -ge "$2" ]; }
  wait_for 10 all_logged "$1" "$3"
  sort "$1.log" | cut -d' ' -f1 | uniq -c | tee protocols
  [ "$(tr -s ' ' <protocols)" = " $3 $2" ]
}

# connections NAME: how many the front has seen in its requests.
connections() {
  cut -d' ' -f2 "$1.log" | sort -u | wc -l
}

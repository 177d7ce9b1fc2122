#!/usr/bin/env bats
# Endpoints over https: a real TLS and HTTP/2 server (nghttpx) before the scripted one, with
# certificates made here.
load lib.bash
load llm.bash

ask() {
  "$SLUICE" "$1" --enricher openai --llm-ca ca.pem "${@:2}"
}

tls_setup() {
  # shellcheck source=tests/support/network.sh
  . "$ROOT/tests/support/network.sh"
  make_ca ca 2>ca.log
  make_certificate ca server IP:127.0.0.1,DNS:localhost 2>server.log
}

@test "https: thousands of posts over HTTP/1.1, a connection for each call in flight and no more" {
  tls_setup
  llm --delay 10
  front server --npn-list=http/1.1
  posts 1 2000 | ask enrich --llm-url "$FRONT" --llm-concurrency 80 --llm-concurrency-min 80 | ids | cmp - <(seq 1 2000)
  asked_by server http/1.1 2000
  connections server
  [ "$(connections server)" -le 80 ]
  [ "$(stat_of in_flight_max)" -gt 40 ]
}

@test "https: HTTP/2 is taken where it is offered, and 80 calls in flight share one connection" {
  tls_setup
  llm --delay 10
  front server
  posts 1 2000 | ask enrich --llm-url "$FRONT" --llm-concurrency 80 --llm-concurrency-min 80 | ids | cmp - <(seq 1 2000)
  asked_by server h2 2000
  [ "$(connections server)" -eq 1 ]
  [ "$(stat_of in_flight_max)" -gt 40 ]
}

@test "https: more calls than a connection takes open a few more, not one for each call" {
  tls_setup
  llm --delay 100
  front server --frontend-http2-max-concurrent-streams=100
  posts 1 3000 | ask enrich --llm-url "$FRONT" --llm-concurrency 480 --llm-concurrency-min 480 | ids | cmp - <(seq 1 3000)
  asked_by server h2 3000
  connections server
  [ "$(connections server)" -ge 5 ]
  [ "$(connections server)" -le $((2 * (480 / 16 + 16))) ] # as many at a time, some are opened anew
  [ "$(stat_of in_flight_max)" -gt 300 ]
}

@test "https: a server that takes few calls on a connection is asked on more of them" {
  tls_setup
  llm --delay 20
  front server --frontend-http2-max-concurrent-streams=4
  posts 1 500 >posts.jsonl
  start "$SLUICE" enrich --enricher openai --llm-ca ca.pem --llm-url "$FRONT" --llm-concurrency 32 --llm-concurrency-min 32 posts.jsonl >out.jsonl
  pid=$! most=0
  while kill -0 $pid 2>/dev/null; do
    now=$(find /proc/$pid/fd -lname 'socket:*' 2>/dev/null | wc -l) || true
    [ "$now" -le $most ] || most=$now
  done
  wait $pid
  ids <out.jsonl | cmp - <(seq 1 500)
  asked_by server h2 500
  echo "$most sockets at a time, $(connections server) connections in all"
  [ "$(connections server)" -ge 4 ]
  [ "$most" -le $((32 / 16 + 16 + 2)) ] # and the pair by which libcurl wakes itself
}

@test "https: a server that is replaced in order, with a GOAWAY, answers each question once" {
  tls_setup
  llm --delay 50
  front server
  posts 1 1500 >posts.jsonl
  start ask enrich --llm-url "$FRONT" --llm-concurrency 40 --llm-concurrency-min 40 posts.jsonl >out.jsonl 2>err.log
  pid=$!
  old=${PIDS[-2]}
  for more in 300 300; do
    before=$(stat_of ok)
    going() { [ "$(stat_of ok)" -ge $((before + more)) ]; }
    wait_for 20 going
    kill -QUIT "$old"
    front_again server
    old=$!
  done
  wait $pid
  ids <out.jsonl | cmp - <(seq 1 1500)
  echo "calls $(stat_of calls), answered twice $(stat_of repeated_ok)"; cat err.log
  [ "$(stat_of calls)" -eq 1500 ]
  [ "$(grep -c ^h2 again.log)" -gt 300 ]
}

@test "https: two endpoints of one process, one with HTTP/2 and one without" {
  tls_setup
  llm --delay 5
  front server
  two=$FRONT
  cp server.pem old.pem
  cp server.plain old.plain
  front old --npn-list=http/1.1
  cat >chain.yaml <<YAML
enrichers:
  - {name: new, kind: openai, llm-url: "$two"}
  - {name: old, kind: openai, llm-url: "$FRONT", llm-model: other}
YAML
  posts 1 300 | "$SLUICE" enrich --config chain.yaml --llm-ca ca.pem | jq -c '.enrichment | keys' | sort | uniq -c | grep -q '^ *300 \["new","old"\]$'
  asked_by server h2 300
  asked_by old http/1.1 300
}

# refused WORDS [FLAG...]: check says the words, enhance says them and waits, and no byte of a
# question, least of all in plain text, has reached the server.
refused() {
  local words=$1
  shift
  run -69 "$SLUICE" check --enricher openai "$@"
  echo "$output"
  grep -q "TLS: .*$words" <<<"$output"
  rm -f sluice.db*
  posts 1 3 | "$SLUICE" source --from - --quiet
  start "$SLUICE" enhance --drain --enricher openai "$@" 2>enhance.err
  local pid=$!
  wait_for 20 grep -q "TLS: .*$words.*posts wait" enhance.err
  kill -0 $pid
  kill -TERM $pid
  wait $pid
  [ "$(grep -c "posts wait" enhance.err)" -eq 1 ]
  [ "$(values enhanced_posts | wc -l)" -eq 0 ]
  [ "$(values dead_posts | wc -l)" -eq 0 ]
  [ "$(stat_of calls)" -eq 0 ]
}

@test "https: a certificate that nobody vouches for, for another name, or expired is refused in words" {
  tls_setup
  llm
  front server
  refused "not trusted" --llm-url "$FRONT"
  make_ca stranger 2>ca.log
  refused "not trusted" --llm-url "$FRONT" --llm-ca stranger.pem
  make_certificate ca elsewhere DNS:elsewhere.example 2>server.log
  front elsewhere
  refused "another host name" --llm-url "$FRONT" --llm-ca ca.pem
  make_certificate ca old IP:127.0.0.1 -days -1 2>server.log
  front old
  refused "has expired" --llm-url "$FRONT" --llm-ca ca.pem
  refused "really https" --llm-url "${LLM/http:/https:}" --llm-connect-timeout 500ms
}

@test "https: posts that waited for a good certificate go on when there is one" {
  tls_setup
  make_certificate ca old IP:127.0.0.1 -days -1 2>old.log
  llm
  front old
  posts 1 5 | "$SLUICE" source --from - --quiet
  start ask enhance --drain --llm-url "$FRONT" 2>enhance.err
  pid=$!
  wait_for 20 grep -q "has expired" enhance.err
  kill -TERM "${PIDS[-2]}"
  wait "${PIDS[-2]}" || true
  front_again server
  wait $pid
  grep -q "answers again" enhance.err
  values enhanced_posts | ids >out
  exactly_once out 5
}

@test "https: a file of certificates that cannot be read is a setting that stops at once" {
  tls_setup
  llm
  front server
  posts 1 1 >posts.jsonl
  run -78 "$SLUICE" check --enricher openai --llm-url "$FRONT" --llm-ca none.pem
  grep -q -- "--llm-ca" <<<"$output"
  run -78 "$SLUICE" enrich --enricher openai --llm-url "$FRONT" --llm-ca none.pem posts.jsonl
  grep -q -- "--llm-ca" <<<"$output"
}

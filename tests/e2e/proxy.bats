#!/usr/bin/env bats
# Calls through a proxy: only when an option says so. The scripted server plays the proxy for plain
# HTTP, tests/support/connect_proxy.py for https.
load lib.bash
load llm.bash

# every_proxy URL: in each variable that libcurl would look at.
every_proxy() {
  export http_proxy=$1 https_proxy=$1 HTTPS_PROXY=$1 all_proxy=$1 ALL_PROXY=$1
  unset no_proxy NO_PROXY
}

@test "proxy: none from the environment is used, neither for names nor for metadata addresses" {
  llm
  every_proxy "${LLM%/v1}"
  posts 1 2 >posts.jsonl
  for url in http://llm.example.invalid/v1 https://llm.example.invalid/v1; do
    run -69 "$SLUICE" check --enricher openai --llm-url $url
    grep -q DNS <<<"$output"
  done
  run -78 "$SLUICE" enrich --enricher openai --llm-url http://169.254.169.254/v1 posts.jsonl
  grep -q allow-link-local <<<"$output"
  run -78 "$SLUICE" enrich --enricher http --http-url 'http://169.254.169.254/lookup/{{id}}' posts.jsonl
  unset http_proxy https_proxy HTTPS_PROXY all_proxy ALL_PROXY
  [ "$(stat_of calls)" -eq 0 ]
  [ "$(stat_of connections)" -eq 2 ] # the look above, and this one
  # Who does look at the environment would have been answered.
  http_proxy=${LLM%/v1} curl -sf http://llm.example.invalid/v1/models >models.log
}

@test "proxy: the one of the option is asked, with its own login, and calls to this machine are not sent through it" {
  llm
  posts 1 20 >posts.jsonl
  "$SLUICE" enrich --enricher openai --llm-url http://llm.example.invalid/v1 --llm-proxy "${LLM%/v1}" posts.jsonl | ids | cmp - <(seq 1 20)
  [ "$(stat_of calls)" -eq 20 ]
  curl -s "${LLM%/v1}/last" >last.log
  grep -q '^POST http://llm.example.invalid/v1/chat/completions' last.log
  run ! grep -qi proxy-authorization last.log
  export SLUICE_LLM_PROXY_LOGIN=me:canary-7735
  "$SLUICE" enrich --enricher http --http-url 'http://geo.example.invalid/lookup/{{id}}' --llm-proxy "${LLM%/v1}" posts.jsonl --log-level trace >out.log 2>err.log
  "$SLUICE" config >config.log
  curl -s "${LLM%/v1}/last" | grep -qi "^proxy-authorization: Basic $(printf me:canary-7735 | base64)"
  run ! grep -rl canary-7735 .
  # A proxy that nobody listens at: what goes there fails, what is here does not.
  "$SLUICE" enrich --enricher http --http-url "${LLM%/v1}/lookup/{{id}}" --llm-proxy http://127.0.0.1:1 posts.jsonl | ids | cmp - <(seq 1 20)
  run -69 "$SLUICE" check --enricher openai --llm-url http://llm.example.invalid/v1 --llm-proxy http://127.0.0.1:1
  grep -q "nothing accepts a connection" <<<"$output"
}

@test "proxy: it is not asked for metadata addresses, also not on a connection that is there" {
  llm
  posts 1 2 >posts.jsonl
  for host in 169.254.169.254 2852039166 0xa9fea9fe '[fd00:ec2::254]' '[::ffff:169.254.169.254]'; do
    for scheme in http https; do
      run -78 "$SLUICE" enrich --enricher http --http-url "$scheme://$host/lookup/{{id}}" --llm-proxy "${LLM%/v1}" posts.jsonl
      grep -q allow-link-local <<<"$output"
    done
  done
  [ "$(stat_of connections)" -eq 1 ]
  # The second post names such a host, over the connection of the first.
  printf '%s\n' '{"id":1,"text":"a","host":"geo.example"}' '{"id":2,"text":"b","host":"169.254.169.254"}' >posts.jsonl
  run -78 "$SLUICE" enrich --enricher http --http-url 'http://{{host}}/lookup/{{id}}' --llm-proxy "${LLM%/v1}" --llm-concurrency 1 posts.jsonl
  grep -q allow-link-local <<<"$output"
  [ "$(stat_of calls)" -eq 1 ]
  "$SLUICE" enrich --enricher http --http-url 'http://169.254.169.254/lookup/{{id}}' --llm-proxy "${LLM%/v1}" --allow-link-local posts.jsonl
  [ "$(stat_of calls)" -eq 3 ]
}

@test "proxy: https goes through it by CONNECT, HTTP/2 and certificates as without; a refused login is named" {
  # shellcheck source=tests/support/network.sh
  . "$ROOT/tests/support/network.sh"
  make_ca ca 2>ca.log
  make_certificate ca server DNS:llm.example.invalid 2>server.log
  llm --delay 5
  front server
  start "$ROOT/tests/support/connect_proxy.py" proxy_port proxy.log "$FRONT_PORT" me:secret-pass 2>proxy.err
  wait_for 10 test -s proxy_port
  to=(--enricher openai --llm-url https://llm.example.invalid/v1 --llm-ca ca.pem --llm-proxy "http://127.0.0.1:$(cat proxy_port)")
  posts 1 200 >posts.jsonl
  SLUICE_LLM_PROXY_LOGIN=me:secret-pass "$SLUICE" enrich "${to[@]}" posts.jsonl | ids | cmp - <(seq 1 200)
  asked_by server h2 200
  grep -vx 'CONNECT llm.example.invalid:443 HTTP/1.1 me:secret-pass' proxy.log | grep -c . | grep -qx 0
  run -69 "$SLUICE" check "${to[@]}"
  grep -q "the proxy (--llm-proxy) makes no connection there.*407" <<<"$output"
  run -78 "$SLUICE" check "${to[@]}" --llm-proxy http://me:secret-pass@127.0.0.1:1
  grep -q SLUICE_LLM_PROXY_LOGIN <<<"$output"
  run ! grep -q secret-pass <<<"$output"
  run -78 "$SLUICE" check "${to[@]}" --llm-proxy ftp://127.0.0.1:1
}

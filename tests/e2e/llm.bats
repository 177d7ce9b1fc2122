#!/usr/bin/env bats
# The engine of paid answers with the real binary, a real HTTP server with scripted faults, and the
# embedded broker.
load lib.bash
load llm.bash

enrich() {
  "$SLUICE" enrich --enricher openai --llm-url "$LLM" "$@"
}

@test "answers come in order, a second run asks nothing" {
  llm --delay 20
  posts 1 300 | enrich >first.jsonl
  [ "$(stat_of calls)" -eq 300 ]
  ids <first.jsonl | cmp - <(seq 1 300)
  posts 1 300 | enrich >second.jsonl
  cmp first.jsonl second.jsonl
  [ "$(stat_of calls)" -eq 300 ]
}

@test "the same question is asked once, in flight and with two workers" {
  llm --delay 50
  for i in $(seq 1 400); do echo "{\"id\":$i,\"text\":\"text $((i % 40))\"}"; done >posts.jsonl
  "$SLUICE" source --from posts.jsonl --quiet --partitions 4
  "$SLUICE" enhance --drain --workers 2 --enricher openai --llm-url "$LLM"
  [ "$(values enhanced_posts | wc -l)" -eq 400 ]
  [ "$(stat_of calls)" -eq 40 ]
  [ "$(stat_of repeated)" -eq 0 ]
}

@test "SIGTERM begins no new call, waits for those in flight, and the next run asks for the rest" {
  llm --delay 500
  posts 1 2000 | "$SLUICE" source --from - --quiet --partitions 2
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 50 2>log
  pid=$!
  asking() { [ "$(stat_of calls)" -ge 60 ]; }
  wait_for 20 asking
  kill -TERM $pid
  at_term=$(stat_of calls)
  wait $pid
  echo "calls at SIGTERM $at_term, at the end $(stat_of calls)"
  [ "$(stat_of calls)" -le $((at_term + 50)) ] # those that began before the signal was seen
  [ "$(stat_of aborted)" -eq 0 ]
  script '{"delay_ms":1}'
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" 2>>log
  [ "$(stat_of calls)" -eq 2000 ] # none twice
  values enhanced_posts | ids >out
  exactly_once out 2000
}

@test "posts wait in the topic, not in memory, and partitions take turns" {
  llm --delay 50
  posts 1 8000 | "$SLUICE" source --from - --quiet --partitions 4
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 32 --llm-concurrency-min 32 --http 127.0.0.1:0 2>log
  wait_for 10 grep -q 'port ' log
  http=$(sed -n "s|.*, port \([0-9]*\).*|\1|p" log | head -1)
  asking() { [ "$(stat_of calls)" -ge 800 ]; }
  wait_for 20 asking
  held=$(metric "$http" sluice_in_flight)
  kill -TERM "${PIDS[-1]}"
  wait "${PIDS[-1]}"
  "$SLUICE" tap enhanced_posts --from start --json | jq -r .partition | sort | uniq -c | tee shares
  echo "held $held of 8000"
  [ "$held" -ge 32 ]
  [ "$held" -le 400 ] # 32 in flight, 64 that wait, and answered ones until the next commit
  [ "$(wc -l <shares)" -eq 4 ]
  awk '{ if ($1 < 150) bad = 1 } END { exit bad }' shares
}

@test "headers say what each record caused, and their sum is what was spent" {
  llm --delay 5
  for i in $(seq 1 60); do echo "{\"id\":$i,\"text\":\"text $((i % 20))\"}"; done >posts.jsonl
  "$SLUICE" source --from posts.jsonl --quiet
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-price gpt-4o-mini=1000/2000
  "$SLUICE" tap enhanced_posts --from start --json | jq -r '.headers[] | select(.[0] == "sluice-tokens") | .[1]' >tokens
  [ "$(wc -l <tokens)" -eq 60 ]
  [ "$(grep -cx 0/0 tokens)" -eq 40 ]
  sum=$(awk -F/ '{ s += $1 + $2 } END { print s }' tokens)
  [ "$sum" -eq "$(stat_of tokens)" ]
}

@test "429 with Retry-After, 5xx and broken replies are asked again until each post has its answer" {
  llm --delay 5 --error-rate 0.2 --error-status 500 --mode reset_mid_body --mode-rate 0.1
  posts 1 100 >posts.jsonl
  enrich --llm-attempts 20 <posts.jsonl >out.jsonl
  [ "$(wc -l <out.jsonl)" -eq 100 ]
  script '{"mode":"ok","error_rate":0.3,"error_status":429,"retry_after_s":0.2}'
  posts 101 150 | enrich >out2.jsonl
  [ "$(wc -l <out2.jsonl)" -eq 50 ]
}

@test "an answer that does not fit is repaired once, then refused and remembered" {
  llm --delay 2 --mode wrong_type
  posts 1 5 | { run ! enrich 2>err.log; }
  [ "$(stat_of calls)" -eq 10 ]
  posts 1 5 >posts.jsonl
  run -1 --separate-stderr enrich posts.jsonl
  [ "$(grep -c llm_schema <<<"$stderr")" -eq 5 ]
  [ "$(stat_of calls)" -eq 10 ]
}

@test "hostile answers never change a post: each comes out valid, or not at all" {
  llm --delay 2
  posts 1 20 >posts.jsonl
  for mode in injected quotes duplicate bad_utf8 not_json truncated fenced empty_content odd_envelope garbage half huge; do
    script "{\"mode\":\"$mode\"}"
    "$SLUICE" enrich --no-answers --enricher openai --llm-url "$LLM" --llm-attempts 1 --llm-deadline 1s --dead dead.jsonl <posts.jsonl >out.jsonl || [ $? -eq 1 ]
    [ $(($(wc -l <out.jsonl) + $(wc -l <dead.jsonl))) -eq 20 ] || { echo "$mode"; return 1; }
    jq -e -c '[keys_unsorted == ["id","text","enrichment"], (.enrichment | keys - ["topics","sentiment","language"] == [])] | all' out.jsonl >ok.log
    run ! grep -q false ok.log
  done
}

@test "a wrong key, a wrong model and a redirect stop at once, in words" {
  llm --api-key right --models other
  run -77 "$SLUICE" check --enricher openai --llm-url "$LLM"
  grep -q "is the key right" <<<"$output"
  run -77 "$SLUICE" check --enricher http --http-url "${LLM%/v1}/lookup/{{id}}"
  grep -q "SLUICE_HTTP_HEADER_FILE" <<<"$output"
  run ! grep -Eq "LLM_KEY|model" <<<"$output"
  export SLUICE_LLM_KEY=right
  run -78 "$SLUICE" check --enricher openai --llm-url "$LLM"
  grep -q "llm-model right" <<<"$output"
  run -0 "$SLUICE" check --enricher openai --llm-url "$LLM" --llm-model other
  script '{"mode":"redirect"}'
  run -78 "$SLUICE" check --enricher openai --llm-url "$LLM" --llm-model other
  grep -q "redirects are not followed" <<<"$output"
  run -69 "$SLUICE" check --enricher openai --llm-url http://127.0.0.1:1/v1
  run -78 "$SLUICE" check --enricher openai --llm-url http://169.254.169.254/v1
  grep -q "link-local" <<<"$output"
}

@test "the key stands in no output, log, metric, file or command line" {
  canary=canary-$$-$RANDOM # whoever runs this test beside us has another one
  llm --delay 200 --api-key $canary
  export SLUICE_LLM_KEY=$canary
  trace=(--enricher openai --llm-url "$LLM" --log-level trace)
  "$SLUICE" config >config.log
  "$SLUICE" config --json >config.json || true
  posts 1 30 | "$SLUICE" source --from - --quiet --log-level trace 2>source.log
  start "$SLUICE" enhance "${trace[@]}" --http 127.0.0.1:9467 --record tape.jsonl 2>enhance.log
  wait_for 10 curl -sf http://127.0.0.1:9467/readyz -o ready.log
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' | grep -v '^--api-key$' >cmdlines.log || true
  wait_for 20 eval '[ "$("$SLUICE" tap enhanced_posts --from start --count 1 | wc -l)" -eq 1 ]'
  curl -s http://127.0.0.1:9467/metrics >metrics.log
  grep -q sluice_llm_calls_started_total metrics.log
  kill -TERM "${PIDS[-1]}"
  wait "${PIDS[-1]}"
  "$SLUICE" tap enhanced_posts --from start --json >out.json
  [ -s tape.jsonl ]
  # The server has its key on its command line; nobody else may.
  [ "$(grep -c $canary cmdlines.log)" -eq 1 ]
  rm cmdlines.log
  run ! grep -rl $canary .
}

@test "an endpoint that repeats a wrong key does not bring it into errors, logs or dead letters" {
  llm --api-key right
  export SLUICE_LLM_KEY=canary-7732
  posts 1 3 >posts.jsonl
  "$SLUICE" check --enricher openai --llm-url "$LLM" >check.log 2>&1 || [ $? -eq 77 ]
  grep -q "Incorrect API key provided: Bearer \*\*\*\*" check.log
  "$SLUICE" enrich --enricher openai --llm-url "$LLM" --log-level trace --dead dead.jsonl posts.jsonl >out.log 2>err.log || [ $? -eq 77 ]
  run ! grep -rl canary-7732 .
}

@test "request headers stand in no output, log, metric, file or command line" {
  canary=canary-$$-$RANDOM
  llm --delay 200 --api-key $canary
  ask=(--enricher http --http-url "${LLM%/v1}/lookup/{{id}}" --http-pointer /result/path)
  posts 1 30 >posts.jsonl
  run -2 "$SLUICE" enrich "${ask[@]}" --http-header "Authorization: Bearer x" posts.jsonl
  grep -q SLUICE_HTTP_HEADER_FILE <<<"$output"
  mkdir ../${TMP##*/}-keys
  keys=$(realpath ../${TMP##*/}-keys) # elsewhere, so that it is not found below
  printf 'X-Client: sluice\n\nAuthorization: Bearer %s\n' $canary >"$keys/headers"
  export SLUICE_HTTP_HEADER_FILE=$keys/headers
  "$SLUICE" config >config.log
  grep -q 'http-header: (hidden)' config.log
  "$SLUICE" config --json >config.json
  "$SLUICE" source --from posts.jsonl --quiet
  start "$SLUICE" enhance "${ask[@]}" --http-store --http 127.0.0.1:0 --log-level trace --record tape.jsonl 2>enhance.log
  pid=$!
  wait_for 20 eval '[ "$("$SLUICE" tap enhanced_posts --from start --count 1 | wc -l)" -eq 1 ]'
  curl -s "${LLM%/v1}/last" | grep -q '^X-Client: sluice' # not kept: it holds the key, as it should
  [ "$(cat /proc/$pid/coredump_filter)" = 00000000 ]
  cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\0' '\n' >"$keys/cmdlines" || true
  [ "$(grep -c $canary "$keys/cmdlines")" -eq 1 ] # the server's
  port=$(sed -n 's/.*metrics and health on [^ ]*, port \([0-9]*\).*/\1/p' enhance.log)
  curl -s "http://127.0.0.1:$port/metrics" | tee metrics.log | grep -q sluice_llm_calls_started_total
  kill -TERM $pid
  wait $pid
  "$SLUICE" tap enhanced_posts --from start --json >out.json
  [ -s out.json ] && [ -s tape.jsonl ]
  run ! grep -rl $canary .
  rm -r "$keys"
}

@test "a chain takes request headers from a file, and a wrong one is not repeated by errors" {
  llm --api-key right
  unset SLUICE_HTTP_HEADER SLUICE_HTTP_HEADER_FILE
  link="{name: echo, kind: http, http-url: \"${LLM%/v1}/lookup/{{id}}\", http-pointer: /found"
  posts 1 3 >posts.jsonl
  printf 'enrichers:\n  - %s, http-header: "Authorization: Bearer canary-7733"}\n' "$link" >inline.yaml
  run -78 "$SLUICE" config --config inline.yaml
  grep -q "http-header (inline.yaml line 2).*a secret does not belong into this file" <<<"$output"
  run ! grep -q canary <<<"$output"
  rm inline.yaml
  printf 'enrichers:\n  - %s, http-header-file: headers}\n' "$link" >chain.yaml
  printf 'X-Client: sluice\r\nAuthorization: Bearer right\r\n' >headers
  "$SLUICE" enrich --config chain.yaml posts.jsonl | grep -c '"enrichment":true' | grep -qx 3
  echo "Authorization: Bearer canary-7733" >headers
  "$SLUICE" enrich --config chain.yaml --log-level trace --dead dead.jsonl posts.jsonl >out.log 2>err.log || [ $? -eq 77 ]
  grep -q "Incorrect API key provided: \*\*" err.log
  echo "no header, but canary-7733" >headers
  run -78 "$SLUICE" enrich --config chain.yaml posts.jsonl
  grep -q "item 1 is not NAME: VALUE" <<<"$output"
  run ! grep -q canary <<<"$output"
  rm headers
  run ! grep -rl canary-7733 .
}

@test "addresses of metadata services are refused by every name, unless allowed" {
  posts 1 1 >posts.jsonl
  for host in 169.254.169.254 169.254.170.2 100.100.100.200 '[fe80::1%25lo]' '[::ffff:169.254.169.254]' '[fd00:ec2::254]'; do
    run -78 --separate-stderr "$SLUICE" enrich --enricher openai --llm-url "http://$host/v1" --llm-timeout 2s posts.jsonl
    grep -q "allow-link-local" <<<"$stderr"
    run -78 --separate-stderr "$SLUICE" enrich --enricher http --http-url "http://$host/{{id}}" posts.jsonl
    grep -q "allow-link-local" <<<"$stderr"
  done
  # Allowed, it is called, and nothing answers there.
  run -1 --separate-stderr "$SLUICE" enrich --enricher openai --llm-url 'http://[fe80::1%25lo]:9/v1' --allow-link-local --llm-connect-timeout 200ms --llm-deadline 500ms posts.jsonl
  run ! grep -q "allow-link-local" <<<"$stderr"
}

@test "check says in words what is wrong with name, port, TLS, schema and time" {
  check() { "$SLUICE" check --enricher openai "$@" 2>&1; }
  run -69 check --llm-url http://no.such.host.invalid/v1
  grep -q "DNS" <<<"$output"
  run -69 check --llm-url http://127.0.0.1:1/v1
  grep -q "nothing accepts a connection" <<<"$output"
  llm
  run -69 check --llm-url "${LLM/http:/https:}" --llm-connect-timeout 500ms
  grep -q "TLS" <<<"$output"
  script '{"error_rate":1,"error_status":400}'
  run -78 check --llm-url "$LLM"
  grep -q -- "--llm-format" <<<"$output"
  script '{"error_rate":0,"mode":"not_json"}'
  run check --llm-url "$LLM"
  [ "$status" -ne 0 ]
  grep -qi "schema\|JSON" <<<"$output"
  script '{"mode":"hang"}'
  run -69 check --llm-url "$LLM" --llm-timeout 300ms
  grep -q "in time" <<<"$output"
}

@test "a budget lets posts pass, makes dead letters, and is never passed" {
  llm --delay 2
  posts 1 50 >posts.jsonl
  cap=(--llm-price gpt-4o-mini=100/100 --llm-max-tokens 100 --llm-concurrency 1 --no-answers)
  "$SLUICE" enrich --enricher openai --llm-url "$LLM" "${cap[@]}" --budget-run 0.5 --budget-action pass <posts.jsonl >out.jsonl
  [ "$(wc -l <out.jsonl)" -eq 50 ]
  asked=$(jq -c 'select(.enrichment != null)' out.jsonl | wc -l)
  [ "$asked" -gt 2 ]
  [ "$asked" -lt 50 ]
  [ "$asked" -eq "$(stat_of calls)" ]
  [ "$(stat_of tokens)" -le 5000 ]
  run -1 "$SLUICE" enrich --enricher openai --llm-url "$LLM" "${cap[@]}" --budget-run 0.5 --budget-action dead-letter --dead dead.jsonl posts.jsonl
  grep -q '"reason":"budget"' dead.jsonl
  run -78 "$SLUICE" enrich --enricher openai --llm-url "$LLM" --budget-run 1 posts.jsonl
  grep -q "llm-price" <<<"$output"
}

@test "a second endpoint is used while the first is down" {
  llm --delay 2
  posts 1 40 >posts.jsonl
  "$SLUICE" enrich --enricher openai --llm-url http://127.0.0.1:1/v1 --llm-url "$LLM" <posts.jsonl >out.jsonl
  [ "$(wc -l <out.jsonl)" -eq 40 ]
}

@test "check asks each of several endpoints, with its own key and model" {
  llm --api-key right --models other
  both=(--enricher openai --llm-url http://127.0.0.1:1/v1 --llm-url "$LLM")
  export SLUICE_LLM_KEY=wrong,right
  run -69 "$SLUICE" check "${both[@]}" --llm-model mine --llm-model other
  grep -qx "ok    endpoint $LLM" <<<"$output"
  grep -q "^bad .*127.0.0.1:1/v1.*nothing accepts a connection" <<<"$output"
  grep -q "1 of 2 endpoints" <<<"$output"
  run -78 "$SLUICE" check "${both[@]}" --llm-model mine --llm-model other --llm-model third
  run -77 "$SLUICE" check --enricher openai --llm-url "$LLM" --llm-url "$LLM" --llm-model other
  SLUICE_LLM_KEY=right,right run -0 "$SLUICE" check --enricher openai --llm-url "$LLM" --llm-url "$LLM" --llm-model other
  [ "$(grep -c "^ok    endpoint" <<<"$output")" -eq 2 ]
}

@test "an account without credit is named once, its posts wait, and go on when it is paid" {
  llm --delay 2 --mode quota
  run -69 "$SLUICE" check --enricher openai --llm-url "$LLM"
  grep -q "no credit left" <<<"$output"
  posts 1 50 | "$SLUICE" source --from - --quiet
  before=$(stat_of calls)
  start "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-attempts 1 2>err.log
  pid=$!
  probed() { [ "$(stat_of calls)" -ge $((before + 16 + 2)) ]; } # what was in flight, and two that look again
  wait_for 20 probed
  [ "$(stat_of calls)" -le $((before + 16 + 6)) ] # it is not asked again and again
  kill -0 $pid
  script '{"mode":"ok"}'
  wait $pid
  [ "$(grep -c "no credit left" err.log)" -eq 1 ]
  grep -q "posts wait" err.log
  grep -q "answers again" err.log
  values enhanced_posts | ids >out
  exactly_once out 50
  [ "$(values dead_posts | wc -l)" -eq 0 ]
}

@test "the next endpoint is used while the first one has no credit left" {
  llm --delay 2 --mode quota
  poor=$LLM
  rm port
  llm --delay 2
  posts 1 50 >posts.jsonl
  "$SLUICE" enrich --enricher openai --llm-url "$poor" --llm-url "$LLM" posts.jsonl 2>err.log | ids | cmp - <(seq 1 50)
  [ "$(stat_of ok)" -eq 50 ]
  [ "$(grep -c "no credit left.*the next endpoint is used" err.log)" -eq 1 ]
}

@test "what is recorded is replayed without a server" {
  llm --delay 2
  posts 1 40 >posts.jsonl
  enrich --record tape.jsonl <posts.jsonl >first.jsonl
  kill -9 "${PIDS[0]}"
  enrich --replay tape.jsonl <posts.jsonl >second.jsonl
  cmp first.jsonl second.jsonl
  echo '{"id":1,"text":"unheard"}' >other.jsonl
  run -78 enrich --replay tape.jsonl other.jsonl
  # Or what is missing is asked, and only that.
  rm port
  llm
  cat posts.jsonl other.jsonl | enrich --replay tape.jsonl --replay-missing ask >third.jsonl
  [ "$(wc -l <third.jsonl)" -eq 41 ]
  [ "$(stat_of calls)" -eq 1 ]
}

@test "a budget that is spent at a dear endpoint goes on at a cheaper one" {
  llm --delay 2
  posts 1 30 >posts.jsonl
  "$SLUICE" enrich --enricher openai --llm-url "$LLM" --llm-url "$LLM" --llm-model dear --llm-model cheap --llm-price dear=100/100 --llm-price cheap=0/0 --llm-max-tokens 100 --llm-concurrency 1 --budget-run 0.5 --budget-action cheaper --no-answers posts.jsonl >out.jsonl 2>err.log
  [ "$(jq -c 'select(.enrichment != null)' out.jsonl | wc -l)" -eq 30 ]
  [ "$(stat_of calls)" -eq 30 ]
  curl -s "${LLM%/v1}/last" | grep -q '"model":"cheap"'
  grep -q "80 % is spent" err.log
  run -78 "$SLUICE" enrich --enricher openai --llm-url "$LLM" --llm-price gpt-4o-mini=1/1 --llm-max-tokens 0 --budget-run 1 posts.jsonl
  grep -q "llm-max-tokens" <<<"$output"
}

@test "a post does not outlive its deadline" {
  llm --delay 2 --mode hang
  posts 1 3 >posts.jsonl
  run -1 --separate-stderr "$SLUICE" enrich --enricher openai --llm-url "$LLM" --llm-deadline 300ms posts.jsonl
  [ "$(grep -c "no answer within 300 ms\|no complete answer in time" <<<"$stderr")" -ge 3 ]
}

@test "personal data is taken out of what leaves, not of the post" {
  llm
  echo '{"id":1,"text":"write to ann@example.org or see https://example.org"}' | enrich --redact email,url >out.jsonl
  grep -q ann@example.org out.jsonl
  curl -s "${LLM%/v1}/last" >last.log
  grep -q '\[email\]' last.log
  run ! grep -q ann@example.org last.log
}

@test "http looks posts up, lookup and exec answer, a chain joins them" {
  llm
  printf 'id,place\n1,Rome\n2,Oslo\n' >places.csv
  cat >chain.yaml <<YAML
enrichers:
  - {name: place, kind: lookup, lookup-file: places.csv}
  - {name: mood, kind: mock, when: "/enrichment/place/place == Rome"}
  - {name: echo, kind: http, http-url: "${LLM%/v1}/lookup/{{id}}"}
  - {name: gone, kind: http, http-url: "${LLM%/v1}/lookup/{{id}}", http-pointer: /nothing/here, optional: true}
YAML
  posts 1 2 | "$SLUICE" enrich --config chain.yaml >out.jsonl
  [ "$(jq -c '.enrichment | keys_unsorted' out.jsonl | sort -u | wc -l)" -eq 2 ]
  [ "$(jq -r '.enrichment.place.place' out.jsonl | paste -sd,)" = Rome,Oslo ]
  [ "$(jq -c '.enrichment | has("mood")' out.jsonl | paste -sd,)" = true,false ]
  [ "$(jq -c '.enrichment | has("echo")' out.jsonl | sort -u)" = true ]
  [ "$(jq -c '.enrichment | has("gone")' out.jsonl | sort -u)" = false ]
}

@test "a condition that is none is refused, since every post would be asked about" {
  for member in 'when: 3' 'optional: "yes"' 'when: {a: b}'; do
    echo "enrichers: [{name: mood, kind: mock, $member}]" >chain.yaml
    run -78 "$SLUICE" enrich --config chain.yaml <<<""
    grep -q "enrichers: mood: '${member%%:*}' is" <<<"$output"
  done
}

@test "a program that cannot be run ends the filter with one line about it" {
  run -78 --separate-stderr "$SLUICE" enrich --enricher exec --exec-command /no/such/program <<<'{"id":1,"text":"a"}'
  [ -z "$output" ]
  run ! grep -q "none:" <<<"$stderr"
}

@test "tokens a minute are kept: no server that enforces the limit refuses" {
  llm --delay 5 --tokens-per-minute 40000
  posts 1 400 >posts.jsonl
  timeout 12 "$SLUICE" enrich --enricher openai --llm-url "$LLM" --llm-tokens-per-minute 40000 <posts.jsonl >out.jsonl || true
  [ "$(stat_of calls)" -gt 10 ]
  [ "$(stat_of 'status["429"] // 0')" -eq 0 ]
  [ "$(stat_of window_tokens_max)" -le 40000 ]
}

@test "kill -9 again and again: nothing lost or repeated, only what was in flight is asked twice" {
  llm --delay 50
  posts 1 1500 | "$SLUICE" source --from - --quiet --partitions 2
  kills=0
  for _ in 1 2 3 4; do
    "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 64 2>>enhance.log 3>&- &
    pid=$!
    before=$(stat_of calls)
    wait_for 20 eval '[ "$(stat_of calls)" -ge $((before + 150)) ]'
    kill -9 $pid
    wait $pid || true
    kills=$((kills + 1))
  done
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-concurrency 64 2>>enhance.log
  values enhanced_posts | ids >got
  exactly_once got 1500
  [ "$(stat_of calls)" -le $((1500 + kills * 64)) ]
  run -0 "$SLUICE" verify
}

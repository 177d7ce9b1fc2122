#!/usr/bin/env bats
# sluice dlq: dead letters are listed, shown, exported, and sent again exactly once.
load lib.bash

# 300 posts in two partitions; about a third fails at first, and one letter of the source.
failed() {
  { echo nonsense; posts 1 300; } | "$SLUICE" run --quiet --from - --partitions 2 --mock-error-rate 0.3 "$@" 2>/dev/null
  LETTERS=$(sqlite3 sluice.db "SELECT count(*) FROM dead_posts WHERE value <> 'nonsense'")
  [ "$LETTERS" -gt 50 ]
}

raw_count() {
  sqlite3 sluice.db 'SELECT count(*) FROM raw_posts'
}

# Each letter of enhance was sent back once, by its own mark.
sent_back_once() {
  values raw_posts --json | jq -r '.headers[] | select(.[0] == "sluice-redrive")[1]' | sort >back
  values dead_posts --json | jq -r 'select(.headers | any(. == ["sluice-error-stage", "enhance"])) |
    "dead_posts/\(.partition)/\(.offset)"' | sort >letters
  cmp letters back
}

@test "dlq list counts by reason and stage, with the first message of each" {
  failed
  run "$SLUICE" dlq list
  [ "$status" -eq 0 ]
  echo "$output"
  grep -Eq "^enricher_failed +enhance +$LETTERS +dead_posts/0/[0-9]+: ." <<<"$output"
  grep -Eq '^source_line +source +1 +dead_posts/[01]/[0-9]+: line 1: json_invalid' <<<"$output"
  [ "$("$SLUICE" dlq list --json | jq -s 'map(.count) | add')" -eq $((LETTERS + 1)) ]
  run "$SLUICE" dlq list --stage source
  [ "${#lines[@]}" -eq 2 ]
  run "$SLUICE" dlq list --reason nonsense
  [ "$status" -eq 2 ]
}

@test "dlq show prints a letter by its place or by reason, and says when there is none" {
  failed
  run "$SLUICE" dlq show --reason source_line
  [ "$status" -eq 0 ]
  grep -Fxq nonsense <<<"$output"
  grep -Fq 'sluice-error-message: line 1: json_invalid' <<<"$output"
  place=$(grep -Eo '^dead_posts/[0-9]+/[0-9]+' <<<"$output")
  [ "$("$SLUICE" dlq show "$place")" = "$output" ]
  [ "$("$SLUICE" dlq show --stage enhance --limit 4 | grep -c '^dead_posts/')" -eq 4 ]
  run "$SLUICE" dlq show dead_posts/0/100000
  [ "$status" -eq 1 ]
  run "$SLUICE" dlq show elsewhere/0/1
  [ "$status" -eq 2 ]
}

@test "what dlq export --values prints can be fed to a source" {
  failed
  "$SLUICE" dlq export --stage enhance --values >again.jsonl
  [ "$(wc -l <again.jsonl)" -eq "$LETTERS" ]
  "$SLUICE" run --quiet --from again.jsonl 2>/dev/null
  values enhanced_posts | ids | sort -u >out
  exactly_once out 300
  "$SLUICE" dlq export --limit 3 | jq -es 'length == 3 and all(.topic == "dead_posts" and (.headers | length > 3))'
}

@test "a letter with line breaks is exported as one line when it is JSON, else left out and counted" {
  "$SLUICE" source --from - --quiet --partitions 1 </dev/null
  printf '{"id":1,\n "text":"x"}' >one
  printf 'a\nb' >two
  sqlite3 sluice.db "INSERT INTO \"raw_posts/0\"(timestamp, value) VALUES (1, readfile('one')), (1, readfile('two')), (1, NULL)"
  "$SLUICE" enhance --drain --mock-error-rate 1
  run --separate-stderr "$SLUICE" dlq export --values
  [ "$output" = '{"id":1,  "text":"x"}' ]
  [[ "$stderr" == *"2 letter(s) left out"* ]]
  [ "$("$SLUICE" dlq export | wc -l)" -eq 3 ]
}

@test "redrive sends each letter of enhance back once, and a second time nothing" {
  failed
  run "$SLUICE" dlq redrive --dry-run
  grep -Eq "^enricher_failed +$LETTERS would be sent$" <<<"$output"
  [ "$(raw_count)" -eq 300 ]
  run "$SLUICE" dlq redrive
  [ "$status" -eq 0 ]
  grep -Eq "^enricher_failed +$LETTERS sent$" <<<"$output"
  sent_back_once
  run "$SLUICE" dlq redrive
  [ "$status" -eq 0 ]
  [ "$output" = "nothing to redrive" ]
  [ "$(raw_count)" -eq $((300 + LETTERS)) ]
  "$SLUICE" enhance --drain
  values enhanced_posts | ids >out
  exactly_once out 300
  "$SLUICE" verify --drained
}

@test "a redriven record has key, value, partition and headers of the first one, and no trace of the error" {
  failed
  "$SLUICE" dlq redrive
  record='[.partition, .key, .value, (.headers | map(select(.[0] != "sluice-redrive")))]'
  values raw_posts --json >raw.json
  jq -c "select(.headers | any(.[0] == \"sluice-redrive\")) | $record" raw.json | sort >back
  [ "$(wc -l <back)" -eq "$LETTERS" ]
  jq -c "select(.headers | any(.[0] == \"sluice-redrive\") | not) | $record" raw.json | sort >first
  [ "$(comm -12 back first | wc -l)" -eq "$LETTERS" ]
}

@test "letters that fail again are new letters, and go back again" {
  failed
  "$SLUICE" dlq redrive
  "$SLUICE" enhance --drain --mock-error-rate 1
  "$SLUICE" verify --drained
  run "$SLUICE" dlq redrive
  grep -Eq "^enricher_failed +$LETTERS sent$" <<<"$output"
  "$SLUICE" enhance --drain
  values enhanced_posts | ids >out
  exactly_once out 300
  # each record has the mark of the last time only
  values enhanced_posts --json | jq -es 'all((.headers | map(select(.[0] == "sluice-redrive")) | length) < 2)'
  "$SLUICE" verify --drained
}

@test "reasons have positions of their own" {
  failed
  sqlite3 sluice.db "INSERT INTO \"raw_posts/0\"(timestamp, value) VALUES (1, CAST('{\"id\":1}' AS BLOB)), (1, CAST('[' AS BLOB))"
  "$SLUICE" enhance --drain
  run "$SLUICE" dlq redrive --reason text_missing
  [ "$output" = "$(printf '%-20s %10d sent' text_missing 1)" ]
  run "$SLUICE" dlq redrive --reason source_line
  [ "$output" = "nothing to redrive" ]
  run "$SLUICE" dlq redrive
  [ "$(wc -l <<<"$output")" -eq 2 ]
  grep -Eq "^enricher_failed +$LETTERS sent$" <<<"$output"
  grep -Eq "^json_invalid +1 sent$" <<<"$output"
  sent_back_once
}

@test "--limit and --rate go part of the way, and the next one goes on from there" {
  failed
  "$SLUICE" dlq redrive --limit 7
  [ "$(raw_count)" -eq 307 ]
  begin=$(date +%s%N)
  "$SLUICE" dlq redrive --limit 20 --rate 100
  [ $((($(date +%s%N) - begin) / 1000000)) -ge 180 ]
  [ "$(raw_count)" -eq 327 ]
  "$SLUICE" dlq redrive
  sent_back_once
}

@test "kill -9 of redrive at each of its steps sends none twice and loses none" {
  failed
  for point in redrive.sent:1 redrive.sent:40 redrive.handed:1 sqlite.commit.begin:1 sqlite.commit.positions:1 \
    sqlite.commit.outputs:1 sqlite.commit.end:1 redrive.committed:1; do
    run env SLUICE_FAULT=kill@$point "$SLUICE" dlq redrive --rate 2000
    echo "$point: $status"
    [ "$status" -eq 137 ]
    values raw_posts --json | jq -r '.headers[] | select(.[0] == "sluice-redrive")[1]' | sort | uniq -d >twice
    [ ! -s twice ]
  done
  "$SLUICE" dlq redrive
  sent_back_once
  "$SLUICE" enhance --drain
  "$SLUICE" verify --drained
}

@test "two redrives at once share the work and send none twice" {
  failed
  start "$SLUICE" dlq redrive --rate 200 --instance one >one.txt
  one=$!
  start "$SLUICE" dlq redrive --rate 200 --instance two >two.txt
  wait "$one" "$!"
  sent_back_once
}

@test "letters that come while redrive runs wait for the next one" {
  failed
  start "$SLUICE" enhance --mock-error-rate 1 2>log
  wait_for 10 grep -q assigned log
  "$SLUICE" dlq redrive --rate 300
  [ "$(raw_count)" -eq $((300 + LETTERS)) ]
}

@test "a letter that has lost its value is left where it is and counted" {
  failed
  sqlite3 sluice.db "UPDATE \"dead_posts/0\" SET value = x'', headers = CAST(replace(replace(CAST(headers AS TEXT),
    char(21) || 'sluice-error-attempts' || char(2) || '0', char(22) || 'sluice-error-truncated' || char(5) || 'true'),
    char(21) || 'sluice-error-attempts' || char(2) || '1', char(22) || 'sluice-error-truncated' || char(5) || 'true') AS BLOB)
    WHERE offset = (SELECT max(offset) FROM \"dead_posts/0\")"
  values dead_posts --partition 0 --json | jq -es '.[-1].headers | any(. == ["sluice-error-truncated", "true"])'
  run "$SLUICE" dlq redrive
  echo "$output"
  grep -Eq "^enricher_failed +$((LETTERS - 1)) sent$" <<<"$output"
  grep -Eq '^enricher_failed +1 cannot be sent' <<<"$output"
}

@test "an empty queue is said so, and wrong words are refused" {
  "$SLUICE" run --quiet 2>/dev/null
  [ "$("$SLUICE" dlq list)" = "there are no dead letters" ]
  [ "$("$SLUICE" dlq redrive)" = "nothing to redrive" ]
  run "$SLUICE" dlq
  [ "$status" -eq 2 ]
  run "$SLUICE" dlq resend
  [ "$status" -eq 2 ]
}

#!/usr/bin/env bats
# Paid answers on the embedded broker: two processes share one file of answers.
load lib.bash
load llm.bash
load answers_kill.bash

@test "embedded answers: two processes buy a question twice only in a race, and count it" {
  llm --delay 100
  awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"id\":%d,\"text\":\"text %d\"}\n", i + 1, i % 10 == 9 ? i - 1 : i }' >posts.jsonl
  "$SLUICE" source --from posts.jsonl --quiet --partitions 4
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 64 --instance one --http 127.0.0.1:9473 2>one.log
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 64 --instance two --http 127.0.0.1:9474 2>two.log
  enough() { [ "$(sqlite3 sluice.db 'SELECT count(*) FROM enhanced_posts')" -ge 3000 ]; }
  wait_for 60 enough
  values enhanced_posts | ids >out
  exactly_once out 3000
  stored=$(sqlite3 sluice.db-answers 'SELECT count(*) FROM answers') calls=$(stat_of calls)
  [ "$stored" -eq 2700 ]
  counted() { [ $((stored + $(metric 9473 sluice_answers_races_total) + $(metric 9474 sluice_answers_races_total))) -eq "$calls" ]; }
  wait_for 10 counted
  echo "calls $calls, distinct $stored"
}

@test "embedded answers: kill -9 of two processes again and again buys nothing that was stored" {
  kills_on_sqlite 16000 10
}

@test "embedded answers: what another process stored while a question waits is not bought" {
  llm --delay 300
  texts 40 40 >posts.jsonl
  "$SLUICE" source --from posts.jsonl --quiet --partitions 1
  # one call at a time here, all of them at once there: by the same file
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 1 --instance slow 2>slow.log
  asking() { [ "$(stat_of calls)" -ge 1 ]; }
  wait_for 10 asking
  "$SLUICE" source --from posts.jsonl --quiet --raw-topic others --partitions 1
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-concurrency 64 --raw-topic others --group others --enhanced-topic others_out --instance fast
  stored=$(stat_of calls)
  enough() { [ "$(sqlite3 sluice.db 'SELECT count(*) FROM enhanced_posts')" -ge 40 ]; }
  wait_for 10 enough
  echo "calls $stored when all was stored, $(stat_of calls) at the end"
  [ "$(stat_of calls)" -le $((stored + 1)) ] # what was in flight
  [ "$stored" -lt 80 ]
}

@test "embedded answers: a file of the first format is written anew, once, and nothing in it is bought again" {
  llm --delay 5
  texts 300 300 | "$SLUICE" source --from - --quiet --partitions 2
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" 2>first.log
  [ "$(stat_of calls)" -eq 300 ]
  sqlite3 sluice.db-answers 'SELECT * FROM answers ORDER BY question' >before
  sqlite3 sluice.db-answers 'ALTER TABLE answers RENAME TO now;
    CREATE TABLE answers(question BLOB PRIMARY KEY, reason TEXT, answer TEXT NOT NULL, tokens_in INTEGER NOT NULL,
      tokens_out INTEGER NOT NULL, cost_nano INTEGER NOT NULL, attempts INTEGER NOT NULL, at_ms INTEGER NOT NULL)
      WITHOUT ROWID;
    INSERT INTO answers SELECT * FROM now; DROP TABLE now; PRAGMA user_version=1'
  # two at once: one of them writes it anew, the other one waits
  for i in 1 2; do
    start "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --group again$i --enhanced-topic again$i --instance i$i 2>again$i.log
  done
  wait "${PIDS[-1]}"
  wait "${PIDS[-2]}"
  [ "$(stat_of calls)" -eq 300 ]
  [ "$(cat again1.log again2.log | grep -c '300 answers are written anew')" -eq 1 ]
  sqlite3 sluice.db-answers 'SELECT * FROM answers ORDER BY question' | cmp - before
  [ "$(sqlite3 sluice.db-answers 'PRAGMA user_version')" -eq 2 ]
  for i in 1 2; do
    values again$i | ids >out
    exactly_once out 300
  done
  sqlite3 sluice.db-answers 'PRAGMA user_version=9'
  run "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --group later --enhanced-topic later
  echo "$output"
  [ "$status" -eq 78 ]
  grep -q 'has format 9, this sluice knows 2' <<<"$output"
}

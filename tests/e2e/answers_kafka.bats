#!/usr/bin/env bats
# Paid answers on Kafka: the compacted topic, its local copies, and what is never bought twice. The
# scripted LLM server counts the calls; the topic is read back by kcat.
load lib.bash
load llm.bash
load answers_kill.bash

# enhance [FLAG...]: paid, with the server.
enhance() {
  "$SLUICE" enhance --enricher openai --llm-url "$LLM" "$@"
}

start_enhance() {
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" "$@"
}

copy_of() { # INSTANCE
  find state -name "$1.db"
}

@test "kafka answers: a restart asks nothing again, a replica with an empty folder neither" {
  kafka_setup
  llm --delay 10
  texts 1500 1400 | "$SLUICE" source --from - --quiet --partitions 4
  enhance --drain --instance one
  [ "$(stat_of calls)" -eq 1400 ]
  [ "$(records | sort -u | wc -l)" -eq 1400 ]
  again 2
  enhance --drain --instance one 2>one.log
  [ "$(stat_of calls)" -eq 1400 ]
  grep -q "read 0 records\|read [0-9][0-9]\? records" one.log
  again 3
  enhance --drain --instance two 2>two.log
  [ "$(stat_of calls)" -eq 1400 ]
  grep -q "1400 records of topic '$SLUICE_ANSWERS_TOPIC' to read before anything is asked" two.log
  grep -q "read 1400 records" two.log
  drained 1500 | ids >out
  exactly_once out 1500
  # both copies say the same
  [ "$(sqlite3 "$(copy_of one)" 'SELECT count(*) FROM answers')" -eq 1400 ]
  cmp <(sqlite3 "$(copy_of one)" 'SELECT hex(question), answer FROM answers') <(sqlite3 "$(copy_of two)" 'SELECT hex(question), answer FROM answers')
}

# A copy whose writes fail never gets to where the topic ended.
@test "kafka answers: nothing is asked before the copy has what the topic had" {
  kafka_setup
  llm --delay 10
  texts 300 300 | "$SLUICE" source --from - --quiet --partitions 2
  enhance --drain --instance one
  again 2
  SLUICE_FAULT=fail@answers.commit:1 start_enhance --instance two --http 127.0.0.1:9475 2>two.log
  wait_for 20 grep -q "partition(s) of .* assigned" two.log
  wait_for 20 grep -q "answers file .*trying again\|told to fail" two.log
  sleep 1 # that nothing happens cannot be waited for
  [ "$(stat_of calls)" -eq 300 ]
  [ "$(metric 9475 sluice_llm_calls_started_total)" -eq 0 ]
  [ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:9475/readyz)" -eq 503 ]
  kill -9 "${PIDS[-1]}"
  enhance --drain --instance two 2>two.log
  [ "$(stat_of calls)" -eq 300 ]
  drained 300 | ids >out
  exactly_once out 300
}

@test "kafka answers: one process asks each question once, with one worker and with two" {
  kafka_setup
  llm --delay 30
  for workers in 1 2; do
    export SLUICE_RAW_TOPIC=raw_$T$workers SLUICE_ANSWERS_TOPIC=answers_$T$workers
    again $workers
    curl -s -X DELETE "${LLM%/v1}/stats" >reset.log
    texts 2000 1800 | "$SLUICE" source --from - --quiet --partitions 4
    enhance --drain --workers $workers --llm-concurrency 64
    [ "$(stat_of calls)" -eq 1800 ]
    [ "$(records | wc -l)" -eq 1800 ]
    [ "$(records | sort -u | wc -l)" -eq 1800 ]
  done
}

# Equal texts stand side by side, so that both replicas ask some of them at the same moment.
@test "kafka answers: two replicas buy a question twice only in a race, and count it" {
  kafka_setup
  llm --delay 100
  awk 'BEGIN { for (i = 0; i < 3000; i++) printf "{\"id\":%d,\"text\":\"text %d\"}\n", i + 1, i % 10 == 9 ? i - 1 : i }' >posts.jsonl
  "$SLUICE" source --from posts.jsonl --quiet --partitions 4
  start_enhance --llm-concurrency 64 --instance one --http 127.0.0.1:9471 2>one.log
  start_enhance --llm-concurrency 64 --instance two --http 127.0.0.1:9472 2>two.log
  enough() { [ "$(committed | wc -l)" -ge 3000 ]; }
  wait_for 60 enough
  committed | ids >out
  exactly_once out 3000
  distinct=$(records | sort -u | wc -l) all=$(records | wc -l) calls=$(stat_of calls)
  [ "$distinct" -eq 2700 ]
  [ "$calls" -eq "$all" ]
  counted() { [ $(($(metric 9471 sluice_answers_races_total) + $(metric 9472 sluice_answers_races_total))) -eq $((all - distinct)) ]; }
  wait_for 10 counted
  echo "calls $calls, distinct $distinct, races $((all - distinct))"
  # and both hold the same answers
  same() { cmp <(sqlite3 "$(copy_of one)" 'SELECT * FROM answers') <(sqlite3 "$(copy_of two)" 'SELECT * FROM answers'); }
  wait_for 10 same
}

@test "kafka answers: what was asked when a partition left is stored all the same" {
  kafka_setup
  llm --delay 2500
  texts 400 400 | "$SLUICE" source --from - --quiet --partitions 4
  start_enhance --llm-concurrency 64 --revoke-wait 100ms --instance one 2>one.log
  one=$!
  asking() { [ "$(stat_of calls)" -ge 64 ]; }
  wait_for 20 asking
  start_enhance --llm-concurrency 64 --revoke-wait 100ms --instance two 2>two.log
  two=$!
  wait_for 30 grep -q 'abandoned [0-9]* paid calls' one.log
  script '{"delay_ms":50}'
  enough() { [ "$(committed | wc -l)" -ge 400 ]; }
  wait_for 60 enough
  kill -TERM $one $two
  wait $one $two
  committed | ids >out
  exactly_once out 400
  abandoned=$(cat one.log two.log | grep -o 'abandoned [0-9]* paid' | awk '{ s += $2 } END { print s }')
  calls=$(stat_of calls)
  echo "calls $calls, abandoned $abandoned, records $(records | wc -l)"
  [ "$(records | wc -l)" -eq "$calls" ]
  [ "$calls" -le $((400 + abandoned)) ]
}

@test "kafka answers: at SIGTERM what is being asked is stored before the end" {
  kafka_setup
  llm --delay 400
  texts 2000 2000 | "$SLUICE" source --from - --quiet --partitions 2
  start_enhance --llm-concurrency 100 --window 150 2>log
  pid=$!
  asking() { [ "$(stat_of calls)" -ge 150 ]; }
  wait_for 20 asking
  kill -TERM $pid
  wait $pid
  [ "$(stat_of aborted)" -eq 0 ]
  [ "$(records | wc -l)" -eq "$(stat_of calls)" ]
}

@test "kafka answers: a tombstone is forgotten, what is older than the time to live is asked again" {
  kafka_setup
  llm --delay 5
  texts 20 20 | "$SLUICE" source --from - --quiet --partitions 1
  enhance --drain --instance one
  [ "$(stat_of calls)" -eq 20 ]
  records | head -3 >keys
  sed 's/$/:/' keys | kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ANSWERS_TOPIC" -K : -Z -X partitioner=murmur2_random
  again 2
  enhance --drain --instance one
  [ "$(stat_of calls)" -eq 23 ]
  again 3
  enhance --drain --instance two --answers-ttl 1h
  [ "$(stat_of calls)" -eq 23 ]
  again 4
  enhance --drain --instance three --answers-ttl 1ms
  [ "$(stat_of calls)" -eq 43 ]
  again 5
  enhance --drain --instance four
  [ "$(stat_of calls)" -eq 43 ]
}

@test "kafka answers: another topic of that name, a foreign record, a plain topic, a name taken twice" {
  kafka_setup
  llm --delay 5
  texts 100 100 | "$SLUICE" source --from - --quiet --partitions 1
  enhance --drain --instance one
  # the copy has read further than the topic goes: it was made anew
  sqlite3 "$(copy_of one)" "UPDATE notes SET text = '0=9999 1=9999 2=9999 3=9999'; DELETE FROM answers"
  echo "not ours:{}" | kcat -P -b "$SLUICE_TEST_KAFKA" -t "$SLUICE_ANSWERS_TOPIC" -K :
  again 2
  enhance --drain --instance one 2>one.log
  grep -q "made anew" one.log
  grep -q "has no question as its key" one.log
  [ "$(stat_of calls)" -eq 100 ]
  start_enhance --instance one 2>first.log
  wait_for 20 grep -q assigned first.log
  run -75 enhance --instance one --drain
  grep -q "another process of instance 'one'" <<<"$output"
  again 3
  plain=${SLUICE_RAW_TOPIC}.plain
  SLUICE_RAW_TOPIC=$plain "$SLUICE" topics make
  SLUICE_ANSWERS_TOPIC=$plain enhance --drain --instance two 2>two.log
  grep -q "deletes old records" two.log
}

@test "kafka answers: kill -9 of two replicas again and again buys nothing that was stored" {
  kafka_setup
  SLUICE_SESSION_TIMEOUT=1500ms kills_on_kafka 8000 12
}

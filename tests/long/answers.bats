#!/usr/bin/env bats
# Paid answers, the long way: a minute of kills, a hundred thousand posts, a broker that goes away.
load ../e2e/lib.bash
load ../e2e/llm.bash
load ../e2e/answers_kill.bash

@test "embedded answers: a minute of kill -9 every 2 s" {
  kills_on_sqlite 150000 60
}

@test "kafka answers: a minute of kill -9 every 2 s" {
  kafka_setup
  SLUICE_SESSION_TIMEOUT=1500ms kills_on_kafka 40000 60
}

@test "embedded answers: a hundred thousand posts again: no call" {
  llm --delay 1
  texts 100000 100000 | "$SLUICE" source --from - --quiet --partitions 4
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-concurrency 256
  [ "$(stat_of calls)" -eq 100000 ]
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --group again --enhanced-topic again
  [ "$(stat_of calls)" -eq 100000 ]
  [ "$(values again | wc -l)" -eq 100000 ]
}

@test "kafka answers: a hundred thousand posts again, by an old and by an empty copy: no call" {
  kafka_setup
  llm --delay 1
  texts 100000 100000 | "$SLUICE" source --from - --quiet --partitions 4
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-concurrency 256 --instance one
  [ "$(stat_of calls)" -eq 100000 ]
  for instance in one two; do
    again $instance
    "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --instance $instance 2>$instance.log
    [ "$(stat_of calls)" -eq 100000 ]
    [ "$(drained 100000 | wc -l)" -eq 100000 ]
  done
  grep -q "read 100000 records" two.log
}

# Answers that cannot be stored wait; none is told, none is lost, none is bought twice.
@test "kafka answers: a broker that stands still for 8 s" {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  "$ROOT/tests/kafka/kafka.sh" start --with $$ >kafka.out
  SLUICE_TEST_KAFKA=$(sed -n 's/^KAFKA_BOOTSTRAP_SERVERS=//p' kafka.out)
  kafka_setup
  export SLUICE_SESSION_TIMEOUT=30s
  broker=$(sed -n 's/^KAFKA_PID=//p' kafka.out)
  llm --delay 50
  texts 6000 6000 | "$SLUICE" source --from - --quiet --partitions 4
  start "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 64 2>log
  asking() { [ "$(stat_of calls)" -ge 1000 ]; }
  wait_for 20 asking
  kill -STOP "$broker"
  sleep 2
  before=$(stat_of calls)
  sleep 6 # that nothing happens cannot be waited for
  [ "$(stat_of calls)" -eq "$before" ]
  kill -CONT "$broker"
  enough() { [ "$(committed | wc -l)" -ge 6000 ]; }
  wait_for 60 enough
  committed | ids >out
  exactly_once out 6000
  [ "$(stat_of calls)" -eq 6000 ]
  [ "$(records | wc -l)" -eq 6000 ]
  "$ROOT/tests/kafka/kafka.sh" stop "$(sed -n 's/^KAFKA_DIR=//p' kafka.out)"
}

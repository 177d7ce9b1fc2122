#!/usr/bin/env bats
# sluice dlq redrive on a real Kafka: outputs and position are one transaction.
load lib.bash

kafka_setup() {
  [ -n "${SLUICE_TEST_KAFKA:-}" ] || skip "no Kafka: SLUICE_TEST_KAFKA is not set"
  T=d$RANDOM$RANDOM
  export SLUICE_BROKER=kafka://$SLUICE_TEST_KAFKA
  export SLUICE_RAW_TOPIC=raw_$T SLUICE_ENHANCED_TOPIC=enhanced_$T SLUICE_DEAD_TOPIC=dead_$T
  export SLUICE_GROUP=enhance_$T SLUICE_SESSION_TIMEOUT=6s
}

committed() {
  kcat -C -b "$SLUICE_TEST_KAFKA" -t "$1" -o beginning -e -q -X isolation.level=read_committed "${@:2}"
}

@test "kafka: redrive sends each letter back once, killed in the middle, aborted, and run again" {
  kafka_setup
  posts 1 2000 | "$SLUICE" source --from - --quiet --partitions 3
  "$SLUICE" enhance --drain --mock-error-rate 0.5 --instance one
  letters=$(committed "$SLUICE_DEAD_TOPIC" | wc -l)
  [ "$letters" -gt 500 ]
  "$SLUICE" dlq list | grep -Eq "^enricher_failed +enhance +$letters "
  for point in redrive.sent:150 kafka.txn.offsets:2 kafka.txn.commit:2 kafka.txn.committed:1; do
    run env SLUICE_FAULT=kill@$point "$SLUICE" dlq redrive --rate 3000 --instance back
    echo "$point: $status"
    [ "$status" -eq 137 ]
  done
  SLUICE_FAULT=fail@kafka.txn:2 "$SLUICE" dlq redrive --rate 3000 --instance back 2>log
  grep -q 'sent again' log
  run "$SLUICE" dlq redrive --instance back
  [ "$output" = "nothing to redrive" ]
  committed "$SLUICE_RAW_TOPIC" -f '%h\n' | grep -Eo "sluice-redrive=$SLUICE_DEAD_TOPIC/[0-9]+/[0-9]+" | sort >back
  [ "$(wc -l <back)" -eq "$letters" ]
  [ "$(uniq <back | wc -l)" -eq "$letters" ]
  "$SLUICE" enhance --drain --instance one
  committed "$SLUICE_ENHANCED_TOPIC" | ids >out
  exactly_once out 2000
  "$SLUICE" verify --drained
}

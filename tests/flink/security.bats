#!/usr/bin/env bats
# The Flink job at a broker that wants certificates, or a login over TLS, and grants rights one by one.
# The settings are those of the program; Kafka's Java client, which Flink has, reads them too.
load lib.bash

# Posts go in, and what came out is judged, by the port that may do all.
secure_kafka() {
  local name value
  "$ROOT/tests/kafka/kafka.sh" start --secure --with $$ 3>&- >kafka
  while IFS='=' read -r name value; do export "SECURE_$name=$value"; done <kafka
  export SLUICE_BROKER=kafka://$SECURE_KAFKA_BOOTSTRAP_SERVERS
  "$SLUICE" topics make >topics
}

teardown() {
  [ -z "${SECURE_KAFKA_DIR:-}" ] || "$ROOT/tests/kafka/kafka.sh" stop "$SECURE_KAFKA_DIR"
  cd / && rm -rf "${TMP:-/nowhere}"
}

allow() { "$ROOT/tests/kafka/kafka.sh" acl "$SECURE_KAFKA_DIR" --add --allow-principal "$@" >/dev/null; }

grant() { # USER
  local topic
  allow "$1" --operation Read --topic "$SLUICE_RAW_TOPIC"
  for topic in "$SLUICE_ENHANCED_TOPIC" "$SLUICE_DEAD_TOPIC"; do allow "$1" --operation Read --operation Write --topic "$topic"; done
  for topic in "$SLUICE_RAW_TOPIC" "$SLUICE_ENHANCED_TOPIC" "$SLUICE_DEAD_TOPIC"; do
    allow "$1" --operation DescribeConfigs --topic "$topic"
  done
  allow "$1" --operation Read --group "$SLUICE_GROUP"
  allow "$1" --operation Write --operation Describe --transactional-id '*'
  allow "$1" --operation DescribeConfigs --cluster
}

@test "flink: certificates both ways, then a login by SCRAM over TLS, with the rights of docs/FLINK.md" {
  secure_kafka
  TLS=$SECURE_KAFKA_DIR/tls
  # Java 17 does not read a key that is encrypted by PBES2, openssl's default.
  openssl pkcs8 -topk8 -v1 PBE-SHA1-3DES -in "$TLS/client.key" -passin pass:key-pass -out key.pem -passout pass:key-pass
  posts 1 300 | send
  grant User:CN=client
  SLUICE_BROKER=kafka://$SECURE_KAFKA_TLS SLUICE_TLS=true SLUICE_TLS_CA=$TLS/ca.pem SLUICE_TLS_CERT=$TLS/client.pem \
    SLUICE_TLS_KEY=key.pem SLUICE_TLS_KEY_PASSWORD=key-pass flink --drain
  each_came_out_once 300
  posts 301 600 | send
  grant User:enhance
  SLUICE_BROKER=kafka://$SECURE_KAFKA_SASL_TLS SLUICE_TLS=true SLUICE_TLS_CA=$TLS/ca.pem \
    SLUICE_SASL_MECHANISM=SCRAM-SHA-512 SLUICE_SASL_USERNAME=enhance SLUICE_SASL_PASSWORD=enhance-pass flink --drain
  each_came_out_once 600
}

#!/usr/bin/env bats
# The embedded broker's file at its limits: what is deleted and when, a write-ahead log that stays
# small, a disk that fills, a process that stops while it holds the write lock.
load lib.bash

records() { # TOPIC: of all partitions
  "$SLUICE" topics | awk -v t="$1" '$1 == t { print $3 }'
}

@test "retention deletes what is old and read, and nothing that a group has not read" {
  posts 1 500 | "$SLUICE" source --from - --quiet
  "$SLUICE" topics retain --retention-time 1ms --retention-bytes 1kB
  [ "$(records raw_posts)" -eq 500 ] # no group has come yet
  sqlite3 sluice.db "UPDATE topics SET kind = 'plain'" # as earlier versions made it
  "$SLUICE" topics make
  "$SLUICE" topics retain --retention-time 1ms
  [ "$(records raw_posts)" -eq 500 ]
  "$SLUICE" topics retain --retention-time 1ms --force
  [ "$(records raw_posts)" -eq 0 ]
  posts 501 1000 | "$SLUICE" source --from - --quiet
  "$SLUICE" enhance --drain 2>/dev/null
  posts 1001 1200 | "$SLUICE" source --from - --quiet
  "$SLUICE" topics retain --retention-time 1ms
  [ "$(records raw_posts)" -eq 200 ] # what enhance has not read
  "$SLUICE" enhance --drain 2>/dev/null
  values enhanced_posts | ids | sort -n >out || true
  values raw_posts | ids | sort -n | cmp - <(seq 1001 1200)
  [ "$(tail -1 out)" -eq 1200 ]
}

@test "retention by size keeps the newest records of each partition" {
  posts 1 4000 | "$SLUICE" source --from - --quiet --partitions 2
  "$SLUICE" enhance --drain 2>/dev/null
  "$SLUICE" topics retain --retention-bytes 20kB
  for p in 0 1; do
    values raw_posts --partition $p | wc -c >bytes
    [ "$(cat bytes)" -le 20000 ]
    [ "$(cat bytes)" -ge 5000 ]
  done
  values raw_posts | ids | grep -qx 4000
}

@test "retention is forced only when told, and then the group says how many it lost" {
  posts 1 100 | "$SLUICE" source --from - --quiet --partitions 1
  "$SLUICE" enhance --drain 2>/dev/null
  posts 101 200 | "$SLUICE" source --from - --quiet
  [ "$("$SLUICE" topics retain --retention-time 1ms)" = "200 record(s) deleted" ] # read, and without readers
  [ "$("$SLUICE" topics retain --retention-time 1ms --force)" = "100 record(s) deleted" ]
  run "$SLUICE" enhance --drain
  [ "$status" -eq 78 ]
  [[ "$output" == *100* ]]
  "$SLUICE" topics reset sluice-enhance raw_posts --to start
  posts 201 210 | "$SLUICE" source --from - --quiet
  "$SLUICE" enhance --drain 2>/dev/null
  values enhanced_posts | ids | tail -10 | cmp - <(seq 201 210)
}

@test "retention runs by itself while posts flow" {
  start "$SLUICE" enhance --retention-bytes 50kB 2>enhance.log
  start "$SLUICE" source --from generate --rate 2000 --quiet --retention-bytes 50kB
  shrunk() {
    [ "$(sqlite3 sluice.db "SELECT sum(start) FROM partitions WHERE topic = 'raw_posts'")" -gt 0 ]
  }
  wait_for 60 shrunk || { cat enhance.log; "$SLUICE" topics; return 1; }
}

@test "the write-ahead log stays small while posts flow and a reader stands still" {
  posts 1 60000 >posts
  "$SLUICE" source --from posts --quiet
  start "$SLUICE" tap raw_posts >tapped # live
  tap=$!
  "$SLUICE" source --from posts --quiet
  wait_for 20 test -s tapped
  kill -STOP "$tap"
  "$SLUICE" source --from posts --quiet
  "$SLUICE" enhance --drain 2>/dev/null
  size=$(stat -c %s sluice.db-wal)
  echo "the log is $size bytes"
  [ "$size" -lt $((64 << 20)) ]
  kill -CONT "$tap"
}

@test "a disk that fills stops with 74 and a name; with room again nothing is lost or repeated" {
  # A file that may not grow is what a full disk is to SQLite: the write fails.
  posts 1 3000 | "$SLUICE" source --from - --quiet --partitions 1
  rc=0
  (
    trap '' XFSZ
    ulimit -f $(($(stat -c %s sluice.db) / 1024 + 100))
    exec "$SLUICE" enhance --drain --broker-timeout 2s --commit-records 100 2>err
  ) || rc=$?
  echo "exit $rc: $(cat err)"
  [ "$rc" -eq 74 ]
  grep -q "sluice.db" err
  "$SLUICE" enhance --drain 2>/dev/null
  values enhanced_posts | ids >out
  exactly_once out 3000
  [ "$(sqlite3 sluice.db 'PRAGMA integrity_check')" = ok ]
}

@test "a process that stops while it holds the write lock is named, and the others give up with 75" {
  posts 1 200 | "$SLUICE" source --from - --quiet --partitions 2
  SLUICE_FAULT=stop@sqlite.commit.outputs:1 start "$SLUICE" enhance --instance stuck 2>stuck.log
  stuck=$!
  stopped() { grep -q '^State:.*T' "/proc/$stuck/status"; }
  wait_for 20 stopped
  rc=0
  posts 201 210 | "$SLUICE" source --from - --quiet --broker-timeout 7s 2>err || rc=$?
  echo "exit $rc: $(cat err)"
  [ "$rc" -eq 75 ]
  grep -q "process $stuck" err
  kill -CONT "$stuck"
  posts 201 210 | "$SLUICE" source --from - --quiet
  "$SLUICE" enhance --drain 2>/dev/null
  kill "$stuck"
  values enhanced_posts | ids >out
  exactly_once out 210
}

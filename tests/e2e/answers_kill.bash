# Two replicas, 50 ms a call, 128 in flight each, killed -9 together every 2 s, then the rest in
# peace. Loaded after lib.bash and llm.bash; `stored` says how many answers are stored.
#
# While both stand still (SIGSTOP), calls so far less answers stored is what all kills so far have
# cost. Ensures: 1. no kill costs more than what may be in flight, 2 x 128. 2. In the end calls are
# distinct questions, what the kills have cost, and races; nothing that was stored is bought again.

# kill_loop SECONDS DISTINCT [FLAG...]: sets COST, KILLS.
kill_loop() {
  local end=$((SECONDS + $1)) distinct=$2 one two before cost
  shift 2
  COST=0 KILLS=0
  while ((SECONDS < end)) && [ "$(stored)" -lt "$distinct" ]; do
    "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 128 --instance one "$@" 2>>one.log 3>&- &
    one=$!
    "$SLUICE" enhance --enricher openai --llm-url "$LLM" --llm-concurrency 128 --instance two "$@" 2>>two.log 3>&- &
    two=$!
    before=$(stat_of calls)
    sleep 2 # what is tested; what must have happened meanwhile is waited for
    more_calls() { [ "$(stat_of calls)" -gt "$before" ]; }
    wait_for 20 more_calls
    kill -STOP $one $two
    quiet() { [ "$(stat_of in_flight)" -eq 0 ]; } # what was on its way to the server has arrived
    wait_for 10 quiet
    cost=$(($(stat_of calls) - $(stored)))
    kill -9 $one $two
    wait $one $two 2>/dev/null || true
    KILLS=$((KILLS + 1))
    [ $((cost - COST)) -le 256 ] || { echo "kill $KILLS cost $((cost - COST)) calls"; return 1; }
    COST=$cost
  done
}

# judge N DISTINCT RACES: of file `out`, the ids that came out.
judge() {
  local calls
  calls=$(stat_of calls)
  echo "kills $KILLS, calls $calls, distinct $2, in flight at kills $COST, races $3" | tee -a "${REPORT:-/dev/null}"
  exactly_once out "$1"
  [ "$KILLS" -ge 2 ]
  [ "$calls" -le $(($2 + COST + $3)) ]
}

# kills_on_sqlite N SECONDS
kills_on_sqlite() {
  local distinct=$(($1 * 9 / 10))
  llm --delay 50
  stored() { sqlite3 -cmd '.timeout 5000' sluice.db-answers 'SELECT count(*) FROM answers' 2>/dev/null || echo 0; }
  texts "$1" $distinct | "$SLUICE" source --from - --quiet --partitions 4
  kill_loop "$2" $distinct
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-concurrency 128 --instance one 2>>one.log
  values enhanced_posts | ids >out
  judge "$1" $distinct 0
  [ "$(stored)" -eq $distinct ]
  "$SLUICE" verify
}

# kills_on_kafka N SECONDS: a question that has two records in the topic was asked twice; then the
# second one was asked (50 ms before it was answered) before the first could be known.
kills_on_kafka() {
  local distinct=$(($1 * 9 / 10)) races
  llm --delay 50
  stored() { records | wc -l; }
  texts "$1" $distinct | "$SLUICE" source --from - --quiet --partitions 4
  kill_loop "$2" $distinct
  "$SLUICE" enhance --drain --enricher openai --llm-url "$LLM" --llm-concurrency 128 --instance one 2>>one.log
  drained "$1" | ids >out
  races=$(($(records | wc -l) - $(records | sort -u | wc -l)))
  judge "$1" $distinct $races
  [ "$(records | sort -u | wc -l)" -eq $distinct ]
  records '%k %T\n' | awk '{ if ($1 in at && $2 - at[$1] > 2000) { print "asked again after " $2 - at[$1] " ms"; bad = 1 } at[$1] = $2 } END { exit bad }'
  "$SLUICE" verify
}

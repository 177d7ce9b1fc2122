"""Processes that die, stand still, come in twos, and are asked to end."""
import json
import os
import signal
import subprocess
import time

from faults import fault
from world import Broken, Proc, SESSION_S, TRANSACTION_S, expect, until

LOAD = ("--mock-latency", "20ms", "--window", "32", "--commit-records", "50")
SLOW = ("--mock-latency", "60ms", "--window", "16", "--commit-records", "20")

TAKE_OVER_S = max(SESSION_S, TRANSACTION_S + 10) + 5


def begin(w, count, partitions=4):
    w.make_topics(partitions)
    w.watch()
    w.feed(count)


def top_up(w, room=6000):
    """Under load: there is always more to do."""
    if w.sent - w.progress() < room // 2:
        w.feed(room)


@fault("kill -9 of enhance at random", short={"sqlite": {"kills": 10}, "kafka": {"kills": 3}},
       long={"sqlite": {"kills": 50}, "kafka": {"kills": 50}},
       target={"sqlite": 2, "kafka": SESSION_S + 5})
def kill_enhance(w, kills):
    begin(w, 6000)
    proc = w.enhance("one", *LOAD)
    w.advance(1)
    for _ in range(kills):
        time.sleep(w.rng.uniform(0, 0.25))
        top_up(w)
        known, since = w.writers(), time.monotonic()
        proc.kill()
        w.tries += 1
        proc = w.enhance("one", *LOAD)
        w.recovery(since, known)
    return w.verdict()


POINTS = {
    "sqlite": ["sqlite.read", "enhance.taken", "enhance.asked", "enhance.answered", "enhance.sent",
               "enhance.handed", "sqlite.commit.begin", "sqlite.commit.positions",
               "sqlite.commit.outputs", "sqlite.commit.end", "enhance.released"],
    "kafka": ["enhance.taken", "enhance.asked", "enhance.answered", "kafka.txn.begin",
              "kafka.txn.begun", "kafka.produce", "enhance.sent", "enhance.handed",
              "kafka.txn.offsets", "kafka.txn.commit", "kafka.txn.committed", "enhance.released"],
}


@fault("kill -9 of enhance at each named point",
       short={"sqlite": {"rounds": 1}, "kafka": {"rounds": 1, "most": 3}}, long={"rounds": 2},
       target={"sqlite": 2, "kafka": SESSION_S + 5})
def kill_at_points(w, rounds, most=99):
    begin(w, 4000)
    points = POINTS["kafka" if w.kafka else "sqlite"]
    for _ in range(rounds):
        for point in w.rng.sample(points, min(most, len(points))):
            top_up(w, 4000)
            where = f"kill@{point}:{w.rng.randint(1, 6)}"
            proc = w.enhance("one", *SLOW, env={"SLUICE_FAULT": where})
            code = proc.wait(40)
            expect(code == -signal.SIGKILL, where, "ended with", code, proc.tail())
            w.tries += 1
    return w.verdict()


@fault("kill -9 at a write of the SQLite file", kafka=False, short={"kills": 6}, long={"kills": 60},
       target=2)
def kill_at_writes(w, kills):
    """By the shim: at the n-th pwrite, ftruncate or fdatasync of the broker's files."""
    begin(w, 4000)
    for _ in range(kills):
        top_up(w, 4000)
        call = w.rng.choice(["pwrite", "pwrite", "pwrite", "fdatasync"])
        nth = w.rng.randint(1, 60 if call == "pwrite" else 3)
        proc = w.enhance("one", *SLOW, "--sqlite-sync", "full",
                         env=shim(f"{call}:kill:{nth}:broker.db"))
        code = proc.wait(40)
        expect(code == -signal.SIGKILL, call, nth, "ended with", code, proc.tail())
        w.tries += 1
    return w.verdict()


def shim(rule):
    return {"CHAOS_SHIM": rule, "LD_PRELOAD": os.environ["CHAOS_SHIM_SO"]}


@fault("one of two instances killed and not restarted", short={"sqlite": {"kills": 1}},
       long={"kills": 4}, target={"sqlite": 2, "kafka": TAKE_OVER_S})
def not_restarted(w, kills):
    begin(w, 6000)
    procs = [w.enhance(name, *LOAD) for name in ("one", "two")]
    for proc in procs:
        proc.says("assigned")
    for i in range(kills):
        w.advance(300)
        top_up(w, 10000)
        victim = procs.pop(0)
        shares = until(20, "both work", lambda: two_writers(w))
        known, since = w.writers(), time.monotonic()
        victim.kill()
        w.tries += 1
        where = until(60, "the heir in the dead one's partition",
                      lambda s=since, o=shares: moved(w, s, o), 0.05)
        w.recovered.append(where - since)
        if i + 1 < kills:
            procs.append(w.enhance(f"heir{i}", *LOAD))
            procs[-1].says("assigned")
        del known
    return w.verdict()


def two_writers(w):
    """Partition -> writer, as soon as the last of each partition are of at least two writers."""
    owners = {}
    for _, partition, writer in w.watchers[0].seen[-400:]:
        owners[partition] = writer
    return owners if len(owners) == 4 and len(set(owners.values())) >= 2 else None


def moved(w, since, owners):
    """When the last partition that changed hands had its first output of the new owner."""
    firsts = {}
    for at, partition, writer in reversed(w.watchers[0].seen):
        if at < since:
            break
        if owners.get(partition) != writer:
            firsts[partition] = at
    return max(firsts.values()) if firsts else None


@fault("SIGSTOP beyond session and transaction time-out, then SIGCONT",
       short={"kafka": {"stops": 1, "seconds": 8}}, long={"stops": 4, "seconds": 13})
def zombie(w, stops, seconds):
    begin(w, 8000)
    known = w.writers()
    proc, number = w.enhance("one", *LOAD), 1
    for _ in range(stops):
        until(30, "its first output", lambda k=known: w.writers() - k)
        w.advance(200)
        top_up(w, 8000)
        known, since = w.writers(), time.monotonic()
        proc.stop()
        number += 1
        heir = w.enhance(f"heir{number}", *LOAD)
        w.recovery(since, known)
        time.sleep(max(0, seconds - (time.monotonic() - since)))
        proc.go_on()
        w.tries += 1
        w.advance(200)
        # The zombie wakes up with a batch of partitions that are another's: it drops them and joins
        # again, or ends as fenced. It must not hang.
        until(60, "the zombie to rejoin or to end",
              lambda p=proc: not p.alive() or p.text().count("assigned") >= 2 or "lost" in p.text()
              or "taken over" in p.text())
        if proc.alive():
            code = proc.term()
            expect(code in (0, 75, 76), "the zombie ended with", code, proc.tail())
        proc = heir
        if number <= stops:
            w.feed(4000)
    return w.verdict()


@fault("SIGSTOP inside a commit", kafka=False, short={"stops": 1}, long={"stops": 5})
def stopped_in_commit(w, stops):
    """The one that holds the write lock stands still: the others wait, say who it is, go on."""
    begin(w, 4000)
    for _ in range(stops):
        top_up(w, 9000)
        point = w.rng.choice(["sqlite.commit.positions", "sqlite.commit.outputs"])
        other = w.enhance("two", *SLOW)
        until(20, "it to work", lambda p=other: "assigned" in p.text())
        proc = w.enhance("one", *SLOW, env={"SLUICE_FAULT": f"stop@{point}:{w.rng.randint(40, 60)}"})
        until(40, "it to stop", lambda p=proc: state_of(p) == "T")
        until(25, "it to say who holds the lock",
              lambda o=other, p=proc: f"process {p.pid}" in o.text() or not o.alive())
        expect(other.alive(), "who waits for the lock must not give up so soon", other.tail())
        since = time.monotonic()
        proc.go_on()
        w.tries += 1
        w.recovery(since)
        for p in (proc, other):
            expect(p.term() in (0, 76), p.tail())
    return w.verdict()


def state_of(proc):
    with open(f"/proc/{proc.pid}/stat") as stat:
        return stat.read().rpartition(") ")[2][0]


@fault("two processes of one --instance", short={"sqlite": {"times": 1}, "kafka": {"times": 1}},
       long={"times": 5})
def twins(w, times):
    begin(w, 4000)
    for i in range(times):
        top_up(w, 4000)
        first = w.enhance(f"same{i}", *SLOW)
        w.advance(50)
        second = w.enhance(f"same{i}", *SLOW)
        until(40, "one of the two to end", lambda: not (first.alive() and second.alive()))
        ended = second if first.alive() else first
        expect(ended.wait(1) == 76, "it ended with", ended.popen.returncode, ended.tail())
        w.advance(50)
        w.tries += 1
        for p in (first, second):
            if p.alive():
                expect(p.term() == 0, p.tail())
    return w.verdict()


@fault("SIGTERM under load", short={"sqlite": {"stops": 3}}, long={"stops": 8},
       target={"sqlite": 2, "kafka": 2})
def clean_stop(w, stops):
    """I6: exit 0, soon; who stays has the partitions soon."""
    begin(w, 6000)
    proc = w.enhance("one", *LOAD)
    proc.says("assigned")
    for i in range(stops):
        other = w.enhance(f"next{i}", *LOAD)
        other.says("assigned")
        top_up(w, 10000)
        owners = until(30, "both work", lambda: two_writers(w))
        since = time.monotonic()
        code = proc.term(30)
        took = time.monotonic() - since
        w.tries += 1
        expect(code == 0, "it ended with", code, proc.tail())
        expect(took < 10, "it took", took, "s to end")
        at = until(30, "the partitions of the one that left", lambda s=since, o=owners: moved(w, s, o))
        w.recovered.append(at - since)
        proc = other
    return w.verdict()


@fault("kill -9 of source", short={"sqlite": {"kills": 3}}, long={"kills": 10})
def kill_source(w, kills):
    """What it said it had sent is in the topic, and what came in comes out."""
    w.make_topics()
    w.watch()
    w.enhance("one", *LOAD)
    path = os.path.join(w.dir, "posts.jsonl")
    with open(path, "w") as file:
        for i in range(3000):
            file.write('{"id": %d, "text": "again and again"}\n' % i)
    said = 0
    for i in range(kills):
        out = os.path.join(w.dir, f"said{i}")
        with open(out, "wb") as sink:
            proc = w.start(f"source{i}", "source", "--from", path, "--rate", "3000",
                           env={"SLUICE_QUIET": "false"}, stdout=sink)
            until(20, "its first post", lambda o=out: os.path.getsize(o) > 0)
            time.sleep(w.rng.uniform(0, 0.5))
            proc.kill()
        w.tries += 1
        with open(out, errors="replace") as file:
            said += sum(line.endswith("\n") for line in file)
    raw = w.run("tap", w.raw, "--from", "start").count("\n")
    expect(raw >= said, "acknowledged", said, "and there are", raw)
    return w.verdict()


@fault("kill -9 of sink", short={"sqlite": {"kills": 4}}, long={"kills": 10})
def kill_sink(w, kills):
    """At least once: none lost; repeated are only those of the last batch of each that died."""
    begin(w, 4000)
    w.enhance("one", *LOAD)
    lines, alive = [], None

    def sink(i, *args):
        path = os.path.join(w.dir, f"sink{i}.jsonl")
        with open(path, "wb") as out:
            return path, w.start(f"sink{i}", "sink", "--to", "jsonl", *args, stdout=out)

    for i in range(kills):
        path, alive = sink(i)
        until(40, "it to write", lambda p=path: os.path.getsize(p) > 0)
        time.sleep(w.rng.uniform(0, 0.3))
        alive.kill()
        w.tries += 1
        lines.append(path)
        w.feed(800)
    found = w.verdict()
    path, alive = sink("last", "--drain")
    expect(alive.wait(60) == 0, alive.tail())
    lines.append(path)
    ids = []
    for path in lines:
        with open(path, errors="replace") as file:
            ids += [json.loads(line)["id"] for line in file if line.endswith("\n")]
    expect(set(ids) == set(range(1, w.sent + 1)), "the sink lost", w.sent - len(set(ids)))
    w.notes.append(f"the sink's lines are at-least-once: {len(ids) - len(set(ids))} came again")
    return found


@fault("aborted transactions, and what the counters say", short={"kafka": {}, "sqlite": {}}, long={})
def counters_balance(w):
    """I10: what came in has gone out, the lag is 0, nothing is in flight."""
    begin(w, 6000)
    proc = w.enhance("one", *LOAD, "--mock-error-rate", "0.05", "--http", "127.0.0.1:0",
                     env={"SLUICE_FAULT": "fail@kafka.txn:5"} if w.kafka else {})
    proc.says("metrics and health on")
    port = int(proc.text().split("metrics and health on")[1].split("port ")[1].split()[0].strip('",}'))

    def idle():
        m = w.metrics(port)
        return m if m.get("sluice_records_in_total") == w.sent and m.get("sluice_in_flight") == 0 \
            and m.get("sluice_lag") == 0 else None

    m = until(60, "lag 0 and nothing in flight", idle, 0.1)
    out = m["sluice_records_out_total"] + m["sluice_dead_letters_total"]
    expect(m["sluice_records_in_total"] == out, "in", m["sluice_records_in_total"], "out", out)
    if w.kafka:
        expect(m["sluice_aborts_total"] > 0, "no transaction was aborted")
        w.tries = int(m["sluice_aborts_total"])
    expect(proc.term() == 0, proc.tail())
    w.drain_args = ("--mock-error-rate", "0.05")
    return w.verdict()

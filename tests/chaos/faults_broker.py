"""Brokers that go away, move their duties, are hard to reach, or have forgotten something; and groups
that change all the time."""
import os
import socket
import sqlite3
import subprocess
import time

from faults import fault
from faults_process import LOAD, SLOW, begin, top_up
from proxy import Proxy
from world import Broken, SESSION_S, expect, until


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


# --- bounces and moves ---

def recover_or_restart(w, proc, since, env=None):
    """A producer that was timed out by its coordinator is made anew at most 3 times in 5 minutes; then
    enhance ends, as it does when the broker stays away for too long, and whoever watches it starts
    it again."""
    until(120, "outputs, or an end with a reason",
          lambda: w.watchers[0].first_after(since) or not proc.alive(), 0.1)
    if proc.alive():
        w.recovery(since)
        return proc
    code = proc.wait(1)
    expect(code in (69, 75, 76), "enhance ended with", code, proc.tail())
    w.notes.append(f"enhance ended with {code} and was started again")
    proc = w.enhance("one", *LOAD, env=env)
    w.recovery(since, seconds=90)
    return proc

@fault("the broker is bounced", sqlite=False, own=[], long={"bounces": 6}, target=30)
def bounce(w, bounces):
    """By turns in order and by kill -9, while source, enhance and readers run."""
    begin(w, 6000)
    proc = w.enhance("one", *LOAD)
    w.advance(200)
    for i in range(bounces):
        top_up(w)
        source = w.feed(3000, rate=500)
        time.sleep(w.rng.uniform(0.2, 1))
        w.kafka.halt(hard=i % 2 == 1)
        time.sleep(w.rng.uniform(0, 3))
        w.kafka.resume()
        since = time.monotonic()
        w.tries += 1
        w.feed_again(1000)
        proc = recover_or_restart(w, proc, since)
        # it gives up when the broker stays away for longer than --broker-timeout
        expect(source.wait(60) in (0, 69), source.popen.returncode, source.tail())
    return w.verdict()


@fault("coordinators and leaders move (three brokers)", sqlite=False, own=["--nodes", "3"],
       long={"moves": 6}, target=30)
def moves(w, moves):
    """One of three dies, or is stopped in order: what it led and coordinated moves to another."""
    w.env["SLUICE_REPLICATION"] = "3"
    begin(w, 6000)
    proc = w.enhance("one", *LOAD)
    w.advance(200)
    for i in range(moves):
        top_up(w)
        source = w.feed(2000, rate=500)
        node = 2 + i % 2
        since = time.monotonic()
        w.kafka.halt(hard=i % 4 < 2, node=node)
        w.feed_again(1000)
        proc = recover_or_restart(w, proc, since)
        w.tries += 1
        w.kafka.resume(node=node)
        expect(source.wait(90) in (0, 69), source.popen.returncode, source.tail())
        until(60, "all replicas in sync", lambda: "Topic:" not in w.kafka.topics(
            "--describe", "--under-replicated-partitions"), 1)
    return w.verdict()


# --- the network ---

PROXY_PORT = free_port()


def through_proxy(w, inject, times, seconds, gentle=False):
    """enhance and source reach the broker only through the proxy; readers and counters directly."""
    with Proxy(PROXY_PORT, w.kafka.behind) as proxy:
        way = {"SLUICE_BROKER": f"kafka://127.0.0.1:{PROXY_PORT}"}
        w.make_topics()
        w.watch()
        w.feed(6000)
        proc = w.enhance("one", *LOAD, env=way)
        w.advance(200)
        for _ in range(times):
            top_up(w)
            time.sleep(w.rng.uniform(0, 0.5))
            inject(proxy)
            time.sleep(seconds)
            proxy.heal()
            since = time.monotonic()
            w.tries += 1
            before, proc = proc, recover_or_restart(w, proc, since, way)
            expect(not gentle or before is proc, "it ended:", before.tail())
            w.advance(100)
        for p in w.procs:  # they end while the way is open
            if p.alive():
                expect(p.term() in (0, 75, 76), p.tail())
    return w.verdict()


NETWORK = ["--proxy", str(PROXY_PORT)]


@fault("network cut, shorter and longer than the session", sqlite=False, own=NETWORK,
       long={"times": 4}, target=SESSION_S + 5)
def cut(w, times):
    return through_proxy(w, lambda p: p.cut(), times, SESSION_S + 3)


@fault("network cut briefly", sqlite=False, own=NETWORK, long={"times": 8}, target=SESSION_S + 5)
def cut_briefly(w, times):
    return through_proxy(w, lambda p: p.cut(), times, 1, gentle=True)


@fault("connections reset", sqlite=False, own=NETWORK, long={"times": 20}, target=SESSION_S + 5)
def resets(w, times):
    return through_proxy(w, lambda p: p.reset(), times, 0.3, gentle=True)


@fault("network one-way: requests arrive, answers do not", sqlite=False, own=NETWORK,
       long={"times": 3}, target=SESSION_S + 5)
def one_way_down(w, times):
    """Commits happen and nobody hears of it."""
    return through_proxy(w, lambda p: p.hold("down"), times, SESSION_S + 2)


@fault("network one-way: requests do not arrive", sqlite=False, own=NETWORK, long={"times": 3},
       target=SESSION_S + 5)
def one_way_up(w, times):
    return through_proxy(w, lambda p: p.hold("up"), times, SESSION_S + 2)


@fault("slow network", sqlite=False, own=NETWORK, long={"times": 3})
def slow(w, times):
    return through_proxy(w, lambda p: p.slow(0.25, 200000), times, 8, gentle=True)


# --- groups ---

@fault("rebalance storm with full windows", short={"sqlite": {"seconds": 4}}, long={"seconds": 40})
def storm(w, seconds):
    """Instances come and go every second, partitions are added; answers are slow."""
    slow_answers = ("--mock-latency", "150ms", "--window", "64", "--commit-records", "50")
    begin(w, 6000)
    w.enhance("base", *slow_answers).says("assigned")
    ends, guests, i = time.monotonic() + seconds, [], 0
    partitions = 4
    while time.monotonic() < ends:
        top_up(w, 4000)
        guests.append(w.enhance(f"guest{i}", *slow_answers))
        w.tries += 1
        i += 1
        time.sleep(1)
        if len(guests) > 2:
            guest = guests.pop(w.rng.randrange(len(guests)))
            if w.rng.random() < 0.5:
                guest.kill()
            else:
                code = guest.term()
                expect(code in (0, 75), guest.tail())
        if w.kafka and i % 15 == 5:
            partitions += 1
            w.kafka.topics("--alter", "--topic", w.raw, "--partitions", str(partitions))
    return w.verdict()


# --- what a broker forgets ---

@fault("retention passes the position", short={"sqlite": {}}, long={})
def retention(w):
    """Posts are gone that were never read: stop, say how many, go on only when told so."""
    begin(w, 2000)
    proc = w.enhance("one", *SLOW)
    w.advance(200)
    expect(proc.term() == 0, proc.tail())
    if w.kafka:
        path = os.path.join(w.dir, "delete.json")
        with open(path, "w") as file:
            file.write('{"partitions":[%s],"version":1}' % ",".join(
                f'{{"topic":"{w.raw}","partition":{p},"offset":{450}}}' for p in range(4)))
        w.kafka.tool("org.apache.kafka.tools.DeleteRecordsCommand", "--offset-json-file", path)
    else:
        with sqlite3.connect(w.db()) as db:
            for p in range(4):
                db.execute(f'DELETE FROM "{w.raw}/{p}" WHERE offset < 450')
                db.execute("UPDATE partitions SET start = 450 WHERE topic = ? AND partition = ?",
                           (w.raw, p))
    proc = w.enhance("two", *SLOW)
    code = proc.wait(40)
    expect(code == 78, "it ended with", code, proc.tail())
    expect("450" in proc.text() or "deleted" in proc.text(), "it does not say what is gone:",
           proc.tail())
    w.tries += 1
    w.run("topics", "reset", w.group, w.raw, "--to", "start", env={"SLUICE_SESSION_TIMEOUT": "6s"})
    w.settle()
    found = w.verify(decided=("I1", "I2"))
    row = found["invariants"][0]
    expect(row["undecided"] > 0, "verify does not know of what is gone")
    w.notes.append("lost by retention, and said so")
    return 2000, 0, 0


@fault("positions of the group expired", short={"sqlite": {}}, long={})
def positions_expired(w):
    """No position although outputs exist: stop, do not begin again."""
    begin(w, 1000)
    w.settle()
    if w.kafka:
        w.kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--group", w.group,
                     "--topic", w.raw, "--delete-offsets")
    else:
        with sqlite3.connect(w.db()) as db:
            db.execute("DELETE FROM positions WHERE group_id = ?", (w.group,))
    proc = w.enhance("one", *LOAD)
    code = proc.wait(40)
    expect(code == 78, "it ended with", code, proc.tail())
    expect("on-missing-position" in proc.text(), "it does not say how to decide:", proc.tail())
    w.tries += 1
    w.drain_args = ("--on-missing-position", "latest")
    w.settle()
    w.drain_args = ()
    w.feed(3)  # not into every partition
    w.settle()
    return w.verdict()


@fault("a topic is deleted", sqlite=False, long={})
def topic_deleted(w):
    """It ends with a reason, and does not hang."""
    for which in ("raw", "enhanced"):
        begin(w, 2000)
        proc = w.enhance("one", *LOAD)
        w.advance(100)
        for watcher in w.watchers:
            watcher.proc.kill()
        topic = w.raw if which == "raw" else w.enhanced
        w.kafka.topics("--delete", "--topic", topic)
        if which == "enhanced":  # not by a source, which would make the topic anew
            w.feed_bytes([(b"k", b'{"id":1,"text":"x"}')] * 50)
        code = proc.wait(90)
        expect(code in (69, 75, 78), "without its", which, "topic it ended with", code, proc.tail())
        expect(topic in proc.text(), "it does not name the topic:", proc.tail())
        w.tries += 1
        w.notes.append(f"{which} topic: exit code {code}")
        for left in (w.raw, w.enhanced, w.dead):
            try:
                w.kafka.topics("--delete", "--topic", left)
            except Broken:
                pass  # the one that is gone
        until(30, "the topics to be gone", lambda: w.raw not in w.kafka.topics("--list"), 0.5)
    return 0, 0, 0


@fault("the group is deleted while nobody is in it", sqlite=False, long={})
def group_deleted(w):
    begin(w, 500)
    w.settle()
    w.kafka.tool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", "--group", w.group,
                 "--delete")
    code = w.enhance("one", *LOAD).wait(40)
    expect(code == 78, "it ended with", code)
    w.tries += 1
    return 500, 0, 0


@fault("a topic is deleted and made anew", sqlite=False, long={})
def topic_made_anew(w):
    """What was in it is gone for ever; enhance must not hang, and what comes later comes out once."""
    begin(w, 2000)
    proc = w.enhance("one", *LOAD)
    w.advance(100)
    for watcher in w.watchers:
        watcher.proc.kill()
    w.watchers = []
    w.kafka.topics("--delete", "--topic", w.enhanced)

    def made_anew():
        try:
            w.make_topics()
            return True
        except Broken:
            return False
    until(30, "the topic made anew", made_anew, 0.5)
    w.feed(200)
    w.tries += 1

    def moves_or_ends():
        if not proc.alive():
            return True
        return w.run("tap", w.enhanced, "--from", "start").count("\n") > 0
    until(120, "outputs or an end", moves_or_ends, 1)
    if not proc.alive():
        expect(proc.wait(1) in (69, 75, 78), "it ended with", proc.popen.returncode, proc.tail())
    else:
        expect(proc.term() in (0, 75), proc.tail())
    w.settle()
    return 0, 0, 0

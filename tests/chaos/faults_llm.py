"""An endpoint that refuses, hangs, drips, is overloaded, breaks off, or is down for long: posts wait,
the group keeps its member, no transaction stays open, and every answer is used once."""
import json
import os
import time
import urllib.request

from faults import fault
from faults_process import begin
from world import Proc, SESSION_S, TRANSACTION_S, expect, until


class Llm:
    def __init__(self, w, *args):
        self.w, self.port, self.args, self.proc = w, 0, args, None
        self.start()

    def start(self):
        path = os.path.join(self.w.dir, "llm-port")
        if os.path.exists(path):
            os.unlink(path)
        self.proc = Proc([os.environ["LLM_SERVER"], "--port", str(self.port), "--port-file", path,
                          *self.args], os.path.join(self.w.dir, "llm.log"))
        self.w.helpers.append(self.proc)
        until(20, "the LLM server", lambda: os.path.exists(path))
        with open(path) as file:
            self.port = int(file.read())
        self.root = f"http://127.0.0.1:{self.port}"

    def script(self, **members):
        body = json.dumps(members).encode()
        urllib.request.urlopen(self.root + "/script", body, timeout=10).read()

    def stats(self):
        with urllib.request.urlopen(self.root + "/stats", timeout=10) as reply:
            return json.load(reply)

    def options(self):
        return ("--enricher", "openai", "--llm-url", self.root + "/v1", "--llm-timeout", "1s",
                "--llm-attempts", "50")


def no_transaction_open(w):
    if not w.kafka:
        return
    listed = w.kafka.tool("org.apache.kafka.tools.TransactionsCommand", "list")
    ours = [line for line in listed.splitlines() if w.group in line]
    expect(ours and not any("Ongoing" in line for line in ours), "a transaction is open:", ours)


def keeps_its_place(proc):
    text = proc.text()
    expect(proc.alive(), "it ended:", proc.tail())
    expect(text.count("assigned") == 1 and "taken over" not in text, "it lost its place:",
           proc.tail())


MODES = [
    ("hangs", {"mode": "hang"}), ("stalls", {"mode": "stall"}), ("drips", {"mode": "drip"}),
    ("says 429", {"error_rate": 1, "error_status": 429, "retry_after_s": 0.3}),
    ("says 500", {"error_rate": 1, "error_status": 500}),
    ("says 503", {"error_rate": 1, "error_status": 503}),
    ("answers half", {"mode": "half"}), ("resets", {"mode": "reset_mid_body"}),
    ("closes", {"mode": "close_early"}), ("babbles", {"mode": "garbage"}),
]


@fault("the LLM misbehaves", short={"sqlite": {"most": 4, "seconds": 0.7}}, long={"seconds": 3},
       target=None)
def misbehaves(w, seconds, most=99):
    llm = Llm(w, "--delay", "20")
    begin(w, 3000)
    proc = w.enhance("one", *llm.options(), "--llm-concurrency", "32")
    w.drain_args = llm.options()
    for what, script in w.rng.sample(MODES, min(most, len(MODES))):
        w.advance(60)
        llm.script(**script)
        time.sleep(seconds)
        keeps_its_place(proc)
        llm.script(mode="ok", error_rate=0)
        since = time.monotonic()
        w.tries += 1
        w.recovery(since)
    keeps_its_place(proc)
    llm.script(delay_ms=1)
    found = w.verdict()
    dead = w.run("tap", w.dead, "--from", "start").count("\n")
    expect(dead == 0, dead, "posts became dead letters")
    return found


@fault("the LLM is down for long", short={"sqlite": {"seconds": 4}},
       long={"seconds": SESSION_S + TRANSACTION_S + 15})
def down(w, seconds):
    """Longer than session and transaction time-out together."""
    llm = Llm(w, "--delay", "20")
    begin(w, 1200)
    proc = w.enhance("one", *llm.options(), "--llm-concurrency", "16")
    w.drain_args = llm.options()
    w.advance(100)
    llm.proc.kill()
    time.sleep(seconds)
    keeps_its_place(proc)
    no_transaction_open(w)
    llm.start()
    since = time.monotonic()
    w.tries += 1
    w.recovery(since, seconds=90)
    keeps_its_place(proc)
    llm.script(delay_ms=1)
    found = w.verdict()
    dead = w.run("tap", w.dead, "--from", "start").count("\n")
    expect(dead == 0, dead, "posts became dead letters")
    return found


@fault("SIGTERM while questions are in flight", short={"sqlite": {"stops": 2}}, long={"stops": 6})
def stop_asking(w, stops):
    """I6: exit 0 within the time for them, and nothing is asked again that was asked before."""
    llm = Llm(w, "--delay", "300", "--spread", "300")
    begin(w, 300 * stops)
    args = llm.options()[:4] + ("--answers=false", "--llm-timeout", "20s", "--llm-concurrency", "32")
    w.drain_args = args
    for i in range(stops):
        proc = w.enhance("one", *args)
        w.advance(30)
        since = time.monotonic()
        code = proc.term(30)
        expect(code == 0, "it ended with", code, proc.tail())
        expect(time.monotonic() - since < 5, "it took", time.monotonic() - since, "s")
        w.tries += 1
        stats = llm.stats()
        expect(stats["aborted"] == 0, stats["aborted"], "questions were cut off")
    llm.script(delay_ms=1, spread_ms=0)
    found = w.verdict()
    stats = llm.stats()
    expect(stats["calls"] == w.sent, stats["calls"], "calls for", w.sent, "posts")
    return found


@fault("kill -9 while paid answers are stored", short={"sqlite": {"kills": 3}},
       long={"sqlite": {"kills": 20}}, kafka=False)
def paid(w, kills):
    """No answer is bought twice but those in flight when it was killed."""
    llm = Llm(w, "--delay", "30")
    begin(w, 400 * kills)
    args = llm.options() + ("--llm-concurrency", "32", "--llm-concurrency-min", "32")
    w.drain_args = args
    for _ in range(kills):
        proc = w.enhance("one", *args)
        w.advance(100)
        time.sleep(w.rng.uniform(0, 0.3))
        proc.kill()
        w.tries += 1
    llm.script(delay_ms=1)
    found = w.verdict()
    stats = llm.stats()
    expect(stats["repeated"] <= 32 * kills, stats["repeated"], "asked again, at most", 32 * kills)
    w.notes.append(f"{stats['calls']} calls for {w.sent} questions, {kills} kills at up to 32 in flight")
    return found

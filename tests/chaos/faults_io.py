"""What the machine refuses: a full or broken disk, descriptors, memory, time, standard output."""
import array
import fcntl
import mmap
import os
import signal
import sqlite3
import struct
import termios
import time

from faults import fault
from faults_process import LOAD, SLOW, begin, shim, top_up
from world import expect, until

GIVEN_UP = (0, 69, 70, 74, 75, 78)  # an end with a reason, not a crash


@fault("disk full for a while", kafka=False, short={"times": 1, "seconds": 3},
       long={"times": 5, "seconds": 12}, target=2)
def disk_full(w, times, seconds):
    """ENOSPC on every write of the file: enhance waits, says so, and goes on when there is room."""
    flag = os.path.join(w.dir, "full")
    begin(w, 6000)
    proc = w.enhance("one", *LOAD, env=shim(f"pwrite:ENOSPC:1-:broker.db:{flag}"))
    for _ in range(times):
        w.advance(200)
        with open(flag, "w"):
            pass
        time.sleep(0.2)
        stood = w.progress()
        time.sleep(seconds)
        expect(proc.alive(), "it ended:", proc.tail())
        expect(w.progress() - stood < 1500, "it went on without room")
        expect("no space" in proc.text() or "full" in proc.text(), "it does not say why it waits:",
               proc.tail())
        since = time.monotonic()
        os.unlink(flag)
        w.tries += 1
        top_up(w)
        w.recovery(since)
    return w.verdict()


def fail_nth(w, rules, also=()):
    """Each rule in a process of its own, which goes on or ends with a reason."""
    ends = {}
    for rule in rules:
        top_up(w, 2000)
        proc = w.enhance("one", *SLOW, *also, env=shim(rule))
        before = w.progress()
        until(30, "an end or progress",
              lambda p=proc, b=before: not p.alive() or w.progress() > b + 150)
        code = proc.term(40) if proc.alive() else proc.popen.returncode
        w.tries += 1
        ends[code] = ends.get(code, 0) + 1
        expect(code in GIVEN_UP, rule, "ended with", code, proc.tail())
    w.notes.append("exit codes: " + ", ".join(f"{c}: {n} times" for c, n in sorted(ends.items())))


@fault("EIO and ENOSPC at the n-th write or sync of the file", kafka=False, short={"most": 6},
       long={"most": 80})
def io_errors(w, most):
    begin(w, 3000)
    rules = []
    for i in range(most):
        call = w.rng.choice(["pwrite", "pwrite", "fdatasync", "ftruncate"])
        nth = i + 1 if i < most // 2 else w.rng.randint(1, 200 if call == "pwrite" else 8)
        rules.append(f"{call}:{w.rng.choice(['EIO', 'ENOSPC'])}:{nth}:broker.db")
    fail_nth(w, rules, ("--sqlite-sync", "full"))
    return w.verdict()


@fault("EMFILE at the n-th open", kafka=False, short={"most": 4}, long={"most": 40})
def no_descriptors(w, most):
    begin(w, 3000)
    fail_nth(w, [f"open:EMFILE:{n + 1}{'-' if n % 2 else ''}" for n in range(most)])
    return w.verdict()


@fault("ENOMEM at the n-th allocation", kafka=False, short={"most": 6}, long={"most": 120})
def no_memory(w, most):
    """From the first ones of the start on, then at steps that grow."""
    begin(w, 3000)
    n, rules = 1, []
    while len(rules) < most:
        rules.append(f"malloc:ENOMEM:{n}")
        n += 1 + n // 8 + w.rng.randint(0, 1 + n // 16) + (40 if most < 10 else 0)
    fail_nth(w, rules)
    return w.verdict()


@fault("descriptors used up (RLIMIT_NOFILE)", sqlite=True, kafka=True, short={"sqlite": {}}, long={})
def few_descriptors(w):
    begin(w, 2000)
    for limit in (3, 5, 8, 12, 16, 20, 24, 32):
        proc = w.start("few", "enhance", "--trace-txn", "--instance", "one", *SLOW,
                       prefix=("prlimit", f"--nofile={limit}"))
        before = w.progress()
        until(45, "an end or progress",  # --broker-timeout is 30 s
              lambda p=proc, b=before: not p.alive() or w.progress() > b + 50)
        code = proc.term(40) if proc.alive() else proc.popen.returncode
        w.tries += 1
        # librdkafka, libuv and the loader abort by themselves when they get no descriptor at all
        expect(code in GIVEN_UP + (127,) + ((-signal.SIGABRT,) if limit < 24 else ()),
               "with", limit, "descriptors it ended with", code, proc.tail())
        top_up(w, 1000)
    return w.verdict()


@fault("clock jumps", short={"sqlite": {"jumps": 4}}, long={"jumps": 20})
def clock_jumps(w, jumps):
    """The wall clock by hours, back and forth; the boot-time clock forward, as after a sleep."""
    path = os.path.join(w.dir, "clock")
    with open(path, "wb") as file:
        file.write(bytes(16))
    with open(path, "r+b") as file:
        shift = mmap.mmap(file.fileno(), 16)
    env = {"CHAOS_CLOCK": path, **shim("socket:EIO:0")}
    begin(w, 6000)
    proc = w.enhance("one", *LOAD, env=env)

    def go_on(done):
        nonlocal proc
        until(60, "outputs or an end", lambda: done() or not proc.alive())
        if not proc.alive():
            # librdkafka 2.0.2 asserts when the clock jumps in a wait of a transaction, or no longer
            # knows whether that has ended: then nothing may be sent again, and enhance ends by name.
            expect(w.kafka and ("rdkafka_txnmgr" in proc.text() or "(_STATE)" in proc.text()),
                   "it ended:", proc.tail())
            w.notes.append("it ended: " + proc.text().strip().splitlines()[-1][:120])
            proc = w.enhance("one", *LOAD, env=env)
            until(60, "outputs of the next one", done)

    def advance():
        top_up(w)
        go_on(lambda wanted=w.progress() + 200: w.progress() >= wanted)

    wall = boot = 0
    for _ in range(jumps):
        advance()
        wall += w.rng.choice([-86400, -3600, -5, 5, 3600, 86400]) * 10**9
        boot += w.rng.choice([0, 0, 3, 60]) * 10**9
        since = time.monotonic()
        shift[:] = struct.pack("qq", wall, boot)
        w.tries += 1
        go_on(lambda s=since: w.watchers[0].first_after(s))
        w.recovery(since)
    advance()
    return w.verdict()


@fault("standard output closed", short={"sqlite": {"times": 2}}, long={"times": 6})
def stdout_closed(w, times):
    """The reader of the sink's lines goes away: exit 74, and no position passes what it has not got."""
    begin(w, 3000)
    w.enhance("one", *LOAD)
    got = []
    for i in range(times):
        read, write = os.pipe()
        proc = w.start(f"sink{i}", "sink", "--to", "jsonl", stdout=write)
        os.close(write)
        wanted = w.rng.randint(1000, 60000)
        data = b""
        while len(data) < wanted:
            data += os.read(read, 4096)
        os.close(read)
        got.append(data)
        code = proc.wait(30)
        expect(code == 74, "it ended with", code, proc.tail())
        w.tries += 1
        w.feed(1000)
    found = w.verdict()
    path = os.path.join(w.dir, "rest.jsonl")
    with open(path, "wb") as out:
        proc = w.start("rest", "sink", "--to", "jsonl", "--drain", stdout=out)
        expect(proc.wait(60) == 0, proc.tail())
    with open(path, "rb") as rest:
        got.append(rest.read())
    # What was in the pipe and never read is lost with the pipe: at most its 64 KiB and a batch.
    missing = w.sent - len(distinct(got))
    expect(missing <= times * 65536 // 60 + times, "missing", missing)
    w.notes.append(f"{missing} lines were in pipes that nobody read to their end")
    return found


def distinct(chunks):
    ids = set()
    for chunk in chunks:
        for line in chunk.split(b"\n"):
            if line.startswith(b'{"id": ') and line.endswith(b"}"):
                ids.add(int(line[7:line.index(b",")]))
    return ids


@fault("standard output blocked", short={"sqlite": {"seconds": 3}}, long={"seconds": 20})
def stdout_blocked(w, seconds):
    """Nobody reads for longer than a session: the sink waits, keeps its place, loses nothing."""
    begin(w, 4000)
    w.enhance("one", *LOAD)
    read, write = os.pipe()
    proc = w.start("sink", "sink", "--to", "jsonl", stdout=write)
    os.close(write)
    until(30, "lines in the pipe", lambda: pipe_is_full(read), 0.5)
    time.sleep(seconds)
    expect(proc.alive(), "it ended:", proc.tail())
    w.tries += 1
    data = b""
    deadline = time.monotonic() + 60
    while len(distinct([data])) < w.sent:
        expect(time.monotonic() < deadline, "only", len(distinct([data])), "of", w.sent)
        data += os.read(read, 65536)
    expect(proc.term(20) == 0, proc.tail())
    os.close(read)
    # and one that is blocked when it is told to end, ends
    w.feed(3000)
    read, write = os.pipe()
    proc = w.start("blocked", "sink", "--to", "jsonl", "--drain-timeout", "1s", stdout=write)
    os.close(write)
    until(30, "lines in the pipe", lambda: pipe_is_full(read), 0.5)
    code = proc.term(30)
    expect(code in (0, 75), "told to end while blocked, it ended with", code, proc.tail())
    os.close(read)
    w.tries += 1
    return w.verdict()


def pipe_is_full(read, before=[0]):
    """Asked again and again: it holds something, and no more than at the last look."""
    n = array.array("i", [0])
    fcntl.ioctl(read, termios.FIONREAD, n)
    full = n[0] > 30000 and n[0] == before[0]
    before[0] = n[0]
    return full

"""What a fault is injected into: a broker, topics of its own, the real binary as source, enhance and
sink, readers that watch the outputs meanwhile, and the verdict afterwards.

The verdict trusts nobody: `sluice verify` (with what the readers saw during the chaos), and a count
by sqlite3 or kcat that knows nothing of sluice but the header sluice-src. Everything that waits
waits for a condition, with a deadline."""
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import threading
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KAFKA_SH = os.path.join(ROOT, "tests/kafka/kafka.sh")
SESSION_S, TRANSACTION_S = 6, 4  # transaction time-out: two thirds of the session's

TXN = re.compile(r'\["sluice-txn","([0-9a-f]+)/')
PLACE = re.compile(r'^\{"topic":"([^"]*)","partition":(\d+),"offset":(\d+)')


class Broken(Exception):
    """An expectation that did not hold."""


def expect(holds, *words):
    if not holds:
        raise Broken(" ".join(str(w) for w in words))


def until(seconds, what, fn, every=0.02):
    """The first true value of fn(); Broken after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        value = fn()
        if value:
            return value
        expect(time.monotonic() < deadline, "not within", seconds, "s:", what)
        time.sleep(every)


# --- processes ---

class Proc:
    """A process of this run; it is killed when the thread that started it ends."""

    def __init__(self, argv, log, env=None, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        self.log = log
        with open(log, "ab") as err:
            self.begin = err.tell()  # what others of this name have said stands before
            self.popen = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + argv, stdin=stdin,
                                          stdout=stdout, stderr=err, env=env)
        self.pid = self.popen.pid

    def text(self):
        with open(self.log, "rb") as log:
            log.seek(self.begin)
            return log.read().decode(errors="replace")

    def says(self, words, seconds=30):
        until(seconds, f"'{words}' in {self.log}", lambda: words in self.text() or not self.alive())
        expect(words in self.text(), "ended without saying", words, "-", self.tail())

    def tail(self):
        return self.text()[-600:]

    def alive(self):
        return self.popen.poll() is None

    def signal(self, number):
        if self.alive():
            self.popen.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.popen.wait()

    def stop(self):
        self.signal(signal.SIGSTOP)

    def go_on(self):
        self.signal(signal.SIGCONT)

    def wait(self, seconds):
        """Its exit code; negative: the signal that killed it."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Broken(f"still runs after {seconds} s: {self.tail()}") from None

    def term(self, seconds=40):
        self.signal(signal.SIGTERM)
        return self.wait(seconds)

    def stat(self):
        """Resident KiB (without shared file pages), descriptors, threads."""
        with open(f"/proc/{self.pid}/status") as status:
            fields = dict(line.split(":", 1) for line in status if ":" in line)
        return {"kib": int(fields["RssAnon"].split()[0]), "threads": int(fields["Threads"]),
                "fds": len(os.listdir(f"/proc/{self.pid}/fd"))}


# --- brokers ---

class Kafka:
    """One that others share (its address), or one of our own that may be halted."""

    def __init__(self, *options, shared=None):
        self.dir = None
        if shared:
            self.address = shared
            return
        out = subprocess.run([KAFKA_SH, "start", "--with", str(os.getpid()), *options],
                             stdout=subprocess.PIPE, text=True, check=False)
        if out.returncode == 77:
            raise unavailable("no Kafka can be started here")
        expect(out.returncode == 0, "kafka.sh start failed")
        said = dict(line.split("=", 1) for line in out.stdout.split())
        self.address, self.dir = said["KAFKA_BOOTSTRAP_SERVERS"], said["KAFKA_DIR"]
        self.behind = said.get("KAFKA_BEHIND_PROXY")

    def halt(self, hard, node=1):
        self._run("halt", self.dir, *(["--hard"] if hard else []), "--node", str(node))

    def resume(self, node=1):
        self._run("resume", self.dir, "--node", str(node))

    def tool(self, main, *args):
        """One of Kafka's own command-line tools."""
        jars = self._run("jars").strip()
        out = subprocess.run(["java", "-XX:TieredStopAtLevel=1", "-cp", jars + "/*", main,
                              "--bootstrap-server", self.address, *args],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=90)
        expect(out.returncode == 0, main, args, out.stdout[-500:])
        return out.stdout

    def topics(self, *args):
        return self.tool("org.apache.kafka.tools.TopicCommand", *args)

    def close(self):
        if self.dir:
            self._run("stop", self.dir)
            self.dir = None

    @staticmethod
    def _run(*args):
        return subprocess.run([KAFKA_SH, *args], stdout=subprocess.PIPE, text=True, check=True,
                              timeout=150).stdout


class unavailable(Exception):
    """The scenario cannot be tried here: skipped by name."""


# --- readers during the chaos ---

class Watcher:
    """`sluice tap --json` of one topic from before the first record, and when each line came."""

    def __init__(self, world, topic):
        self.path = os.path.join(world.dir, f"seen-{topic}.jsonl")
        self.proc = Proc([world.sluice, "tap", topic, "--json", "--broker", world.url],
                         os.path.join(world.dir, f"tap-{topic}.log"), env=world.env,
                         stdout=subprocess.PIPE)
        self.seen = []  # (time, partition, writer)
        self.places = set()
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        with open(self.path, "wb", buffering=0) as file:
            for line in self.proc.popen.stdout:
                now = time.monotonic()
                file.write(line)
                text = line.decode(errors="replace")
                place, txn = PLACE.match(text), TXN.search(text)
                self.places.add((int(place[2]), int(place[3])))
                self.seen.append((now, int(place[2]), txn[1] if txn else ""))

    def first_after(self, moment, known=(), partition=None):
        """When the first record came after `moment`, by a writer that is not among `known`."""
        for i in range(len(self.seen) - 1, -1, -1):
            if self.seen[i][0] < moment:
                break
        else:
            i = -1
        for at, where, writer in self.seen[i + 1:]:
            if writer not in known and partition in (None, where):
                return at
        return None

    def writers(self):
        return {writer for _, _, writer in self.seen}


# --- the world ---

class World:
    def __init__(self, sluice, name, seed, kafka=None, keep=False):
        self.sluice, self.name, self.keep = sluice, name, keep
        self.rng = random.Random(seed)
        self.seed = seed
        self.kafka = kafka
        self.dir = tempfile.mkdtemp(prefix="chaos-" + re.sub("[^a-z0-9]+", "-", name.lower()) + "-")
        mark = self.dir[-8:].replace("_", "-")
        self.url = f"kafka://{kafka.address}" if kafka else f"sqlite:{self.dir}/broker.db"
        self.raw, self.enhanced, self.dead = (f"{t}-{mark}" for t in ("raw", "enhanced", "dead"))
        self.group, self.sink_group = f"enhance-{mark}", f"sink-{mark}"
        self.env = {k: v for k, v in os.environ.items() if not k.startswith(("SLUICE_", "KAFKA_"))}
        self.env.update(SLUICE_BROKER=self.url, SLUICE_RAW_TOPIC=self.raw,
                        SLUICE_ENHANCED_TOPIC=self.enhanced, SLUICE_DEAD_TOPIC=self.dead,
                        SLUICE_GROUP=self.group, SLUICE_SINK_GROUP=self.sink_group,
                        SLUICE_ANSWERS_TOPIC=f"answers-{mark}",
                        SLUICE_SESSION_TIMEOUT=f"{SESSION_S}s", SLUICE_QUIET="true",
                        SLUICE_STATE_DIR=self.dir + "/state", SLUICE_PARTITIONS="4",
                        LC_ALL="C.UTF-8")
        for name_ in ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LD_PRELOAD"):
            if name_ in os.environ:
                self.env[name_] = os.environ[name_]
        self.tries = 0
        self.recovered = []  # seconds from a fault to the next output
        self.notes = []
        self.watchers = []
        self.procs = []
        self.helpers = []  # servers that are needed until the end
        self.sent = 0
        self.drain_args = ()

    # --- running things ---

    def run(self, *args, env=None, seconds=120, ok=(0,), stdin=None):
        """A command to its end; its standard output."""
        try:
            out = subprocess.run([self.sluice, *args], env={**self.env, **(env or {})},
                                 cwd=self.dir, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                 input=stdin, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise Broken(f"sluice {' '.join(args)} hangs") from None
        expect(out.returncode in ok, "sluice", *args, "ended with", out.returncode,
               out.stderr.decode(errors="replace")[-600:])
        return out.stdout.decode(errors="replace")

    def start(self, name, *args, env=None, stdout=subprocess.DEVNULL, prefix=()):
        proc = Proc([*prefix, self.sluice, *args], os.path.join(self.dir, name + ".log"),
                    env={**self.env, **(env or {})}, stdout=stdout)
        self.procs.append(proc)
        return proc

    def enhance(self, name="one", *args, env=None):
        return self.start(name, "enhance", "--trace-txn", "--instance", name, *args, env=env)

    def feed(self, count, rate=None):
        """So many posts, now, or in the background at a rate."""
        path = os.path.join(self.dir, f"feed-{self.sent}.jsonl")
        with open(path, "w") as file:
            for i in range(self.sent + 1, self.sent + count + 1):
                file.write('{"id": %d, "text": "post %d: %s"}\n' % (i, i, "so it goes " * (i % 7)))
        self.sent += count
        if rate is None:
            self.run("source", "--from", path)
            return None
        return self.start(f"source-{self.sent}", "source", "--from", path, "--rate", str(rate))

    def feed_again(self, count, seconds=60):
        """As soon as the broker takes them."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return self.feed(count)
            except Broken:
                expect(time.monotonic() < deadline, "no source gets through")

    def feed_bytes(self, records):
        """(key, value) pairs straight into partition 0 of the raw topic, as no source would."""
        if not self.kafka:
            with sqlite3.connect(self.db()) as db:
                db.executemany(f'INSERT INTO "{self.raw}/0"(timestamp, key, value) VALUES (1, ?, ?)',
                               records)
            return
        args = ["kcat", "-P", "-b", self.kafka.address, "-t", self.raw, "-p", "0", "-X",
                "message.max.bytes=8000000"]
        files = []

        def send_files():
            if files:
                subprocess.run(args + ["-k", "k"] + files, check=True, timeout=60)
            files.clear()

        for i, (key, value) in enumerate(records):
            if value:
                files.append(os.path.join(self.dir, f"value{i}"))
                with open(files[-1], "wb") as file:
                    file.write(value)
                continue
            send_files()
            subprocess.run(args + ["-K", "\t"] + (["-Z"] if value is None else []),
                           input=key + b"\t\n", check=True, timeout=30)
        send_files()

    def make_topics(self, partitions=4):
        self.run("topics", "make", "--partitions", str(partitions))

    def watch(self):
        self.watchers = [Watcher(self, topic) for topic in (self.enhanced, self.dead)]
        # Positioned: an empty topic has no record that would tell.
        for watcher in self.watchers:
            until(30, "the reader", lambda w=watcher: len(os.listdir(f"/proc/{w.proc.pid}/fd")) > 8)
        time.sleep(1)

    def db(self):
        return os.path.join(self.dir, "broker.db")

    # --- measuring ---

    def progress(self):
        return len(self.watchers[0].seen)

    def advance(self, count, seconds=60):
        """Until so many more outputs were seen; sends posts when there may be too few left."""
        wanted = self.progress() + count
        if self.sent - wanted < count:
            self.feed(4 * count)
        until(seconds, f"{count} more outputs", lambda: self.progress() >= wanted)

    def recovery(self, since, known=(), seconds=60, partition=None):
        """Waits for the next output; remembers how long it took."""
        at = until(seconds, "outputs after the fault",
                   lambda: self.watchers[0].first_after(since, known, partition))
        self.recovered.append(at - since)
        return at - since

    def writers(self):
        return self.watchers[0].writers()

    # --- the verdict ---

    def settle(self, seconds=120):
        """Everything is done, and nothing hangs."""
        self.run("enhance", "--drain", "--trace-txn", "--instance", "last", *self.drain_args,
                 seconds=seconds)

    def count_apart(self):
        """Lost and repeated raw records, without any of our own code."""
        raw, out = self._read_sqlite() if not self.kafka else self._read_kafka()
        lost = [place for place in raw if place not in out]
        repeated = sum(n - 1 for n in out.values() if n > 1)
        strange = [place for place in out if place not in raw]
        expect(not strange, "outputs of records that nobody sent:", strange[:5])
        if lost or repeated:
            self.notes.append(f"lost {lost[:5]}, twice {[p for p in out if out[p] > 1][:5]}")
        return len(raw), len(lost), repeated

    def _read_sqlite(self):
        raw, out = set(), {}
        with sqlite3.connect(f"file:{self.db()}?mode=ro", uri=True) as db:
            tables = [row[0] for row in db.execute("SELECT name FROM sqlite_master WHERE type='table'")]
            for table in tables:
                topic, _, partition = table.rpartition("/")
                if topic == self.raw:
                    raw |= {(int(partition), o) for (o,) in db.execute(f'SELECT offset FROM "{table}"')}
                elif topic in (self.enhanced, self.dead):
                    for (blob,) in db.execute(f'SELECT headers FROM "{table}"'):
                        self._count_source((blob or b"").decode(errors="replace"), out)
        return raw, out

    def _read_kafka(self):
        raw, out = set(), {}
        for line in self.kcat(self.raw, "%p %o\n").split("\n"):
            if line:
                raw.add(tuple(int(n) for n in line.split()))
        for topic in (self.enhanced, self.dead):
            for record in self.kcat(topic, "@@record %h\n").split("@@record ")[1:]:
                self._count_source(record, out)
        return raw, out

    def _count_source(self, headers, out):
        if re.search(r"sluice-error-stage.(source|sink)", headers, re.S):
            return  # no output of enhance
        found = re.search(re.escape(self.raw) + r"/(\d+)/(\d+)", headers)
        expect(found, "an output without sluice-src:", headers[:200])
        place = (int(found[1]), int(found[2]))
        out[place] = out.get(place, 0) + 1

    def kcat(self, topic, form, *args):
        got = subprocess.run(["kcat", "-C", "-b", self.kafka.address, "-t", topic, "-o", "beginning",
                              "-e", "-q", "-X", "isolation.level=read_committed", "-f", form, *args],
                             stdout=subprocess.PIPE, check=True, timeout=120).stdout
        return got.decode(errors="replace")

    def catch_up(self):
        """The readers that were there during the chaos have come to the end."""
        for watcher, topic in zip(self.watchers, (self.enhanced, self.dead)):
            expect(watcher.proc.alive(), "the reader of", topic, "has ended:", watcher.proc.tail())
            wanted = self.run("tap", topic, "--from", "start", "--json").count("\n")
            until(60, f"the reader of {topic} at its end ({wanted})",
                  lambda w=watcher, n=wanted: len(w.seen) >= n)

    def verify(self, *args, decided=("I1", "I2", "I3", "I4", "I5")):
        seen = []
        if self.watchers:
            path = os.path.join(self.dir, "seen.jsonl")
            with open(path, "wb") as file:
                for watcher in self.watchers:
                    with open(watcher.path, "rb") as part:
                        file.write(part.read())
            seen = ["--observed", path]
        found = json.loads(self.run("verify", "--json", "--drained", *seen, *args, ok=(0, 1)))
        for row in found["invariants"]:
            expect(row["state"] != "failed", "verify:", row["invariant"], row["what"], "FAILED:",
                   [e["text"] for e in row["examples"][:3]])
            if row["invariant"] in decided and (self.watchers or row["invariant"] != "I4"):
                expect(row["state"] == "ok" or row["checked"] > 0, "verify could not decide",
                       row["invariant"], row["note"])
        return found

    def verdict(self, *args, decided=("I1", "I2", "I3", "I4", "I5")):
        """Drains, then lets everybody count. Returns (records, lost, repeated)."""
        for proc in self.procs:
            proc.go_on()
            if proc.alive():
                proc.signal(signal.SIGTERM)
        for proc in self.procs:
            if proc.alive():
                proc.wait(60)
        self.settle()
        records, lost, repeated = self.count_apart()
        expect(lost == 0 and repeated == 0, "lost", lost, "repeated", repeated, *self.notes)
        if self.watchers:
            self.catch_up()
        self.verify(*args, decided=decided)
        return records, lost, repeated

    def metrics(self, port):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as reply:
            text = reply.read().decode()
        found = {}
        for line in text.splitlines():
            if line and line[0] != "#":
                name, value = line.rsplit(" ", 1)
                found[name.split("{")[0]] = found.get(name.split("{")[0], 0) + float(value)
        return found

    def close(self, failed):
        for proc in self.procs + self.helpers + [w.proc for w in self.watchers]:
            if proc.alive():
                proc.kill()
        if not failed and not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)

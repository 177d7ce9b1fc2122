"""run.py [--only SECTION] [--out FILE] - measures sluice beside bare loops and prints both.

Machines differ and rates on one machine vary by half from run to run: so every figure of sluice is
taken in turns with that of the bare loop (bench/floor), BENCH_REPEAT times (5), and what counts is
the ratio of the medians; the range is shown. BENCH_POSTS (4000000), BENCH_CALLS (60000) and BENCH_SECONDS
(10) make a run shorter. Kafka is the one named by KAFKA_BOOTSTRAP_SERVERS, or one started for the run.
Nothing here fails for being slow: the table shows what is asked beside what was reached.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SLUICE = os.environ.get("SLUICE", os.path.join(ROOT, "build", "sluice"))
TOOLS = os.path.join(ROOT, "build", "bench")
REPEAT = int(os.environ.get("BENCH_REPEAT", "5"))
POSTS = int(os.environ.get("BENCH_POSTS", "4000000"))
FEW_POSTS = POSTS // 4  # where no group must form first
CALLS = int(os.environ.get("BENCH_CALLS", "60000"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "10"))
RATE = 1000
LIMIT_S = 300  # for one run of one program
# As Kafka's own scripts start it; the tests' broker has a small heap, and pauses often.
KAFKA_HEAP = "-Xms1g -Xmx1g -server -XX:+UseG1GC -XX:MaxGCPauseMillis=20 -XX:InitiatingHeapOccupancyPercent=35"

# figure: (what is asked in words, test). Figures of sluice and "…/floor" ratios of medians.
ASKED = {
    "kafka exactly-once posts/s ÷ floor": ("≥ 0.80", lambda v: v >= 0.8),
    "kafka exactly-once CPU ÷ floor": ("≤ 1.25", lambda v: v <= 1.25),
    "kafka exactly-once posts/s, two workers": ("≥ 422k", lambda v: v >= 422000),
    "kafka at-least-once posts/s ÷ floor": ("≥ 0.80", lambda v: v >= 0.8),
    "kafka latency p50 ms": ("≤ 10", lambda v: v <= 10),
    "kafka latency p99 ms": ("≤ 50", lambda v: v <= 50),
    "kafka latency p50 ÷ plain floor": ("≤ 1.00", lambda v: v <= 1),
    "kafka latency p99 ÷ plain floor": ("≤ 1.00", lambda v: v <= 1),
    "embedded posts/s ÷ floor": ("≥ 0.80", lambda v: v >= 0.8),
    "embedded latency p50 ms": ("≤ 0.5", lambda v: v <= 0.5),
    "embedded latency p99 ms": ("≤ 20", lambda v: v <= 20),
    "scan and splice, 300 bytes, ns": ("≤ 200", lambda v: v <= 200),
    "enhance at 1,000 posts/s, MB": ("≤ 16", lambda v: v <= 16),
    "enhance at full load, MB": ("≤ 128", lambda v: v <= 128),
    "LLM, 512 in flight, kafka, calls/s ÷ floor": ("≥ 0.85", lambda v: v >= 0.85),
    "LLM, 512 in flight, kafka, CPU ÷ floor": ("≤ 1.20", lambda v: v <= 1.2),
    "LLM, 512 in flight, kafka, 2 workers ÷ 1": ("≥ 1.00", lambda v: v >= 1),
    "LLM, 2,000 in flight, 1 s, p99 beyond the call, ms": ("≤ 50", lambda v: v <= 50),
    "LLM, 2,000 in flight, 1 s, MB": ("≤ 96", lambda v: v <= 96),
    "start to first post out, ms": ("≤ 50", lambda v: v <= 50),
}


class Unmeasured(Exception):
    """A section cannot be measured here; the text says why."""


# --- figures -----------------------------------------------------------------

figures = {}  # name -> list of values


def note(name, value):
    if value is not None:
        figures.setdefault(name, []).append(value)


def median(name):
    return statistics.median(figures[name]) if figures.get(name) else None


def ratio(name, over, under):
    """A figure of its own: the median of one by the median of the other."""
    if median(over) and median(under):
        figures[name] = [median(over) / median(under)]


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- processes ---------------------------------------------------------------


class Program:
    """A running program, with what it used: cpu_s, peak memory in MB (Pss), seconds."""

    def __init__(self, arguments, folder):
        self.log = open(os.path.join(folder, "program.log"), "w+", encoding="utf-8")
        self.begun = time.monotonic()
        self.arguments = arguments
        self.process = subprocess.Popen(
            arguments, stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log, cwd=folder
        )
        self.peak_mb = 0.0
        self.status = None
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def sample(self):
        path = f"/proc/{self.process.pid}/smaps_rollup"
        while self.status is None:
            try:
                with open(path, encoding="ascii") as rollup:
                    kb = int(re.search(r"^Pss: +(\d+)", rollup.read(), re.MULTILINE)[1])
                self.peak_mb = max(self.peak_mb, kb / 1024)
            except (OSError, TypeError):
                pass
            time.sleep(0.1)

    def wait(self, limit_s=LIMIT_S):
        timer = threading.Timer(limit_s, self.process.kill)
        timer.start()
        _, self.status, used = os.wait4(self.process.pid, 0)
        timer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(self.status)
        self.seconds = time.monotonic() - self.begun
        self.cpu_s = used.ru_utime + used.ru_stime
        self.sampler.join()
        self.log.seek(0)
        self.output = self.log.read()
        self.log.close()
        if self.process.returncode != 0:
            raise Unmeasured(
                f"{' '.join(self.arguments[:3])} ended with {self.process.returncode}: "
                + self.output[-400:]
            )
        return self

    def says(self, word, limit_s=30):
        end = time.monotonic() + limit_s
        while time.monotonic() < end and self.process.poll() is None:
            with open(self.log.name, encoding="utf-8") as log:
                if word in log.read():
                    return
            time.sleep(0.05)
        raise Unmeasured(f"{self.arguments[1]} does not say: {word}")

    def stop(self):
        self.process.terminate()
        return self.wait(30)


def tool(name, *arguments):
    """Runs a helper to its end and returns what it printed."""
    done = subprocess.run(
        [os.path.join(TOOLS, name), *map(str, arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=LIMIT_S,
    )
    if done.returncode != 0:
        raise Unmeasured(f"{name}: {done.stderr.strip()[-300:]}")
    return done.stdout


def need_sluice():
    if not os.access(SLUICE, os.X_OK):
        raise Unmeasured("there is no build/sluice")


# --- Kafka -------------------------------------------------------------------


class Kafka:
    """The broker of this run and names for its topics that nobody used before."""

    def __init__(self):
        self.brokers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
        self.folder = None
        self.script = os.path.join(ROOT, "tests", "kafka", "kafka.sh")
        self.used = 0
        self.tag = f"b{os.getpid()}"

    def start(self):
        if self.brokers:
            return
        if not os.access(self.script, os.X_OK):
            raise Unmeasured("no KAFKA_BOOTSTRAP_SERVERS and no tests/kafka/kafka.sh")
        said = subprocess.run(
            [self.script, "start", "--with", str(os.getpid())],
            stdout=subprocess.PIPE, text=True, check=False,
            env={"KAFKA_HEAP_OPTS": KAFKA_HEAP, **os.environ},
        )
        if said.returncode != 0:
            raise Unmeasured("Kafka does not start")
        values = dict(line.split("=", 1) for line in said.stdout.splitlines() if "=" in line)
        self.brokers, self.folder = values["KAFKA_BOOTSTRAP_SERVERS"], values["KAFKA_DIR"]

    def stop(self):
        if self.folder:
            subprocess.run([self.script, "stop", self.folder], check=False)

    def name(self, kind):
        self.used += 1
        return f"{self.tag}_{kind}{self.used}"

    def topic(self, kind):
        name = self.name(kind)
        tool("meter", self.brokers, "make", name, 4)
        return name

    def floor(self, source, out, *more):
        return [os.path.join(TOOLS, "kafka_floor"), "--brokers", self.brokers, "--in", source,
                "--out", out, "--group", self.name("g"), *more]

    def sluice(self, source, out, folder, *more):
        return [SLUICE, "enhance", "--broker", f"kafka://{self.brokers}", "--group", self.name("g"),
                "--raw-topic", source, "--enhanced-topic", out, "--dead-topic", self.topic("dead"),
                "--state-dir", folder, "--http", "127.0.0.1:0", *more]


def middle_rate(lines):
    """Posts/s between 20 % and 80 % of the work; seconds to the first."""
    points = [tuple(map(float, line.split())) for line in lines.splitlines()]
    end = points[-1][1]
    low = next(p for p in points if p[1] >= 0.2 * end)
    high = next(p for p in points if p[1] >= 0.8 * end)
    first = next(p[0] for p in points if p[1] > 0)
    return ((high[1] - low[1]) / (high[0] - low[0]) if high[0] > low[0] else None), first


def watched(kafka, who, out, commands, count, folder):
    """Runs them to their ends; the rate is that of the middle of the `count` outputs."""
    watch = subprocess.Popen(
        [os.path.join(TOOLS, "meter"), kafka.brokers, "watch", out, str(count)],
        stdout=subprocess.PIPE, text=True,
    )
    try:
        running = [Program(one, folder) for one in commands]
        done = [program.wait() for program in running]
        lines, _ = watch.communicate(timeout=30)
    except subprocess.TimeoutExpired as late:
        raise Unmeasured(f"{who}: the outputs are not all there") from late
    finally:
        watch.kill()
    return done, *middle_rate(lines)


def kafka_drain(kafka, who, make, folder):
    """One closed-loop run: make(out) gives the command line."""
    out = kafka.topic("out")
    command = make(out)
    several = command if isinstance(command[0], list) else [command]
    done, rate, _ = watched(kafka, who, out, several, POSTS, folder)
    note(f"{who} posts/s", rate)
    cpu_us, peak_mb = sum(d.cpu_s for d in done) / POSTS * 1e6, sum(d.peak_mb for d in done)
    note(f"{who} CPU µs/post", cpu_us)
    note(f"{who} peak MB", peak_mb)
    tool("meter", kafka.brokers, "delete", out)
    say(f"  {who}: {rate or 0:,.0f} posts/s, {cpu_us:.2f} µs, {peak_mb:.0f} MB")


def kafka_throughput(kafka, folder):
    source = kafka.name("raw")
    tool("meter", kafka.brokers, "load", source, 4, POSTS)
    alo = ("--delivery", "at-least-once")

    def sluice(*more):
        return lambda out: kafka.sluice(source, out, folder, "--drain", *more)

    def two_floors(out):
        one = kafka.floor(source, out, "--drain", "--of", "2")
        return [[*one, "--share", "0"], [*one, "--share", "1"]]

    variants = [
        ("kafka floor", lambda out: kafka.floor(source, out, "--drain")),
        ("kafka sluice", sluice("--workers", "1")),
        ("kafka two floors", two_floors),
        ("kafka sluice 2 workers", sluice("--workers", "2")),
        ("kafka floor alo", lambda out: kafka.floor(source, out, "--drain", "--at-least-once")),
        ("kafka sluice alo", sluice("--workers", "1", *alo)),
    ]
    in_turns(variants, lambda who, make: kafka_drain(kafka, who, make, folder))
    ratio("kafka exactly-once posts/s ÷ floor", "kafka sluice posts/s", "kafka floor posts/s")
    ratio("kafka exactly-once CPU ÷ floor", "kafka sluice CPU µs/post", "kafka floor CPU µs/post")
    ratio("kafka two workers ÷ two floors", "kafka sluice 2 workers posts/s", "kafka two floors posts/s")
    figures["kafka exactly-once posts/s, two workers"] = figures.get("kafka sluice 2 workers posts/s", [])
    ratio("kafka at-least-once posts/s ÷ floor", "kafka sluice alo posts/s", "kafka floor alo posts/s")
    ratio("kafka at-least-once CPU ÷ floor", "kafka sluice alo CPU µs/post", "kafka floor alo CPU µs/post")
    figures["enhance at full load, MB"] = figures.get("kafka sluice peak MB", [])


def kafka_flight(kafka, who, make, folder):
    source, out = kafka.topic("raw"), kafka.topic("out")
    program = Program(make(source, out), folder)
    try:
        found = json.loads(tool("meter", kafka.brokers, "latency", source, out, RATE, SECONDS))
    finally:
        done = program.stop()
    if found["got"] != found["sent"] or found["repeated"]:
        say(f"  {who}: {found}")
    for q in ("p50", "p90", "p99", "max"):
        note(f"{who} {q} ms", found[f"{q}_ms"])
    note(f"{who} memory MB", done.peak_mb)
    note(f"{who} first post ms", found["first_ms"])
    note(f"{who} CPU µs/post", done.cpu_s / found["sent"] * 1e6)
    tool("meter", kafka.brokers, "delete", source, out)
    say(f"  {who}: p50 {found['p50_ms']:.1f} p99 {found['p99_ms']:.1f} max {found['max_ms']:.1f} ms")


def kafka_latency(kafka, folder):
    # Two bare loops of one producer: as it is written first, and with the pause that suits it best.
    variants = [
        ("kafka floor latency", lambda i, o: kafka.floor(i, o, "--latency")),
        ("kafka floor latency, pause", lambda i, o: kafka.floor(i, o, "--latency", "--pause", "5")),
        ("kafka sluice latency", lambda i, o: kafka.sluice(i, o, folder, "--workers", "1")),
    ]
    in_turns(variants, lambda who, make: kafka_flight(kafka, who, make, folder))
    for q in ("p50", "p99"):
        figures[f"kafka latency {q} ms"] = figures.get(f"kafka sluice latency {q} ms", [])
        for kind, floor in (("plain", "kafka floor latency"), ("pausing", "kafka floor latency, pause")):
            ratio(f"kafka latency {q} ÷ {kind} floor", f"kafka sluice latency {q} ms", f"{floor} {q} ms")
    figures["enhance at 1,000 posts/s, MB"] = figures.get("kafka sluice latency memory MB", [])


# --- embedded ----------------------------------------------------------------


def three_processes(folder):
    """source, enhance and sink as processes of their own on one file: each drains the last."""
    broker = ["--broker", f"sqlite:{folder}/sluice.db", "--state-dir", folder, "--quiet",
              "--http", "127.0.0.1:0"]
    begun = time.monotonic()
    source = Program([SLUICE, "source", "--from", "generate", "--count", str(FEW_POSTS), *broker], folder)
    rest = [SLUICE, "enhance", *[b for b in broker if b != "--quiet"]], [SLUICE, "sink", *broker]
    cpu_s = source.wait().cpu_s
    for command in rest:
        cpu_s += Program([*command, "--drain"], folder).wait().cpu_s
    seconds = time.monotonic() - begun
    return {"posts_per_s": FEW_POSTS / seconds, "cpu_us": cpu_s / FEW_POSTS * 1e6}


def one_process(folder):
    command = [SLUICE, "run", "--from", "generate", "--count", str(FEW_POSTS), "--quiet",
               "--broker", f"sqlite:{folder}/sluice.db", "--state-dir", folder]
    done = Program(command, folder).wait()
    note("embedded sluice run peak MB", done.peak_mb)
    return {"posts_per_s": FEW_POSTS / done.seconds, "cpu_us": done.cpu_s / FEW_POSTS * 1e6}


def floor_file(folder, *arguments):
    return json.loads(tool("sqlite_floor", f"{folder}/floor.db", *arguments))


def embedded_run(who, measure):
    with tempfile.TemporaryDirectory(prefix="sluice-bench.") as folder:
        found = measure(folder)
    note(f"{who} posts/s", found["posts_per_s"])
    note(f"{who} CPU µs/post", found["cpu_us"])
    say(f"  {who}: {found['posts_per_s']:,.0f} posts/s, {found['cpu_us']:.2f} µs")


def embedded_throughput():
    variants = [
        ("embedded floor", lambda folder: floor_file(folder, "throughput", FEW_POSTS)),
        ("embedded sluice run", one_process),
        ("embedded sluice three processes, one after the other", three_processes),
    ]
    in_turns(variants, embedded_run)
    ratio("embedded posts/s ÷ floor", "embedded sluice run posts/s", "embedded floor posts/s")
    ratio("embedded CPU ÷ floor", "embedded sluice run CPU µs/post", "embedded floor CPU µs/post")


def run_latency(folder):
    """What the closing table of `sluice run` says of source→sink."""
    command = [SLUICE, "run", "--from", "generate", "--count", str(RATE * SECONDS), "--rate",
               str(RATE), "--quiet", "--broker", f"sqlite:{folder}/sluice.db", "--state-dir", folder]
    done = Program(command, folder).wait()
    note("embedded sluice latency memory MB", done.peak_mb)
    note("embedded sluice latency CPU µs/post", done.cpu_s / (RATE * SECONDS) * 1e6)
    scale = {"us": 1e-3, "µs": 1e-3, "ms": 1.0, "s": 1e3}
    found = {}
    for q in ("p50", "p99"):
        match = re.search(rf"{q}\D*?([\d.]+) *(us|µs|ms|s)\b", done.output)
        if match is None:
            raise Unmeasured(f"`sluice run` does not show {q}")
        found[f"{q}_ms"] = float(match[1]) * scale[match[2]]
    return found


def embedded_flight(who, measure):
    with tempfile.TemporaryDirectory(prefix="sluice-bench.") as folder:
        found = measure(folder)
    for q in ("p50", "p99"):
        note(f"{who} {q} ms", found[f"{q}_ms"])
    say(f"  {who}: p50 {found['p50_ms']:.2f} p99 {found['p99_ms']:.2f} ms")


def embedded_latency():
    variants = [
        ("embedded floor latency", lambda folder: floor_file(folder, "latency", RATE, SECONDS)),
        ("embedded sluice latency", run_latency),
    ]
    in_turns(variants, embedded_flight)
    for q in ("p50", "p99"):
        figures[f"embedded latency {q} ms"] = figures.get(f"embedded sluice latency {q} ms", [])


# --- paid answers ---


class Llm:
    """The scripted endpoint: answers after delay_ms, with keep-alive and no TLS."""

    def __init__(self, folder, delay_ms):
        port_file = os.path.join(folder, "llm.port")
        if os.path.exists(port_file):
            os.remove(port_file)
        self.process = subprocess.Popen(
            [os.path.join(TOOLS, "llm_server"), "--port-file", port_file, "--delay", str(delay_ms)],
            stdout=subprocess.DEVNULL,
        )
        for _ in range(500):
            if os.path.exists(port_file) and os.path.getsize(port_file) > 0:
                break
            time.sleep(0.02)
        with open(port_file, encoding="ascii") as port:
            self.url = f"http://127.0.0.1:{port.read().strip()}/v1"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


def asks(llm, in_flight):
    """Options of an enhance that asks it; no ramp, so that both begin with all in flight."""
    return ["--enricher", "openai", "--llm-url", llm.url, "--llm-concurrency", str(in_flight),
            "--llm-concurrency-min", str(in_flight)]


def llm_note(who, done, rate):
    """CPU is the whole process's, start and connecting among it: of both alike."""
    note(f"{who} calls/s", rate)
    note(f"{who} CPU µs/call", done.cpu_s / CALLS * 1e6)
    note(f"{who} peak MB", done.peak_mb)
    say(f"  {who}: {rate:,.0f} calls/s, {done.cpu_s / CALLS * 1e6:.1f} µs, {done.peak_mb:.0f} MB")


def llm_run(who, command, folder):
    """To its end; the rate is that of all of it, or what the program itself says."""
    done = Program(command, folder).wait()
    said = re.search(r'"calls_per_s": (\d+)', done.output)
    llm_note(who, done, int(said[1]) if said else CALLS / done.seconds)


def llm_floor(llm, in_flight):
    return [os.path.join(TOOLS, "llm_floor"), "--url", llm.url, "--calls", str(CALLS),
            "--in-flight", str(in_flight)]


def llm_kafka_floor(kafka, source, llm, in_flight, who, folder):
    """The bare loop between two topics; its rate is read as sluice's is."""
    out = kafka.topic("out")
    command = [*llm_floor(llm, in_flight), "--brokers", kafka.brokers, "--in", source, "--out", out]
    done, rate, _ = watched(kafka, who, out, [command], CALLS, folder)
    llm_note(who, done[0], rate)


def llm_embedded(llm, in_flight, more, file):
    """Each run asks anew: a copy of the file with the posts, and no answers beside it."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench.") as folder:
        shutil.copy(file, f"{folder}/sluice.db")
        command = [SLUICE, "enhance", "--drain", "--broker", f"sqlite:{folder}/sluice.db",
                   "--state-dir", folder, "--http", "127.0.0.1:0", *asks(llm, in_flight)]
        llm_run(f"LLM embedded sluice{more}", command, folder)


def llm_kafka(kafka, source, llm, in_flight, who, *more):
    """As llm_embedded: with a topic of answers that nobody has filled yet."""
    with tempfile.TemporaryDirectory(prefix="sluice-bench.") as folder:
        out = kafka.topic("out")
        command = kafka.sluice(source, out, folder, "--drain", "--answers-topic",
                               out + ".answers", *asks(llm, in_flight), *more)
        done, rate, _ = watched(kafka, who, out, [command], CALLS, folder)
        llm_note(who, done[0], rate)


def fill_distinct(folder, broker, topic):
    """CALLS posts of which no two ask the same."""
    posts = os.path.join(folder, "distinct.jsonl")
    with open(posts, "w", encoding="ascii") as out:
        for i in range(CALLS):
            out.write(f'{{"id": {i}, "text": "post {i}: just had a great coffee and read about trends '
                      'on a sunny morning"}\n')
    Program([SLUICE, "source", "--from", posts, "--quiet", "--broker", broker, "--raw-topic", topic,
             "--partitions", "4", "--state-dir", folder, "--http", "127.0.0.1:0"], folder).wait()


def llm_throughput(kafka, folder):
    source, file = kafka.topic("raw"), os.path.join(folder, "llm.db")
    fill_distinct(folder, f"sqlite:{file}", "raw_posts")
    fill_distinct(folder, f"kafka://{kafka.brokers}", source)
    with Llm(folder, 50) as llm:
        for n in (512, 2000):
            at = f", {n} in flight"
            variants = [
                (f"LLM floor{at}", lambda who, n=n: llm_run(who, llm_floor(llm, n), folder)),
                (f"LLM kafka floor{at}",
                 lambda who, n=n: llm_kafka_floor(kafka, source, llm, n, who, folder)),
                (f"LLM kafka sluice{at}", lambda who, n=n: llm_kafka(kafka, source, llm, n, who)),
                (f"LLM embedded sluice{at}",
                 lambda _, n=n, at=at: llm_embedded(llm, n, at, file)),
            ]
            if n == 512:
                variants.append((f"LLM kafka sluice 2 workers{at}", lambda who: llm_kafka(
                    kafka, source, llm, 512, who, "--workers", "2")))
            in_turns(variants, lambda who, run: run(who))
            for broker in ("kafka", "embedded"):
                name = f"LLM, {n:,} in flight, {broker}"
                bare = [("floor", "LLM floor")]
                if broker == "kafka":
                    bare = [("floor", "LLM kafka floor"), ("calls only", "LLM floor")]
                for words, floor in bare:
                    ratio(f"{name}, calls/s ÷ {words}", f"LLM {broker} sluice{at} calls/s",
                          f"{floor}{at} calls/s")
                    ratio(f"{name}, CPU ÷ {words}", f"LLM {broker} sluice{at} CPU µs/call",
                          f"{floor}{at} CPU µs/call")
    ratio("LLM, 512 in flight, kafka, 2 workers ÷ 1",
          "LLM kafka sluice 2 workers, 512 in flight calls/s", "LLM kafka sluice, 512 in flight calls/s")


def llm_latency(kafka, folder):
    """Open loop, 1,600 posts/s at 1 s a call under --order none: what enhance adds to a call. A first
    flight, which is not counted, finds a broker that was just started."""
    rate, seconds = 1600, max(SECONDS, 5)

    def fly(who, counts):
        source, out = kafka.topic("raw"), kafka.topic("out")
        with Llm(folder, 1000) as llm, tempfile.TemporaryDirectory() as state:
            program = Program(kafka.sluice(source, out, state, "--order", "none", "--answers-topic",
                                           out + ".answers", *asks(llm, 2000)), folder)
            try:
                program.says("assigned")  # what comes before is not what it adds to a call
                found = json.loads(tool("meter", kafka.brokers, "latency", source, out, rate, seconds))
            finally:
                done = program.stop()
        if not counts:
            return
        note(f"{who} p50 beyond the call, ms", found["p50_ms"] - 1000)
        note("LLM, 2,000 in flight, 1 s, p99 beyond the call, ms", found["p99_ms"] - 1000)
        note("LLM, 2,000 in flight, 1 s, MB", done.peak_mb)
        say(f"  {who}: p50 {found['p50_ms'] - 1000:.1f} p99 {found['p99_ms'] - 1000:.1f} ms beyond the "
            f"call, {done.peak_mb:.0f} MB")

    fly("LLM sluice latency", False)
    in_turns([("LLM sluice latency", True)], fly)


# --- small things ------------------------------------------------------------


def start():
    """From starting the program to its first line about a post."""
    need_sluice()
    for _ in range(max(REPEAT, 5)):
        with tempfile.TemporaryDirectory(prefix="sluice-bench.") as folder:
            begun = time.monotonic()
            process = subprocess.Popen(
                [SLUICE, "run", "--broker", f"sqlite:{folder}/sluice.db", "--state-dir", folder],
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )
            for line in process.stdout:
                if line.startswith("[SINK] Received"):
                    note("start to first post out, ms", (time.monotonic() - begun) * 1e3)
                    break
            process.stdout.read()
            process.wait()


def micro():
    """Benchmarks of single parts print lines of `name: value unit`; they are passed on."""
    names = sorted(n for n in os.listdir(TOOLS) if n.startswith("bench_") and "." not in n)
    if not names:
        raise Unmeasured("no bench_* programs")
    worst = 0.0
    for name in names:
        text = tool(name)
        say("  " + text.strip().replace("\n", "\n  "))
        for line in text.splitlines():
            match = re.search(r"(\S.*?)[:\s]\s*([\d.]+) *ns\b", line)
            if match:
                note(f"{name}: {match[1].strip()} ns", float(match[2]))
                if "300 bytes" in match[1] and "splice" in match[1]:
                    worst = max(worst, float(match[2]))
    if worst > 0:  # of all kinds of text
        note("scan and splice, 300 bytes, ns", worst)


def in_turns(variants, measure):
    """Every variant once, then again: what disturbs one disturbs the other. A variant that cannot
    be measured is named once and left out."""
    left = dict(variants)
    for turn in range(REPEAT):
        for who, make in list(left.items()):
            try:
                if " sluice" in who:
                    need_sluice()
                measure(who, make)
            except Unmeasured as why:
                say(f"  {who}: not measured: {why}")
                del left[who]


# --- the report --------------------------------------------------------------


def show():
    width = max(len(name) for name in figures) if figures else 10
    print(f"{'figure':<{width}}  {'median':>12}  {'range':>25}  {'asked':>8}  reached")
    for name, values in figures.items():
        if not values:
            continue
        asked, met = ASKED.get(name, ("", None))
        middle = statistics.median(values)
        spread = f"{min(values):,.2f} – {max(values):,.2f}" if len(values) > 1 else ""
        reached = "" if met is None else "yes" if met(middle) else "NO"
        print(f"{name:<{width}}  {middle:>12,.2f}  {spread:>25}  {asked:>8}  {reached}")


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        model = re.search(r"model name\s*: (.*)", info.read())
    return {"cpu": model[1] if model else "unknown", "cores": os.cpu_count(),
            "posts": POSTS, "seconds": SECONDS, "repeat": REPEAT}


def main():
    kafka = Kafka()
    folder = tempfile.mkdtemp(prefix="sluice-bench.")

    def with_kafka(section):
        def run():
            kafka.start()
            section(kafka, folder)
        return run

    sections = {
        "start": start,
        "micro": micro,
        "embedded-throughput": embedded_throughput,
        "embedded-latency": embedded_latency,
        "kafka-throughput": with_kafka(kafka_throughput),
        "kafka-latency": with_kafka(kafka_latency),
        "llm-throughput": with_kafka(llm_throughput),
        "llm-latency": with_kafka(llm_latency),
    }
    parser = argparse.ArgumentParser(description="sluice beside bare loops")
    parser.add_argument("--only", action="append", choices=sections, help="a section; repeatable")
    parser.add_argument("--out", default=os.path.join(ROOT, "build", "bench.json"))
    options = parser.parse_args()
    unmeasured = {}
    try:
        for name, section in sections.items():
            if options.only and name not in options.only:
                continue
            say(name)
            try:
                section()
            except Unmeasured as why:
                say(f"  not measured: {why}")
                unmeasured[name] = str(why)
    finally:
        kafka.stop()
        shutil.rmtree(folder, ignore_errors=True)
    show()
    with open(options.out, "w", encoding="utf-8") as out:
        json.dump({"machine": machine(), "figures": figures, "unmeasured": unmeasured}, out, indent=1,
                  ensure_ascii=False)


if __name__ == "__main__":
    main()

"""Mixed faults for many minutes on both brokers at once, and the slope of memory with its confidence
interval: I10. The process that is measured is never killed (it is stopped, cut off from its answers,
bounced through rebalances and aborts); others around it are."""
import json
import math
import os
import time

import world
from faults_llm import Llm, MODES
from world import expect

RESULT = os.path.join(world.ROOT, "build/chaos/soak.json")


def slope(samples, key):
    """KiB (or other units) per minute by least squares, and the half width of its 95 % interval."""
    n = len(samples)
    if n < 3:
        return 0.0, 0.0
    xs = [s["t"] / 60 for s in samples]
    ys = [s[key] for s in samples]
    mx, my = sum(xs) / n, sum(ys) / n
    sxx = sum((x - mx) ** 2 for x in xs)
    b = sum((x - mx) * (y - my) for x, y in zip(xs, ys)) / sxx
    rest = [y - my - b * (x - mx) for x, y in zip(xs, ys)]
    # Samples that follow each other are alike: the interval is widened by their correlation.
    var = sum(r * r for r in rest)
    rho = max(0.0, sum(p * q for p, q in zip(rest, rest[1:])) / var) if var else 0.0
    wide = math.sqrt((1 + rho) / (1 - rho)) if rho < 0.99 else 14
    return b, 1.96 * wide * math.sqrt(var / (n - 2) / sxx)


class Soak:
    def __init__(self, w):
        self.w = w
        self.llm = Llm(w, "--delay", "10", "--spread", "10")
        w.make_topics()
        w.watch()
        args = self.llm.options() + ("--llm-concurrency", "32", "--answers-memory", "1MiB")
        w.drain_args = args
        self.args = args
        env = {"SLUICE_FAULT": "fail@kafka.txn:97"} if w.kafka else {}
        self.proc = w.enhance("measured", *args, env=env)
        self.proc.says("assigned")
        self.others = []
        self.samples = []
        self.start = time.monotonic()
        self.faults = {}

    def step(self):
        """One fault, or none, and a sample."""
        w = self.w
        if w.sent - w.progress() < 2000:
            w.feed(4000)
        what = w.rng.choice(["nothing", "guest comes", "guest goes", "guest killed", "llm", "stopped"])
        if what == "guest comes" and len(self.others) < 2:
            self.others.append(w.enhance(f"guest{len(w.procs)}", *self.args))
        elif what == "guest goes" and self.others:
            code = self.others.pop(0).term()
            expect(code in (0, 75), "a guest ended with", code)
        elif what == "guest killed" and self.others:
            self.others.pop(0).kill()
        elif what == "llm":
            self.llm.script(**w.rng.choice(MODES)[1])
            time.sleep(w.rng.uniform(0.5, 3))
            self.llm.script(mode="ok", error_rate=0)
        elif what == "stopped":
            self.proc.stop()
            time.sleep(w.rng.uniform(0.2, 2))
            self.proc.go_on()
        else:
            what = "nothing"
        self.faults[what] = self.faults.get(what, 0) + 1
        expect(self.proc.alive(), "the measured process ended:", self.proc.tail())
        w.tries += what != "nothing"

    def sample(self):
        self.samples.append({"t": time.monotonic() - self.start, **self.proc.stat()})

    def judge(self, minutes):
        w = self.w
        for other in self.others:
            other.term()
        late = [s for s in self.samples if s["t"] > minutes * 60 * 0.25]
        found = {"broker": "kafka" if w.kafka else "sqlite", "minutes": minutes, "faults": self.faults,
                 "seed": w.seed, "first_kib": self.samples[0]["kib"], "last_kib": self.samples[-1]["kib"]}
        for key in ("kib", "fds", "threads"):
            b, half = slope(late, key)
            found[key] = [b, half]
        span = (late[-1]["t"] - late[0]["t"]) / 60
        found["growth_mib"] = found["kib"][0] * span / 1024
        found["half_mib"] = found["kib"][1] * span / 1024
        found["span_minutes"] = span
        with open(RESULT + "." + found["broker"], "w") as file:
            json.dump(found, file)
        records, lost, repeated = w.verdict(decided=("I1", "I2", "I3", "I5"))
        w.notes.append(text_of(found))
        if span >= 10:
            expect(found["growth_mib"] - found["half_mib"] <= 1, "memory grows:", text_of(found))
        return records, lost, repeated


def text_of(f):
    return (f"{f['broker']}, {f['minutes']:g} minutes: over the last {f['span_minutes']:.1f} memory changed by "
            f"{f['growth_mib']:+.2f} MiB (95 %: {f['growth_mib'] - f['half_mib']:+.2f} to "
            f"{f['growth_mib'] + f['half_mib']:+.2f}), from {f['first_kib'] / 1024:.1f} to "
            f"{f['last_kib'] / 1024:.1f} MiB; descriptors {f['fds'][0]:+.3f} a minute, threads "
            f"{f['threads'][0]:+.3f}; faults: "
            + ", ".join(f"{k} {n}" for k, n in sorted(f["faults"].items())))


def report():
    lines = []
    for broker in ("sqlite", "kafka"):
        if os.path.exists(f"{RESULT}.{broker}"):
            with open(f"{RESULT}.{broker}") as file:
                found = json.load(file)
            lines.append(f"- {text_of(found)}; seed `{found['seed'].split('/')[0]}`")
    return "\n".join(lines)


def run(args, seed, shared, say):
    results = []
    worlds = []
    for broker in ("sqlite", "kafka"):
        if args.broker in (None, broker):
            kafka = shared.get() if broker == "kafka" else None
            worlds.append(world.World(os.environ["SLUICE"], f"soak-{broker}", f"{seed}/soak/{broker}", kafka,
                                      args.keep))
    soaks = [Soak(w) for w in worlds]
    ends, told = time.monotonic() + args.soak * 60, time.monotonic()
    error = None
    try:
        while time.monotonic() < ends:
            for s in soaks:
                s.sample()
                s.step()
            time.sleep(1)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                say(f"{(ends - told) / 60:.0f} minutes left", *(f"{s.samples[-1]['kib'] / 1024:.1f} MiB"
                                                                 for s in soaks))
    except world.Broken as why:
        error = why
    for s in soaks:
        result = {"name": "soak", "state": "ok"}
        try:
            if error:
                raise error
            found = s.judge(args.soak)
            say("ok  ", s.w.notes[-1], f"- {found[0]} records, lost {found[1]}, repeated {found[2]}")
        except world.Broken as why:
            result["state"] = "FAILED"
            say("FAIL soak:", why, "logs in", s.w.dir)
        s.w.close(result["state"] == "FAILED")
        results.append(result)
    return results

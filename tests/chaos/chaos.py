"""Runs faults and writes down what they did: see run.sh for the options.

Invariants: every fault has a seed, printed, from which all its dice follow; a fault that cannot be
tried is skipped by name; the exit code is 0 only when every verdict held; what was started ends."""
import argparse
import concurrent.futures
import datetime
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import threading
import time
import traceback

import world
from faults import FAULTS
import faults_broker  # noqa: F401 - these fill FAULTS
import faults_io  # noqa: F401
import faults_llm  # noqa: F401
import faults_poison  # noqa: F401
import faults_process  # noqa: F401
import soak

RESULTS = os.path.join(world.ROOT, "build/chaos/results.json")
REPORT = os.path.join(world.ROOT, "docs/RELIABILITY.md")
lock = threading.Lock()


def say(*words):
    with lock:
        print(*words, flush=True)


class Shared:
    """The Kafka that most faults use: started when first needed."""

    def __init__(self):
        self.kafka, self.why, self.lock = None, None, threading.Lock()

    def get(self):
        with self.lock:
            if self.why:
                raise self.why
            if not self.kafka:
                try:
                    self.kafka = world.Kafka(shared=os.environ.get("SLUICE_TEST_KAFKA"))
                except world.unavailable as why:
                    self.why = why
                    raise
            return self.kafka

    def close(self):
        if self.kafka:
            self.kafka.close()


def run_fault(args, fault, seed, shared):
    """One fault, from its broker to its verdict."""
    result = {"name": fault.name, "broker": fault.broker, "seed": seed, "target": fault.target,
              "tries": 0, "records": 0, "lost": None, "repeated": None, "recovered": [],
              "notes": [], "state": "ok", "date": datetime.date.today().isoformat()}
    arguments = fault.short if args.short else fault.long
    kafka, w, started = None, None, time.monotonic()
    try:
        if fault.broker == "kafka":
            kafka = world.Kafka(*fault.kafka) if fault.kafka is not None else shared.get()
        w = world.World(os.environ["SLUICE"], f"{fault.name}-{fault.broker}", seed, kafka, args.keep)
        found = fault.fn(w, **arguments)
        result["records"], result["lost"], result["repeated"] = found or (0, 0, 0)
    except world.unavailable as why:
        result["state"] = "skipped"
        result["notes"].append(str(why))
    except Exception as why:  # pylint: disable=broad-except
        result["state"] = "FAILED"
        result["notes"].append(str(why) or repr(why))
        if not isinstance(why, world.Broken):
            result["notes"].append(traceback.format_exc())
    if w:
        result.update(tries=w.tries, recovered=w.recovered)
        result["notes"] += w.notes
        w.close(result["state"] == "FAILED")
        if result["state"] == "FAILED":
            result["notes"].append("logs in " + w.dir)
    if kafka and fault.kafka is not None:
        kafka.close()
    result["seconds"] = time.monotonic() - started
    say(line_of(result))
    return result


def line_of(r):
    words = {"ok": "ok  ", "FAILED": "FAIL", "skipped": "skip"}[r["state"]]
    times = ""
    if r["recovered"]:
        times = f", recovered in {statistics.median(r['recovered']):.2f} s (worst {max(r['recovered']):.2f})"
    text = f"{words} {r['broker']}: {r['name']}: {r['tries']} tries"
    if r["lost"] is not None:
        text += f", {r['records']} records, lost {r['lost']}, repeated {r['repeated']}"
    text += f"{times}, {r['seconds']:.0f} s, seed {r['seed']}"
    for note in r["notes"]:
        text += "\n       " + note.replace("\n", "\n       ")
    return text


def run_round(args, seed, shared, chosen):
    """Faults that share a broker run side by side; those with one of their own follow."""
    results = []

    def go(fault):
        results.append(run_fault(args, fault, f"{seed}/{fault.name}/{fault.broker}", shared))

    side = [f for f in chosen if f.kafka is None]
    # The longest first: those on Kafka wait for time-outs, so that many fit beside each other.
    side.sort(key=lambda f: f.broker != "kafka")
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        list(pool.map(go, side))
    for fault in chosen:
        if fault.kafka is not None:
            go(fault)
    return results


# --- the report ---

def remember(results):
    """The last result of each fault, over runs with --only as well."""
    kept = {}
    if os.path.exists(RESULTS):
        with open(RESULTS) as file:
            kept = {(r["name"], r["broker"]): r for r in json.load(file)}
    kept.update({(r["name"], r["broker"]): r for r in results})
    with open(RESULTS, "w") as file:
        json.dump(list(kept.values()), file, indent=1)
    return kept


def versions():
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    out = subprocess.run([os.environ["SLUICE"], "version"], stdout=subprocess.PIPE, text=True,
                         check=False, env=env).stdout.split("\n")
    return ", ".join(line.strip() for line in out if line.strip())


def row_of(r):
    times, target = "", ""
    if r["recovered"]:
        times = f"{statistics.median(r['recovered']):.2f} / {max(r['recovered']):.2f} s"
    if r["target"]:
        missed = r["recovered"] and max(r["recovered"]) > r["target"]
        target = f"{r['target']} s" + (" **missed**" if missed else "")
    counts = [r["lost"], r["repeated"]] if r["lost"] is not None else ["?", "?"]
    state = "" if r["state"] == "ok" else f" ({r['state']})"
    return (f"| {r['name']}{state} | {r['broker']} | {r['tries']} | {r['records']} | {counts[0]} | "
            f"{counts[1]} | {times} | {target} | `{r['seed'].split('/')[0]}` |")


def write_report(kept):
    order = {(f.name, f.broker): i for i, f in enumerate(FAULTS)}
    rows = sorted((r for r in kept.values() if (r["name"], r["broker"]) in order),
                  key=lambda r: order[(r["name"], r["broker"])])
    dates = sorted({r["date"] for r in rows})
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}"
    with open(os.path.join(world.HERE, "reliability.md")) as file:
        text = file.read()
    notes = "".join(f"- {r['name']} ({r['broker']}): {note.splitlines()[0]}\n"
                    for r in rows for note in r["notes"] if r["state"] != "FAILED" and note.strip())
    soaked = soak.report()
    values = {"DATES": " to ".join(dict.fromkeys((dates[0], dates[-1]))) if dates else "never",
              "VERSIONS": versions(), "MACHINE": machine, "ROWS": "\n".join(row_of(r) for r in rows),
              "NOTES": notes or "None.\n", "SOAK": soaked or "Not run yet.\n"}
    for name, value in values.items():
        text = text.replace("@" + name + "@", value)
    with open(REPORT, "w") as file:
        file.write(text)
    say("wrote docs/RELIABILITY.md")


# --- the command line ---

def parse():
    parser = argparse.ArgumentParser(prog="run.sh", description="see the top of run.sh")
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--broker", choices=["sqlite", "kafka"])
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=0)
    parser.add_argument("--soak", type=float, default=0)
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--keep", action="store_true", help="keep the folders of what went well")
    parser.add_argument("--report", action="store_true", help="only write the report again")
    return parser.parse_args()


def choose(args):
    chosen = [f for f in FAULTS if not args.broker or f.broker == args.broker]
    if args.only:
        chosen = [f for f in chosen if any(word in f.name for word in args.only)]
    if args.short:
        chosen = [f for f in chosen if f.short is not None]
    return chosen


def main():
    args = parse()
    chosen = choose(args)
    if args.list:
        for f in chosen:
            print(f"{f.broker}: {f.name}{'' if f.short is None else ' (also short)'}")
        return 0
    if args.report:
        write_report(remember([]))
        return 0
    if not chosen:
        print("there is no such fault; see --list", file=sys.stderr)
        return 2
    seed = args.seed if args.seed is not None else random.randrange(1, 10**6)
    say(f"seed {seed}: repeat with --seed {seed}")
    shared, results, started = Shared(), [], time.monotonic()
    try:
        if args.soak:
            results += soak.run(args, seed, shared, say)
        while not args.soak:
            results += run_round(args, seed, shared, chosen)
            if time.monotonic() - started > args.minutes * 60:
                break
            seed += 1
            say(f"seed {seed}")
    finally:
        shared.close()
    if not args.short:
        kept = remember([r for r in results if r["name"] != "soak"])
        if not args.only and not args.broker:
            write_report(kept)
    failed = sum(r["state"] == "FAILED" for r in results)
    skipped = sum(r["state"] == "skipped" for r in results)
    say(f"{len(results) - failed - skipped} held, {failed} failed, {skipped} skipped, "
        f"{time.monotonic() - started:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

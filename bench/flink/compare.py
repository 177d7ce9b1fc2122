"""compare.py [--posts N] [--rounds N] [--feed FILE] [--kinds KIND,...] [-- OPTION...]

The Flink job with libsluice beside the same job written with json.loads, in turns, on one broker
(KAFKA_BOOTSTRAP_SERVERS). For each run: posts/s from the first checkpoint beyond half of the posts to the
last one before all of them (which may be the end of an idle wait), and the CPU time of all its
processes (JVM and Python, not the broker) over the same stretch. Other load on the machine falls on
both; compare within one run only. Run it by scripts/flink-bench.sh, which starts what it needs.

Kinds: sluice; map, the DataStream job that one writes first (map_job.py), map-thread, its Python
inside the JVM; row, thread and pandas, our tables with a function in Python (json_job.py). OPTIONs
that map_job.py knows go to all.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICK = os.sysconf("SC_CLK_TCK")
PARTITIONS = 4
WARM = 0.5  # of the posts: until then the JVM compiles itself, which takes as much as the work


def processes():
    """pid: (parent, program, CPU seconds)"""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", encoding="utf-8", errors="replace") as file:
                    head, _, rest = file.read().rpartition(")")
            except OSError:
                continue
            fields = rest.split()
            ticks = int(fields[11]) + int(fields[12])
            found[int(name)] = int(fields[1]), head.partition("(")[2], ticks / TICK
    return found


def tree_cpu(root, seen):
    """CPU seconds of a process and all below it, and of the JVMs among them; `seen` keeps those
    that have ended."""
    found = processes()
    for pid in found:
        above = pid
        while above in found and above != root:
            above = found[above][0]
        if above == root:
            seen[pid] = found[pid][1:]
    java = sum(s for program, s in seen.values() if program == "java")
    return sum(s for _, s in seen.values()), java


def kill_tree(job):
    """The JVM has a session of its own."""
    found, below = processes(), {job.pid}
    while more := {p for p in found if found[p][0] in below} - below:
        below |= more
    for pid in below:
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    job.wait()


def end_offsets(broker, topic):
    wanted = [x for p in range(PARTITIONS) for x in ("-t", f"{topic}:{p}:-1")]
    out = subprocess.run(["kcat", "-b", broker, "-Q", *wanted], capture_output=True, text=True,
                         check=False).stdout
    return sum(int(line.rsplit(" ", 1)[1]) for line in out.splitlines() if "offset" in line)


def load(broker, topic, feed, count):
    """`count` posts with keys; the feed is repeated with new ids."""
    with open(feed, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file if line.strip()]
    with tempfile.NamedTemporaryFile("w", encoding="utf-8", suffix=".txt") as file:
        for i in range(1, count + 1):
            post = json.dumps({"id": i, "text": texts[i % len(texts)]}, ensure_ascii=False)
            file.write(f"u{i % 50000}\t{post}\n")
        file.flush()
        subprocess.run(["kcat", "-b", broker, "-t", topic, "-P", "-K", "\t", "-l", file.name],
                       check=True)


def make_topics(env):
    subprocess.run([os.path.join(ROOT, "build", "sluice"), "topics", "make"], env=env, check=True,
                   stdout=subprocess.DEVNULL)


class Measured:
    """One run of a job, sampled until it has ended."""

    def __init__(self, kind, posts, options, env):
        self.kind, self.posts, self.env = kind, posts, env
        script = os.path.join(HERE, "map_job.py" if kind.startswith("map") else "json_job.py")
        if kind == "sluice":
            script = os.path.join(ROOT, "stages", "enhance", "flink", "job.py")
        self.folder = tempfile.TemporaryDirectory()
        # Few and large bundles, for both: the time of a bundle is the same however small it is.
        self.command = [sys.executable, script, "--state", self.folder.name,
                        "--checkpoint-interval", "5 s", "--bundle-time", "1000", *options]
        self.samples = []

    def run(self):
        env = {**self.env, "JSON_KIND": self.kind}
        with tempfile.TemporaryFile("w+") as log:
            job = subprocess.Popen(self.command, env=env, stdout=log, stderr=log,
                                   start_new_session=True)
            seen, begun = {}, time.monotonic()
            try:
                while job.poll() is None and time.monotonic() - begun < 900:
                    cpu = tree_cpu(job.pid, seen)
                    done = end_offsets(env["BROKER"], env["SLUICE_ENHANCED_TOPIC"])
                    self.samples.append((time.monotonic(), *cpu, done))
                    if done >= self.posts:
                        break
                    time.sleep(0.2)
                ended = job.poll()
            finally:
                kill_tree(job)
            log.seek(0)
            if ended is not None:
                sys.exit(f"{self.kind}: ended with {ended}\n{log.read()[-3000:]}")
        self.folder.cleanup()
        return self.result()

    def result(self):
        steps = [b for a, b in zip(self.samples, self.samples[1:]) if b[3] > a[3]]
        low = next(s for s in steps if s[3] >= WARM * self.posts)
        high = [s for s in steps if s[3] < self.posts][-1]
        if high[0] <= low[0]:
            sys.exit(f"{self.kind}: too few posts for two checkpoints in the second half; --posts N")
        seconds, cpu, java, posts = (b - a for a, b in zip(low, high))
        return {"kind": self.kind, "posts_s": round(posts / seconds),
                "cpu_us": round(cpu / posts * 1e6, 2), "java_us": round(java / posts * 1e6, 2),
                "cores": round(cpu / seconds, 2), "seconds": round(seconds, 1)}


def summary(rows, kinds):
    best = {}
    for kind in kinds:
        of = [r for r in rows if r["kind"] == kind]
        if not of:
            continue
        rates, cpus = [r["posts_s"] for r in of], [r["cpu_us"] for r in of]
        best[kind] = statistics.median(rates), statistics.median(cpus)
        print(f"{kind:8s} posts/s {best[kind][0]:9,.0f} ({min(rates):,} to {max(rates):,})   "
              f"CPU/post {best[kind][1]:6.2f} us ({min(cpus)} to {max(cpus)})")
    for kind in kinds:
        if kind != "sluice" and kind in best and "sluice" in best:
            print(f"sluice against {kind}: {best['sluice'][0] / best[kind][0]:.2f} times the posts/s, "
                  f"{best[kind][1] / best['sluice'][1]:.2f} times less CPU")


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--posts", type=int, default=8000000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--feed", default=os.path.join(ROOT, "stages", "source", "posts.jsonl"))
    p.add_argument("--kinds", default="sluice,map")
    p.add_argument("options", nargs="*")
    a = p.parse_args()
    tag = f"bench-{os.getpid()}"
    library = os.environ["LIBSLUICE"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("SLUICE_")}
    env.update({"BROKER": env["KAFKA_BOOTSTRAP_SERVERS"], "LIBSLUICE": library,
                "SLUICE_RAW_TOPIC": f"{tag}-raw", "SLUICE_PARTITIONS": str(PARTITIONS)})
    names = {"SLUICE_ENHANCED_TOPIC": "out", "SLUICE_DEAD_TOPIC": "dead", "SLUICE_GROUP": "group"}
    kinds, rows = a.kinds.split(","), []
    for r in range(a.rounds):
        for kind in kinds:
            env.update({k: f"{tag}-{v}-{kind}-{r}" for k, v in names.items()})
            make_topics(env)
            if not rows:
                load(env["BROKER"], env["SLUICE_RAW_TOPIC"], a.feed, a.posts)
            rows.append(Measured(kind, a.posts, a.options, env).run())
            rows[-1]["load"] = os.getloadavg()[0]
            print(json.dumps(rows[-1]), flush=True)
    summary(rows, kinds)


if __name__ == "__main__":
    main()

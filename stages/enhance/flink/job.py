"""sluice enhance as a Flink job: raw_posts in, enhanced_posts and dead_posts out, exactly once.

    scripts/flink.sh --config sluice.yml --parallelism 4
    scripts/flink.sh --jobmanager HOST:8081 ...

SIGTERM and SIGINT end it with a savepoint, which the next start goes on with. Exit codes: 0 ended
in order, 1 the job failed, 2 usage, 69 no broker, 78 a setting must change. docs/FLINK.md has the rest.
"""
import functools
import logging
import os
import re
import signal
import sys
import time

# A Python process for each subtask, also in the local mini-cluster: one for all would share a GIL.
os.environ.setdefault("_python_worker_execution_mode", "process")

from py4j.protocol import Py4JError, Py4JJavaError
from pyflink import pyflink_gateway_server
from pyflink.common import Configuration
from pyflink.table import EnvironmentSettings, TableEnvironment

import kafka
import running
import settings
import start
import tables
from sluice_enrichment import enrich_function
from sluice_library import Sluice, SluiceError

logging.disable(logging.ERROR)  # what goes wrong is said once, by us
HERE = os.path.dirname(os.path.abspath(__file__))
STOP_WAIT_S = 120
# Of SLUICE_... : secrets, lists (their items are separated otherwise), and what belongs to a machine.
NOT_SENT = re.compile(
    "KEY|PASSWORD|SECRET|TOKEN|HEADER|LOGIN|_FILE$|^SLUICE_(X|CONFIG|STATE_DIR|INSTANCE|ENRICHERS)$|^SLUICE_TEST")


def state_uri(s):
    folder = start.folder_of(s.state)
    return "file://" + os.path.abspath(folder) if folder else s.state


def flink_settings(s, restore):
    delivery = "EXACTLY_ONCE" if s.shared["delivery"] == "exactly-once" else "AT_LEAST_ONCE"
    found = {
        "pipeline.name": s.shared["group"],
        "pipeline.object-reuse": "true",
        "parallelism.default": s.parallelism,
        "execution.checkpointing.interval": s.checkpoint_interval,
        "execution.checkpointing.mode": delivery,
        "execution.checkpointing.dir": state_uri(s),
        "execution.checkpointing.savepoint-dir": state_uri(s),
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        # Not for ever: what does not mend itself must be seen.
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "1 s",
        "restart-strategy.exponential-delay.max-backoff": "30 s",
        "restart-strategy.exponential-delay.reset-backoff-threshold": "2 min",
        "restart-strategy.exponential-delay.attempts-before-reset-backoff": 8,
        "python.fn-execution.arrow.batch.size": s.batch,
        "python.fn-execution.bundle.size": s.bundle,
        "python.fn-execution.bundle.time": s.bundle_time,
        "python.files": ",".join(
            os.path.join(HERE, f) for f in ("sluice_enrichment.py", "sluice_library.py")),
        # One function for both outputs: posts must be asked about once.
        "table.optimizer.reuse-optimize-block-with-digest-enabled": "true",
    }
    if restore:
        found["execution.state-recovery.path"] = restore
    jars = kafka.jar_urls(s.jars)
    if jars:
        found["pipeline.jars"] = ";".join(jars)
    if s.jobmanager:
        host, _, port = s.jobmanager.rpartition(":")
        found.update({"execution.target": "remote", "rest.address": host, "rest.port": port,
                      "python.executable": "python3", "python.client.executable": "python3"})
    else:
        found["python.executable"] = sys.executable
    found.update(s.flink)
    return found


def environment(s, restore):
    conf = Configuration()
    for name, value in flink_settings(s, restore).items():
        conf.set_string(name, str(value))
    how = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(conf).build()
    return TableEnvironment.create(how)


def library_settings(s):
    """What the library gets beside the file: --set, the broker that the job uses, and the environment
    from here, since tasks may run where it is another. Secrets stay: they are not sent around."""
    found = {}
    for name, value in os.environ.items():
        if name.startswith("SLUICE_") and value and not NOT_SENT.search(name):
            found[name[len("SLUICE_"):].lower().replace("_", "-")] = value
    found.update({"broker": f"kafka://{s.bootstrap}", **s.given})
    return [f"{key}={value}" for key, value in found.items()]


def config_text(s):
    if not s.config:
        return None
    with open(s.config, encoding="utf-8") as file:
        return file.read()


def check_library(s):
    """Opens the library once, here, so that a wrong setting is said at once and by its exit code; on
    a cluster the machines of the tasks have it, perhaps not this one."""
    if not s.jobmanager:
        Sluice(s.library, s.config, library_settings(s)).close()


class Run:
    """Follows a job until it ends, or until a signal or a complete drain ends it."""

    def __init__(self, s, job, ends, admin):
        self.s, self.job, self.ends, self.admin = s, job, ends, admin
        self.told, self.ask_again = False, 0.0
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.on_signal)

    def on_signal(self, number, _):
        if self.told:
            os._exit(128 + number)
        self.told = True

    def drained(self):
        """Asks the broker once a second, if a drain is wanted."""
        if self.ends is None or time.monotonic() < self.ask_again:
            return False
        self.ask_again = time.monotonic() + 1
        return kafka.caught_up(self.admin, self.s, self.ends)

    def stop(self, told):
        path = self.job.stop(state_uri(self.s))
        print(f"sluice: stopped; savepoint {path}", file=sys.stderr, flush=True)
        if not told:  # drained: the group stands behind all that was read, marks of transactions too
            self.admin.set_positions(self.s.shared["group"], self.s.shared["raw-topic"], self.ends)

    def follow(self):
        """True when it ended in order."""
        deadline = None
        while (state := self.job.state()) not in running.ENDED:
            told = self.told
            if state == "RUNNING" and (told or self.drained()):
                try:
                    self.stop(told)
                    return True
                except running.NotNow as e:  # its tasks are being started
                    deadline = deadline or time.monotonic() + STOP_WAIT_S
                    if time.monotonic() > deadline:
                        raise settings.Refused(f"the job cannot be stopped: {e}") from e
            time.sleep(0.2)
        if state != "FINISHED":
            print(f"sluice: the job ended: {state}", file=sys.stderr)
            for line in self.job.failure():
                print(f"sluice:   {line}", file=sys.stderr)
        return state == "FINISHED"


def begin(s, admin, folder):
    """The job that was started, or None: only its plan was wanted."""
    check_library(s)
    restore, starts = start.resolve(admin, s)
    function = enrich_function(s.library, config_text(s), library_settings(s), s.largest)
    statements = tables.build(environment(s, restore), s, function, starts)
    if s.explain:
        print(statements.explain())
        return None
    if folder and not restore:
        start.write_begun(folder, starts)
    print(f"sluice: {'going on with ' + restore if restore else 'a new start'}; outputs become "
          f"visible every {s.checkpoint_interval}", file=sys.stderr, flush=True)
    return running.Started(statements.execute().get_job_client())


def run(s):
    folder = start.folder_of(s.state)
    held = start.lock(folder) if folder else None
    with kafka.Kafka(s) as admin:
        start.check_topics(admin, s)
        s.largest = {name: admin.largest_value(s.shared[f"{name}-topic"])
                     for name in ("enhanced", "dead")}
        ends = admin.offsets(s.shared["raw-topic"], "latest") if s.drain else None
        job = running.find(s.jobmanager, s.shared["group"]) if s.jobmanager else None
        if job:
            print("sluice: the job runs already; following it", file=sys.stderr, flush=True)
        else:
            job = begin(s, admin, folder)
        ended_well = job is None or Run(s, job, ends, admin).follow()
    del held
    return ended_well


def start_apart():
    """Signals to the group of processes (Ctrl-C, timeout) are for this one: the JVM must live to
    write the savepoint. It ends with this process in any case, whose pipe it reads."""
    plain = pyflink_gateway_server.Popen
    pyflink_gateway_server.Popen = functools.partial(plain, start_new_session=True)


def main(argv):
    try:
        s = settings.load(argv)
        s.client = kafka.client_properties(s)
        start_apart()
        return 0 if run(s) else 1
    except settings.Refused as e:
        print(f"sluice: {e}", file=sys.stderr)
        return e.code
    except SluiceError as e:
        print(f"sluice: {e}", file=sys.stderr)
        return e.code
    except Py4JJavaError as e:  # of a cluster that went away, for example
        for line in running.reasons(str(e)):
            print(f"sluice: {line}", file=sys.stderr)
        return 1
    except (Py4JError, OSError) as e:
        print(f"sluice: the JVM or the cluster has gone: {e}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Where the job begins: at its newest checkpoint or savepoint, else where the group stands.

Nothing is guessed: what could repeat or lose outputs is refused, and the text says how to decide.
A job that is killed before its first checkpoint has made nothing visible; `begun` in the state
folder remembers where it began, so that it can begin there again.
"""
import fcntl
import glob
import json
import os

from settings import Refused


def folder_of(state):
    """The folder of a state that is on this machine, or None: then --restore says what to use."""
    if state.startswith("file://"):
        return state[len("file://"):]
    return None if "://" in state else os.path.abspath(state)


def lock(folder):
    """Two jobs of one state would undo each other. The lock goes with the process."""
    os.makedirs(folder, exist_ok=True)
    file = open(os.path.join(folder, "lock"), "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(f"another job works with {folder}: end it, or give each its own --state "
                      "and group") from None
    return file


def newest(folder):
    """The newest checkpoint or savepoint that is whole."""
    found = glob.glob(os.path.join(folder, "*", "chk-*", "_metadata"))
    found += glob.glob(os.path.join(folder, "savepoint-*", "_metadata"))
    return os.path.dirname(max(found, key=os.path.getmtime)) if found else None


def begun_path(folder):
    return os.path.join(folder, "begun")


def read_begun(folder):
    try:
        with open(begun_path(folder), encoding="utf-8") as file:
            return {int(p): o for p, o in json.load(file).items()}
    except FileNotFoundError:
        return None


def write_begun(folder, starts):
    part = begun_path(folder) + ".part"
    with open(part, "w", encoding="utf-8") as file:
        json.dump(starts, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, begun_path(folder))


def outputs_exist(kafka, s):
    for name in ("enhanced-topic", "dead-topic"):
        starts = kafka.offsets(s.shared[name], "earliest")
        ends = kafka.offsets(s.shared[name], "latest")
        if any(ends[p] > starts[p] for p in ends):
            return True
    return False


def taken_over(s, positions, earliest):
    group = s.shared["group"]
    for p, (_, metadata) in positions.items():
        if metadata:
            raise Refused(
                f"group '{group}' has sent posts beyond its position of partition {p} (--order key "
                "or none): run `sluice enhance --order partition --drain` before --take-over")
    return {p: positions[p][0] if p in positions else earliest[p] for p in earliest}


def without_checkpoint(kafka, s, begun):
    """partition: the first offset to read."""
    topic, group = s.shared["raw-topic"], s.shared["group"]
    earliest = kafka.offsets(topic, "earliest")
    positions = kafka.positions(group, topic)
    if positions and s.take_over:
        return taken_over(s, positions, earliest)
    if begun is not None and all(p in begun and o <= begun[p] for p, (o, _) in positions.items()):
        return {p: begun.get(p, earliest[p]) for p in earliest}
    if positions:
        raise Refused(
            f"group '{group}' has positions on {topic}, but there is no checkpoint in {s.state}: "
            "say --restore PATH; or, if sluice enhance ended in order and this job goes on where "
            "it was, --take-over; or use another group")
    choice = s.shared["on-missing-position"]
    if choice == "stop" and outputs_exist(kafka, s):
        raise Refused(
            f"group '{group}' has no position on {topic}, but the outputs hold records already: "
            "starting over would repeat them; say --set on-missing-position=earliest or latest")
    return kafka.offsets(topic, "latest") if choice == "latest" else earliest


def check_topics(kafka, s):
    for name in ("raw-topic", "enhanced-topic", "dead-topic"):
        kafka.partitions(s.shared[name])
    longest = kafka.longest_transaction_ms()
    if s.transaction_timeout > longest:
        raise Refused(
            f"--transaction-timeout {s.transaction_timeout} is above the broker's "
            f"transaction.max.timeout.ms {longest}: the job could never start; lower the one or "
            "raise the other")


def resolve(kafka, s):
    """(path to restore or None, first offsets)."""
    folder = folder_of(s.state)
    path = s.restore or (newest(folder) if folder else None)
    if path:
        return path, kafka.offsets(s.shared["raw-topic"], "earliest")
    return None, without_checkpoint(kafka, s, read_begun(folder) if folder else None)

"""Settings of the job: flag, then environment, then the YAML file, then the default.

What the pipeline shares (broker, topics, group, delivery, TLS, login) has the names of
docs/CONFIGURATION.md and is read from the same places as the program does. How to enrich is read
by the library itself, from the same file, where the work is done.
"""
import argparse
import os
import re
import sys

EX_USAGE, EX_CONFIG = 2, 78

# Keys of docs/CONFIGURATION.md that the job itself reads, and their defaults.
SHARED = {
    "broker": "",
    "bootstrap-servers": "",
    "raw-topic": "raw_posts",
    "enhanced-topic": "enhanced_posts",
    "dead-topic": "dead_posts",
    "group": "sluice-enhance",
    "delivery": "exactly-once",
    "on-missing-position": "stop",
    "enricher": "mock",
    "enrichers": "",
    "tls": "false",
    "tls.verify": "true",
    "tls.ca": "",
    "tls.cert": "",
    "tls.key": "",
    "sasl.mechanism": "none",
    "sasl.username": "",
    "sasl.plaintext-allowed": "false",
}
OTHER_NAMES = {"bootstrap-servers": ["KAFKA_BOOTSTRAP_SERVERS"]}
CHOICES = {
    "delivery": ["exactly-once", "at-least-once"],
    "on-missing-position": ["stop", "earliest", "latest"],
    "sasl.mechanism": ["none", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
    "tls": ["true", "false"],
    "tls.verify": ["true", "false"],
    "sasl.plaintext-allowed": ["true", "false"],
}
# Answer without leaving the process, and at once: large batches cost nothing.
LOCAL_ENRICHERS = ["mock", "lookup"]


class Refused(Exception):
    """A setting must change; the text says which and how."""

    code = EX_CONFIG


def variable(key):
    return "SLUICE_" + re.sub(r"[.-]", "_", key).upper()


def flatten(tree, prefix=""):
    """{'a': {'b': 1}} and {'a.b': 1} are the same; {'tls': {'ca': …}} leaves tls itself alone."""
    flat = {}
    for key, value in (tree or {}).items():
        name = prefix + str(key)
        if isinstance(value, dict) and name != "x":
            flat.update(flatten(value, name + "."))
        else:
            flat[name] = value
    return flat


def read_yaml(path):
    from ruamel.yaml import YAML  # comes with apache-flink

    try:
        with open(path, encoding="utf-8") as file:
            tree = YAML(typ="safe").load(file)
    except OSError as e:
        raise Refused(f"{path}: {e.strerror}") from e
    except Exception as e:
        raise Refused(f"{path}: {e}") from e
    if tree is not None and not isinstance(tree, dict):
        raise Refused(f"{path}: not a map of settings")
    return flatten(tree)


def text_of(value):
    return str(value).lower() if isinstance(value, bool) else str(value)


def read_secret(key, in_file):
    """From the variable, the file that the variable with _FILE names, or the YAML key with -file."""
    value = os.environ.get(variable(key))
    if value:
        return value
    path = os.environ.get(variable(key) + "_FILE") or in_file.get(key + "-file")
    if not path:
        return ""
    try:
        with open(path, encoding="utf-8") as file:
            return re.sub(r"\r?\n\Z", "", file.read())
    except OSError as e:
        raise Refused(f"{key}: {path}: {e.strerror}") from e


def find_shared(key, given, in_file):
    """The value of a shared key and where it comes from."""
    if key in given:
        return given[key], "--set"
    for name in [variable(key)] + OTHER_NAMES.get(key, []):
        if os.environ.get(name):
            return os.environ[name], name
    if in_file.get(key) is not None:
        return text_of(in_file[key]), "the YAML file"
    return SHARED[key], "default"


def shared_settings(given, in_file):
    found = {}
    for key in SHARED:
        value, origin = find_shared(key, given, in_file)
        if key in CHOICES and value not in CHOICES[key]:
            raise Refused(f"{key} (from {origin}): '{value}' is none of {', '.join(CHOICES[key])}")
        found[key] = value
    return found


def bootstrap_of(shared):
    broker = shared["broker"]
    if not broker and shared["bootstrap-servers"]:
        return shared["bootstrap-servers"]
    match = re.fullmatch(r"kafka://([^/]+)/?", broker)
    if not match:
        raise Refused(
            f"Flink needs a Kafka broker, but broker is '{broker or 'not set'}': set broker to "
            "kafka://HOST:PORT,... (SLUICE_BROKER, or broker in the YAML file)"
        )
    return match.group(1)


def arguments():
    p = argparse.ArgumentParser(
        prog="scripts/flink.sh", description="sluice enhance as a Flink job: see docs/FLINK.md."
    )
    p.add_argument("--config", default=os.environ.get("SLUICE_CONFIG"), metavar="FILE",
                   help="the YAML file of sluice, also for the library")
    p.add_argument("--set", action="append", default=[], metavar="KEY=VALUE",
                   help="a setting of docs/CONFIGURATION.md; wins over environment and file")
    p.add_argument("--parallelism", type=int, default=2, metavar="N",
                   help="subtasks, each with a Python process (default 2)")
    p.add_argument("--checkpoint-interval", default="1 s", metavar="TIME",
                   help="outputs become visible so often (default '1 s')")
    p.add_argument("--state", default="flink-state", metavar="DIR|URI",
                   help="checkpoints and savepoints; the newest is gone on with (default flink-state)")
    p.add_argument("--restore", metavar="PATH", help="go on with this checkpoint or savepoint")
    p.add_argument("--take-over", action="store_true",
                   help="without a checkpoint: begin at the positions of the group")
    p.add_argument("--drain", action="store_true",
                   help="end when what is in the topic now has been processed")
    p.add_argument("--batch", type=int, default=0, metavar="N",
                   help="posts of a call into the library, which run side by side (default 5000; "
                        "200 where an answer comes from elsewhere)")
    p.add_argument("--bundle", type=int, default=0, metavar="N",
                   help="posts that a checkpoint may have to wait for (default 5 batches; 1 where "
                        "an answer comes from elsewhere)")
    p.add_argument("--bundle-time", type=int, default=100, metavar="MS",
                   help="a post waits at most so long for its batch to fill (default 100)")
    p.add_argument("--transaction-timeout", type=int, default=600000, metavar="MS",
                   help="an outage longer than this loses outputs that were not yet committed; at "
                        "most the broker's transaction.max.timeout.ms (default 600000)")
    p.add_argument("--jobmanager", metavar="HOST:PORT",
                   help="run on this Flink cluster (its REST port), not in this process")
    p.add_argument("--partitioner", choices=["default", "fixed"], default="default",
                   help="default: by the key, as Kafka does; fixed: each subtask writes to one "
                        "partition, which keeps the order of posts without a key")
    p.add_argument("--library", default=os.environ.get("LIBSLUICE", "libsluice.so.1"),
                   metavar="FILE", help="libsluice.so.1 on the machines that run the tasks")
    p.add_argument("--jars", default=os.environ.get("FLINK_KAFKA_JARS", ""), metavar="DIR",
                   help="where the Kafka connector's jar is")
    p.add_argument("--kafka", action="append", default=[], metavar="NAME=VALUE",
                   help="a property of Kafka's Java client, except those exactly-once rests on")
    p.add_argument("--flink", action="append", default=[], metavar="NAME=VALUE",
                   help="a setting of Flink itself")
    p.add_argument("--explain", action="store_true", help="print Flink's plan and end")
    return p


KAFKA_HELD = re.compile(
    r"(transactional\.id|enable\.idempotence|acks|isolation\.level|enable\.auto\..*"
    r"|auto\.offset\.reset|group\.(id|protocol)|transaction\.timeout\.ms|bootstrap\.servers)"
)


def pairs(items, flag):
    found = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not name or not equals:
            raise Refused(f"{flag} '{item}': not NAME=VALUE")
        found[name] = value
    return found


def default_batches(args, shared):
    away = shared["enrichers"] or shared["enricher"] not in LOCAL_ENRICHERS
    args.batch = args.batch or (200 if away else 5000)
    args.bundle = args.bundle or (args.batch if away else 5 * args.batch)


def load(argv):
    """All settings in one object: the flags, .shared (a dict), .bootstrap, .given, .secrets."""
    args = arguments().parse_args(argv)
    args.given = pairs(args.set, "--set")
    args.kafka = pairs(args.kafka, "--kafka")
    args.flink = pairs(args.flink, "--flink")
    for name in args.kafka:
        if KAFKA_HELD.fullmatch(name):
            raise Refused(f"--kafka {name}: the job sets this itself")
    for name in ("parallelism", "bundle_time", "transaction_timeout"):
        if getattr(args, name) < 1:
            raise Refused(f"--{name.replace('_', '-')} must be 1 or more")
    in_file = read_yaml(args.config) if args.config else {}
    args.shared = shared_settings(args.given, in_file)
    args.bootstrap = bootstrap_of(args.shared)
    args.sasl_password = read_secret("sasl.password", in_file)
    args.tls_key_password = read_secret("tls.key-password", in_file)
    if args.shared["enrichers"] == "" and in_file.get("enrichers"):
        args.shared["enrichers"] = "some"
    default_batches(args, args.shared)
    return args


def fail(code, text):
    print(f"sluice: {text}", file=sys.stderr)
    sys.exit(code)

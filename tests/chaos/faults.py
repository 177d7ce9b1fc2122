"""The list of faults. A fault is a function that gets a World, injects itself some times (`tries`),
and ends with w.verdict(); `short` and `long` are its arguments in the two rounds."""

FAULTS = []


class Fault:
    def __init__(self, fn, name, broker, kafka, short, long, target):
        self.fn, self.name, self.broker = fn, name, broker
        self.kafka = kafka    # None: the shared one; a list: options of one of its own
        self.short = short    # None: not in the short round
        self.long = long
        self.target = target  # seconds to recover, or None


def fault(name, sqlite=True, kafka=True, own=None, short=None, long=None, target=None):
    """short and long: arguments, the same for both brokers, or a dict by broker."""
    def of(what, broker):
        if isinstance(what, dict) and set(what) <= {"sqlite", "kafka"} and what:
            return what.get(broker)
        return what

    def add(fn):
        for broker, wanted in (("sqlite", sqlite), ("kafka", kafka)):
            if wanted:
                FAULTS.append(Fault(fn, name, broker, own if broker == "kafka" else None,
                                    of(short, broker), of(long, broker) or {}, of(target, broker)))
        return fn
    return add

"""What the job must know of the broker before it starts, and while it drains.

Asked of the Kafka client that is in the connector's jar, inside the JVM that PyFlink starts anyway:
no other client is needed. Nothing here is on the path of posts.
"""
import glob
import os

from py4j.protocol import Py4JError, Py4JJavaError
from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import add_jars_to_context_class_loader

from settings import Refused

SHADED = "org.apache.flink.kafka.shaded.org.apache.kafka"
WAIT_MS = 30000
ROOM = 16384  # for the key and headers of a record, whose size is not looked at


class Unavailable(Refused):
    code = 69


def jar_urls(folder):
    jars = glob.glob(os.path.join(os.path.abspath(folder), "*.jar")) if folder else []
    return ["file://" + jar for jar in sorted(jars)]


def login(s):
    """security.protocol and what follows, from the settings that librdkafka gets in the program."""
    shared, found = s.shared, {}
    tls, mechanism = shared["tls"] == "true", shared["sasl.mechanism"]
    if mechanism != "none":
        if mechanism == "PLAIN" and not tls and shared["sasl.plaintext-allowed"] != "true":
            raise Refused("sasl.mechanism PLAIN without tls would send the password as it is: set "
                          "tls, or sasl.plaintext-allowed")
        kind = "plain.PlainLoginModule" if mechanism == "PLAIN" else "scram.ScramLoginModule"
        found["sasl.mechanism"] = mechanism
        found["sasl.jaas.config"] = (
            f"{SHADED}.common.security.{kind} required username={jaas(shared['sasl.username'])} "
            f"password={jaas(s.sasl_password)};"
        )
    if tls:
        found.update(certificates(s))
    elif mechanism == "none":
        return found
    found["security.protocol"] = ("SASL_" if mechanism != "none" else "") + (
        "SSL" if tls else "PLAINTEXT")
    return found


def jaas(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def certificates(s):
    shared, found = s.shared, {}
    if shared["tls.verify"] != "true":
        raise Refused("tls.verify false: Kafka's Java client always checks certificates")
    if shared["tls.ca"]:
        found.update({"ssl.truststore.type": "PEM", "ssl.truststore.location": shared["tls.ca"]})
    if shared["tls.cert"]:
        found["ssl.keystore.type"] = "PEM"
        found["ssl.keystore.certificate.chain"] = read(shared["tls.cert"])
        found["ssl.keystore.key"] = read(shared["tls.key"])
    if s.tls_key_password:
        found["ssl.key.password"] = s.tls_key_password
    return found


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError as e:
        raise Refused(f"{path}: {e.strerror}") from e


def client_properties(s):
    return {"bootstrap.servers": s.bootstrap, **login(s), **s.kafka}


class Kafka:
    """A short-lived admin client. Use it in a `with`."""

    def __init__(self, s):
        jars = jar_urls(s.jars)
        if jars:
            add_jars_to_context_class_loader(jars)
        self.s, self.jvm, self.classes = s, get_gateway().jvm, {}
        self.properties = self.jvm.java.util.Properties()
        for name, value in client_properties(s).items():
            self.properties.setProperty(name, str(value))
        self.properties.setProperty("default.api.timeout.ms", str(WAIT_MS))

    def __enter__(self):
        self.admin = self.ask(lambda: self.named("clients.admin.Admin").create(self.properties))
        return self

    def __exit__(self, *_):
        try:
            self.admin.close()
        except Py4JError:
            pass  # the JVM has ended

    def named(self, name):
        """A class of the client; found once, for the JVM looks through all jars at each step."""
        if name not in self.classes:
            found = self.jvm
            for part in f"{SHADED}.{name}".split("."):
                found = getattr(found, part)
            self.classes[name] = found
        return self.classes[name]

    def ask(self, call):
        """Errors of the broker in one line."""
        try:
            return call()
        except Py4JJavaError as e:
            cause = e.java_exception
            while cause.getCause() is not None:
                cause = cause.getCause()
            name = cause.getClass().getSimpleName()
            raise Unavailable(f"{self.s.bootstrap}: {name}: {cause.getMessage()}") from e

    def partitions(self, topic):
        names = self.jvm.java.util.ArrayList()
        names.add(topic)
        found = self.ask(lambda: self.admin.describeTopics(names).allTopicNames().get())
        return len(found.get(topic).partitions())

    def place(self, topic, partition):
        return self.named("common.TopicPartition")(topic, partition)

    def offsets(self, topic, which):
        """which: 'earliest' or 'latest' (before transactions that are open). partition: offset"""
        spec = getattr(self.named("clients.admin.OffsetSpec"), which)()
        wanted = self.jvm.java.util.HashMap()
        for p in range(self.partitions(topic)):
            wanted.put(self.place(topic, p), spec)
        committed = self.named("common.IsolationLevel").READ_COMMITTED
        how = self.named("clients.admin.ListOffsetsOptions")(committed)
        found = self.ask(lambda: self.admin.listOffsets(wanted, how).all().get())
        return {place.partition(): found.get(place).offset() for place in found.keySet()}

    def positions(self, group, topic):
        """partition: (offset, metadata), of those that have one."""
        found = self.ask(lambda: self.admin.listConsumerGroupOffsets(group)
                         .partitionsToOffsetAndMetadata().get())
        return {
            place.partition(): (found.get(place).offset(), found.get(place).metadata())
            for place in found.keySet()
            if place.topic() == topic and found.get(place) is not None
        }

    def set_positions(self, group, topic, offsets):
        wanted = self.jvm.java.util.HashMap()
        for p, offset in offsets.items():
            wanted.put(self.place(topic, p),
                       self.named("clients.consumer.OffsetAndMetadata")(offset))
        self.ask(lambda: self.admin.alterConsumerGroupOffsets(group, wanted).all().get())

    def config(self, kind, name, key):
        """A number from the configuration of a TOPIC or BROKER."""
        def call():
            resource = self.named("common.config.ConfigResource")
            of = self.jvm.java.util.ArrayList()
            of.add(resource(getattr(resource.Type, kind), name))
            config = next(iter(self.admin.describeConfigs(of).all().get().values()))
            return int(config.get(key).value())
        return self.ask(call)

    def longest_transaction_ms(self):
        node = self.ask(lambda: self.admin.describeCluster().nodes().get().iterator().next())
        return self.config("BROKER", node.idString(), "transaction.max.timeout.ms")

    def largest_value(self, topic):
        """Bytes that a value may have beside a usual key and headers."""
        return self.config("TOPIC", topic, "max.message.bytes") - ROOM

    def is_empty(self, topic, partition, start, end):
        """No record from start to end: what is there are marks of transactions."""
        if start >= end:
            return True
        properties = self.jvm.java.util.Properties()
        properties.putAll(self.properties)
        for name in ("key", "value"):
            properties.setProperty(f"{name}.deserializer",
                                   f"{SHADED}.common.serialization.ByteArrayDeserializer")
        properties.setProperty("isolation.level", "read_committed")
        properties.setProperty("enable.auto.commit", "false")
        consumer = self.named("clients.consumer.KafkaConsumer")(properties)
        try:
            place = self.place(topic, partition)
            places = self.jvm.java.util.ArrayList()
            places.add(place)
            consumer.assign(places)
            consumer.seek(place, start)
            wait = self.jvm.java.time.Duration.ofMillis(200)
            for _ in range(WAIT_MS // 200):
                if not consumer.poll(wait).isEmpty():
                    return False
                if consumer.position(place) >= end:
                    return True
            raise Unavailable(f"{topic}/{partition} cannot be read from {start} to {end}")
        finally:
            consumer.close()


def caught_up(kafka, s, ends):
    """The group has passed every record below `ends`."""
    topic, positions = s.shared["raw-topic"], kafka.positions(s.shared["group"], s.shared["raw-topic"])
    starts = kafka.offsets(topic, "earliest")
    at = {p: positions.get(p, (starts[p], ""))[0] for p in ends}
    return all(ends[p] - at[p] <= 100 for p in ends) and all(
        kafka.is_empty(topic, p, at[p], ends[p]) for p in ends)

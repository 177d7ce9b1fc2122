"""map_job.py [OPTION...] - the pipeline's enhance as one writes it first in PyFlink: a DataStream, strings,
json.loads and json.dumps in a Python function, Kafka in and out, exactly once on checkpoints.

For bench/flink/compare.py only; it shares no code with stages/enhance/flink, and runs until it is
killed. It keeps neither key nor headers nor times of the posts (PyFlink's DataStream source has no
access to them) and checks less than the library, so it does less than the job it stands beside.
"""
import argparse
import json
import os

os.environ.setdefault("_python_worker_execution_mode", "process")  # a process for each subtask, as ours

from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.common.serialization import SimpleStringSchema
from pyflink.datastream import OutputTag, ProcessFunction, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer, KafkaRecordSerializationSchema, KafkaSink, KafkaSource)

ENRICHMENT = {"topics": ["coffee", "food"], "sentiment": "positive", "language": "en"}
DEAD = OutputTag("dead", Types.STRING())


class Enrich(ProcessFunction):
    def process_element(self, value, ctx):
        try:
            post = json.loads(value)
            if not isinstance(post["text"], str) or "id" not in post:
                raise ValueError(value)
        except (ValueError, TypeError, KeyError):
            yield DEAD, value
            return
        post["enrichment"] = ENRICHMENT
        yield json.dumps(post, ensure_ascii=False)


def arguments():
    p = argparse.ArgumentParser()
    p.add_argument("--parallelism", default="2")
    p.add_argument("--checkpoint-interval", default="1 s")
    p.add_argument("--bundle-time", default="1000")  # Flink's default
    p.add_argument("--state", required=True)
    p.add_argument("--flink", action="append", default=[])
    return p.parse_args()


def configuration(a):
    conf = Configuration()
    found = {
        "parallelism.default": a.parallelism,
        "pipeline.jars": ";".join(f"file://{folder}/{jar}" for folder in [os.environ["FLINK_KAFKA_JARS"]]
                                  for jar in os.listdir(folder) if jar.endswith(".jar")),
        "execution.checkpointing.interval": a.checkpoint_interval,
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.dir": "file://" + os.path.abspath(a.state),
        "pipeline.object-reuse": "true",
        "python.fn-execution.bundle.size": "20000",
        "python.fn-execution.bundle.time": a.bundle_time,
        **dict(x.split("=", 1) for x in a.flink),
    }
    if os.environ["JSON_KIND"] == "map-thread":
        found["python.execution-mode"] = "thread"
    for name, value in found.items():
        conf.set_string(name, value)
    return conf


def sink(broker, group, topic):
    schema = (KafkaRecordSerializationSchema.builder().set_topic(topic)
              .set_value_serialization_schema(SimpleStringSchema()).build())
    return (KafkaSink.builder().set_bootstrap_servers(broker).set_record_serializer(schema)
            .set_delivery_guarantee(DeliveryGuarantee.EXACTLY_ONCE)
            .set_transactional_id_prefix(f"{group}-{topic}")
            .set_property("transaction.timeout.ms", "600000")
            .set_property("batch.size", "131072").set_property("linger.ms", "5").build())


def main():
    env = StreamExecutionEnvironment.get_execution_environment(configuration(arguments()))
    broker, group = os.environ["BROKER"], os.environ["SLUICE_GROUP"]
    source = (KafkaSource.builder().set_bootstrap_servers(broker).set_group_id(group)
              .set_topics(os.environ["SLUICE_RAW_TOPIC"])
              .set_starting_offsets(KafkaOffsetsInitializer.earliest())
              .set_property("isolation.level", "read_committed")
              .set_value_only_deserializer(SimpleStringSchema()).build())
    answered = env.from_source(source, WatermarkStrategy.no_watermarks(), "posts").process(
        Enrich(), output_type=Types.STRING())
    answered.sink_to(sink(broker, group, os.environ["SLUICE_ENHANCED_TOPIC"]))
    answered.get_side_output(DEAD).sink_to(sink(broker, group, os.environ["SLUICE_DEAD_TOPIC"]))
    env.execute(group)


if __name__ == "__main__":
    main()

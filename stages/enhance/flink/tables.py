"""The job as tables: raw_posts in, enhanced_posts and dead_posts out, one function between.

Both outputs belong to one statement set, so the function is called once for a post and one
checkpoint holds input positions and both outputs. Headers are maps in Flink: their order, and all
but the last of one name, are lost on the way.
"""

COLUMNS = """`key` BYTES, `value` BYTES, headers MAP<STRING, BYTES> METADATA,
    ts TIMESTAMP_LTZ(3) METADATA FROM 'timestamp'"""


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def options(pairs):
    return ", ".join(f"{quoted(k)} = {quoted(v)}" for k, v in pairs.items())


def common(s, topic):
    kafka = {f"properties.{k}": v for k, v in s.client.items()}
    return {
        "connector": "kafka",
        "topic": topic,
        "key.format": "raw",  # bytes as they are; a null stays a null
        "key.fields": "key",
        "value.format": "raw",
        "value.fields-include": "EXCEPT_KEY",
        **kafka,
    }


def offsets_text(offsets):
    return ";".join(f"partition:{p},offset:{o}" for p, o in sorted(offsets.items()))


def source(s, starts):
    """starts: partition to first offset; a checkpoint that is restored knows better. Each poll costs
    a change of threads in Flink, so that it may bring more than Kafka's 500 records."""
    return f"""CREATE TABLE posts ({COLUMNS}, `partition` INT METADATA VIRTUAL,
        `offset` BIGINT METADATA VIRTUAL) WITH ({options({
            **common(s, s.shared["raw-topic"]),
            "properties.group.id": s.shared["group"],
            "properties.isolation.level": "read_committed",
            "properties.max.poll.records": 5000,
            "scan.startup.mode": "specific-offsets",
            "scan.startup.specific-offsets": offsets_text(starts),
        })})"""


def sink(s, name, topic):
    return f"""CREATE TABLE {name} ({COLUMNS}) WITH ({options({
        **common(s, topic),
        "properties.transaction.timeout.ms": s.transaction_timeout,
        "properties.batch.size": 131072,
        "properties.max.request.size": max(s.largest.values()) + (1 << 20),
        "properties.linger.ms": 5,
        "sink.delivery-guarantee": s.shared["delivery"],
        "sink.transactional-id-prefix": f"sluice.{s.shared['group']}.flink.{name}",
        "sink.partitioner": s.partitioner,
    })})"""


def binary(text):
    return f"CAST({text} AS BYTES)"


def header_map(pairs):
    return "MAP[" + ", ".join(f"{quoted(k)}, {v}" for k, v in pairs.items()) + "]"


def letter_headers(topic):
    """Those of docs/FORMAT.md, but attempts and tokens, which the library does not tell."""
    return {
        "sluice-error-reason": "answer.reason",
        "sluice-error-message": "answer.message",
        "sluice-error-stage": binary("'enhance'"),
        "sluice-error-topic": binary(quoted(topic)),
        "sluice-error-partition": binary("CAST(`partition` AS STRING)"),
        "sluice-error-offset": binary("CAST(`offset` AS STRING)"),
    }


def view(s):
    topic = quoted(s.shared["raw-topic"] + "/")
    origin = f"CONCAT({topic}, CAST(`partition` AS STRING), '/', CAST(`offset` AS STRING))"
    return f"""CREATE TEMPORARY VIEW answered AS
        SELECT *, {binary(origin)} AS src, enrich(`value`) AS answer FROM posts"""


def with_headers(pairs):
    """The headers of the post and these. Most posts have none, and a union costs much more."""
    return f"""CASE WHEN CARDINALITY(headers) = 0 THEN {header_map(pairs)}
        ELSE MAP_UNION(headers, {header_map(pairs)}) END"""


def inserts(s):
    src = {"sluice-src": "src"}
    letter = {**src, **letter_headers(s.shared["raw-topic"])}
    bare = {**letter, "sluice-error-truncated": binary("'true'")}
    return [
        f"""INSERT INTO enhanced SELECT `key`, answer.`value`, {with_headers(src)}, ts
            FROM answered WHERE answer.kind = 0""",
        f"""INSERT INTO dead SELECT `key`, answer.`value`,
            CASE WHEN answer.kind = 2 THEN MAP_UNION(headers, {header_map(bare)})
                ELSE MAP_UNION(headers, {header_map(letter)}) END,
            ts FROM answered WHERE answer.kind <> 0""",
    ]


def build(t_env, s, function, starts):
    """The statement set that is the job."""
    t_env.create_temporary_function("enrich", function)
    t_env.execute_sql(source(s, starts))
    t_env.execute_sql(sink(s, "enhanced", s.shared["enhanced-topic"]))
    t_env.execute_sql(sink(s, "dead", s.shared["dead-topic"]))
    t_env.execute_sql(view(s))
    statements = t_env.create_statement_set()
    for insert in inserts(s):
        statements.add_insert_sql(insert)
    return statements

"""The job of stages/enhance/flink with its function written in Python: json.loads, json.dumps.

For bench/flink/compare.py only. All else, tables, sinks, checkpoints, settings, is the same code.
JSON_KIND says how the function is called: `row`, once for each post in a Python process, what one
would write first; `thread`, the same inside the JVM's process (pemja); `pandas`, a column at a time.
It adds the same short enrichment to every post, so it does less than the mock of the library, and
it checks less: UTF-8, depth, size and repeated members pass.
"""
import json
import os
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "stages", "enhance", "flink"))

import job
import pandas as pd
from pyflink.common import Row
from pyflink.table.udf import ScalarFunction, udf

from sluice_enrichment import RESULT_TYPE

ENRICHMENT = {"topics": ["coffee", "food"], "sentiment": "positive", "language": "en"}


def enrich_one(value):
    """(kind, value, reason, message)"""
    try:
        post = json.loads(value)
    except (ValueError, TypeError) as e:
        return 1, None, b"json_invalid", str(e).encode()
    if not isinstance(post, dict):
        return 1, None, b"post_not_object", b"the post is not an object"
    if not isinstance(post.get("id"), (int, float, str)):
        return 1, None, b"id_missing", b"the post has no 'id'"
    if not isinstance(post.get("text"), str):
        return 1, None, b"text_missing", b"the post has no 'text'"
    post["enrichment"] = ENRICHMENT
    return 0, json.dumps(post, ensure_ascii=False).encode(), None, None


class EnrichRow(ScalarFunction):
    def is_deterministic(self):
        return False

    def eval(self, value):
        return Row(*enrich_one(value))


class EnrichColumn(ScalarFunction):
    def is_deterministic(self):
        return False

    def eval(self, values):
        return pd.DataFrame([enrich_one(v) for v in values],
                            columns=["kind", "value", "reason", "message"])


def json_function(*_):
    if os.environ["JSON_KIND"] == "pandas":
        return udf(EnrichColumn(), result_type=RESULT_TYPE, func_type="pandas", deterministic=False)
    return udf(EnrichRow(), result_type=RESULT_TYPE, deterministic=False)


def main():
    usual = job.flink_settings

    def with_this_file(s, restore):
        found = usual(s, restore)
        if os.environ["JSON_KIND"] == "thread":
            found["python.execution-mode"] = "thread"
        found["python.files"] += "," + os.path.abspath(__file__)
        for name in ("job.py", "kafka.py", "running.py", "settings.py", "start.py", "tables.py"):
            found["python.files"] += "," + os.path.join(job.HERE, name)
        return found

    job.flink_settings = with_this_file
    job.enrich_function = json_function
    return job.main(sys.argv[1:])


if __name__ == "__main__":
    # By its name and not as __main__: the workers import the functions from it.
    import json_job

    sys.exit(json_job.main())

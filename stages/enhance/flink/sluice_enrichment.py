"""The function that Flink calls with a column of posts: kind, value, reason and message of each.

It runs in the Python process of a task. The configuration file travels with the job as text, so
that the machines of a cluster need not have it; files that it names must be there.
"""
import os
import tempfile

import numpy as np
import pandas as pd
import pyarrow as pa
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from sluice_library import DEAD, ENRICHED, Sluice

RESULT_TYPE = DataTypes.ROW(
    [
        DataTypes.FIELD("kind", DataTypes.INT()),  # 0 enriched, 1 dead, 2 dead without its value
        DataTypes.FIELD("value", DataTypes.BYTES()),  # of the output or of the dead letter
        DataTypes.FIELD("reason", DataTypes.BYTES()),  # of a dead letter
        DataTypes.FIELD("message", DataTypes.BYTES()),
    ]
)


BARE = 2


class Enrich(ScalarFunction):
    """largest: bytes that a value may have in the topics, {"enhanced": N, "dead": N}. What is larger
    would fail the job for ever."""

    def __init__(self, library, config_text, settings, largest):
        self.library, self.config_text, self.settings = library, config_text, settings
        self.largest, self.sluice = largest, None

    # Asking twice may give two answers and costs twice: Flink must not repeat a call in its plan.
    def is_deterministic(self):
        return False

    def open(self, function_context):
        path = None
        if self.config_text is not None:
            fd, path = tempfile.mkstemp(prefix="sluice-", suffix=".yml")
            with os.fdopen(fd, "w", encoding="utf-8") as file:
                file.write(self.config_text)
        try:
            self.sluice = Sluice(self.library, path, self.settings)
        finally:
            if path is not None:
                os.unlink(path)

    def close(self):
        if self.sluice is not None:
            self.sluice.close()
            self.sluice = None

    def eval(self, values):
        column = pa.array(values.to_numpy(), type=pa.binary())
        answers = self.sluice.enrich(column)
        for i in np.flatnonzero(answers.sizes > self.largest["enhanced"]).tolist():
            if answers.kinds[i] == ENRICHED:
                self.refuse(answers, i)
        for i in np.flatnonzero(answers.kinds != ENRICHED).tolist():
            # The post itself comes back too: Flink need not keep every post for the few letters.
            answers.values[i] = values.iloc[i]
            if answers.values[i] is not None and len(answers.values[i]) > self.largest["dead"]:
                answers.kinds[i], answers.values[i] = BARE, b""
        return pd.DataFrame({"kind": answers.kinds, "value": answers.values,
                             "reason": answers.reasons, "message": answers.messages})

    def refuse(self, answers, i):
        text = f"value of {answers.sizes[i]} bytes, but its topic takes {self.largest['enhanced']}"
        answers.kinds[i], answers.values[i] = DEAD, None
        answers.reasons[i] = b"output_too_large"
        answers.messages[i] = f"{text} (max.message.bytes less room for key and headers)".encode()


def enrich_function(library, config_text, settings, largest):
    function = Enrich(library, config_text, settings, largest)
    return udf(function, result_type=RESULT_TYPE, func_type="pandas", deterministic=False)

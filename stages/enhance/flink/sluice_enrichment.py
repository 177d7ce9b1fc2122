"""The function that Flink calls with a column of posts: kind, value, reason and message of each.

It runs in the Python process of a task. The configuration file travels with the job as text, so
that the machines of a cluster need not have it; files that it names must be there.
"""
import os
import tempfile

import pandas as pd
import pyarrow as pa
from pyflink.table import DataTypes
from pyflink.table.udf import ScalarFunction, udf

from sluice_library import Sluice

RESULT_TYPE = DataTypes.ROW(
    [
        DataTypes.FIELD("kind", DataTypes.INT()),  # 0 enriched, 1 dead
        DataTypes.FIELD("value", DataTypes.BYTES()),  # of an enriched post
        DataTypes.FIELD("reason", DataTypes.BYTES()),  # of a dead letter
        DataTypes.FIELD("message", DataTypes.BYTES()),
    ]
)


class Enrich(ScalarFunction):
    def __init__(self, library, config_text, settings):
        self.library, self.config_text, self.settings = library, config_text, settings
        self.sluice = None

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
        kinds, enriched, reasons, messages = self.sluice.enrich(column)
        return pd.DataFrame(
            {"kind": kinds, "value": enriched, "reason": reasons, "message": messages}
        )


def enrich_function(library, config_text, settings):
    function = Enrich(library, config_text, settings)
    return udf(function, result_type=RESULT_TYPE, func_type="pandas", deterministic=False)

"""function.py [--feed FILE] - CPU time of the two functions alone, without Flink: a column of posts through
libsluice, and json.loads/json.dumps for each. Both make what Flink takes from a Python process."""
import argparse
import json
import os
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(ROOT, "stages", "enhance", "flink"))

import pandas as pd

from json_job import enrich_one
from sluice_enrichment import Enrich

ROUNDS, BATCH = 40, 2000


def cpu_us(call, posts):
    """Of all threads, the least of the rounds: what others take from the machine only adds."""
    best = None
    for _ in range(ROUNDS):
        begun = time.process_time()
        call()
        took = (time.process_time() - begun) / posts * 1e6
        best = took if best is None else min(best, took)
    return best


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--feed", default=os.path.join(ROOT, "stages", "source", "posts.jsonl"))
    with open(p.parse_args().feed, encoding="utf-8") as file:
        texts = [json.loads(line)["text"] for line in file if line.strip()]
    posts = pd.Series([json.dumps({"id": i, "text": texts[i % len(texts)]}, ensure_ascii=False)
                       .encode() for i in range(BATCH)])
    library = os.environ["LIBSLUICE"]
    function = Enrich(library, None, ["enricher=mock"], {"enhanced": 1 << 20, "dead": 1 << 20})
    function.open(None)
    library_us = cpu_us(lambda: function.eval(posts), BATCH)
    python_us = cpu_us(lambda: [enrich_one(v) for v in posts], BATCH)
    function.close()
    print(f"libsluice {library_us:.2f} us of CPU a post, json.loads {python_us:.2f} us: "
          f"{python_us / library_us:.1f} times")


if __name__ == "__main__":
    main()

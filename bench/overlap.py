"""Make the numbers by which the doctor knows TruthfulQA: `python -m bench.overlap QUESTIONS.parquet`."""

from __future__ import annotations

import sys

import numpy as np
import pyarrow.parquet as pq

from pipeline.train.doctor.checks.benchmark import FILE, runs_of


def main(path: str) -> None:
    """Write them.

    Args:
        path: A parquet file with a column `question`, as `truthfulqa/truthful_qa` has.
    """
    questions = pq.read_table(path, columns=["question"]).column("question").to_pylist()
    np.savez_compressed(FILE, **runs_of(questions))  # type: ignore[arg-type]  # numpy 2.4 takes the names for options
    print(f"{FILE.name}: {FILE.stat().st_size:,} bytes for {len(questions)} questions")


if __name__ == "__main__":
    main(sys.argv[1])

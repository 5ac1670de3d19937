"""A training run."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

TRAIN = RunKind("train", tab="train", engine="autotrain", turns=True, places=("local", "job"))

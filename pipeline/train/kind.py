"""A training run, and the examination before it."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

DOCTOR = RunKind("doctor", tab="train", task="pipeline.train.doctor.task:examine_pairs")
TRAIN = RunKind("train", tab="train", engine="autotrain", turns=True, places=("local", "job", "space"))

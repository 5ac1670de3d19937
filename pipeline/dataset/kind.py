"""The run that loads a dataset."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

LOAD = RunKind("load", tab="dataset", task="pipeline.dataset.task:load_dataset")

"""The run that puts pairs into Argilla."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

IMPORT = RunKind("import", tab="dataset", task="pipeline.review.task:import_pairs")

"""Runs that score models, or ask them one question."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

EVALUATE = RunKind("evaluate", tab="evaluate", engine="lighteval", turns=True, places=("local", "job"))
ANSWER = RunKind("answer", tab="evaluate", engine="lighteval", turns=True)

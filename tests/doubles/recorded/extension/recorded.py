"""The engines' kinds of runs, replayed; see `tests/doubles/recorded`."""

from __future__ import annotations

from pipeline.runs.kinds import RunKind

_PLAY = "tests.doubles.recorded.play:play"

TRAIN = RunKind("train", tab="train", task=_PLAY, turns=True, places=("local", "job"))
EVALUATE = RunKind("evaluate", tab="evaluate", task=_PLAY, turns=True, places=("local", "job"))
ANSWER = RunKind("answer", tab="evaluate", task=_PLAY, turns=True)

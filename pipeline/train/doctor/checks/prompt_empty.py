"""Prompts of whose question nothing is left once cut, or that hold none."""

from __future__ import annotations

from pipeline.engines.examined import EMPTY
from pipeline.train.doctor.check import Check, of_seen, raised

CHECK = Check(
    "prompt_empty",
    "warning",
    raised("max_prompt_length"),
    of_seen(EMPTY),
    ("otherwise", "leave_out", "keep"),
    order=26,
)

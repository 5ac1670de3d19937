"""Pairs whose answers are equal once cut: they teach nothing (public reports: 7 % of UltraFeedback at 512 tokens)."""

from __future__ import annotations

from pipeline.engines.examined import EQUAL
from pipeline.train.doctor.check import Check, of_seen, raised

CHECK = Check(
    "equal_once_cut",
    "warning",
    raised("max_completion_length"),
    of_seen(EQUAL),
    ("otherwise", "leave_out", "keep"),
    order=30,
)

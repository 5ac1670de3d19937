"""Text that the reviewers saw and the template leaves out: `<think>…</think>`, a system turn, a role it passes over."""

from __future__ import annotations

from pipeline.engines.examined import CHANGED
from pipeline.train.doctor.check import Check, flagged, of_seen

CHECK = Check("changed", "warning", flagged, of_seen(CHANGED), order=14)

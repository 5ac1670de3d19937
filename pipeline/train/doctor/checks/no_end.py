"""Answers that lose their end of text because prompt and answer exceed the block: nothing teaches the model to stop."""

from __future__ import annotations

from pipeline.engines.examined import NO_END
from pipeline.train.doctor.check import Check, of_seen, raised

CHECK = Check("no_end", "warning", raised("block_size"), of_seen(NO_END), ("otherwise", "leave_out", "keep"), order=24)

"""The doctor over 44,245 pairs of 3,800 characters: all checks, on two cores, against twenty seconds."""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.common import Level, timed
from pipeline.base.pair import Pair, as_messages
from pipeline.engines.examined import Limits
from pipeline.models import template
from pipeline.train.doctor.examine import examine
from pipeline.train.doctor.finding import Report
from tests.mix import ROWS, table
from tests.tiny_model import make_tiny_model

LIMIT = 20.0


def measure() -> list[Level]:
    """Examine pairs in the layout and about the size of `mlabonne/orpo-dpo-mix-40k`."""
    with tempfile.TemporaryDirectory() as folder:
        files = template.files(str(make_tiny_model(Path(folder) / "base")))
    pairs = []
    for number, row in enumerate(table(ROWS).to_pylist()):
        chosen, rejected = as_messages(row["chosen"]), as_messages(row["rejected"])
        pairs.append(Pair(f"{number:016x}", chosen[:-1], chosen[-1:], rejected[-1:], source=row["source"]))
    found: dict[str, Report] = {}
    seconds = timed(lambda: found.update(report=examine(pairs, "base", files, Limits(256, 256, 512))))
    report = found["report"]
    seen = ", ".join(f"{finding.code} {finding.count:,}" for finding in report.findings) or "nothing"
    note = f"{len(report.checks)} checks; found: {seen}"
    return [Level(f"The doctor over {len(pairs):,} pairs", seconds, LIMIT, "s", note=note)]

"""Planted defects: how many of each kind are found, missed, and seen where there is none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.engines.examined import Limits
from pipeline.models import template
from pipeline.train.doctor.examine import examine
from pipeline.train.doctor.finding import Report
from tests.unit.train.doctor.planted import EACH, Planted, base_model, plant

LIMITS = Limits(prompt=200, completion=640, block=760)


@pytest.fixture(scope="module")
def planted() -> Planted:
    return plant()


@pytest.fixture(scope="module")
def report(planted: Planted, tmp_path_factory: pytest.TempPathFactory) -> Report:
    model = base_model(tmp_path_factory.mktemp("planted") / "base")
    return examine(planted.pairs, "somebody/base", template.files(str(model)), LIMITS)


def table(planted: Planted, report: Report) -> str:
    """Return found, missed and false alarms of each kind, Markdown."""
    flagged = {found.code: set(found.pairs) for found in report.findings}
    lines = ["| defect | planted | found | missed | false alarms |", "|---|---|---|---|---|"]
    for code, truth in planted.truth.items():
        seen = flagged.get(code, set())
        lines.append(f"| {code} | {len(truth)} | {len(truth & seen)} | {len(truth - seen)} | {len(seen - truth)} |")
    alike = flagged.get("near_duplicates", set()) & planted.unlike
    lines.append(f"| (similarity at most 0.5) | {len(planted.unlike)} | | | {len(alike)} |")
    others = flagged.keys() - planted.truth.keys()
    return "\n".join([*lines, "", f"{report.pairs} pairs; other findings: {', '.join(sorted(others)) or 'none'}"])


def test_every_planted_defect_is_found_and_nothing_else(planted: Planted, report: Report) -> None:
    text = table(planted, report)
    print(f"\n{text}")
    if os.environ.get("DOCTOR_TABLE"):
        Path(os.environ["DOCTOR_TABLE"]).write_text(text + "\n", encoding="utf-8")
    flagged = {found.code: set(found.pairs) for found in report.findings}
    assert all(len(numbers) >= EACH for numbers in planted.truth.values())
    assert flagged == planted.truth
    assert not flagged["near_duplicates"] & planted.unlike

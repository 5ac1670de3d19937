"""A run in a home of the former studio: one that was cut off ends in words, and a new one is carried."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.base.words import speaking
from pipeline.export import exported
from pipeline.export.options import ExportOptions
from pipeline.runs import launch
from pipeline.runs.ledger import Ledger, Run, State
from tests.unit import former


def test_a_run_cut_off_ends_in_words_and_a_new_one_is_carried(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    home = open_home(former.unpack(tmp_path))
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(home.path))
    ledger = Ledger(home)
    (cut_off,) = launch.revive(ledger)
    lost = ended(ledger, cut_off)
    assert (lost.state, lost.problem and lost.problem.what) == (State.LOST, "The run ended without a trace.")
    with speaking("zh"):
        assert lost.problem and "没有留下任何记录" in lost.problem.what
    options = ExportOptions(name="after").model_dump(mode="json")
    new = ended(ledger, launch.start(ledger, "export", "filtered", "After", {"options": options}))
    assert new.state is State.SUCCEEDED, new.problem
    assert exported.read(project.find(home, "filtered"), "after").plan.total == 13


def ended(ledger: Ledger, run: Run, seconds: float = 120) -> Run:
    return until(lambda: ledger.get(run.id), lambda seen: not seen.active, seconds)


def until(look: Callable[[], Run], there: Callable[[Run], bool], seconds: float) -> Run:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if there(seen := look()):
            return seen
        time.sleep(0.1)
    raise AssertionError(look())

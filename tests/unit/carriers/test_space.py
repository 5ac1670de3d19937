"""How a run in a Space ended, by what the Hub and its program say; what the Space consists of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.base.home import open_home
from pipeline.carriers import space_end, space_files
from pipeline.engines import autotrain
from pipeline.hub.spaces import Space
from pipeline.runs.ledger import Ledger, Run, State


@pytest.fixture
def run(tmp_path: Path) -> Run:
    ledger = Ledger(open_home(tmp_path / "home"))
    made, _ = ledger.add("train", "rivers", "Train", {"place": "space", "user": "ada"})
    return made


def seen(stage: str, said: str = "") -> Space:
    return Space("ada/autotrain-tuned", stage, "l40sx1", said=said)


@pytest.mark.parametrize(
    ("space", "end", "late", "state", "problem"),
    [
        (seen("PAUSED"), {"event": "done", "steps": 3}, False, State.SUCCEEDED, None),
        (None, {"event": "done", "steps": 3}, True, State.SUCCEEDED, None),
        (
            seen("PAUSED"),
            {"event": "error", "code": "engines.token_over", "values": {}},
            False,
            State.FAILED,
            "job.reported",
        ),
        (seen("PAUSED"), {"event": "cancelled"}, False, State.CANCELLED, None),
        (seen("PAUSED"), None, False, State.CANCELLED, "space.paused_elsewhere"),
        (seen("PAUSED"), None, True, State.FAILED, "space.time_limit"),
        (seen("PAUSED", "Paused: insufficient credit"), None, False, State.FAILED, "space.credit"),
        (seen("RUNTIME_ERROR", "Memory limit exceeded (30Gi)"), None, False, State.FAILED, "space.memory"),
        (seen("RUNTIME_ERROR", "Exit code: 1"), None, False, State.FAILED, "space.crashed"),
        (seen("BUILD_ERROR", "Job failed"), None, False, State.FAILED, "space.not_built"),
        (seen("SLEEPING"), None, False, State.FAILED, "space.slept"),
        (None, None, False, State.LOST, "space.gone"),
    ],
)
def test_an_end_is_told_as_it_was(
    run: Run, space: Space | None, end: dict[str, Any] | None, late: bool, state: State, problem: str | None
) -> None:
    told = {"ts": 1.0, "seq": 1, "at": 0, **end} if end else None
    got, why, result = space_end.conclude(run, space, told, late=late)
    assert (got, why.code if why else None) == (state, problem)
    assert (result is not None) == (state is State.SUCCEEDED)


def test_what_was_stopped_from_here_is_no_accident(run: Run) -> None:
    run.stop_file.touch()
    assert space_end.conclude(run, seen("PAUSED"), None) == (State.CANCELLED, None, None)


def test_the_cost_ends_with_the_run_not_with_whoever_looks(run: Run) -> None:
    worker = {"began": 1000.0}
    over = space_end.ending(seen("PAUSED"), worker, {"event": "done", "ts": 1570.0}, 0.03)
    assert (over["seconds"], over["cost"], over["paused"]) == (600.0, 0.3, True)
    assert space_end.ending(seen("BUILD_ERROR"), {}, None, 0.03)["cost"] == 0
    assert not space_end.ending(seen("RUNNING"), worker, None, 0.03)["paused"]


def test_a_space_has_the_engines_lock_and_a_card_that_is_found_by_its_tag() -> None:
    files = space_files.files('A "title": with\nsigns', "autotrain")
    card = yaml.safe_load(files["README.md"].decode().split("---")[1])
    assert card["sdk"] == "docker" and card["app_port"] == 7860 and space_files.TAG in card["tags"]
    assert card["title"] == 'A "title": with\nsigns'
    assert files["lock.txt"] == (Path(autotrain.__file__).parent / "lock.txt").read_bytes()
    assert b"autotrain-advanced==0.8.36" in files["lock.txt"]
    assert (
        space_files.space_name("ada", "x" * 120).endswith("x") and len(space_files.space_name("ada", "x" * 120)) == 96
    )

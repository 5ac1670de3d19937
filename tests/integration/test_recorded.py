"""The recorded worker says what the real engines say, and a run it carries is a run like any other."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.base import project
from pipeline.base.home import open_home
from pipeline.models import reference
from pipeline.runs import events, kinds, launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.train import trainings
from pipeline.train.algorithms.orpo import OrpoParams
from pipeline.train.check import spec
from pipeline.train.options import TrainOptions
from tests.doubles import recorded
from tests.doubles.recorded import HERE
from tests.doubles.recorded.record import ENGINES, KINDS, record

OFTEN = ("progress",)  # as many as there was time for
METRICS = ("loss", "nll_loss", "rewards/accuracies", "scores", "stderr")


def shapes(folder: Path) -> list[tuple[str, str, tuple[str, ...]]]:
    """Return kind, code and keys of each event that does not depend on the machine's pace."""
    lines = [json.loads(line) for line in (folder / "events.jsonl").read_text("utf-8").splitlines()]
    return [(each["event"], each.get("code", ""), tuple(sorted(each))) for each in lines if each["event"] not in OFTEN]


def numbers(value: Any) -> list[float]:
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers(part)]
    return [value] if isinstance(value, int | float) else []


@pytest.mark.parametrize("kind", KINDS)
def test_the_engines_still_say_what_was_recorded(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    python: Path = request.getfixturevalue(f"{ENGINES[kind]}_python")
    record(kind, python, tmp_path / "work", tmp_path / "now")
    assert shapes(tmp_path / "now") == shapes(HERE / kind)
    for event in events.read(tmp_path / "now" / "events.jsonl").events:
        found = [number for name in METRICS for number in numbers(event.get(name))]
        assert all(map(math.isfinite, found))
    assert str(tmp_path) not in (tmp_path / "now" / "events.jsonl").read_text("utf-8")


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    for name, value in recorded.environment(speed=0).items():
        monkeypatch.setenv(name, value)
    kinds.kinds.cache_clear()
    yield Ledger(open_home(tmp_path / "home"))
    kinds.kinds.cache_clear()


def ended(ledger: Ledger, run: Run) -> Run:
    deadline = time.monotonic() + 120
    while (run := ledger.get(run.id)).active:
        assert time.monotonic() < deadline, run.log.read_text() if run.log.exists() else run
        time.sleep(0.1)
    return run


def test_a_recorded_training_leaves_a_model_and_an_evaluation_of_it_scores(ledger: Ledger) -> None:
    work = project.create(ledger.home, "rivers")
    work.models.mkdir()
    asked = spec(work, TrainOptions(dataset="first", project_name="mine"), OrpoParams())
    run = ended(ledger, launch.start(ledger, "train", work.name, "Train mine", asked))
    assert run.state is State.SUCCEEDED, run.problem
    (model,) = trainings.models(ledger, work)
    assert model.name == "mine" and reference.missing(Path(model.path)) == [] and model.result["steps"] == 20
    assert len([event for event in events.read(run.events).events if event["event"] == "log"]) > 5

    tasks = [{"name": "reviewed_pairs", "data": "test.jsonl", "chat_template": "x"}]
    models = [{"role": role, "name": f"my {role}", "path": model.path} for role in ("base", "tuned", "further-1")]
    output = work.evaluations / "one"
    asked = {"models": models, "tasks": tasks, "dtype": "float32", "batch_size": 8, "output_dir": str(output)}
    run = ended(ledger, launch.start(ledger, "evaluate", work.name, "Evaluate mine", asked))
    assert run.state is State.SUCCEEDED, run.problem
    results = [event for event in events.read(run.events).events if event["event"] == "result"]
    assert [(each["role"], each["task"], each["name"]) for each in results] == [
        (role, "reviewed_pairs", f"my {role}") for role in ("base", "tuned", "further-1")
    ]
    assert (output / "further-1" / "samples.jsonl").read_text().count("\n") == 14

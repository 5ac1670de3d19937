"""A load is a run: it makes a project, or waits for its columns with what it has read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.base import project
from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.dataset import kept, loads, task
from pipeline.dataset.loads import LoadOptions
from pipeline.dataset.project import pairs_of
from pipeline.dataset.recognise import Mapping
from pipeline.dataset.rows import Rows
from pipeline.dataset.sources import Source
from pipeline.dataset.tables import TableRows
from pipeline.hub.datasets import Chosen
from pipeline.runs import events, launch
from pipeline.runs.ledger import Ledger, Run, State
from pipeline.runs.task import Cancelled, Reporter

ODD = [{"q": f"Question {n}?", "good": "Yes.", "bad": f"No {n}."} for n in range(7)]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    return open_home(tmp_path / "home")


@pytest.fixture
def ledger(home: Home, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger whose runs are carried at once, in this process, as the supervisor would."""
    ledger = Ledger(home)

    def carry(_: Home, run: Run) -> None:
        spec: dict[str, Any] = json.loads(run.spec.read_text())
        try:
            ledger.end(run.id, State.SUCCEEDED, result=task.load_dataset(spec, Reporter(spec)))
        except StudioError as error:
            ledger.end(run.id, State.FAILED, problem=error.message)

    monkeypatch.setattr(launch, "supervise", carry)
    return ledger


def write(path: Path) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in ODD), encoding="utf-8")
    return path


def ended(ledger: Ledger, run: Run) -> loads.Outcome:
    found = loads.outcome(ledger.get(run.id))
    assert found is not None, ledger.get(run.id).problem
    return found


def test_a_load_makes_a_project_and_belongs_to_none(home: Home, ledger: Ledger) -> None:
    run = loads.start(ledger, LoadOptions(kind="sample"))
    found = ended(ledger, run)
    assert (run.project, run.user, str(run.named)) == ("", "", "Load sample")
    assert found.pairs == len(pairs_of(project.find(home, found.project))) == 211
    assert "prompt" in str(found.recognised) and found.columns == ()
    said = [str(event.get("code")) for event in events.read(run.events).events if event["event"] == "stage"]
    assert said == ["load.stage.reading", "load.stage.making"]
    assert ledger.latest("", "load") is not None and ledger.of("bob").latest("", "load") is None


def test_a_load_of_somebody_elses_makes_their_project(home: Home, ledger: Ledger) -> None:
    found = ended(ledger, loads.start(ledger.of("ada"), LoadOptions(kind="sample")))
    assert project.names(home) == [] and project.names(home.of("ada")) == [found.project]


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_upload_waits_for_its_columns_and_goes_on_from_what_was_read(
    home: Home, ledger: Ledger, tmp_path: Path, by_hand: bool
) -> None:
    (tmp_path / "cache").mkdir()
    file = loads.taken(home, write(tmp_path / "cache" / "odd.jsonl"))
    assert not (tmp_path / "cache").exists()
    run = loads.start(ledger, LoadOptions(kind="upload", path=str(file), by_hand=by_hand))
    asked = ended(ledger, run)
    assert (asked.project, asked.columns, len(asked.first)) == ("", ("q", "good", "bad"), loads.FIRST)
    assert asked.first[0] == ("Question 0?", "Yes.", "No 0.")
    assert list(home.uploads.iterdir()) == [] == project.names(home)
    wrong = loads.go_on(ledger, ledger.get(run.id), Mapping(prompt="q", chosen="good", rejected="gone"))
    assert ledger.get(wrong.id).state is State.FAILED and kept.there(run.folder)
    again = loads.go_on(ledger, ledger.get(run.id), Mapping(prompt="q", chosen="good", rejected="bad"))
    found = ended(ledger, again)
    assert (found.project, found.pairs, str(again.named)) == ("odd", 7, "Load odd.jsonl")
    assert not kept.there(run.folder)
    with pytest.raises(StudioError, match="not at hand any more"):
        loads.go_on(ledger, ledger.get(run.id), Mapping(prompt="q", chosen="good", rejected="bad"))


def test_rows_of_the_hub_are_kept_as_they_came(tmp_path: Path) -> None:
    tables = TableRows()
    tables.append(pa.Table.from_pylist(ODD[:4]))
    tables.append(pa.Table.from_pylist([{**row, "more": 1} for row in ODD[4:]]))
    chosen = Chosen("ada/odd", "default", "train", "0" * 40, limit=7, rows=9)
    source = Source(Rows(tables.columns, tables, range(1, 8), format="Hub dataset"), "hub", "ada/odd", chosen=chosen)
    kept.keep(tmp_path, source, None)
    again = kept.read(tmp_path)
    assert (again.name, again.chosen, again.rows.columns) == ("ada/odd", chosen, ["q", "good", "bad", "more"])
    assert list(again.rows.rows) == list(tables)
    kept.forget([tmp_path])
    with pytest.raises(StudioError, match="not at hand any more"):
        kept.read(tmp_path)


def test_only_the_last_few_loads_keep_what_they_read(ledger: Ledger, tmp_path: Path) -> None:
    runs = []
    for number in range(5):
        path = write(tmp_path / f"odd{number}.jsonl")
        runs.append(loads.start(ledger, LoadOptions(kind="file", path=str(path))))
    assert [kept.there(run.folder) for run in runs] == [False, True, True, True, True]
    assert all(path.exists() for path in tmp_path.glob("odd*.jsonl"))


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        ({"kind": "file", "path": "relative.csv"}, "is not a whole path"),
        ({"kind": "file", "path": "/nowhere/x.csv"}, "There is no such file"),
        ({"kind": "kept", "run": "load-1"}, "not at hand any more"),
    ],
)
def test_what_cannot_be_read_is_the_runs_problem(ledger: Ledger, wanted: dict[str, Any], problem: str) -> None:
    run = loads.start(ledger, LoadOptions(**wanted))
    assert loads.outcome(ledger.get(run.id)) is None
    assert problem in str(ledger.get(run.id).problem)


def test_a_stopped_load_leaves_nothing(home: Home, ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    stop: Callable[[Reporter], bool] = lambda self: True  # noqa: E731
    monkeypatch.setattr(Reporter, "should_stop", stop)
    with pytest.raises(Cancelled):
        loads.start(ledger, LoadOptions(kind="sample"))
    assert project.names(home) == []

"""Projects: names, atomic records, nothing lost."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pipeline.base import project, words
from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.base.project import Record, ReviewRecord
from pipeline.dataset import reading
from pipeline.dataset.project import bad_rows_of, pairs_of, recognised_of, start_project
from pipeline.filter.project import filtered
from pipeline.review.project import settled_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def test_a_name_in_use_gets_a_number(home: Home) -> None:
    assert [project.create(home, "My Pairs!").name for _ in range(3)] == ["my-pairs", "my-pairs-2", "my-pairs-3"]
    assert project.create(home, "数据").name == "project"


def test_an_unknown_project_is_an_error(home: Home) -> None:
    for name in ("nope", "../runs", "a/b", ""):
        with pytest.raises(StudioError, match="no project"):
            project.find(home, name)


def test_changes_of_many_threads_all_arrive(home: Home) -> None:
    made = project.create(home, "p")

    def change(number: int) -> None:
        def grow(record: Record) -> None:
            record.recipe = {**(record.recipe or {}), str(number): number}

        made.update(grow)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made.read().recipe == {str(number): number for number in range(8)}


def test_the_latest_is_the_one_worked_on_last(home: Home) -> None:
    first, second = project.create(home, "first"), project.create(home, "second")
    assert project.latest(home) == second

    def touch(record: Record) -> None:
        record.review = ReviewRecord(plan={}, server="embedded")

    first.update(touch)
    assert project.latest(home) == first
    assert project.names(home) == ["first", "second"]


def test_a_home_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    open_home(tmp_path)
    (tmp_path / "schema").write_text("99\n")
    with pytest.raises(StudioError, match="newer version"):
        open_home(tmp_path)


def test_a_dataset_becomes_a_project(home: Home) -> None:
    loaded = reading.load_file(reading.SAMPLE)
    made = start_project(home, loaded, "sample", "sample")
    record = made.read()
    assert record.dataset is not None
    assert record.dataset.pairs == len(loaded.pairs) == len(pairs_of(made))
    assert bad_rows_of(made) == loaded.bad_rows
    assert pairs_of(made) is pairs_of(made)  # read once
    assert settled_of(made) == {}
    outcome = filtered(made)
    assert 0 < len(outcome.kept) <= outcome.total == record.dataset.pairs


def test_what_was_said_of_an_older_dataset_is_shown_as_it_stands(home: Home) -> None:
    made = start_project(home, reading.load_file(reading.SAMPLE), "sample", "sample")
    record = made.read().dataset
    assert record is not None
    with words.speaking("zh"):
        assert recognised_of(record).said() == "提示在“prompt”中，回答在“chosen”和“rejected”中。"
    record.recognised = "Prompt in “prompt”."
    assert recognised_of(record).said() == "Prompt in “prompt”."
    made.bad_rows.write_text('[{"number": 3, "reason": "chosen is empty"}]')
    assert [(bad.number, str(bad.reason)) for bad in bad_rows_of(made)] == [(3, "chosen is empty")]


def test_a_failed_start_leaves_no_project(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = reading.load_file(reading.SAMPLE)
    monkeypatch.setattr(home.projects.__class__, "write_text", _full)
    with pytest.raises(StudioError, match="disk is full"):
        start_project(home, loaded, "sample", "sample")
    monkeypatch.undo()
    assert project.names(home) == []


def _full(*_: object, **__: object) -> int:
    raise OSError(28, "disk is full")

"""From a source to a project, without a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.dataset import sources
from pipeline.dataset.guess import guess
from pipeline.dataset.project import counts_of, lengths_of, pairs_of
from pipeline.dataset.reading import LayoutUnknown
from pipeline.dataset.recognise import Mapping
from pipeline.review.project import plan_of


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def write(path: Path, *rows: dict[str, str]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_sample_becomes_a_project(home: Home) -> None:
    project, loaded = sources.load(home, sources.sample())
    record = project.read().dataset
    assert record is not None and (record.kind, record.pairs) == ("sample", len(loaded.pairs))
    assert len(loaded.pairs) >= 200 and pairs_of(project) == loaded.pairs
    assert len({pair.source for pair in loaded.pairs}) > 3
    lengths = lengths_of(project)
    counts = counts_of(project).counts
    assert lengths["chosen"].longest == max(each.chosen for each in counts)
    assert plan_of(project).unit == counts_of(project).unit


@pytest.mark.parametrize(
    ("given", "why"),
    [("", "No file is named"), ("data.csv", "not a whole path"), ("/no/such.csv", "no such file"), ("/", "a folder")],
)
def test_paths_that_are_no_file(given: str, why: str) -> None:
    with pytest.raises(StudioError, match=why):
        sources.local_file(given)


def test_a_pasted_path_may_stand_in_quotes(tmp_path: Path) -> None:
    path = write(tmp_path / "two words.jsonl", {"prompt": "q", "chosen": "a", "rejected": "b"})
    assert sources.local_file(f' "{path}" ').rows.total == 1


def test_columns_are_proposed_where_the_layout_is_unknown(home: Home, tmp_path: Path) -> None:
    path = write(tmp_path / "odd.jsonl", {"instruction": "q", "better_one": "a", "worse_one": "b", "other": "x"})
    source = sources.local_file(str(path))
    with pytest.raises(LayoutUnknown):
        sources.load(home, source)
    assert list(home.projects.iterdir()) == []
    proposed = guess(source.rows)
    assert proposed == Mapping(prompt="instruction", chosen="better_one", rejected="worse_one")
    project, _ = sources.load(home, source, proposed)
    assert pairs_of(project)[0].metadata == {"other": "x"}

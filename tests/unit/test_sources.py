"""From a source to a project, without a page."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.home import Home, open_home
from pipeline.dataset import sources
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


def test_an_upload_leaves_no_copy_whether_it_can_be_read_or_not(home: Home, tmp_path: Path) -> None:
    cache = tmp_path / "gradio" / "abc"
    cache.mkdir(parents=True)
    good = write(cache / "good.jsonl", {"prompt": "q", "chosen": "a", "rejected": "b"})
    source = sources.upload(home, good)
    assert (source.kind, source.name, len(source.sha256)) == ("file", "good.jsonl", 64)
    cache.mkdir()
    (cache / "bad.parquet").write_bytes(b"PAR1 and then nothing")
    with pytest.raises(StudioError):
        sources.upload(home, cache / "bad.parquet")
    assert list(home.uploads.iterdir()) == [] and not cache.exists()


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


def test_a_source_waits_for_its_columns(home: Home, tmp_path: Path) -> None:
    path = write(tmp_path / "odd.jsonl", {"instruction": "q", "better_one": "a", "worse_one": "b", "other": "x"})
    source = sources.local_file(str(path))
    with pytest.raises(LayoutUnknown):
        sources.load(home, source)
    assert list(home.projects.iterdir()) == []
    proposed = sources.guess(source.rows)
    assert proposed == Mapping(prompt="instruction", chosen="better_one", rejected="worse_one")
    key = sources.hold(source)
    project, _ = sources.load(home, sources.held(key), proposed)
    assert pairs_of(project)[0].metadata == {"other": "x"}
    sources.drop(key)
    with pytest.raises(StudioError, match="not at hand"):
        sources.held(key)


def test_only_the_last_few_sources_wait(tmp_path: Path) -> None:
    source = sources.local_file(str(write(tmp_path / "a.jsonl", {"a": "1"})))
    keys = [sources.hold(source) for _ in range(6)]
    with pytest.raises(StudioError):
        sources.held(keys[0])
    assert sources.held(keys[-1]) is source

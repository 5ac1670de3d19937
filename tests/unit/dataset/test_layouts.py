"""A layout is one file; the example of its page in docs works."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.base import members
from pipeline.command.main import main
from pipeline.dataset.layout import layouts
from pipeline.dataset.reading import LayoutUnknown, load_file

ROOT = Path(__file__).resolve().parents[3]
ROWS = [
    {"claim": "1 + 1?", "pro": "3", "contra": "2", "jury": "Contra"},
    {"claim": "2 + 2?", "pro": "4", "contra": "5", "jury": "pro"},
    {"claim": "3 + 3?", "pro": "6", "contra": "7", "jury": "hung"},
]


@pytest.fixture
def extensions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "extensions"
    folder.mkdir()
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(folder))
    yield folder
    members._extensions.cache_clear()


def test_every_layout_of_this_program_has_words_and_a_name_of_its_own() -> None:
    names = [layout.name for layout in layouts()]
    assert sorted(names) == [
        *("columns", "continued", "explicit", "labels", "mix", "openai", "ranked", "sharegpt", "transcripts"),
        *("ultrafeedback", "winner"),
    ]
    words = json.loads((ROOT / "ui/locale/en/layout.json").read_text(encoding="utf-8"))
    assert [name for name in names if f"layout.{name}" not in words] == []


def test_a_layout_of_one_file_outside_the_tree_reads_a_file(
    extensions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with pytest.raises(LayoutUnknown):
        load_file(file)
    page = (ROOT / "docs" / "add-a-layout.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    members._extensions.cache_clear()
    (extensions / "votes.py").write_text(example)
    loaded = load_file(file)
    said = [(pair.prompt[0].content, pair.chosen[0].content, pair.rejected[0].content) for pair in loaded.pairs]
    assert said == [("1 + 1?", "2", "3"), ("2 + 2?", "4", "5")]
    assert [(bad.number, str(bad.reason)) for bad in loaded.bad_rows] == [(3, "jury is empty")]
    assert str(loaded.recognised) == "Layout “votes”: “pro” and “contra”."
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(tmp_path / "home"))
    assert main(["dataset", "check", str(file), "--json"]) == 0
    checked = json.loads(capsys.readouterr().out)
    assert (checked["layout"], checked["pairs"], checked["unusable"][0]["number"]) == ("votes", 2, 3)

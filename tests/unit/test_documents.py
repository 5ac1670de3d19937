"""Documents say what the program does."""

from __future__ import annotations

import json
import re
import string
from pathlib import Path

import pytest
from cogapp import Cog

ROOT = Path(__file__).resolve().parents[2]


def test_documents_are_what_their_declarations_make(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    made = [path for path in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")) if "[[[cog" in path.read_text("utf-8")]
    assert len(made) > 1
    assert Cog().main(["cog", "--check", *map(str, made)]) == 0


def test_the_readme_shows_pictures_that_exist() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", (ROOT / "README.md").read_text())
    assert len(pictures) >= 4
    assert [picture for picture in pictures if not (ROOT / picture).exists()] == []


def test_ci_calls_the_readmes_test_command_and_nothing_more() -> None:
    commands = [
        line
        for line in (ROOT / ".ci/run").read_text().splitlines()
        if line and not line.startswith(("#", "set ", "cd "))
    ]
    assert commands == ["make test"]
    assert "\nmake test\n" in (ROOT / "README.md").read_text()


def test_the_pipeline_does_not_know_the_page() -> None:
    for path in (ROOT / "pipeline").rglob("*.py"):
        assert "gradio" not in path.read_text(encoding="utf-8"), path


def locale(language: str) -> dict[str, tuple[str, str]]:
    """Return code → (text, file) of a language."""
    found: dict[str, tuple[str, str]] = {}
    for path in sorted((ROOT / "ui" / "locale" / language).glob("*.json")):
        for key, text in json.loads(path.read_text(encoding="utf-8")).items():
            assert key not in found, f"{key} is in {found[key][1]} and {path.name}"
            found[key] = text, path.name
    return found


def test_the_catalogue_is_complete() -> None:
    english, chinese = locale("en"), locale("zh")
    assert {key: file for key, (_, file) in english.items()} == {key: file for key, (_, file) in chinese.items()}
    for key, (text, file) in english.items():
        names = [{name for _, name, _, _ in string.Formatter().parse(each) if name} for each in (text, chinese[key][0])]
        assert names[0] == names[1], f"{file}: {key} has different values in its languages"
        assert text, f"{file}: {key} is empty"
        assert chinese[key][0] or key == "list.sentences", f"{file}: {key} is empty"


def test_every_key_used_is_in_the_catalogue_and_once() -> None:
    seen = locale("en")
    for path in (*(ROOT / "ui").rglob("*.py"), *(ROOT / "pipeline" / "command").glob("*.py")):
        used = re.findall(r"""\b(?:t|say)\(\s*"([a-z_.0-9]+)\"""", path.read_text(encoding="utf-8"))
        assert [key for key in used if key not in seen] == [], str(path)

"""Documents say what the program does."""

from __future__ import annotations

import json
import re
import string
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_the_readme_is_what_its_declarations_make() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cogapp", "--check", "README.md"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_the_catalogue_is_complete() -> None:
    for path in (ROOT / "ui" / "locale").glob("*.json"):
        for key, texts in json.loads(path.read_text(encoding="utf-8")).items():
            assert set(texts) == {"en", "zh"}, f"{path.name}: {key}"
            names = [{name for _, name, _, _ in string.Formatter().parse(text) if name} for text in texts.values()]
            assert names[0] == names[1], f"{path.name}: {key} has different values in its languages"
            assert all(texts.values()), f"{path.name}: {key} is empty in a language"


def test_every_key_used_is_in_the_catalogue_and_once() -> None:
    seen: dict[str, str] = {}
    for path in sorted((ROOT / "ui" / "locale").glob("*.json")):
        for key in json.loads(path.read_text(encoding="utf-8")):
            assert key not in seen, f"{key} is in {seen[key]} and {path.name}"
            seen[key] = path.name
    for path in (ROOT / "ui").glob("*.py"):
        used = re.findall(r"""\b(?:t|say)\(\s*"([a-z_.0-9]+)\"""", path.read_text(encoding="utf-8"))
        assert [key for key in used if key not in seen] == [], path.name

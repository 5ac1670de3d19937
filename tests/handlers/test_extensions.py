"""An algorithm and a task, one file each outside the tree: on the page and on the command line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.command import main as command_line
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built
from tests.projects import make_project
from tests.unit.evaluate.test_evaluate import FAKE as TASK
from tests.unit.train.test_train import FAKE as ALGORITHM
from ui import layout
from ui.evaluate import tab as evaluate
from ui.handlers import Wiring
from ui.train import tab as train


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, studio: Studio) -> Iterator[Built]:
    """The page as it is built with both files."""
    folder = tmp_path / "extensions"
    folder.mkdir()
    (folder / "algorithm.py").write_text(ALGORITHM)
    (folder / "task.py").write_text(TASK)
    monkeypatch.setenv("ALIGN_STUDIO_EXTENSIONS", str(folder))
    wiring = Wiring(lambda request: Visit(studio), whole=True)
    layout.build(studio, wiring)
    yield Built(wiring.wired)


def test_the_page_has_them(extended: Built, visit: Visit, tmp_path: Path) -> None:
    chosen = extended.of(train.algorithm_chosen)
    algorithm = chosen.parts["options.algorithm"]
    assert algorithm.visible and [name for _, name in algorithm.choices] == ["orpo", "fake"]
    shown = extended.call(train.algorithm_chosen, visit, options__algorithm="fake")
    assert {name: update["visible"] for name, update in shown.items()} == {
        "form.beta": False,
        "form.nll": False,
        "form.delta": True,
    }
    assert chosen.parts["form.delta"].label == "Delta"

    project = make_project(visit.home, "ready", tmp_path / "ready", pairs=64)
    given = extended.given(extended.of(train.checked))
    given |= {"page.project": project.name, "options.dataset": "pairs", "options.algorithm": "fake", "form.delta": 1.5}
    options, params, _ = train._read(visit, given)
    assert options.algorithm == "fake" and params.model_dump()["delta"] == 1.5 and "beta" not in params.model_dump()

    more = extended.of(evaluate.checked).parts["more"]
    assert more.visible and [tuple(choice) for choice in more.choices] == [("arc:easy", "arc:easy")]
    given = extended.given(extended.of(evaluate.checked)) | {"more": ["arc:easy"], "models.tuned": "x"}
    assert evaluate._read(visit, given)[0].tasks[-1] == "arc:easy"


def test_the_command_line_has_them(extended: Built) -> None:
    parser = command_line.build()
    asked = parser.parse_args(["train", "rivers", "--algorithm", "fake", "--delta", "1.5", "--check"])
    assert (asked.algorithm, asked.delta) == ("fake", "1.5")
    assert parser.parse_args(["evaluate", "rivers", "--tasks", "arc:easy"]).tasks == ["arc:easy"]

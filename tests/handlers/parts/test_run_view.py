"""The one way to show a run, called for a visit."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.runs import events
from pipeline.runs.ledger import State
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built, value
from tests.projects import ended, make_project
from ui.parts import run_view


@pytest.fixture
def project(studio: Studio, tmp_path: Path) -> Project:
    return make_project(studio.home, "ready", tmp_path / "ready")


def test_without_a_run_it_is_hidden(built: Built, visit: Visit) -> None:
    shown = built.call(run_view.shown, visit)
    assert shown["box"]["visible"] is False and shown["drawn"] == "" and "ended" not in shown


def test_a_run_is_stopped_once_and_then_at_once(built: Built, visit: Visit, project: Project) -> None:
    run, _ = visit.ledger.add("train", project.name, "Train <b>", {})
    visit.ledger.set_state(run.id, State.RUNNING)
    events.append(run.events, "step", step=1, max_steps=4)
    shown = built.call(run_view.shown, visit, run=run.id, ended="other")
    assert "Train &lt;b&gt;" in shown["card"] and "25.0%" in shown["card"] and "1 / 4" in shown["card"]
    assert shown["ended"] == "other" and value(shown["stop"]) == words.say("run.stop")
    stopping = built.call(run_view.stopped, visit, run=run.id)
    assert run.stop_file.exists() and not run.kill_file.exists()
    assert value(stopping["stop"]) == words.say("run.stop_now") and stopping["drawn"] != shown["drawn"]
    built.call(run_view.stopped, visit, run=run.id)
    assert run.kill_file.exists()


def test_a_run_that_ended_says_so_and_shows_its_log_as_text(built: Built, visit: Visit, project: Project) -> None:
    run = ended(visit.ledger, "train", project, "<i>Train</i>", {})
    shown = built.call(run_view.shown, visit, run=run.id)
    assert shown["ended"] == run.id and shown["stop"]["visible"] is False
    assert "&lt;i&gt;Train" in shown["log"] and "<i>" not in shown["log"] + shown["card"]


def test_anothers_run_is_not_shown_and_not_stopped(built: Built, studio: Studio, project: Project) -> None:
    run, _ = Visit(studio).ledger.add("train", project.name, "Train", {})
    bob = Visit(studio, "bob")
    assert built.call(run_view.shown, bob, run=run.id) == built.call(run_view.shown, bob)
    with pytest.raises(StudioError, match="There is no run"):
        built.call(run_view.stopped, bob, run=run.id)
    assert not run.stop_file.exists()

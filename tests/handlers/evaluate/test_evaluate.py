"""The Evaluate tab's handlers, called for a visit."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.hub import models as hub_models
from pipeline.hub.look import Found
from pipeline.runs.ledger import Run, State
from pipeline.studio import Studio
from pipeline.visit import ARGILLA, COMPUTE, Visit
from tests.handlers.conftest import Built, value
from tests.projects import ended, evaluated, make_project, trained
from tests.tiny_model import make_tiny_model
from ui.evaluate import answer, card, models, tab


@pytest.fixture
def project(studio: Studio, tmp_path: Path) -> Project:
    return make_project(studio.home, "ready", tmp_path / "ready", pairs=64)


@pytest.fixture
def model(visit: Visit, project: Project) -> str:
    return str((trained(visit.ledger, project).result or {})["model_path"])


def form(project: Project, model: str, **changed: Any) -> dict[str, Any]:
    """Return what the form holds of an evaluation that can be started without the Hub."""
    filled = {
        "page__project": project.name,
        "models__tuned": model,
        "models__base": project.read().base_model,
        "dataset": "pairs",
        "source": tab.BUNDLED,
    }
    return filled | changed


def test_without_a_project_there_is_nothing_to_score(built: Built, visit: Visit) -> None:
    shown = built.call(tab.opened, visit)
    assert shown["empty"]["visible"] and not shown["body"]["visible"] and shown["view.run"] == ""
    assert built.call(tab.again, visit) == {}
    assert built.call(answer.opened, visit) == {"answer.view.run": ""}
    assert built.call(tab.checked, visit)["start"]["interactive"] is False


def test_a_project_is_opened_with_its_newest_model(built: Built, visit: Visit, project: Project, model: str) -> None:
    shown = built.call(tab.opened, visit, page__project="ready")
    assert value(shown["models.tuned"]) == model and value(shown["dataset"]) == "pairs"
    assert shown["models.tuned"]["choices"] == [("my-autotrain-llm (trained on pairs)", model)]
    assert value(shown["models.base"]) == project.read().base_model
    assert shown["history_box"]["visible"] is False


def test_what_is_being_typed_stays_when_the_tab_is_looked_at(
    built: Built, visit: Visit, project: Project, model: str
) -> None:
    again = built.call(tab.again, visit, page__project="ready", models__tuned="some/typed")
    assert "value" not in again["models.tuned"] and "value" not in again["models.base"]
    assert value(built.call(tab.again, visit, page__project="ready")["models.tuned"]) == model


def test_base_model_and_export_follow_the_trained_model(
    built: Built, visit: Visit, project: Project, model: str
) -> None:
    wanted = built.call(tab.wanted, visit, page__project="ready", page__model=(model, 1.0))
    assert value(wanted["models.tuned"]) == model and value(wanted["dataset"]) == "pairs"
    picked = built.call(tab.picked, visit, page__project="ready", models__tuned=model)
    assert value(picked["models.base"]) == project.read().base_model and "models.tuned" not in picked


def test_the_check_names_what_is_missing(built: Built, visit: Visit, project: Project, model: str) -> None:
    none = built.call(tab.checked, visit, **form(project, ""))
    assert "No trained model is chosen." in none["check"] and not none["start"]["interactive"]
    ready = built.call(tab.checked, visit, **form(project, model))
    assert "16 pairs, by each model" in ready["check"] and "40 questions, by each model" in ready["check"]
    assert "Small bundled sample (not TruthfulQA)" in ready["check"] and ready["start"]["interactive"]

    hub = built.call(tab.checked, visit, **form(project, model, source=tab.HUB))
    assert "the Hub cannot be reached" in hub["check"] and not hub["start"]["interactive"]
    file = built.call(tab.checked, visit, **form(project, model, source=tab.FILE))
    assert "No file with questions is chosen." in file["check"]
    alone = built.call(tab.checked, visit, **form(project, model, reviewed=False))
    assert "16 pairs" not in alone["check"] and alone["start"]["interactive"]
    nothing = built.call(tab.checked, visit, **form(project, model, reviewed=False, truthful=False))
    assert "Nothing is chosen to be scored." in nothing["check"] and not nothing["start"]["interactive"]
    wrong = built.call(tab.checked, visit, **form(project, model, form__batch_size=0))
    assert "must be at least 1" in wrong["check"] and not wrong["start"]["interactive"]


def test_controls_follow_what_is_chosen(built: Built, visit: Visit) -> None:
    assert built.call(tab.source_chosen, visit, source=tab.FILE)["file_box"]["visible"]
    assert not built.call(tab.source_chosen, visit, source=tab.HUB)["file_box"]["visible"]
    off = built.call(tab.toggled, visit, reviewed=False, truthful=True)
    assert (off["dataset"]["interactive"], off["source"]["interactive"]) == (False, True)


def test_a_double_click_starts_one_run(
    built: Built, visit: Visit, project: Project, model: str, started: list[list[str]]
) -> None:
    first = built.call(tab.pressed, visit, **form(project, model))
    again = built.call(tab.pressed, visit, **form(project, model))
    assert first["view.run"] == again["view.run"] and len(visit.ledger.list(kind="evaluate")) == 1
    queued = built.call(tab.checked, visit, **form(project, model))
    assert value(queued["start"]) == words.say("evaluate.start.also") and queued["start"]["variant"] == "secondary"
    with pytest.raises(StudioError, match="No trained model is chosen"):
        built.call(tab.pressed, visit, **form(project, ""))


def test_an_uploaded_file_moves_into_the_project(
    built: Built, visit: Visit, project: Project, model: str, tmp_path: Path
) -> None:
    with pytest.raises(StudioError, match="There is no file questions.jsonl of yours"):
        built.call(tab.taken, visit, page__project="ready", upload=str(tmp_path / "questions.jsonl"))
    cached = tmp_path / "gradio" / "questions.jsonl"
    cached.parent.mkdir()
    cached.write_bytes(tab.SAMPLE.read_bytes())
    kept = built.call(tab.taken, visit, page__project="ready", upload=str(cached))["file"]
    assert Path(kept).parent == project.folder / "truthfulqa" and not cached.exists()
    found = built.call(tab.checked, visit, **form(project, model, source=tab.FILE, file=kept))
    assert "40 questions" in found["check"] and found["start"]["interactive"]


def test_results_are_drawn_as_they_come(built: Built, visit: Visit, project: Project, model: str) -> None:
    run = evaluated(visit.ledger, project, model)
    shown = built.call(tab.drawn, visit, page__project="ready", view__run=run.id)
    assert shown["result_box"]["visible"] and shown["table"].count("<tr>") == 1 + 2
    assert "12 of 16" in shown["table"] and "Partial: 12 of 16" in value(shown["banner"])
    assert value(shown["history"])["data"][0][2] == "tuned" and shown["card.box"]["visible"] is False
    none = built.call(tab.drawn, visit, page__project="ready")
    assert none["result_box"]["visible"] is False
    clicked = SimpleNamespace(row_value=[str(run.number)])
    assert built.call(tab.selected, visit, page__project="ready", event=clicked) == {"view.run": run.id}


def test_a_card_needs_a_run_with_a_model_of_the_hub(built: Built, visit: Visit, project: Project, model: str) -> None:
    run = evaluated(visit.ledger, project, model)
    with pytest.raises(StudioError, match="not there any more"):
        built.call(card.ask, visit)
    with pytest.raises(StudioError, match="not a repository on the Hub"):
        built.call(card.ask, visit, view__run=run.id, card__role="tuned")
    with pytest.raises(StudioError, match="not a repository on the Hub"):
        built.call(card.write, visit, view__run=run.id, card__role="tuned", card__agreed="")
    assert built.call(card.back, visit)["card.answers"]["visible"] is False


def test_models_of_the_hub_are_found_while_typing(
    built: Built, visit: Visit, project: Project, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(models, "PAUSE_S", 0.0)
    monkeypatch.setattr(hub_models, "search", lambda typed: [Found("org/model-a", 12, 0, False, False)])
    event = SimpleNamespace(input_value="model")
    for handler in (models.tuned_typed, models.base_typed, models.further_typed):
        (found,) = built.call(handler, visit, page__project="ready", event=event).values()
        assert found["choices"][0][1] == model and found["choices"][-1][1] == "org/model-a"
    assert built.call(models.tuned_typed, visit, event=SimpleNamespace(input_value="/")) == {}
    (plain,) = built.call(
        models.base_chosen, visit, page__project="ready", event=SimpleNamespace(value="org/model-a")
    ).values()
    assert value(plain) == "org/model-a" and plain["choices"][-1] == ("org/model-a", "org/model-a")
    assert built.call(models.tuned_chosen, visit, page__project="ready", event=SimpleNamespace(value=model)) == {}


def test_both_models_answer_a_prompt(
    built: Built, visit: Visit, project: Project, model: str, started: list[list[str]]
) -> None:
    given = {"page__project": "ready", "models__tuned": model, "models__base": project.read().base_model}
    with pytest.raises(StudioError, match="nothing to answer"):
        built.call(answer.asked, visit, **given, answer__prompt=" ")
    run = built.call(answer.asked, visit, **given, answer__prompt="Why?")["answer.view.run"]
    assert visit.run(run).kind == "answer" and started
    assert built.call(answer.opened, visit, page__project="ready") == {"answer.view.run": run}


def test_a_file_or_folder_of_this_machine_is_for_those_who_may_read_it(
    built: Built, studio: Studio, tmp_path: Path
) -> None:
    guest = Visit(studio, "ada", may=frozenset({COMPUTE, ARGILLA}))
    project = make_project(guest.home, "ready", tmp_path / "ready", pairs=64)
    model = make_tiny_model(project.models / "own")
    hers = form(project, str(model), models__base=str(model.with_name("missing")))
    assert "There is no model of" not in built.call(tab.checked, guest, **hers)["check"]
    foreign = built.call(tab.checked, guest, **{**hers, "models__base": str(tmp_path / "ready" / "tiny-base")})
    assert "There is no model" in foreign["check"]
    file = built.call(tab.checked, guest, **{**hers, "source": tab.FILE, "file": "/etc/hostname"})
    assert "There is no file hostname of yours" in file["check"]


def test_who_may_not_compute_here_is_told_before(built: Built, studio: Studio, tmp_path: Path) -> None:
    guest = Visit(studio, "ada", may=frozenset({ARGILLA}))
    project = make_project(guest.home, "ready", tmp_path / "ready", pairs=64)
    own = str(make_tiny_model(project.models / "own"))
    told = built.call(tab.checked, guest, **form(project, own, models__base=own))
    assert "for the studio&#39;s owner" in told["check"] and not told["start"]["interactive"]
    shown = built.call(answer.opened, guest, page__project=project.name)
    assert "for the studio's owner" in shown["answer.prompt"]["info"] and not shown["answer.ask"]["interactive"]


def test_what_is_anothers_is_not_found(built: Built, studio: Studio, tmp_path: Path) -> None:
    ada, bob = Visit(studio, "ada"), Visit(studio, "bob")
    project = make_project(ada.home, "hers", tmp_path, pairs=64)
    run: Run = ended(ada.ledger, "evaluate", project, "Evaluate", {"models": [], "tasks": []}, state=State.FAILED)
    for handler in (tab.opened, tab.again, tab.picked, answer.opened, tab.taken):
        with pytest.raises(StudioError, match="There is no project “hers”"):
            built.call(handler, bob, page__project="hers")
    with pytest.raises(StudioError, match="There is no run"):
        built.call(tab.drawn, bob, view__run=run.id)
    with pytest.raises(StudioError, match="There is no run"):
        built.call(card.ask, bob, view__run=run.id)

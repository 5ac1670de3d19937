"""The Train tab's handlers, called for a visit."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base import words
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.studio import Studio
from pipeline.train.doctor import kept, task
from pipeline.visit import ARGILLA, COMPUTE, Visit
from tests.handlers.conftest import Built, value
from tests.projects import defective, ended, make_project, trained
from ui.train import history, tab


@pytest.fixture
def project(studio: Studio, tmp_path: Path) -> Project:
    return make_project(studio.home, "ready", tmp_path / "ready", pairs=64)


def form(project: Project, **changed: Any) -> dict[str, Any]:
    """Return what the form holds of a training that can be started."""
    filled = {
        "page__project": project.name,
        "options__dataset": "pairs",
        "options__base_model": project.read().base_model,
    }
    return filled | changed


def test_without_a_project_or_an_export_it_says_where_to_go(built: Built, visit: Visit, tmp_path: Path) -> None:
    none = built.call(tab.opened, visit)
    assert "No project yet" in value(none["empty"])
    assert none["body"]["visible"] is False and none["view.run"] == ""
    assert built.call(tab.left, visit)["page.tabs"]["selected"] == "dataset"
    assert built.call(tab.checked, visit)["start"]["interactive"] is False

    make_project(visit.home, "bare", tmp_path)
    bare = built.call(tab.opened, visit, page__project="bare")
    assert "Nothing to train on yet" in value(bare["empty"]) and bare["body"]["visible"] is False
    assert built.call(tab.left, visit, page__project="bare")["page.tabs"]["selected"] == "export"


def test_a_project_is_opened_with_its_newest_export_and_its_base_model(
    built: Built, visit: Visit, project: Project
) -> None:
    shown = built.call(tab.opened, visit, page__project="ready")
    assert (value(shown["options.dataset"]), shown["newest"]) == ("pairs", "pairs")
    assert value(shown["options.base_model"]) == project.read().base_model == shown["based"]
    assert value(shown["options.project_name"]) == "my-autotrain-llm"
    assert shown["history.box"]["visible"] is False


def test_the_tab_looks_again_and_keeps_what_was_chosen(built: Built, visit: Visit, project: Project) -> None:
    assert built.call(tab.again, visit) == {}  # the page is still loading
    kept = {"page__project": "ready", "options__dataset": "pairs", "newest": "pairs"}
    same = built.call(tab.again, visit, **kept, based=project.read().base_model)
    assert value(same["options.dataset"]) == "pairs" and "value" not in same["options.base_model"]
    other = built.call(tab.again, visit, **kept, based="somebody/else")
    assert value(other["options.base_model"]) == project.read().base_model
    assert value(built.call(tab.again, visit, **{**kept, "newest": "older"})["options.dataset"]) == "pairs"


def test_the_check_follows_the_form(built: Built, visit: Visit, project: Project) -> None:
    found = built.call(tab.checked, visit, **form(project))
    assert found["start"]["interactive"] and found["start"]["variant"] == "primary"
    assert "48" in found["check"] and "3; pairs per step: 16" in found["check"]
    assert "run-line" in value(found["machine"])
    assert found["hardware.box"]["visible"] is False

    wrong = built.call(tab.checked, visit, **form(project, form__batch_size=0))
    assert "“Batch size” must be at least 1; it is 0." in wrong["check"] and not wrong["start"]["interactive"]
    few = built.call(tab.checked, visit, **form(project, form__batch_size=50))
    assert "1; pairs per step: 200" in few["check"] and few["start"]["interactive"]
    partial = built.call(tab.checked, visit, **form(project, form__batch_size=8))
    assert "2; pairs per step: 32" in partial["check"] and partial["start"]["interactive"]
    assert "the last step of each pass: 16 pairs" in partial["check"]
    assert "every 1 step (not 10: the run is short)" in partial["check"]
    gone = built.call(tab.checked, visit, **form(project, options__dataset="gone"))
    assert "notice bad" in gone["check"] and not gone["start"]["interactive"]


def test_what_is_typed_is_shown_as_text(built: Built, visit: Visit, project: Project) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    found = built.call(tab.checked, visit, **form(project, options__base_model=hostile))
    assert "&lt;img" in found["check"] and "<img" not in found["check"]


def test_the_check_speaks_the_visitors_language(built: Built, visit: Visit, project: Project) -> None:
    with words.speaking("zh"):
        found = built.call(tab.checked, visit, **form(project, form__batch_size=0))
    assert "批大小" in found["check"]


def test_the_adapter_is_set_only_where_there_is_one(built: Built, visit: Visit) -> None:
    off = built.call(tab.adapted, visit, form__lora=False)
    assert {name: update["interactive"] for name, update in off.items()} == {
        f"form.{name}": False for name in ("lora_r", "lora_alpha", "lora_dropout", "merge_adapter")
    }


def test_a_double_click_starts_one_run(built: Built, visit: Visit, project: Project, started: list[list[str]]) -> None:
    first = built.call(tab.pressed, visit, **form(project))
    assert first["options.project_name"] == "my-autotrain-llm-2"
    assert first["start"]["visible"] and first["confirm.box"]["visible"] is False
    assert value(first["history.table"])["data"][0][2] == "my-autotrain-llm"
    again = built.call(tab.pressed, visit, **form(project))
    assert again["view.run"] == first["view.run"]
    assert len(visit.ledger.list()) == 1 and len({command[-1] for command in started}) == 1

    queued = built.call(tab.checked, visit, **form(project, options__project_name="other"))
    assert value(queued["start"]) == words.say("train.start.also") and queued["start"]["variant"] == "secondary"


def test_what_stops_a_run_is_raised_and_nothing_is_started(
    built: Built, visit: Visit, project: Project, started: list[list[str]]
) -> None:
    with pytest.raises(StudioError, match="beyond what the base model reads"):
        built.call(tab.pressed, visit, **form(project, form__block_size=4096))
    with pytest.raises(StudioError, match="There is no project"):
        built.call(tab.pressed, visit, **form(project, page__project="other"))
    assert visit.ledger.list() == [] and started == []


def test_who_may_not_compute_here_starts_nothing(
    built: Built, studio: Studio, tmp_path: Path, started: list[list[str]]
) -> None:
    guest = Visit(studio, "ada", may=frozenset({ARGILLA}))
    project = make_project(guest.home, "ready", tmp_path / "ready", pairs=64)
    told = built.call(tab.checked, guest, **form(project, options__base_model="HuggingFaceTB/SmolLM2-135M"))
    assert "for the studio&#39;s owner" in told["check"] and not told["start"]["interactive"]
    with pytest.raises(StudioError, match="for the studio's owner"):
        built.call(tab.pressed, guest, **form(project, options__base_model="HuggingFaceTB/SmolLM2-135M"))
    assert guest.ledger.list() == [] and started == []


def test_a_folder_of_this_machine_is_for_those_who_may_read_it(built: Built, studio: Studio, tmp_path: Path) -> None:
    guest = Visit(studio, "ada", may=frozenset({COMPUTE, ARGILLA}))
    project = make_project(guest.home, "ready", tmp_path / "ready", pairs=64)
    found = built.call(tab.checked, guest, **form(project))
    assert "There is no model" in found["check"] and not found["start"]["interactive"]


def test_a_finished_run_shows_its_model_and_goes_on_to_evaluate(built: Built, visit: Visit, project: Project) -> None:
    run = trained(visit.ledger, project)
    shown = built.call(tab.drawn, visit, view__run=run.id)
    assert shown["trained.box"]["visible"] and shown["trained.evaluate"]["visible"]
    assert str(project.models / "my-autotrain-llm") in shown["trained.facts"]
    assert "from_pretrained" in shown["trained.snippet"]
    onward = built.call(tab.to_evaluate, visit, view__run=run.id)
    assert onward["page.tabs"]["selected"] == "evaluate"
    assert onward["page.model"][0] == str(project.models / "my-autotrain-llm")

    opened = built.call(tab.opened, visit, page__project="ready")
    assert opened["view.run"] == run.id and value(opened["options.project_name"]) == "my-autotrain-llm-2"
    assert ("my-autotrain-llm", str(project.models / "my-autotrain-llm")) in [
        (label.split(" ")[0], path) for label, path in opened["options.base_model"]["choices"]
    ]
    later = built.call(tab.checked, visit, **form(project, options__project_name="other"))
    assert later["start"]["variant"] == "secondary"  # evaluating comes next


@pytest.mark.parametrize(
    ("state", "result", "said"),
    [
        (State.CANCELLED, None, "train.cancelled"),
        (State.SUCCEEDED, {"stopped": True, "steps": 2}, "train.stopped"),
        (State.FAILED, None, ""),
    ],
)
def test_a_note_says_what_a_state_means(
    built: Built, visit: Visit, project: Project, state: State, result: dict[str, Any] | None, said: str
) -> None:
    log = [{"event": "log", "step": 2, "max_steps": 3, "loss": 1.0}]
    run = ended(
        visit.ledger, "train", project, "Train a", {"project_name": "a"}, events=log, result=result, state=state
    )
    shown = built.call(tab.drawn, visit, view__run=run.id)
    expected = words.say(said, steps=2, of=3) if said else ""
    assert expected in value(shown["trained.note"]) and shown["trained.note"]["visible"] is bool(said)
    assert shown["trained.box"]["visible"] is False


def test_without_a_run_nothing_is_drawn(built: Built, visit: Visit) -> None:
    shown = built.call(tab.drawn, visit)
    assert not any(update["visible"] for update in shown.values())


def test_the_history_lists_runs_and_a_click_shows_one(built: Built, visit: Visit, project: Project) -> None:
    first, second = trained(visit.ledger, project, "first"), trained(visit.ledger, project, "second")
    listed = built.call(history.listed, visit, page__project="ready")
    rows = value(listed["history.table"])["data"]
    assert [row[2] for row in rows] == ["second", "first"] and rows[0][5] == words.say("run.state.succeeded")
    clicked = SimpleNamespace(row_value=[str(first.number), "…"])
    assert built.call(history.selected, visit, page__project="ready", event=clicked)["view.run"] == first.id
    with pytest.raises(StudioError, match="There is no run 99"):
        built.call(history.selected, visit, page__project="ready", event=SimpleNamespace(row_value=["99"]))
    assert second.number != first.number


def test_what_is_anothers_is_not_found(built: Built, studio: Studio, tmp_path: Path) -> None:
    ada, bob = Visit(studio, "ada"), Visit(studio, "bob")
    project = make_project(ada.home, "hers", tmp_path, pairs=64)
    run = trained(ada.ledger, project)
    for handler, given in (
        (tab.opened, {"page__project": "hers"}),
        (tab.checked, form(project)),
        (tab.pressed, form(project)),
        (history.listed, {"page__project": "hers"}),
    ):
        with pytest.raises(StudioError, match="There is no project “hers”"):
            built.call(handler, bob, **given)
    for handler in (tab.drawn, tab.to_evaluate):
        with pytest.raises(StudioError, match="There is no run"):
            built.call(handler, bob, view__run=run.id)


def test_the_doctor_shows_what_it_found_as_text(built: Built, visit: Visit, tmp_path: Path) -> None:
    project = defective(visit.home, tmp_path / "made")
    found = built.call(tab.checked, visit, **form(project))
    assert found["doctor.box"]["visible"] and found["doctor.examine"]["visible"] is False
    assert "48 pairs examined" in found["doctor.summary"]
    shown = value(found["doctor.boxes.equal_once_cut"])
    assert found["doctor.boxes.equal_once_cut"]["visible"] and "6 of 48 pairs (12.5%)" in shown
    markup = value(found["doctor.boxes.markup"])
    assert "&lt;img src=x" in markup and "<img" not in markup
    choices = found["doctor.choices.markup"]
    assert [remedy for _, remedy in choices["choices"]] == ["leave_out", "keep"] and choices["value"] is None
    assert found["doctor.boxes.refused"]["visible"] is False and found["start"]["interactive"]
    with words.speaking("zh"):
        assert "截断后相同" in value(built.call(tab.checked, visit, **form(project))["doctor.boxes.equal_once_cut"])


def test_a_choice_counts_for_the_pairs_it_was_made_for(built: Built, visit: Visit, tmp_path: Path) -> None:
    project = defective(visit.home, tmp_path / "made")
    first = built.call(tab.checked, visit, **form(project))
    picked = {"doctor__key": first["doctor.key"], "doctor__choices__equal_once_cut": "leave_out"}
    found = built.call(tab.checked, visit, **form(project, **picked))
    assert words.say("train.fact.left_out") in found["check"] and "<dd>42</dd>" in found["check"]
    assert "value" not in found["doctor.choices.equal_once_cut"]  # what is picked meanwhile is not undone
    assert "notice good" in value(found["doctor.boxes.equal_once_cut"])
    other = built.call(tab.checked, visit, **form(project, **{**picked, "doctor__key": "another model"}))
    assert other["doctor.choices.equal_once_cut"]["value"] is None and "<dd>48</dd>" in other["check"]


def test_cutting_otherwise_is_seen_in_the_form(built: Built, visit: Visit, tmp_path: Path) -> None:
    project = make_project(visit.home, "long", tmp_path / "long", pairs=64)
    file = project.exports / "pairs" / "train.jsonl"
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    for row in rows[:3]:
        row["chosen"][0]["content"] = "the river is cold " * 100 + "here"
        row["rejected"][0]["content"] = "the river is cold " * 100 + "there"
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    key = built.call(tab.checked, visit, **form(project))["doctor.key"]
    assert built.call(tab.cut_otherwise, visit, **form(project, doctor__key=key)) == {}
    picked = {"doctor__key": key, "doctor__choices__equal_once_cut": "otherwise"}
    raised = built.call(tab.cut_otherwise, visit, **form(project, **picked))
    longest = raised["form.max_completion_length"]
    assert longest > 256 and raised["form.block_size"] == 256 + longest
    assert value(raised["doctor.choices.equal_once_cut"]) is None
    lengths = {"form__max_completion_length": longest, "form__block_size": raised["form.block_size"]}
    again = built.call(tab.checked, visit, **form(project, doctor__key=key, **lengths))
    assert again["doctor.boxes.equal_once_cut"]["visible"] is False


def test_many_pairs_are_examined_by_a_run(
    built: Built, visit: Visit, project: Project, started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept.report, "__defaults__", (10,))
    found = built.call(tab.checked, visit, **form(project))
    assert found["doctor.examine"]["visible"] and "have not been examined" in found["doctor.summary"]
    run = built.call(tab.examine, visit, **form(project))["examining.run"]
    assert built.call(tab.examine, visit, **form(project))["examining.run"] == run and len(started) >= 1
    assert built.call(tab.checked, visit, **form(project))["doctor.examine"]["visible"] is False
    assert built.call(tab.opened, visit, page__project="ready")["examining.run"] == run
    spec = spec_of(visit.run(run))
    reporter = SimpleNamespace(progress=lambda *at: None, stage=lambda *at: None, should_stop=lambda: False)
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(visit.studio.home.path))
    assert task.examine_pairs({**spec, "project": "ready"}, reporter)["pairs"] == 48  # type: ignore[arg-type]
    visit.ledger.end(run, State.SUCCEEDED)
    after = built.call(tab.checked, visit, **form(project))
    assert "48 pairs examined" in after["doctor.summary"] and after["doctor.examine"]["visible"] is False

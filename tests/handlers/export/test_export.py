"""The Export tab's handlers: counts before anything is written, the export afterwards, and what stops one."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.filter.project import filtered, save_recipe
from pipeline.filter.recipe import Recipe
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built, value
from tests.integration.hub.exports import add_export
from tests.projects import ended
from tests.reviewed import make_reviewed
from ui.export import tab

LOOKED = 5.0


@pytest.fixture
def project(visit: Visit) -> Project:
    return make_reviewed(visit.home, "written")


def planned(built: Built, visit: Visit, project: Project, **options: Any) -> dict[str, Any]:
    """Return what the tab shows for options of an export called v1."""
    form = {f"form__{name}": given for name, given in {"name": "v1", **options}.items() if name != "shown"}
    return built.call(
        tab.planned,
        visit,
        page__project=project.name,
        looked=LOOKED,
        result__name=options.get("shown", ""),
        **form,
    )


def test_without_a_project_the_tab_says_where_to_go(built: Built, visit: Visit) -> None:
    shown = built.call(tab.opened, visit, page__project="")
    assert (shown["empty"]["visible"], shown["go"]["visible"], shown["body"]["visible"]) == (True, True, False)
    assert (shown["view.run"], shown["result.name"], shown["history_box"]["visible"]) == ("", "", False)
    assert built.call(tab.planned, visit, page__project="", looked=LOOKED) == {}


def test_a_tab_nobody_opened_counts_nothing(built: Built, visit: Visit, project: Project) -> None:
    assert built.call(tab.planned, visit, page__project=project.name, looked=0.0) == {}


def test_opening_gives_the_next_export_a_name(built: Built, visit: Visit, project: Project) -> None:
    shown = built.call(tab.opened, visit, page__project=project.name)
    assert (value(shown["form.name"]), value(shown["form.test_share"])) == ("written-v1", 0.1)
    assert "Counting" in shown["plan"] and shown["body"]["visible"]


def test_counts_stand_before_anything_is_written(built: Built, visit: Visit, project: Project) -> None:
    shown = planned(built, visit, project)
    assert "keeps 18 of 20 pairs; 8 of them are reviewed" in shown["incoming"]
    assert "15 pairs" in shown["plan"]  # 18 without two undecided ones and a tie
    for name, count in (("Left out: undecided", 2), ("Left out: ties", 1), ("Swapped: rejected is better", 1)):
        assert f"<dt>{name}</dt><dd>{count}</dd>" in shown["plan"]
    assert "17 pairs" in planned(built, visit, project, undecided="keep")["plan"]
    assert "3 (17.6%)" in planned(built, visit, project, undecided="keep", test_share=0.2)["plan"]
    assert (shown["start"]["interactive"], shown["start"]["variant"]) == (True, "primary")
    assert planned(built, visit, project, shown="v0")["start"]["variant"] == "secondary"


def test_without_test_pairs_it_is_said(built: Built, visit: Visit, project: Project) -> None:
    shown = planned(built, visit, project, test_share=0)
    assert "Without test pairs" in shown["plan"] and shown["start"]["interactive"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"test_share": 0.9}, "must be at most 0.5"),
        ({"name": "two words"}, "Name"),
        ({"name": "../../etc"}, "Name"),
        ({"name": ""}, "Name"),
        ({"seed": -1}, "Seed"),
    ],
)
def test_wrong_options_stop_an_export(
    built: Built, visit: Visit, project: Project, options: dict[str, Any], said: str
) -> None:
    shown = planned(built, visit, project, **options)
    assert said in shown["plan"] and shown["start"]["interactive"] is False
    form = {f"form__{name}": given for name, given in {"name": "v1", **options}.items()}
    with pytest.raises(ValidationError):
        built.call(tab.start, visit, page__project=project.name, **form)


def test_nothing_to_export_is_said_before(built: Built, visit: Visit, project: Project) -> None:
    save_recipe(project, Recipe(min_relevance=5))
    assert not filtered(project).kept
    shown = planned(built, visit, project)
    assert "The filter keeps no pair" in shown["plan"] and shown["start"]["interactive"] is False
    save_recipe(project, Recipe(contains="Question 6"))  # a tie alone
    assert "All pairs are left out" in planned(built, visit, project)["plan"]
    assert planned(built, visit, project, ties="keep")["start"]["interactive"]


def test_an_export_is_started_once_under_its_name(
    built: Built, visit: Visit, project: Project, started: list[list[str]]
) -> None:
    known = {"page__project": project.name, "form__name": "v1", "form__seed": 7}
    shown = built.call(tab.start, visit, **known)
    run = visit.run(shown["view.run"])
    assert (run.kind, run.project, run.state, len(started)) == ("export", "written", State.QUEUED, 1)
    assert spec_of(run)["options"]["seed"] == 7
    assert shown["result.name"] == "" and shown["start"]["interactive"] is False
    assert planned(built, visit, project)["start"]["interactive"] is False  # one at a time
    opened = built.call(tab.opened, visit, page__project=project.name)
    assert (opened["view.run"], opened["result.name"]) == (run.id, "")


def test_a_name_in_use_is_refused(built: Built, visit: Visit, project: Project, started: list[list[str]]) -> None:
    add_export(project, "v1")
    shown = planned(built, visit, project)
    assert "named “v1” already" in shown["plan"] and shown["start"]["interactive"] is False
    with pytest.raises(StudioError, match="already"):
        built.call(tab.start, visit, page__project=project.name, form__name="v1")
    assert started == []


def test_an_ended_run_shows_its_export_and_frees_a_name(built: Built, visit: Visit, project: Project) -> None:
    add_export(project, "written-v1", 20, test_share=0.2)
    run = ended(visit.ledger, "export", project, "Export", {}, result={"name": "written-v1"})
    shown = built.call(tab.ended, visit, page__project=project.name, view__ended=run.id)
    assert (shown["result.name"], value(shown["form.name"])) == ("written-v1", "written-v2")
    assert shown["note"]["visible"] is False and shown["looked"] > LOOKED
    (row,) = value(shown["history"])["data"]
    assert (row[0], row[2:]) == ("written-v1", ["20", "16", "4", "0"])
    drawn = built.call(tab.draw, visit, page__project=project.name, result__name="written-v1")
    files = {name: count for name, _, count in value(drawn["result.files"])["data"]}
    assert (files["train.jsonl"], files["data/test-00000-of-00001.parquet"]) == ("16", "4")
    folder = project.exports / "written-v1"
    assert str(folder) in drawn["result.facts"] and str(folder) in drawn["result.snippet"]
    assert drawn["result.card"] == (folder / "README.md").read_text()
    again = built.call(tab.opened, visit, page__project=project.name)
    assert (again["result.name"], again["view.run"]) == ("written-v1", run.id)


@pytest.mark.parametrize(("state", "said"), [(State.CANCELLED, True), (State.FAILED, False)])
def test_an_export_that_came_to_nothing(built: Built, visit: Visit, project: Project, state: State, said: bool) -> None:
    run = ended(visit.ledger, "export", project, "Export", {}, state=state)
    shown = built.call(tab.ended, visit, page__project=project.name, view__ended=run.id)
    assert shown["note"]["visible"] is said and "result.name" not in shown
    assert built.call(tab.another_run, visit)["note"]["visible"] is False
    assert planned(built, visit, project)["start"]["interactive"]  # the name is free


def test_an_ended_run_of_another_project_says_nothing(built: Built, visit: Visit, project: Project) -> None:
    run = ended(visit.ledger, "export", make_reviewed(visit.home, "other"), "Export", {})
    assert built.call(tab.ended, visit, page__project=project.name, view__ended=run.id) == {}
    assert built.call(tab.ended, visit, page__project=project.name, view__ended="") == {}


def test_an_export_of_the_history_is_shown(built: Built, visit: Visit, project: Project) -> None:
    add_export(project, "v1")
    event = SimpleNamespace(row_value=["v1", "", "40"])
    assert built.call(tab.select, visit, event=event) == {"result.name": "v1"}
    known = {"page__project": project.name}
    assert built.call(tab.draw, visit, **known, result__name="v1")["result.box"]["visible"]
    for name in ("", "v9", "../../written/exports/v1"):
        assert built.call(tab.draw, visit, **known, result__name=name) == {
            "result.box": {"visible": False, "__type__": "update"}
        }


def test_the_way_on_and_back(built: Built, visit: Visit) -> None:
    for handler, name in ((tab.to_dataset, "dataset"), (tab.to_filter, "filter"), (tab.to_train, "train")):
        assert built.call(handler, visit)["page.tabs"].selected == name


def test_what_is_foreign_is_not_found(built: Built, studio: Studio, visit: Visit, project: Project) -> None:
    other = Visit(studio, "bob")
    theirs = make_reviewed(other.home, "theirs")
    run = ended(visit.ledger, "export", project, "Export", {}, result={"name": "v1"})
    add_export(project, "v1")
    with pytest.raises(StudioError, match="There is no project"):
        built.call(tab.opened, other, page__project=project.name)
    with pytest.raises(StudioError, match="There is no project"):
        planned(built, other, project)
    with pytest.raises(StudioError, match="There is no project"):
        built.call(tab.start, other, page__project=project.name, form__name="v2")
    with pytest.raises(StudioError, match="There is no project"):
        built.call(tab.draw, other, page__project=project.name, result__name="v1")
    with pytest.raises(StudioError, match="There is no run"):
        built.call(tab.ended, other, page__project=theirs.name, view__ended=run.id)


def test_the_folder_of_an_export_is_one_of_the_project(visit: Visit, project: Project) -> None:
    assert add_export(project, "v1").resolve().is_relative_to(Path(visit.home.projects).resolve())


def test_policies_stand_side_by_side_and_the_chosen_one_is_the_exports(
    built: Built, visit: Visit, project: Project, started: list[list[str]]
) -> None:
    table = planned(built, visit, project)["policies"]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(<td>.*?)</tr>", table)]
    shown = {row[0]: row[1:] for row in rows}
    assert shown["Most votes, at least 1 answer · Rating: Mean <b>(chosen here)</b>"][:2] == ["15", "1"]
    assert shown["All agree, at least 1 answer · Rating: Mean"] == ["15", "1", "Undecided pairs: 2, Ties: 1"]
    assert "Most votes, at least 2 answers · Rating: Mean" in shown and len(rows) >= 5
    few = planned(built, visit, project, at_least=3)
    assert "Left out: too few answers</dt><dd>8</dd>" in few["plan"]
    form = {f"form__{name}": each for name, each in {"name": "v7", "preference_by": "majority", "at_least": 2}.items()}
    run = visit.run(built.call(tab.start, visit, page__project=project.name, **form)["view.run"])
    assert spec_of(run)["options"]["preference_by"] == "majority"
    again = built.call(tab.opened, visit, page__project=project.name)
    assert (value(again["form.preference_by"]), value(again["form.at_least"])) == ("majority", 2)

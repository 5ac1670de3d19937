"""The Filter tab's handlers: counts follow the rules, removed pairs are shown, what is saved stays."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.project import Project, Record, ReviewRecord
from pipeline.filter.project import recipe_of
from pipeline.filter.recipe import Recipe
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built, value
from tests.reviewed import make_reviewed
from tests.tiny_model import make_tiny_model
from ui.filter import removed, rules, tab

LOOKED = 5.0


@pytest.fixture
def project(visit: Visit) -> Project:
    return make_reviewed(visit.home, "rules")


def computed(built: Built, visit: Visit, project: Project, **rules_: Any) -> dict[str, Any]:
    """Return what the tab shows for rules."""
    return built.call(tab.compute, visit, page__project=project.name, looked=LOOKED, **rules_)


def counts(updates: dict[str, Any]) -> list[list[str]]:
    """Return the numbers of the table of rules."""
    return [row[1:] for row in value(updates["results.rules"])["data"]]


def choose(row: int) -> SimpleNamespace:
    """Return the event of a row of a table."""
    return SimpleNamespace(index=[row, 0])


def test_without_a_project_the_tab_says_where_to_go(built: Built, visit: Visit) -> None:
    shown = built.call(tab.opened, visit, page__project="")
    assert (shown["empty"]["visible"], shown["go"]["visible"], shown["body"]["visible"]) == (True, True, False)
    assert built.call(tab.compute, visit, page__project="", looked=LOOKED) == {}
    assert value(built.call(tab.answers, visit, page__project="", read="")["answers"]) == ""


def test_a_tab_nobody_opened_counts_nothing(built: Built, visit: Visit, project: Project) -> None:
    assert built.call(tab.compute, visit, page__project=project.name, looked=0.0) == {}
    assert built.call(tab.units, visit, page__project=project.name, looked=0.0) == {}


def test_opening_puts_the_recipe_into_the_form(built: Built, visit: Visit, project: Project) -> None:
    shown = built.call(tab.opened, visit, page__project=project.name)
    assert value(shown["rules.form.min_chosen_tokens"]) == Recipe().min_chosen_tokens
    assert shown["rules.form.sources"]["choices"] == [("forum · 10", "forum"), ("wiki · 10", "wiki")]
    assert shown["rules.model"] == project.read().base_model
    assert "Counting" in shown["results.count"]


def test_answers_are_counted_by_verdict(built: Built, visit: Visit, project: Project) -> None:
    said = built.call(tab.answers, visit, page__project=project.name, read="Read at 12:00.")["answers"]
    assert "16 answers by 2 annotators on 8 pairs" in said and "Read at 12:00." in said
    for words in ("Chosen is better <b>4", "Rejected is better <b>1", "Tie <b>1", "Undecided <b>2"):
        assert words in said
    assert "Not reviewed <b>12" in said


def test_without_a_review_it_is_said(built: Built, visit: Visit) -> None:
    project = make_reviewed(visit.home, "unreviewed", reviewed=False)
    shown = built.call(tab.answers, visit, page__project=project.name, read="")
    assert "not under review" in shown["answers"] and shown["again"]["visible"] is False
    assert built.call(tab.read_quietly, visit, page__project=project.name) == {"read": ""}
    assert computed(built, visit, project)["results.plots.rating"]["visible"] is False


def test_answers_that_cannot_be_read_leave_those_read_before(built: Built, visit: Visit, project: Project) -> None:
    def change(record: Record) -> None:
        record.review = ReviewRecord(plan={}, server="embedded", dataset_id="7")

    project.update(change)
    for handler in (tab.read_quietly, tab.read_again):
        read = built.call(handler, visit, page__project=project.name)
        assert "could not be read just now" in read["read"] and "looked" not in read


def test_counts_follow_the_rules(built: Built, visit: Visit, project: Project) -> None:
    shown = computed(built, visit, project)
    assert "Kept 18 of 20" in shown["results.count"] and "default rules" in shown["results.saved"]
    shown = computed(built, visit, project, rules__form__min_relevance=3)
    assert "Kept 6 of 20" in shown["results.count"] and "not saved" in shown["results.saved"]
    assert counts(shown) == [["14", "14"], ["2", "0"], ["0", "0"], ["0", "0"]]
    assert "mean rating of at least 3" in value(shown["results.rules"])["data"][0][0]
    assert shown["results.save"]["interactive"] and shown["results.removed.row"] == -1


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({"sources": ["wiki"]}, 9),
        ({"sources": ["wiki"], "contains": "question 7 OF"}, 1),
        ({"contains_not": "question 1"}, 9),
        ({"only_reviewed": True}, 8),
        ({"preference_agrees": "agrees"}, 4),
        ({"min_chosen_tokens": None}, 20),
        ({"max_rejected_tokens": 5, "min_rejected_tokens": 0}, 0),
    ],
)
def test_each_rule_counts(built: Built, visit: Visit, project: Project, fields: dict[str, Any], kept: int) -> None:
    shown = computed(built, visit, project, **{f"rules__form__{name}": given for name, given in fields.items()})
    assert f"Kept {kept} of 20" in shown["results.count"]
    assert shown["results.problem"]["visible"] is (kept == 0)
    assert shown["results.save"]["interactive"] is (kept > 0)


def test_bounds_in_the_wrong_order_are_said_and_the_rest_stays(built: Built, visit: Visit, project: Project) -> None:
    shown = computed(built, visit, project, rules__form__max_chosen_tokens=5)
    assert shown.keys() == {"results.problem", "results.save"}
    assert "is shorter than the shortest (10)" in value(shown["results.problem"])
    assert shown["results.save"]["interactive"] is False


def test_removed_pairs_are_shown_one_at_a_time(built: Built, visit: Visit, project: Project) -> None:
    effects = value(computed(built, visit, project, rules__form__min_relevance=3)["results.effects"])
    known = {"page__project": project.name, "rules__effects": effects}
    shown = built.call(removed.choose, visit, **known, event=choose(1))
    assert "2 pairs" in shown["title"] and "Nobody has reviewed this pair" in shown["said"]
    assert shown["which"]["choices"] == [("1", 1), ("2", 2)]
    assert "&lt;b&gt;Good&lt;/b&gt; 18" in str(value(shown["pair.chosen"]))
    shown = built.call(removed.turn, visit, **known, row=1, which=2)
    assert "&lt;b&gt;Good&lt;/b&gt; 19" in str(value(shown["pair.chosen"]))
    shown = built.call(removed.choose, visit, **known, event=choose(0))
    assert "2 answers" in shown["said"] and "Rejected is better" in shown["said"]
    assert built.call(removed.choose, visit, **known, event=choose(2))["box"]["visible"] is False  # it removes none
    assert built.call(removed.turn, visit, **known, row=-1, which=1) == {}
    assert built.call(removed.close, visit)["box"]["visible"] is False


def test_what_is_saved_stays(built: Built, visit: Visit, project: Project) -> None:
    shown = built.call(tab.save, visit, page__project=project.name, rules__form__min_relevance=3)
    assert "Saved" in shown["results.saved"] and shown["page.tabs"].selected == "export"
    assert recipe_of(project) == Recipe(min_relevance=3)
    shown = built.call(tab.opened, visit, page__project=project.name)
    assert value(shown["rules.form.min_relevance"]) == 3
    reset = built.call(tab.reset, visit)
    assert value(reset["rules.form.min_relevance"]) is None and reset["looked"] > LOOKED


def test_lengths_are_counted_by_the_base_model_that_is_named(
    built: Built, visit: Visit, project: Project, tmp_path: Path
) -> None:
    known = {"page__project": project.name}
    assert "estimated in words" in built.call(tab.units, visit, **known, looked=LOOKED)["rules.unit"]
    wrong = built.call(rules.use_model, visit, **known, rules__model=str(tmp_path))
    assert "has no tokenizer.json" in value(wrong["rules.problem"]) and "rules.model" not in wrong
    model = str(make_tiny_model(tmp_path / "model"))
    used = built.call(rules.use_model, visit, **known, rules__model=model)
    assert (used["rules.model"], project.read().base_model) == (model, model)
    units = built.call(tab.units, visit, **known, looked=LOOKED)
    assert f"tokens of {model}" in units["rules.unit"]
    assert units["rules.form.min_chosen_tokens"]["label"] == "Shortest chosen answer, tokens"


def test_a_foreign_models_tokenizer_is_not_used(built: Built, studio: Studio, tmp_path: Path) -> None:
    bob = Visit(studio, "bob", may=frozenset())
    project = make_reviewed(bob.home, "bobs")
    model = str(make_tiny_model(tmp_path / "model"))
    shown = built.call(rules.use_model, bob, page__project=project.name, rules__model=model)
    assert "rules.model" not in shown and shown["rules.problem"]["visible"]


def test_a_foreign_project_is_not_found(built: Built, studio: Studio, project: Project) -> None:
    other = Visit(studio, "bob")
    for handler in (tab.opened, tab.compute, tab.units, tab.answers, tab.read_quietly, tab.read_again, tab.save):
        given = {"page__project": project.name} | ({"looked": LOOKED} if "looked" in built.of(handler).inputs else {})
        with pytest.raises(StudioError, match="There is no project"):
            built.call(handler, other, **given)

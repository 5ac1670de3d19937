"""The review section's handlers: its states without a server, and with one that says what the test wants."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project, Record, ReviewRecord
from pipeline.review import annotators, readback
from pipeline.review.annotators import NewAnnotator
from pipeline.review.api import Refused, ServerUnreachable
from pipeline.review.host import ArgillaStatus
from pipeline.review.project import plan_of
from pipeline.review.readback import AnnotatorProgress, Progress
from pipeline.review.service import Endpoint
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built, value
from tests.projects import ended
from tests.reviewed import make_reviewed
from ui.handlers import Asked
from ui.review import people, questions, section

HERE = Endpoint("http://127.0.0.1:1/annotate", "key", 1, embedded=True)
ASKED = Asked("page", base="http://127.0.0.1:7860")


@pytest.fixture
def project(visit: Visit) -> Project:
    return make_reviewed(visit.home, "pairs", reviewed=False)


@pytest.fixture
def ready(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Argilla is ready, and these annotators have accounts; a test adds to them."""
    known: list[str] = []
    monkeypatch.setattr(studio.argilla, "endpoint", lambda: HERE)
    monkeypatch.setattr(annotators, "list_annotators", lambda endpoint, workspace: list(known))
    done = [AnnotatorProgress("ann <b>", 3, 1, 0)]
    monkeypatch.setattr(readback, "progress", lambda endpoint, dataset: Progress(20, 5, 15, done))
    return known


def imported(visit: Visit, project: Project, *, server: str = "embedded", **result: Any) -> None:
    """Leave what an import leaves."""
    plan = plan_of(project).model_dump(mode="json")

    def change(record: Record) -> None:
        record.review = ReviewRecord(plan=plan, server=server, dataset_id="7d")

    project.update(change)
    found = {"added": 20, "total": 20, "already_there": 0, "altered": 0, "skipped": 0, "first_skipped": [], **result}
    ended(visit.ledger, "import", project, "Import", {"plan": plan}, result=found)


def redraw(built: Built, visit: Visit, project: Project | None) -> dict[str, Any]:
    handler = section.redraw
    given = built.given(built.of(handler), **{"page.project": project.name if project else "", "asked": ASKED})
    return handler(visit, given)


def test_without_a_project_there_is_no_section(built: Built, visit: Visit) -> None:
    shown = redraw(built, visit, None)
    assert shown["box"]["visible"] is False and shown["run.run"] == ""


def test_the_plan_waits_for_argilla(built: Built, visit: Visit, studio: Studio, project: Project) -> None:
    shown = redraw(built, visit, project)
    assert (shown["plan_box"]["visible"], shown["planned"]["visible"], shown["people.box"]["visible"]) == (
        True,
        False,
        False,
    )
    assert "once Argilla has started" in value(shown["reason"]) and shown["start"]["interactive"] is False
    assert value(shown["start"]) == "Import 20 pairs into Argilla"
    assert value(shown["form.dataset_name"]) == "pairs" and value(shown["form.min_submitted"]) == 1
    studio.argilla.status = ArgillaStatus("failed", problem=StudioError("argilla.disk", detail="<b>no room"))
    shown = redraw(built, visit, project)
    assert "once Argilla has started" not in value(shown["reason"]) and "<b>" not in value(shown["reason"])


def test_an_import_is_started_with_the_plan_of_the_form(
    built: Built, visit: Visit, project: Project, ready: list[str], started: list[list[str]]
) -> None:
    shown = redraw(built, visit, project)
    assert shown["start"]["interactive"] and shown["start"]["visible"]
    form = {f"form__{name}": each for name, each in plan_of(project).model_dump(mode="json").items()}
    form = {name: each for name, each in form.items() if name.replace("__", ".") in built.of(section.start).inputs}
    known = {"page__project": project.name, **form, "form__min_submitted": 2, "form__guidelines": "Be kind."}
    with pytest.raises(ValidationError):
        built.call(section.start, visit, **{**known, "form__min_submitted": 0})
    shown = built.call(section.start, visit, **known)
    run = visit.run(shown["run.run"])
    assert (run.kind, len(started), spec_of(run)["plan"]["min_submitted"]) == ("import", 1, 2)
    assert shown["plan_box"]["visible"] is False and "Be kind." in shown["planned_text"]
    assert shown["start"]["visible"] is False and shown["people.box"]["visible"] is False  # while it runs
    again = built.call(section.start, visit, **{**known, "form__min_submitted": 9})  # a second click
    assert (again["run.run"], len(started)) == (run.id, 1)


def test_a_stopped_import_can_go_on(built: Built, visit: Visit, project: Project, ready: list[str]) -> None:
    imported(visit, project)
    ended(visit.ledger, "import", project, "Import", {"plan": {}}, state=State.CANCELLED)
    shown = redraw(built, visit, project)
    assert value(shown["start"]) == "Continue import" and shown["start"]["visible"] and shown["people.box"]["visible"]
    assert "5 of 20 pairs completed" in shown["people.progress"]
    assert shown["people.create"]["variant"] == "secondary"  # the import comes first


def test_a_review_shows_links_people_and_progress(
    built: Built, visit: Visit, project: Project, ready: list[str]
) -> None:
    reason = {"code": "verbatim", "values": {"what": "too <i>long", "why": "", "next": ""}}
    imported(visit, project, already_there=3, skipped=1, first_skipped=[{"number": 4, "reason": reason}])
    shown = redraw(built, visit, project)
    result = value(shown["result"])
    assert "20 are in Argilla now" in result and "were there already" in result and "too &lt;i&gt;long" in result
    assert shown["people.link"] == "http://127.0.0.1:7860/annotate/dataset/7d/annotation-mode"
    assert 'target="_blank" rel="noopener"' in shown["people.open"]
    assert "--annotators 0.0.0.0:7861" in shown["people.reach"]
    assert "ann &lt;b&gt;" in shown["people.progress"] and "<td>3</td>" in shown["people.progress"]
    assert shown["people.create"]["variant"] == "primary" and shown["people.forgot"]["visible"] is False
    assert value(shown["people.names"]) == "annotator1, annotator2"
    assert shown["start"]["visible"] is False
    ready.append("bob")
    shown = redraw(built, visit, project)
    assert shown["people.who"]["choices"] == ["bob"] and shown["people.forgot"]["visible"]
    assert value(shown["people.names"]) == "" and "bob" in shown["people.progress"]


@pytest.mark.parametrize(
    ("error", "said", "again"),
    [
        (Refused(404, "gone"), "not in Argilla any more", True),
        (Refused(403, "no"), "no", True),
        (ServerUnreachable("argilla.nothing"), "", False),
    ],
)
def test_a_review_that_cannot_be_read_is_said(
    built: Built,
    visit: Visit,
    project: Project,
    ready: list[str],
    monkeypatch: pytest.MonkeyPatch,
    error: StudioError,
    said: str,
    again: bool,
) -> None:
    imported(visit, project)

    def fail(*given: object) -> None:
        raise error

    monkeypatch.setattr(readback, "progress", fail)
    shown = redraw(built, visit, project)
    assert said in shown["people.progress"] and "notice" in shown["people.progress"]
    assert (value(shown["start"]) == "Import again" and shown["start"]["visible"]) is again


def test_a_review_on_another_server_can_be_imported_again(
    built: Built, visit: Visit, project: Project, ready: list[str]
) -> None:
    imported(visit, project, server="https://argilla.example")
    shown = redraw(built, visit, project)
    assert "argilla.example" in shown["people.progress"] and value(shown["start"]) == "Import again"


def test_passwords_are_shown_once(
    built: Built, visit: Visit, project: Project, ready: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    imported(visit, project)
    asked: list[list[str]] = []

    def create(endpoint: Endpoint, workspace: str, names: list[str], **more: object) -> list[NewAnnotator]:
        asked.append(names)
        return [NewAnnotator(name, f"secret-{name}") for name in names]

    monkeypatch.setattr(annotators, "create_annotators", create)
    monkeypatch.setattr(
        annotators, "reset_password", lambda endpoint, workspace, name, **more: NewAnnotator(name, "fresh")
    )
    shown = built.call(section.create, visit, page__project=project.name, people__names="ann, 李雷；bob")
    assert asked == [["ann", "李雷", "bob"]]
    assert shown["people.fresh_box"]["visible"] and shown["people.fresh"].count("<pre ") == 3
    assert 'data-letter="ann"' in shown["people.fresh"] and "secret-ann" in shown["people.fresh"]
    assert "1. Open /annotate/dataset/7d/annotation-mode" in shown["people.fresh"]
    with pytest.raises(StudioError):
        built.call(section.create, visit, page__project=project.name, people__names=" ; ")
    renewed = built.call(people.renew, visit, page__project=project.name, who="bob")
    assert "Sign in as bob with the password fresh" in renewed["fresh"]
    other = built.call(section.another, visit, page__project=project.name)
    assert other["people.fresh_box"]["visible"] is False and other["people.fresh"] == ""
    assert value(other["people.login"]) == ""


def test_the_owners_sign_in_is_the_owners(
    built: Built, visit: Visit, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio.argilla, "owner_login", lambda: ("owner", "secret"))
    assert value(built.call(people.reveal, visit)["login"]) == "owner\nsecret"
    with pytest.raises(StudioError, match="owner"):
        built.call(people.reveal, Visit(studio, "bob", may=frozenset()))


def test_what_is_foreign_is_not_found(
    built: Built, studio: Studio, project: Project, ready: list[str], started: list[list[str]]
) -> None:
    bob = Visit(studio, "bob", may=frozenset())
    for handler in (section.redraw, section.another, section.look, section.start, section.create, people.renew):
        with pytest.raises(StudioError, match="There is no project"):
            built.call(handler, bob, page__project=project.name)
    assert started == []


def test_the_question_editor(built: Built, visit: Visit) -> None:
    fresh = {"fields__kind": "label", "fields__title": "What is it about?", "options": "code\n\nlife\ncode"}
    shown = built.call(questions.put, visit, held=[], which="", **fresh)
    (kept,) = shown["held"]
    assert (kept["name"], kept["options"], kept["required"]) == ("what_is_it_about", ["code", "life"], True)
    assert "What is it about?" in shown["shown"] and shown["options"] == ""
    again = built.call(questions.put, visit, held=shown["held"], which="", **fresh)
    assert [each["name"] for each in again["held"]] == ["what_is_it_about", "what_is_it_about_2"]
    one = built.call(questions.choose, visit, held=again["held"], which="what_is_it_about_2")
    assert value(one["fields.title"]) == "What is it about?" and one["options"] == "code\nlife"
    changed = {"fields__kind": "rating", "fields__title": "<b>Style", "fields__points": 3, "fields__required": False}
    edited = built.call(questions.put, visit, held=again["held"], which="what_is_it_about", options="", **changed)
    assert [(each["name"], each["kind"]) for each in edited["held"]][0] == ("what_is_it_about", "rating")
    assert "&lt;b&gt;Style" in edited["shown"] and "1–3" in edited["shown"]
    assert len(built.call(questions.remove, visit, held=again["held"], which="what_is_it_about")["held"]) == 1
    wrong = built.call(questions.put, visit, held=[], which="", **{**fresh, "options": "one"})
    assert "2 to 50" in wrong["problem"] and "held" not in wrong


def test_the_language_changes_what_nobody_worded_anew(built: Built, visit: Visit, project: Project) -> None:
    plan = plan_of(project)
    texts = {f"form__{name}": getattr(plan, name) for name in section.TEXTS} | {"form__guidelines": "Be kind."}
    shown = built.call(section.speak, visit, form__language="zh", **texts)
    assert shown["form.preference_title"] == "哪个回答更好？" and "form.guidelines" not in shown


def test_pairs_are_added_to_a_review(
    built: Built, visit: Visit, project: Project, ready: list[str], started: list[list[str]]
) -> None:
    imported(visit, project)
    plan = plan_of(project).model_copy(update={"pairs": 5})

    def change(record: Record) -> None:
        assert record.review is not None
        record.review.plan = plan.model_dump(mode="json")

    project.update(change)
    shown = redraw(built, visit, project)
    assert shown["more_box"]["visible"] and "5 of 20 pairs" in shown["more"]["info"]
    for number in (5, 21, 0):
        with pytest.raises(StudioError, match="cannot be in the review"):
            built.call(section.add, visit, page__project=project.name, more=number)
    run = visit.run(built.call(section.add, visit, page__project=project.name, more=12)["run.run"])
    assert (spec_of(run)["plan"]["pairs"], plan_of(project).pairs, len(started)) == (12, 12, 1)


def test_a_visitors_review_is_in_their_own_workspace_whatever_is_asked(
    built: Built, studio: Studio, ready: list[str], started: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ada, bob = (Visit(studio, who, may=frozenset()) for who in ("hf-ada", "hf-bob"))
    project = make_reviewed(bob.home, "pairs", reviewed=False)
    shown = redraw(built, bob, project)
    assert shown["form.workspace"]["visible"] is False and bob.workspace in shown["planned_text"]
    assert redraw(built, Visit(studio), make_reviewed(studio.home, "mine"))["form.workspace"]["visible"] is True
    form = {f"form__{name}": each for name, each in plan_of(project).model_dump(mode="json").items()}
    form = {name: each for name, each in form.items() if name.replace("__", ".") in built.of(section.start).inputs}
    known = {"page__project": project.name, **form}
    for forged in (ada.workspace, "align-studio", "", None, 7):
        run = bob.run(built.call(section.start, bob, **{**known, "form__workspace": forged})["run.run"])
        review = project.read().review
        assert review is not None and review.plan["workspace"] == bob.workspace != ada.workspace, forged
        assert spec_of(run)["plan"]["workspace"] == bob.workspace, forged

    def change(record: Record) -> None:  # as if a record had been forged
        assert record.review is not None
        record.review = ReviewRecord(
            plan={**record.review.plan, "workspace": ada.workspace}, server="embedded", dataset_id="7d"
        )

    project.update(change)
    bob.ledger.end(run.id, State.SUCCEEDED)
    asked: list[str] = []

    def noted(endpoint: Endpoint, workspace: str, *names: object, **more: object) -> Any:
        asked.append(workspace)
        return [] if isinstance(names and names[0], list) or not names else NewAnnotator(str(names[0]), "fresh")

    for name in ("create_annotators", "list_annotators", "reset_password", "remove_annotator"):
        monkeypatch.setattr(annotators, name, noted)
    built.call(section.create, bob, page__project=project.name, people__names="ann")
    built.call(people.renew, bob, page__project=project.name, who="ann")
    built.call(section.remove, bob, page__project=project.name, people__who="ann")
    assert len(asked) >= 5 and set(asked) == {bob.workspace}

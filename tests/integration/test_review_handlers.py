"""The review section's handlers against the real Argilla: imported, people let in, an answer seen."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from pipeline.base.errors import StudioError
from pipeline.base.settings import Settings
from pipeline.review import readback, task
from pipeline.review.api import Api
from pipeline.review.host import ArgillaHost
from pipeline.review.project import answers_of, arbitration_of, plan_of, start_import
from pipeline.review.service import Endpoint
from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.runs.task import Reporter
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.integration.test_review_server import Person
from tests.letters import password_in
from tests.reviewed import make_reviewed
from ui.filter import opinions
from ui.filter import tab as filter_tab
from ui.handlers import Asked
from ui.review import people, section

ASKED = Asked("page", base="http://127.0.0.1:7860")


@pytest.fixture
def visit(argilla: Endpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """A studio whose review server is a foreign one."""
    home = tmp_path / "home"
    monkeypatch.setenv("ALIGN_STUDIO_HOME", str(home))
    monkeypatch.setenv("ARGILLA_API_URL", argilla.url)
    monkeypatch.setenv("ARGILLA_API_KEY", argilla.api_key)
    monkeypatch.setattr(launch, "start_detached", lambda command, **more: None)
    settings = Settings(home=home, argilla_api_url=argilla.url, argilla_api_key=SecretStr(argilla.api_key))
    return Visit(Studio(settings))


def test_a_visitors_import_goes_to_their_own_workspace(visit: Visit, argilla: Endpoint, unique: str) -> None:
    ada, bob = (Visit(visit.studio, f"hf-{who}{unique}", may=frozenset()) for who in ("ada", "bob"))
    found = {}
    for person in (ada, bob):  # the same name in both workspaces: two datasets
        project = make_reviewed(person.home, "pairs", reviewed=False)
        plan = plan_of(project).model_copy(update={"workspace": ada.workspace})  # his is forged
        run = start_import(person.ledger, project, plan, argilla, "Import")
        spec = json.loads(run.spec.read_text())
        spec["plan"]["workspace"] = ada.workspace  # and once more, behind the page
        found[person.who] = task.import_pairs(spec, Reporter(spec))["dataset_id"]
    with Api(argilla) as api:
        for person in (ada, bob):
            dataset = api.get(f"datasets/{found[person.who]}")
            assert dataset["workspace_id"] == api.find_workspace(person.workspace)
    assert found[ada.who] != found[bob.who] and ada.workspace != bob.workspace


def test_a_visitor_settles_disputes_as_themselves(
    visit: Visit, argilla: Endpoint, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ArgillaHost, "embedded", True)
    monkeypatch.setattr(visit.studio.argilla, "endpoint", lambda: argilla)
    monkeypatch.setattr(visit.studio.settings, "space_id", "ada/studio")
    bob = Visit(visit.studio, f"hf-{unique}", may=frozenset())
    project = make_reviewed(bob.home, "pairs")
    spec = json.loads(start_import(bob.ledger, project, plan_of(project), argilla, "Import").spec.read_text())
    task.import_pairs(spec, Reporter(spec))
    known: dict[str, Any] = {"asked": ASKED, "page.project": project.name}
    project.update(lambda record: setattr(record.review, "server", "embedded"))
    shown = opinions.draw(bob, project)
    assert shown["open"]["visible"] and "(2)" in shown["open"]["value"]
    for _ in range(2):  # once more: those that wait are not put there twice
        shown = opinions.settle(bob, known)
        assert "(2)" in shown["link"] and "your own account" in shown["link"]
        assert 'action="/join?project=pairs&amp;status=draft" target="_blank"' in shown["link"]
    arbitration = arbitration_of(project)
    assert arbitration.name == bob.who and len(arbitration.record_ids) == 2
    (mine,) = readback.progress(argilla, project.read().review.dataset_id).per_annotator  # type: ignore[union-attr]
    assert (mine.username, mine.draft) == (bob.who, 2)
    elsewhere = Visit(visit.studio, "hf-eve", may=frozenset())
    with pytest.raises(StudioError, match="There is no project"):
        opinions.settle(elsewhere, known)


def test_imported_reviewed_and_seen(visit: Visit, argilla: Endpoint, unique: str) -> None:
    project = make_reviewed(visit.home, unique, reviewed=False)
    known: dict[str, Any] = {"asked": ASKED, "page.project": project.name}
    plan = plan_of(project).model_copy(update={"workspace": f"ws-{unique}"})
    form = {f"form.{name}": value for name, value in plan.model_dump(mode="json").items()}
    for left_out in ("unit", "order"):
        form.pop(f"form.{left_out}", None)
    known["questions.held"] = form.pop("form.questions")
    shown = section.start(visit, {**known, **form})
    run = visit.run(shown["run.run"])
    spec = json.loads(run.spec.read_text())
    visit.ledger.set_state(run.id, State.RUNNING)
    visit.ledger.end(run.id, State.SUCCEEDED, result=task.import_pairs(spec, Reporter(spec)))
    shown = section.redraw(visit, known)
    assert "20 are in Argilla now" in shown["result"]["value"]
    assert "0 of 20 pairs completed" in shown["people.progress"] and shown["start"]["visible"] is False
    assert shown["people.link"].startswith(argilla.url) and shown["people.reach"] == ""

    name = f"ann-{unique}"
    made = section.create(visit, {**known, "people.names": name})
    assert f'data-letter="{name}"' in made["people.fresh"] and name in made["people.progress"]
    renewed = password_in(people.renew(visit, {**known, "who": name})["fresh"])
    assert renewed != password_in(made["people.fresh"])
    review = project.read().review
    assert review is not None
    person = Person(argilla.url, people.annotators.NewAnnotator(name, renewed))
    record = next(iter(person.records(review.dataset_id).values()))
    fields = person.http.get(f"records/{record}").json()["fields"]  # a foreign server: no frame
    good = "a" if "Good" in fields["answer_a"][0]["content"] else "b"
    values = {"relevance": {"value": 4}, "preference": {"value": good}}
    body = {"values": values, "status": "submitted"}
    person.http.post(f"records/{record}/responses", json=body).raise_for_status()
    shown = section.redraw(visit, known)
    assert "1 of 20 pairs completed" in shown["people.progress"]
    assert "Read at" in filter_tab.read_again(visit, known)["read"]
    (answer,) = answers_of(project)
    assert (answer.annotator, answer.relevance, answer.preference) == (name, 4.0, "chosen")
    gone = section.remove(visit, {**known, "people.who": name})
    assert gone["people.who"]["choices"] == [] and "1 of 20 pairs completed" in gone["people.progress"]
    back = section.create(visit, {**known, "people.names": name})
    assert back["people.who"]["choices"] == [name] and password_in(back["people.fresh"]) != renewed

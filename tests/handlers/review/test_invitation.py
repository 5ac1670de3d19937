"""The invitation's handlers: on a Space alone, for one's own projects alone, the link shown once."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project, Record, ReviewRecord
from pipeline.base.settings import Settings
from pipeline.hub import spaces
from pipeline.review import annotators, readback
from pipeline.review.invitations import find, invitation_of, take_place
from pipeline.review.project import plan_of
from pipeline.review.readback import Progress
from pipeline.review.service import Endpoint
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.handlers.conftest import Built, value
from tests.projects import ended
from tests.reviewed import make_reviewed
from ui.handlers import Asked
from ui.review import invitation, section

HERE = Endpoint("http://127.0.0.1:1/annotate", "key", 1, embedded=True)


@pytest.fixture
def space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A Space's studio with a review server that says what the test wants."""
    settings = Settings(home=tmp_path / "home", space_id="ada/studio", space_host="ada-studio.hf.space,x.example")
    studio = Studio(settings)
    monkeypatch.setattr(studio.argilla, "endpoint", lambda: HERE)
    monkeypatch.setattr(annotators, "list_annotators", lambda endpoint, workspace: ["bob"])
    monkeypatch.setattr(annotators, "remove_annotator", lambda endpoint, workspace, name: "7a")
    monkeypatch.setattr(readback, "progress", lambda endpoint, dataset: Progress(20, 5, 15, []))
    monkeypatch.setattr(spaces, "look", lambda name: SimpleNamespace(private=False))
    monkeypatch.setattr(gr, "Info", lambda *words, **more: None)
    invitation._seen.clear()
    return studio


def reviewed(visit: Visit) -> Project:
    """Make a project whose pairs are in Argilla."""
    project = make_reviewed(visit.home, "pairs", reviewed=False)
    plan = plan_of(project).model_dump(mode="json")

    def change(record: Record) -> None:
        record.review = ReviewRecord(plan=plan, server="embedded", dataset_id="7d")

    project.update(change)
    done = {"added": 20, "total": 20, "already_there": 0, "altered": 0, "skipped": 0, "first_skipped": []}
    ended(visit.ledger, "import", project, "Import", {"plan": plan}, result=done)
    return project


def drawn(built: Built, visit: Visit, project: Project) -> dict[str, Any]:
    asked = Asked("page", base="https://ada-studio.hf.space")
    given = built.given(built.of(section.redraw), **{"page.project": project.name, "asked": asked})
    return section.redraw(visit, given)


def test_a_link_is_made_shown_once_and_ended(built: Built, space: Studio) -> None:
    ada = Visit(space, "hf-ada", may=frozenset())
    project = reviewed(ada)
    shown = drawn(built, ada, project)
    assert shown["people.invitation.fold"]["visible"] and "no invitation" in shown["people.invitation.about"]
    assert shown["people.invitation.revoke"]["visible"] is False and "private" not in shown["people.invitation.about"]
    assert shown["people.owner"]["visible"] is False  # Argilla's administration is not theirs
    made = built.call(invitation.make, ada, page__project=project.name, form__limit=2)
    secret = re.findall(r"Open https://ada-studio\.hf\.space/join/([\w-]{43})\n", made["fresh"])
    assert len(secret) == 1 and made["fresh_box"]["visible"] and "Hugging Face account" in made["fresh"]
    theirs, of, kept = find(space.home, secret[0])
    assert (theirs.owner, of.folder, kept.limit, kept.by_visitor) == ("hf-ada", project.folder, 2, True)
    take_place(project, kept.digest, "hf-bob", "bob")
    again = drawn(built, ada, project)
    assert "1 of 2 people have come" in again["people.invitation.about"] and secret[0] not in str(again)
    assert again["people.invitation.revoke"]["visible"]
    other = built.call(section.another, ada, page__project=project.name)
    assert other["people.invitation.fresh"] == "" and other["people.invitation.fresh_box"]["visible"] is False
    built.call(section.remove, ada, page__project=project.name, people__who="bob")
    now = invitation_of(project)
    assert now is not None and now.out == ["hf-bob"]
    ended_now = built.call(invitation.revoke, ada, page__project=project.name)
    assert ended_now["fresh"] == "" and ended_now["revoke"]["visible"] is False
    with pytest.raises(StudioError, match="not valid"):
        find(space.home, secret[0])


@pytest.mark.parametrize("limit", [0, 201, "x", None, [1], {"limit": 1}])
def test_a_number_out_of_bounds_is_refused(built: Built, space: Studio, limit: object) -> None:
    ada = Visit(space, "hf-ada", may=frozenset())
    project = reviewed(ada)
    with pytest.raises(ValidationError):
        built.call(invitation.make, ada, page__project=project.name, form__limit=limit)
    assert invitation_of(project) is None


def test_nobody_invites_to_anothers_project_or_ends_its_invitation(built: Built, space: Studio) -> None:
    ada, eve = (Visit(space, who, may=frozenset()) for who in ("hf-ada", "hf-eve"))
    project = reviewed(ada)
    built.call(invitation.make, ada, page__project=project.name)
    before = invitation_of(project)
    for handler in (invitation.make, invitation.revoke):
        with pytest.raises(StudioError, match="There is no project"):
            built.call(handler, eve, page__project=project.name)
    assert invitation_of(project) == before


@pytest.mark.parametrize(
    ("found", "said"),
    [(None, "This Space is private"), (SimpleNamespace(private=True), "This Space is private"), ("?", "If this Space")],
)
def test_a_private_space_is_said(
    built: Built, space: Studio, monkeypatch: pytest.MonkeyPatch, found: object, said: str
) -> None:
    def look(name: str) -> object:
        if found == "?":
            raise StudioError("hub.unreachable")
        return found

    monkeypatch.setattr(spaces, "look", look)
    ada = Visit(space, "hf-ada", may=frozenset())
    assert said in drawn(built, ada, reviewed(ada))["people.invitation.about"]


def test_elsewhere_there_are_no_invitations(built: Built, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit.studio.argilla, "endpoint", lambda: HERE)
    monkeypatch.setattr(annotators, "list_annotators", lambda endpoint, workspace: [])
    monkeypatch.setattr(readback, "progress", lambda endpoint, dataset: Progress(20, 5, 15, []))
    project = reviewed(visit)
    assert drawn(built, visit, project)["people.invitation.fold"]["visible"] is False
    with pytest.raises(StudioError, match="for Spaces"):
        built.call(invitation.make, visit, page__project=project.name)
    assert value(drawn(built, visit, project)["people.box"]) is None

"""Publishing on the Export tab against the Hub double: compared, agreed to, changed under one's hands."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.export import exported
from pipeline.export.exported import Published
from pipeline.hub import client
from pipeline.runs.ledger import State
from pipeline.runs.spec import spec_of
from pipeline.studio import Studio
from pipeline.visit import Visit
from tests.doubles.hub import HubDouble
from tests.handlers.conftest import Built, value
from tests.integration.hub.exports import add_export
from tests.projects import ended
from tests.reviewed import make_reviewed
from ui.export import publish


@pytest.fixture
def ada() -> str:
    """A name no other test uses."""
    return "ada" + uuid4().hex[:8]


@pytest.fixture
def signed_in(visit: Visit, hub: HubDouble, ada: str) -> Iterator[Visit]:
    """The one person, with an account that may write."""
    token = hub.add_user(ada)
    visit.studio.sign_in.use(token)
    visit.studio.sign_in.wait()
    with client.acting_as(token):
        yield visit
    visit.studio.sign_in.close()


@pytest.fixture
def project(visit: Visit) -> Project:
    made = make_reviewed(visit.home, "pairs", reviewed=False)
    add_export(made, "v1")
    return made


def call(built: Built, handler: Any, visit: Visit, project: Project, **more: Any) -> dict[str, Any]:
    return dict(built.call(handler, visit, page__project=project.name, export__name="v1", **more))


def test_nothing_is_shown_without_an_export(built: Built, visit: Visit) -> None:
    for handler in (publish.draw, publish.show):
        assert built.call(handler, visit, page__project="", export__name="")["section"]["visible"] is False


def test_whoever_is_not_signed_in_is_told_so(built: Built, visit: Visit, project: Project) -> None:
    shown = call(built, publish.show, visit, project)
    assert "Sign in to Hugging Face" in shown["note"] and shown["look"]["interactive"] is False
    assert shown["form.repository"] == "" and shown["fold"]["visible"] is False
    with pytest.raises(StudioError):
        call(built, publish.look, visit, project, form__repository="ada/pairs")


def test_a_new_repository_is_asked_about_and_published(
    built: Built, signed_in: Visit, hub: HubDouble, ada: str, project: Project, started: list[list[str]]
) -> None:
    shown = call(built, publish.show, signed_in, project)
    assert (shown["form.repository"], shown["note"], shown["look"]["interactive"]) == (f"{ada}/v1", "", True)
    form = {"form__repository": f"{ada}/v1"}
    asked = call(built, publish.look, signed_in, project, **form)
    assert asked["box"]["visible"] and f"Make {ada}/v1?" in asked["shown"] and f"only {ada} sees it" in asked["shown"]
    assert "6 files" in asked["shown"] and not hub.has_repo("dataset", f"{ada}/v1")
    without = call(built, publish.go, signed_in, project, **form, agreed=None)
    assert "changed since it was compared" in without["note"] and started == []
    gone = call(built, publish.go, signed_in, project, **form, agreed=asked["agreed"])
    run = signed_in.run(gone["view.run"])
    spec = spec_of(run)
    assert (run.kind, spec["user"], spec["name"], len(started)) == ("publish", ada, "v1", 1)
    assert spec["agreed"] == {"head": "", "private": True} and gone["look"]["visible"] is False
    assert call(built, publish.draw, signed_in, project)["look"]["visible"] is False  # while it runs
    assert call(built, publish.show, signed_in, project)["view.run"] == run.id


def test_a_public_repository_stands_out_and_a_change_is_compared_again(
    built: Built, signed_in: Visit, hub: HubDouble, ada: str, project: Project, started: list[list[str]]
) -> None:
    hub.add_repo("dataset", f"{ada}/open", {"README.md": b"# Mine\n", "test.jsonl": b"{}\n", "<b>.txt": b"x"})
    form = {"form__repository": f"{ada}/open", "form__existing": "replace"}
    asked = call(built, publish.look, signed_in, project, **form)
    assert "is public and stays public" in asked["shown"] and value(asked["go"]) == "Publish for everybody"
    assert "&lt;b&gt;.txt" in asked["shown"] and "<b>.txt" not in asked["shown"]
    assert "4 added, 2 changed, 1 removed, 0 unchanged" in asked["shown"]
    hub.add_commit("dataset", f"{ada}/open", {"new.txt": b"theirs"}, "Somebody else")
    again = call(built, publish.go, signed_in, project, **form, agreed=asked["agreed"])
    assert "changed since it was compared" in again["note"] and "new.txt" in again["shown"] and started == []
    kept = call(built, publish.look, signed_in, project, form__repository=f"{ada}/open")
    assert "4 added, 2 changed, 0 removed" in kept["shown"]
    assert built.call(publish.back, signed_in)["box"]["visible"] is False


def test_where_it_was_published_is_shown(
    built: Built, signed_in: Visit, hub: HubDouble, ada: str, project: Project
) -> None:
    there = Published(f"{ada}/mine", "c" * 40, f"{hub.url}/c", True, "2026-11-20T12:00:00+00:00", "<i>ada")
    exported.remember(project, "v1", there)
    shown = call(built, publish.show, signed_in, project)
    assert (shown["form.repository"], value(shown["look"])) == (f"{ada}/mine", "Publish again…")
    assert "cccccccccccc</a>" in shown["where"] and "&lt;i&gt;ada" in shown["where"] and shown["fold"]["visible"]
    assert 'revision="' + "c" * 40 in shown["snippet"]
    followed = call(built, publish.account_changed, signed_in, project, form__repository="pia/v1")
    assert followed["form.repository"] == f"{ada}/v1"  # a name made for another account
    assert "form.repository" not in call(built, publish.account_changed, signed_in, project, form__repository="pia/own")


def test_a_failed_publication_is_still_shown(built: Built, visit: Visit, project: Project) -> None:
    run = ended(visit.ledger, "publish", project, "Publish", {"name": "v1"}, state=State.FAILED)
    assert call(built, publish.show, visit, project)["view.run"] == run.id
    ended(visit.ledger, "publish", project, "Publish again", {"name": "v1"})
    assert call(built, publish.show, visit, project)["view.run"] == ""


def test_what_is_foreign_is_not_found(built: Built, studio: Studio, project: Project) -> None:
    bob = Visit(studio, "bob")
    for handler in (publish.draw, publish.show, publish.account_changed, publish.look, publish.go):
        with pytest.raises(StudioError, match="There is no project"):
            call(built, handler, bob, project)


@pytest.mark.parametrize("name", ["", "v9", "../../pairs/exports/v1"])
def test_an_export_that_is_not_there_is_not_published(built: Built, visit: Visit, project: Project, name: str) -> None:
    for handler in (publish.look, publish.go):
        with pytest.raises(StudioError, match="There is no export"):
            built.call(handler, visit, page__project=project.name, export__name=name, form__repository="ada/x")

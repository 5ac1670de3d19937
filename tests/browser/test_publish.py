"""Publishing on the Export tab: signed in or not, new, unchanged, public, changed under one's hands, broken."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.base.project import Project
from pipeline.export import exported
from tests.browser.conftest import App
from tests.browser.steps import ended, open_tab, patient, unfold
from tests.browser.test_filter_tab import make_project
from tests.doubles.hub import HubDouble
from tests.integration.hub.exports import add_export


@pytest.fixture(scope="module")
def hub_app(app_server: Callable[..., App], _hub_running: HubDouble) -> Iterator[App]:
    """A studio of its own that speaks to the Hub double; nobody is signed in."""
    own = app_server(environment=_hub_running.environment() | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""})
    yield own
    own.end()  # what idles takes the processor from the tests that follow


def open_export(page: Page, app: App, project: Project) -> None:
    """Show a project's newest export and what can be done with it."""
    patient(page)
    page.goto(f"{app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    open_tab(page, "Export")
    expect(page.locator("#export-publish")).to_be_visible()


def sign_in(page: Page, token: str, name: str) -> None:
    """Sign in with a typed token, as somebody else than before."""
    page.locator("#status-account").click()
    page.locator("#account-token input").fill(token)
    page.locator("#account-sign-in").click()
    expect(page.locator("#account-status")).to_contain_text(name)
    page.locator("#account-close").click()


def compare(page: Page) -> None:
    """Ask for the comparison and see it."""
    expect(page.locator("#publish-look")).to_be_enabled()
    page.locator("#publish-look").click()
    expect(page.locator("#publish-confirm")).to_be_visible()


def shot(page: Page, folder: Path | None, name: str) -> None:
    """Leave a picture for a person, where one asks for it."""
    if folder is not None:
        page.screenshot(path=folder / f"publish-{name}.png", full_page=True)


def test_an_export_is_published_compared_and_published_again(
    page: Page, hub_app: App, hub: HubDouble, pictures: Path | None
) -> None:
    project = make_project(hub_app, "publish", reviewed=False)
    add_export(project, "pairs-v1")
    open_export(page, hub_app, project)
    expect(page.locator("#publish-note")).to_contain_text("Sign in to Hugging Face")
    expect(page.locator("#publish-look")).to_be_disabled()
    shot(page, pictures, "anonymous")

    reader = hub.add_user("pia", "read")
    sign_in(page, reader, "pia")
    expect(page.locator("#publish-note")).to_contain_text("pia is signed in with a token that may not write")
    sign_in(page, hub.add_user("pia"), "pia")
    repository = page.locator("#publish-repository").get_by_role("textbox")
    expect(repository).to_have_value("pia/pairs-v1")
    compare(page)
    question = page.locator("#publish-confirm")
    expect(question).to_contain_text("Make pia/pairs-v1?")
    expect(question).to_contain_text("A new dataset repository with 6 files")
    expect(question).to_contain_text("Private: only pia sees it.")
    assert not hub.has_repo("dataset", "pia/pairs-v1")
    shot(page, pictures, "new")
    hub.fault("POST", "pia/pairs-v1/commit/main", status=503, times=2)
    page.locator("#publish-go").click()
    expect(page.locator("#publish-card .state")).to_be_visible()
    shot(page, pictures, "running")
    assert ended(page, "publish") == "Finished"
    where = page.locator("#publish-where")
    expect(where).to_contain_text("pia/pairs-v1")
    commit = hub.commits("dataset", "pia/pairs-v1")[0]
    link = where.get_by_role("link", name=commit.id[:12])
    expect(link).to_have_attribute("href", f"{hub.url}/datasets/pia/pairs-v1/commit/{commit.id}")
    unfold(page, "How to load it from the Hub")
    expect(page.locator("#publish-snippet")).to_contain_text(f'load_dataset("pia/pairs-v1", revision="{commit.id}")')
    assert hub.repo("dataset", "pia/pairs-v1").private
    shot(page, pictures, "finished")

    page.locator("#publish-look").click()
    expect(page.locator("#publish-note")).to_contain_text("Nothing to change")
    expect(page.locator("#publish-confirm")).to_be_hidden()
    shot(page, pictures, "unchanged")
    assert len(hub.commits("dataset", "pia/pairs-v1")) == 2
    page.reload()
    open_tab(page, "Export")
    expect(page.locator("#publish-where")).to_contain_text(commit.id[:12])


@pytest.mark.matrix
def test_a_public_repository_is_said_in_bold_and_a_change_under_ones_hands_is_shown(
    page: Page, hub_app: App, hub: HubDouble, pictures: Path | None
) -> None:
    project = make_project(hub_app, "public", reviewed=False)
    add_export(project, "open-v1")
    hub.add_repo("dataset", "olga/open", {"README.md": b"# Mine\n", "test.jsonl": b"{}\n", "<b>.txt": b"x"})
    open_export(page, hub_app, project)
    sign_in(page, hub.add_user("olga"), "olga")
    expect(page.locator("#publish-repository").get_by_role("textbox")).to_have_value("olga/open-v1")  # not pia's
    page.locator("#publish-repository").get_by_role("textbox").fill("olga/open")
    compare(page)
    question = page.locator("#publish-confirm")
    expect(question.locator(".notice b")).to_contain_text("is public and stays public")
    expect(question).to_contain_text("4 added, 2 changed, 0 removed, 0 unchanged")
    expect(page.locator("#publish-go")).to_have_text("Publish for everybody")
    shot(page, pictures, "public")
    unfold(page, "License, commit message, other files")
    page.locator("#publish-existing").get_by_label("Remove them").check()
    expect(question).to_be_hidden()  # it asked something else
    compare(page)
    expect(question.get_by_role("row", name="<b>.txt")).to_contain_text("removed")
    hub.add_commit("dataset", "olga/open", {"new.txt": b"theirs"}, "Somebody else")
    page.locator("#publish-go").click()
    expect(page.locator("#publish-note")).to_contain_text("has changed since it was compared")
    expect(question.get_by_role("row", name="new.txt")).to_contain_text("removed")
    assert hub.commits("dataset", "olga/open")[0].title == "Somebody else"
    page.locator("#publish-back").click()
    expect(question).to_be_hidden()

    page.locator("#publish-existing").get_by_label("Leave them").check()
    compare(page)
    hub.fault("POST", "olga/open/commit/main", status=400, message="Something is wrong with it")
    page.locator("#publish-go").click()
    assert ended(page, "publish") == "Failed"
    expect(page.locator("#publish-card")).to_contain_text("Something is wrong with it")
    shot(page, pictures, "failed")
    assert exported.published(project, "open-v1") is None
    compare(page)
    page.locator("#publish-go").click()
    expect(page.locator("#publish-where")).to_contain_text("everybody")
    assert "new.txt" in hub.files("dataset", "olga/open")


@pytest.fixture
def pictures() -> Path | None:
    """Folder for screenshots, None where nobody asks for them."""
    folder = os.environ.get("PICTURES")
    return Path(folder) if folder else None

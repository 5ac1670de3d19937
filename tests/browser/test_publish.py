"""Publishing on the Export tab: signed in or not, new, unchanged, public, changed under one's hands, broken."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from pipeline.base.project import Project
from tests.browser.conftest import App
from tests.browser.steps import ended, open_tab, patient, unfold
from tests.browser.test_filter_tab import make_project
from tests.doubles.hub import HubDouble
from tests.integration.hub.exports import add_export


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
    expect(page.locator("#account-token input")).to_have_value("")  # taken
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

"""The Train tab with an AutoTrain Space: chosen, asked about, followed to the paused Space and the model, deleted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Page, expect

from pipeline.base.project import Project
from tests.browser.conftest import App
from tests.browser.steps import ended, open_tab, patient, unfold
from tests.browser.test_publish import sign_in
from tests.browser.test_train_job import RUN_MS, make_it_quick, name_it, published_project
from tests.doubles.hub import HubDouble

LOOKS = (("en-US", 1280), ("zh-CN", 1280), ("en-US", 390), ("zh-CN", 390))


def choose_space(page: Page, app: App, project: Project) -> None:
    """Show a project's Train tab with a Space chosen."""
    patient(page)
    page.goto(f"{app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    open_tab(page, "Train")
    expect(page.locator("#train-check")).to_contain_text("pairs per step")
    page.locator("#train-where input[value=space]").check()
    expect(page.locator("#train-prices")).to_contain_text("as the Hub tells them now")


def test_a_space_is_chosen_confirmed_followed_paused_and_deleted(
    page: Page, hub_app: App, hub: HubDouble, tmp_path: Path, pictures: Path | None, browser: Browser
) -> None:
    project = published_project(hub_app, hub, "sam", tmp_path)
    token, name = hub.add_user("sam", organisations=["sam-lab"]), "sam/autotrain-first"
    choose_space(page, hub_app, project)
    sign_in(page, token, "sam")
    expect(page.locator("#train-space-note")).to_contain_text("needs a paid plan")
    expect(page.locator("#train-check")).to_contain_text("sam has no paid plan")
    hub.add_user("sam", pro=True)
    sign_in(page, hub.add_user("sam", pro=True), "sam")
    expect(page.locator("#train-check")).not_to_contain_text("no paid plan")
    expect(page.get_by_label("H200")).to_have_count(0)  # Jobs have it, Spaces do not
    make_it_quick(page)
    name_it(page, "first")

    hub.add_repo("space", "sam/autotrain-taken", private=True)
    name_it(page, "taken")
    expect(page.locator("#train-check")).to_contain_text("There is a Space sam/autotrain-taken already")
    expect(page.locator("#train-start")).to_be_disabled()
    name_it(page, "first")
    expect(page.locator("#train-start")).to_be_enabled()

    page.locator("#train-start").click()
    question = page.locator("#train-confirm")
    told = ("spaces-l40sx1", "US$1.80 per hour", "sets no time limit", "If it is not paused in time", "falls asleep")
    for words in (*told, name, "sam/first, a new private", "to pause itself"):
        expect(question).to_contain_text(words)
    look(browser, hub_app, project, pictures, "confirm", ask)
    assert not [one for one in hub.spaces() if one.name.startswith("sam/")]
    page.locator("#train-pay").click()
    expect(page.locator("#train-card")).to_contain_text("Train first")
    expect(page.locator("#train-note")).to_contain_text("AutoTrain Space on L40S", timeout=RUN_MS)
    expect(page.locator("#spend-item")).to_contain_text("L40S Space “Train first”", timeout=60_000)
    look(browser, hub_app, project, pictures, "running", watch)
    assert ended(page, "train", RUN_MS) == "Finished"

    there = hub.space(name)
    assert there.stage == "PAUSED" and there.secrets == {"HF_TOKEN": there.secrets["HF_TOKEN"]}
    expect(page.locator("#train-note")).to_contain_text("It is paused, by its own program and by the studio")
    result = page.locator("#train-result")
    expect(result).to_contain_text("sam/first")
    expect(result).to_contain_text(hub.commits("model", "sam/first")[0].id)
    expect(page.locator("#train-curve-loss")).to_be_visible()
    expect(page.locator("#spend-item")).to_have_text("Nothing is billing", timeout=60_000)
    look(browser, hub_app, project, pictures, "finished", watch)

    page.locator("#train-space-delete").click()
    expect(page.locator("#train-space-about")).to_contain_text(f"Delete the Space {name} for ever?")
    look(browser, hub_app, project, pictures, "delete", lambda window: window.locator("#train-space-delete").click())
    page.locator("#train-space-keep").click()
    expect(page.locator("#train-space-delete")).to_be_visible()
    assert hub.has_repo("space", name)
    page.locator("#train-space-delete").click()
    page.locator("#train-space-now").click()
    expect(page.locator("#train-space-about")).to_contain_text("The Space is deleted")
    assert not hub.has_repo("space", name) and hub.has_repo("model", "sam/first")
    page.reload()
    open_tab(page, "Train")
    expect(page.locator("#train-space-about")).to_contain_text("The Space is deleted")
    unfold(page, "Use it in Python")


def test_a_space_that_cannot_be_built_says_so(
    page: Page, hub_app: App, hub: HubDouble, tmp_path: Path, pictures: Path | None, browser: Browser
) -> None:
    project = published_project(hub_app, hub, "bea", tmp_path)
    choose_space(page, hub_app, project)
    sign_in(page, hub.add_user("bea", pro=True), "bea")
    make_it_quick(page)
    hub.build_problem = "no space left on device"
    page.locator("#train-start").click()
    page.locator("#train-pay").click()
    assert ended(page, "train", RUN_MS) == "Failed"
    expect(page.locator("#train-card")).to_contain_text("The Space could not be built")
    expect(page.locator("#train-card")).to_contain_text("Nothing was billed")
    look(browser, hub_app, project, pictures, "failed", watch)


def look(
    browser: Browser, app: App, project: Project, folder: Path | None, name: str, act: Callable[[Page], None]
) -> None:
    """Leave pictures for a person in both languages and at two widths, where one asks for them."""
    for locale, width in LOOKS if folder else ():
        context = browser.new_context(viewport={"width": 1280, "height": 900}, locale=locale)
        window = patient(context.new_page())
        window.goto(f"{app.url}/?project={project.name}")
        expect(window.locator("#status-project input")).to_have_value(project.name)
        window.get_by_role("tab").nth(3).click()
        expect(window.locator("#train-check")).not_to_be_empty()
        act(window)
        window.set_viewport_size({"width": width, "height": 900})
        window.wait_for_timeout(800)
        assert folder is not None
        window.screenshot(path=folder / f"train-space-{name}-{locale[:2]}-{width}.png", full_page=True)
        context.close()


def watch(window: Page) -> None:
    """See the newest run."""
    expect(window.locator("#train-card .state")).to_be_visible()


def ask(window: Page) -> None:
    """Come to the question before a Space is paid for."""
    window.locator("#train-where input[value=space]").check()
    expect(window.locator("#train-start")).to_be_enabled()
    window.wait_for_timeout(1500)
    window.locator("#train-start").click()
    expect(window.locator("#train-confirm")).to_be_visible()

"""The spend bar on every tab, stopping everything, and a Job that this disk did not know."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.hub import client, jobs
from tests.browser.conftest import App
from tests.browser.steps import patient, until
from tests.browser.test_publish import sign_in
from tests.doubles.hub import HubDouble, Job

SEEN_MS = 60_000  # the Hub is asked every 15 seconds
TABS = ("Dataset", "Filter", "Export", "Train", "Evaluate")


@pytest.fixture
def user(hub: HubDouble) -> Iterator[str]:
    name = f"spender-{secrets.token_hex(2)}"
    yield name
    for job in hub.jobs():
        if job.namespace == name:
            hub.job_runner.end(job, "CANCELED", None)


def start_job(
    hub: HubDouble, user: str, token: str, project: str, kind: str = "train", studio: dict[str, str] | None = None
) -> Job:
    """Start a Job as this program does from another machine."""
    run = f"{kind}-20261122-120000-{secrets.token_hex(2)}"
    labels = {"app": jobs.APP, "run": run, "project": project, "kind": kind, "stop": "3600", "price": "30000"} | (
        studio or {}
    )
    command = ["bash", "-c", "echo training; sleep 900"]
    with client.acting_as(token):
        made = client.api().run_job(image=jobs.IMAGE, command=command, flavor="l40sx1", namespace=user, labels=labels)
    until(lambda: hub.job(made.id).stage == "RUNNING", "the Job to run")
    return hub.job(made.id)


def picture(page: Page, name: str) -> None:
    """Leave a picture for a person, where PICTURES names a folder."""
    if folder := os.environ.get("PICTURES"):
        page.screenshot(path=Path(folder) / f"spend-{name}.png")


def test_what_bills_is_on_every_tab_and_everything_can_be_stopped(
    page: Page, hub_app: App, hub: HubDouble, user: str
) -> None:
    patient(page)
    token = hub.add_user(user)
    first = start_job(hub, user, token, "rivers")
    page.goto(hub_app.url)
    bar = page.locator("#spend-item")
    expect(bar).to_have_text("Nothing is billing")
    expect(page.locator("#spend-stop")).to_be_hidden()
    picture(page, "nothing")

    sign_in(page, token, user)
    expect(bar).to_contain_text("L40S Job “Training rivers” since", timeout=SEEN_MS)
    expect(bar).to_contain_text("stops at the latest")
    expect(bar.get_by_role("link", name="Job page")).to_have_attribute("href", f"{hub.url}/jobs/{user}/{first.id}")
    for tab in TABS:
        page.get_by_role("tab", name=tab).click()
        expect(bar).to_be_visible()
    picture(page, "one")

    second = start_job(hub, user, token, "mountains", "evaluate")
    expect(bar).to_contain_text("2 Jobs and Spaces are billing: about", timeout=SEEN_MS)
    expect(bar).to_contain_text("US$3.60 an hour")

    page.locator("#spend-stop").click()
    question = page.locator("#spend-panel")
    for words in ("Training rivers", "Evaluation mountains", "They end at once"):
        expect(question).to_contain_text(words)
    picture(page, "question")
    page.locator("#spend-keep").click()
    expect(question).to_be_hidden()
    assert first.stage == second.stage == "RUNNING"

    other = start_job(hub, user, token, "deserts", studio={"studio": "another-studio"})
    page.locator("#spend-stop").click()
    expect(page.locator("#spend-others")).to_contain_text("Training deserts")
    expect(page.locator("#spend-about")).not_to_contain_text("Training deserts")
    picture(page, "others")
    page.locator("#spend-end").click()
    expect(question).to_contain_text("2 ended, as the Hub confirms")
    picture(page, "ended")
    assert first.stage == second.stage == "CANCELED" and other.stage == "RUNNING"
    expect(page.locator("#spend-end")).to_be_hidden()
    page.locator("#spend-end-others").click()
    expect(page.locator("#spend-about")).to_contain_text("1 ended, as the Hub confirms: Training deserts")
    assert other.stage == "CANCELED"
    expect(page.locator("#spend-end-others")).to_be_hidden()
    page.locator("#spend-keep").click()
    expect(bar).to_have_text("Nothing is billing")
    expect(page.locator("#spend-stop")).to_be_hidden()


@pytest.mark.matrix
def test_a_job_of_a_lost_disk_is_live_on_its_tab(page: Page, hub_app: App, hub: HubDouble, user: str) -> None:
    patient(page)
    token = hub.add_user(user)
    job = start_job(hub, user, token, f"lost-{user}")
    page.goto(hub_app.url)
    sign_in(page, token, user)
    expect(page.locator("#spend-item")).to_contain_text("since", timeout=SEEN_MS)
    page.locator("#spend-item").get_by_role("link", name="Show the run").click()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true", timeout=SEEN_MS)
    assert job.labels["run"] in page.url
    expect(page.locator("#status-project input")).to_have_value(f"lost-{user}", timeout=SEEN_MS)
    card = page.locator("#train-run, .run-card").first
    expect(card).to_be_visible(timeout=SEEN_MS)
    picture(page, "adopted")


@pytest.mark.matrix
def test_an_unreachable_hub_is_not_called_nothing(page: Page, hub_app: App, hub: HubDouble, user: str) -> None:
    patient(page)
    token = hub.add_user(user)
    start_job(hub, user, token, "rivers")
    page.goto(hub_app.url)
    sign_in(page, token, user)
    bar = page.locator("#spend-item")
    expect(bar).to_contain_text("“Training rivers” since", timeout=SEEN_MS)
    hub.fault("GET", rf"/api/jobs/{user}\?", drop=True, times=None)
    expect(bar).to_contain_text("What is billing is not known since", timeout=SEEN_MS)
    expect(bar).to_contain_text("Last seen: L40S Job")
    picture(page, "unknown")
    page.locator("#spend-stop").click()
    expect(page.locator("#spend-panel")).to_contain_text("Training rivers", timeout=SEEN_MS)
    page.locator("#spend-keep").click()
    hub.calm()
    expect(bar).not_to_contain_text("not known", timeout=SEEN_MS)
    page.locator("#status-account").click()
    page.locator("#account-sign-out").click()
    expect(bar).to_contain_text(f"can be seen by {user} only", timeout=SEEN_MS)
    expect(page.locator("#spend-stop")).to_be_hidden()
    picture(page, "signed-out")


@pytest.mark.parametrize(
    ("locale", "scheme", "width"), [("en-US", "light", 390), ("zh-CN", "dark", 1280), ("zh-CN", "light", 390)]
)
@pytest.mark.matrix
def test_narrow_dark_and_chinese(
    browser: Browser, hub_app: App, hub: HubDouble, user: str, locale: str, scheme: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, locale=locale, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    patient(page)
    token = hub.add_user(user)
    start_job(hub, user, token, "a-project-with-quite-a-long-name")
    page.goto(hub_app.url)
    page.locator("#status-account").click()
    page.locator("#account-token input").fill(token)
    page.locator("#account-sign-in").click()
    expect(page.locator("#account-status")).to_contain_text(user)
    page.locator("#account-close").click()
    words = "任务" if locale == "zh-CN" else "L40S Job"
    expect(page.locator("#spend-item")).to_contain_text(words, timeout=SEEN_MS)
    page.locator("#spend-stop").click()
    expect(page.locator("#spend-end")).to_be_visible(timeout=SEEN_MS)
    picture(page, f"{locale}-{scheme}-{width}")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "nothing is cut off"
    context.close()

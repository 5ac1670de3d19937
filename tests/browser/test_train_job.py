"""The Train tab with a Hub Job: what is chosen, asked and paid, a Job that runs, one that is taken away."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.base.project import Project, Record
from pipeline.export import exported
from tests.browser.conftest import App
from tests.browser.steps import ended, latest, open_tab, patient, set_number, unfold, until
from tests.browser.test_publish import sign_in
from tests.browser.test_train_tab import make_project
from tests.doubles.hub import HubDouble

RUN_MS = 240_000  # the Job builds its engine and trains on this machine, which others use too


def published_project(app: App, hub: HubDouble, user: str, folder: Path) -> Project:
    """Make a project whose base model and export are on the Hub."""
    project = make_project(app.home, f"{user}-pairs", folder, pairs=32)
    hub.add_repo("model", f"{user}/tiny", {file.name: file for file in (folder / "tiny-base").iterdir()})
    export = project.exports / "pairs"
    files: dict[str, bytes | Path] = {
        str(file.relative_to(export)): file for file in export.rglob("*") if file.is_file()
    }
    hub.add_repo("dataset", f"{user}/pairs", files, private=True)
    revision = hub.commits("dataset", f"{user}/pairs")[0].id
    url = f"{hub.url}/datasets/{user}/pairs/commit/{revision}"
    exported.remember(project, "pairs", exported.Published(f"{user}/pairs", revision, url, True, "2026", user))

    def change(record: Record) -> None:
        record.base_model = f"{user}/tiny"

    project.update(change)
    return project


def open_train(page: Page, app: App, project: Project) -> None:
    """Show a project's Train tab with a Job chosen."""
    patient(page)
    page.goto(f"{app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    open_tab(page, "Train")
    expect(page.locator("#train-check")).to_contain_text("pairs per step")
    page.locator("#train-where").get_by_label("Hugging Face Job").check()
    expect(page.locator("#train-prices")).to_contain_text("as the Hub tells them now")


def make_it_quick(page: Page) -> None:
    """Choose sizes with which a tiny model trains in seconds."""
    unfold(page, "Learning: rate, batches, passes")
    set_number(page, "train-batch-size", 2)
    set_number(page, "train-gradient-accumulation", 1)
    page.get_by_label("none (32 bits)").check()
    expect(page.locator("#train-check")).to_contain_text("pairs per step: 2")
    expect(page.locator("#train-start")).to_be_enabled()


def name_it(page: Page, name: str) -> None:
    """Name the new model and wait until the name was looked at."""
    page.locator("#train-project-name").get_by_role("textbox").fill(name)
    page.locator("#train-project-name").get_by_role("textbox").blur()


def shot(page: Page, folder: Path | None, name: str) -> None:
    """Leave a picture for a person, where one asks for it."""
    if folder is not None:
        page.screenshot(path=folder / f"train-{name}.png", full_page=True)


@pytest.mark.matrix
def test_a_job_is_chosen_confirmed_followed_and_leaves_a_model_on_the_hub(
    page: Page, hub_app: App, hub: HubDouble, tmp_path: Path, pictures: Path | None
) -> None:
    project = published_project(hub_app, hub, "tess", tmp_path)
    token = hub.add_user("tess")
    open_train(page, hub_app, project)
    expect(page.locator("#train-check")).to_contain_text("You are not signed in to Hugging Face")
    expect(page.locator("#train-start")).to_be_disabled()
    shot(page, pictures, "anonymous")

    sign_in(page, token, "tess")
    expect(page.locator("#train-start")).to_be_enabled()
    expect(page.get_by_label("L40S · 48 GB · US$1.80/h")).to_be_checked()
    fitting = page.get_by_label("T4 (small) · 16 GB · US$0.40/h")
    expect(fitting).to_be_visible()  # the automatic number format is one that it has
    make_it_quick(page)
    page.get_by_label("bf16 (16 bits)").check()
    page.locator("#train-unfit summary").click()
    small = page.locator("#train-unfit li").filter(has_text="T4 (small)")
    expect(small).to_contain_text("cannot compute in bf16")
    expect(small.locator("input")).to_be_disabled()
    page.get_by_label("none (32 bits)").check()
    expect(fitting).to_be_visible()

    name_it(page, "first")
    page.locator("#train-start").click()
    question = page.locator("#train-confirm")
    for words in ("US$1.80 per hour", "1 h 06 min", "rough calculation", "tess/pairs", "tess/first, a new private"):
        expect(question).to_contain_text(words)
    expect(question).to_contain_text("your token as a secret")
    shot(page, pictures, "confirm")
    page.locator("#train-back").click()
    expect(question).to_be_hidden()
    assert hub.jobs() == [] or all(job.namespace != "tess" for job in hub.jobs())

    page.locator("#train-start").click()
    expect(question).to_be_visible()
    set_number(page, "train-budget", 1)  # what is paid for is what was shown, never something else
    page.locator("#train-pay").click()
    expect(page.locator("#train-pay")).to_have_text("Start and pay up to US$0.99")
    assert all(job.namespace != "tess" for job in hub.jobs())
    page.locator("#train-pay").dblclick()
    expect(page.locator("#train-card")).to_contain_text("Train first")
    expect(question).to_be_hidden()
    expect(page.locator("#train-note")).to_contain_text("Hugging Face Job on L40S", timeout=RUN_MS)
    shot(page, pictures, "running")
    assert ended(page, "train", RUN_MS) == "Finished"
    (job,) = [job for job in hub.jobs() if job.namespace == "tess"]
    assert (job.flavor, job.timeout) == ("l40sx1", 33 * 60)

    expect(page.locator("#train-note")).to_contain_text("nothing is billed for it any more")
    result = page.locator("#train-result")
    revision = hub.commits("model", "tess/first")[0].id
    expect(result).to_contain_text("tess/first")
    expect(result).to_contain_text(revision)
    expect(result).to_contain_text("US$0.0")
    unfold(page, "Use it in Python")
    expect(page.locator("#train-snippet")).to_contain_text(f'revision="{revision}"')
    expect(page.locator("#train-curve-loss")).to_be_visible()
    shot(page, pictures, "finished")
    assert token not in page.content()
    page.locator("#train-evaluate").click()
    expect(page.locator("#evaluate-tuned input")).to_have_value("first (trained on pairs)")


@pytest.mark.matrix
def test_a_job_that_is_taken_away_says_what_is_left_and_that_nothing_bills(
    page: Page, hub_app: App, hub: HubDouble, tmp_path: Path, pictures: Path | None
) -> None:
    project = published_project(hub_app, hub, "eve", tmp_path)
    open_train(page, hub_app, project)
    sign_in(page, hub.add_user("eve"), "eve")
    make_it_quick(page)
    page.locator("#train-start").click()
    page.locator("#train-pay").click()
    until(lambda: any(job.stage == "RUNNING" and job.namespace == "eve" for job in hub.jobs()), "the Job runs", 120)
    run = latest(hub_app, "train", project.name)
    hub.evict(next(job.id for job in hub.jobs() if job.labels.get("run") == run.id))
    assert ended(page, "train", RUN_MS) == "Failed"
    expect(page.locator("#train-card")).to_contain_text("The Job was taken off its machine")
    expect(page.locator("#train-note")).to_contain_text("nothing is billed for it any more")
    expect(page.locator("#train-result")).to_be_hidden()
    shot(page, pictures, "evicted")

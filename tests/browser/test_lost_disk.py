"""A Job whose studio died and whose disk is gone: found again by its labels, live on the page, stopped from there."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.test_publish import sign_in
from tests.browser.test_train_job import make_it_quick, name_it, open_train, published_project
from tests.doubles.hub import HubDouble

USER = "lotta"
LIVE_MS = 240_000  # the Job builds its engine, then trains, on a machine that others use too


# In every run, without a browser: hub/test_job_run.py adopts a Job on a new disk.
@pytest.mark.matrix
def test_a_job_outlives_its_studio_and_its_disk(
    page: Page, app_server: Callable[..., App], hub: HubDouble, tmp_path: Path
) -> None:
    environment = hub.environment() | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""}
    token, lost = hub.add_user(USER), app_server(environment=environment)
    project = published_project(lost, hub, USER, tmp_path)
    open_train(page, lost, project)
    sign_in(page, token, USER)
    make_it_quick(page)
    steps.set_number(page, "train-batch-size", 1)
    steps.set_number(page, "train-epochs", 100)  # it must not be over before it is found again
    steps.unfold(page, "Reports, checkpoints, seed")
    steps.set_number(page, "train-logging-steps", 1)
    name_it(page, "outlived")
    expect(page.locator("#train-start")).to_be_enabled()
    page.locator("#train-start").click()
    page.locator("#train-pay").click()
    expect(page.locator("#train-card")).to_contain_text("Train outlived")
    (job,) = steps.until_some(lambda: [job for job in hub.jobs() if job.namespace == USER], "the Job")

    page.goto("about:blank")
    lost.kill()
    lost.end()  # its supervisors and Argilla: a machine that is gone takes all of them along
    shutil.rmtree(lost.home)
    assert job.stage in ("SCHEDULING", "RUNNING")

    fresh = app_server(environment=environment)
    page.goto(fresh.url)
    sign_in(page, token, USER)
    bar = page.locator("#spend-item")
    expect(bar).to_contain_text("L40S Job “Train outlived”", timeout=LIVE_MS)
    bar.get_by_role("link", name="Show the run").click()
    expect(page.locator("#train-card")).to_contain_text("Train outlived")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    steps.until(lambda: steps.points(page), "the curve's first points", LIVE_MS / 1000)
    first = steps.points(page)
    steps.until(lambda: steps.points(page) > first, "the curve grows")
    page.locator("#train-stop").click()
    assert steps.ended(page, "train", LIVE_MS) == "Finished"
    assert hub.has_repo("model", f"{USER}/outlived") and "model.safetensors" in hub.files("model", f"{USER}/outlived")
    assert [other.id for other in hub.jobs() if other.namespace == USER] == [job.id]
    steps.until(lambda: job.stage == "COMPLETED", "the Job ends")
    expect(bar).to_have_text("Nothing is billing", timeout=LIVE_MS)

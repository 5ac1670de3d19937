"""The page's stream in a browser: it moves without Gradio, is silent when hidden, and comes back by itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from bench.replay import Replay
from pipeline.runs.ledger import Run
from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.test_train_tab import make_project

STEPS, RATE = 3_000, 10.0
QUIET_MS = 5_000
HIDE = """hidden => {
  Object.defineProperty(document, "hidden", {configurable: true, get: () => hidden});
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@pytest.fixture
def replayed(studio: App, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Run]:
    """A training that is being written."""
    project = make_project(studio.home, re.sub(r"\W", "-", request.node.name)[:30], tmp_path, pairs=64)
    with Replay(studio.home, project.name, STEPS, RATE).going() as run:
        yield run


def open_run(page: Page, studio: App, run: Run) -> None:
    """Open a run and wait until its curve is drawn and the page is done with everything else."""
    steps.patient(page)
    page.goto(f"{studio.url}/?run={run.id}")
    page.locator("#train-curve-loss[data-points]").wait_for()
    expect(page.locator("#status-items")).to_contain_text("Argilla is ready", timeout=steps.ARGILLA_MS)
    page.wait_for_timeout(QUIET_MS)


def test_a_watched_run_moves_without_gradio(page: Page, studio: App, replayed: Run) -> None:
    open_run(page, studio, replayed)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    expect(page.locator(".hearing").locator("visible=true")).to_have_count(0)
    before, card = steps.points(page), page.locator("#train-card .run-line").inner_text()
    page.wait_for_timeout(QUIET_MS)
    assert [url for url in asked if "/gradio_api/" in url] == [], "Nobody has done anything."
    assert steps.points(page) > before
    assert page.locator("#train-card .run-line").inner_text() != card
    label = page.locator("#train-curve-loss .curve-plot").get_attribute("aria-label")
    assert re.fullmatch(r"Loss: \d+ points; at step \d+: loss \d\.\d+, nll loss \d\.\d+", label or "")
    page.get_by_role("button", name="Log").first.click()
    expect(page.locator("#train-log pre")).to_contain_text("max_steps")


def test_the_end_of_a_run_is_one_event(page: Page, studio: App, tmp_path: Path) -> None:
    project = make_project(studio.home, "one-event", tmp_path, pairs=64)
    replay = Replay(studio.home, project.name, STEPS, RATE)
    with replay.going() as run:
        open_run(page, studio, run)
        expect(page.locator("#train-stop")).to_be_visible()
    expect(page.locator("#train-card .state")).to_have_text("Finished")
    expect(page.locator("#train-stop")).to_be_hidden()
    expect(page.locator("#train-history")).to_contain_text("Finished")
    assert max(steps.points(page)) == replay.step


def test_a_hidden_page_is_silent(page: Page, studio: App, replayed: Run) -> None:
    open_run(page, studio, replayed)
    assert page.evaluate("window.alignStudio.open")
    page.evaluate(HIDE, True)
    assert not page.evaluate("window.alignStudio.open")
    before = steps.points(page)
    page.wait_for_timeout(2_000)
    assert steps.points(page) == before
    page.evaluate(HIDE, False)
    steps.until(lambda: steps.points(page) > before, "what was missed comes with the stream")


def test_the_stream_comes_back_after_a_restart(page: Page, studio: App, replayed: Run) -> None:
    open_run(page, studio, replayed)
    before = steps.points(page)
    studio.stop()
    expect(page.locator(".stream-lost")).to_be_visible()
    with page.expect_navigation():  # what Gradio kept of the page is gone with its process
        studio.start()
    page.locator("#train-curve-loss[data-points]").wait_for()
    steps.until(lambda: steps.points(page) > before, "the run goes on where it was seen")
    expect(page.locator(".stream-lost")).to_be_hidden()
    expect(page.locator("#train-card .state")).to_have_text("Running")

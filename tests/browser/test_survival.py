"""What kill -9 does: to the app, to a worker, to a page. Runs go on, the queue moves, nothing is lost or doubled."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.base import project as projects
from pipeline.base.home import Home, open_home
from pipeline.dataset.project import pairs_of
from pipeline.review.api import Api
from pipeline.review.order import kept_order
from pipeline.review.service import ArgillaService
from pipeline.runs import events
from pipeline.runs.ledger import Run, State
from tests.browser import steps
from tests.browser.conftest import App
from tests.projects import make_project
from tests.tiny_model import make_tiny_model

MANY = 3000  # pairs: an import of ten seconds and more
SOME = 2000
READ = 1000  # records that Argilla's API returns at once


@pytest.fixture(scope="module")
def app(app_server: Callable[..., App]) -> Iterator[App]:
    """A studio whose processes are killed."""
    fresh = app_server()
    yield fresh
    fresh.end()


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base model."""
    return make_tiny_model(tmp_path_factory.mktemp("base") / "tiny")


@pytest.fixture(scope="module")
def project(app: App, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A project with an export to train on."""
    return make_project(open_home(app.home.resolve()), "queued", tmp_path_factory.mktemp("queued"), pairs=240).name


@pytest.fixture
def studio(app: App, page: Page) -> Page:
    """The studio's page."""
    steps.patient(page).goto(app.url)
    return page


@pytest.fixture
def no_training_left(app: App) -> Iterator[None]:
    """End what a test leaves running: the next one must not wait behind it."""
    yield
    for run in steps.ledger_of(app).list(active=True):
        run.stop_file.touch()
        run.kill_file.touch()
    steps.until(lambda: not steps.ledger_of(app).list(active=True), "runs end when they are told to")


def made_pairs(file: Path, count: int) -> Path:
    """Write pairs with a prompt and two answers."""
    with file.open("w", encoding="utf-8") as lines:
        for n in range(count):
            row = {"prompt": f"Question {n}?", "chosen": f"A good answer to {n}.", "rejected": f"A bad one to {n}."}
            lines.write(json.dumps(row) + "\n")
    return file


def imported(run: Run) -> int:
    """Return how many pairs an import has reported."""
    found = [event["done"] for event in events.read(run.events).events if event["event"] == "progress"]
    return found[-1] if found else 0


def trained(run: Run) -> int:
    """Return how many steps a training has reported."""
    found = [event["step"] for event in events.read(run.events).events if event["event"] == "step"]
    return found[-1] if found else 0


def state_of(app: App, run: Run) -> State:
    """Return a run's present state."""
    return steps.ledger_of(app).get(run.id).state


def assert_each_pair_once(app: App, name: str, count: int) -> None:
    """Read all records from Argilla's API and compare them with the project's pairs."""
    service = ArgillaService(app.home / "argilla", Path(sys.executable))
    endpoint = service.find()
    assert endpoint is not None, "Argilla does not run."
    of = projects.find(Home(app.home.resolve()), name)
    kept = of.read().review
    assert kept is not None
    ids: list[str] = []
    with Api(endpoint) as api:
        while len(ids) < count * 2:
            path = f"datasets/{kept.dataset_id}/records"
            page = api.get(path, limit=READ, offset=len(ids))["items"]
            ids += [record["external_id"] for record in page]
            if len(page) < READ:
                break
    assert len(ids) == len(set(ids)) == count
    order = kept_order(of)
    assert set(ids) == {order.place(pair.record_id).external_id for pair in pairs_of(of)}


def test_an_import_goes_on_while_the_app_is_dead(app: App, studio: Page, tmp_path: Path) -> None:
    steps.load_path(studio, made_pairs(tmp_path / "killed.jsonl", MANY), MANY)
    steps.start_import(studio)
    run = steps.latest(app, "import", "killed")
    steps.until(lambda: imported(run) > 0, "the import begins", 120)
    app.kill()
    before = imported(run)
    assert before < MANY and state_of(app, run) is State.RUNNING
    steps.until(lambda: imported(run) > before, "the import goes on without the app")
    app.start()
    studio.goto(app.url)
    expect(studio.locator("#import-card")).to_contain_text(f"Import of {MANY:,} pairs into Argilla")
    assert steps.ended(studio, "import") == "Finished"
    expect(studio.locator("#review-result")).to_contain_text(f"{MANY:,} are in Argilla now.")
    assert steps.latest(app, "import", "killed").id == run.id
    assert_each_pair_once(app, "killed", MANY)


@pytest.mark.matrix  # stopped and continued without a page: integration/test_review_server.py, handlers/review
def test_a_stopped_import_goes_on_where_it_was(app: App, studio: Page, tmp_path: Path) -> None:
    steps.load_path(studio, made_pairs(tmp_path / "stopped.jsonl", SOME), SOME)
    steps.start_import(studio)
    run = steps.latest(app, "import", "stopped")
    steps.until(lambda: imported(run) > 0, "the import begins", 120)
    studio.locator("#import-stop").click()
    assert steps.ended(studio, "import") == "Stopped"
    there = imported(run)
    assert 0 < there < SOME
    button = studio.locator("#dataset-import")
    expect(button).to_have_text("Continue import")
    button.click()
    expect(studio.locator("#review-result")).to_contain_text(
        f"{SOME - there:,} pairs were added; {SOME:,} are in Argilla now. {there:,} were there already.",
        timeout=steps.RUN_MS,
    )
    assert_each_pair_once(app, "stopped", SOME)


@pytest.mark.usefixtures("no_training_left")
def test_trainings_go_on_and_the_queue_moves_while_the_app_is_dead(
    app: App, studio: Page, project: str, base: Path
) -> None:
    steps.watch(studio, project)
    one_step = {"gradient_accumulation": 1, "logging_steps": 1}
    steps.fill_training(studio, base, batch_size=8, epochs=2, **one_step)
    steps.start_training(studio, "first")
    first = steps.latest(app, "train", project)
    steps.fill_training(studio, base, batch_size=32, epochs=1, **one_step)
    steps.start_training(studio, "second")
    second = steps.latest(app, "train", project)
    expect(studio.locator("#train-card")).to_contain_text("Waiting for its turn")
    steps.until(lambda: trained(first) > 0, "the first training begins", 120)
    app.kill()
    assert [state_of(app, first), state_of(app, second)] == [State.RUNNING, State.QUEUED]
    steps.until(lambda: not steps.ledger_of(app).get(first.id).active, "the first training ends", 240)
    assert state_of(app, first) is State.SUCCEEDED
    steps.until(lambda: state_of(app, second) is not State.QUEUED, "the second training's turn comes")
    assert app.process is not None and app.process.poll() is not None, "The app was to be dead all the time."

    app.start()
    studio.goto(app.url)
    steps.watch(studio, project)
    steps.open_tab(studio, "Train")
    expect(studio.locator("#train-card")).to_contain_text("Train second")
    assert steps.ended(studio, "train") == "Finished"
    expect(studio.locator("#train-result")).to_be_visible()
    history = [[row[2], row[5]] for row in steps.cells(studio.locator("#train-history"))]
    assert history == [["second", "Finished"], ["first", "Finished"]]


@pytest.mark.matrix  # a page opened on a run that goes on: test_stream.py, and above
@pytest.mark.usefixtures("no_training_left")
def test_a_page_opened_again_shows_the_run(app: App, studio: Page, browser: Browser, project: str, base: Path) -> None:
    steps.watch(studio, project)
    steps.fill_training(studio, base, batch_size=4, gradient_accumulation=1, logging_steps=1)
    steps.start_training(studio, "seen-again")
    studio.close()
    with steps.window(browser) as page:
        page.goto(f"{app.url}/?project={project}")
        steps.open_tab(page, "Train")
        card = page.locator("#train-card")
        expect(card).to_contain_text("Train seen-again")
        expect(card.locator(".state")).to_have_text("Running")
        expect(card).to_contain_text(re.compile(r"\d+ / \d+ steps"), timeout=steps.RUN_MS)
        steps.until(lambda: steps.points(page), "the curve is there again")
        page.locator("#train-stop").click()
        assert steps.ended(page, "train") == "Finished"
        expect(page.locator("#train-note")).to_contain_text("Stopped early")


@pytest.mark.usefixtures("no_training_left")
def test_a_killed_worker_is_a_failure_with_its_reason(app: App, studio: Page, project: str, base: Path) -> None:
    steps.watch(studio, project)
    steps.fill_training(studio, base, batch_size=4, gradient_accumulation=1)
    steps.start_training(studio, "killed")
    run = steps.latest(app, "train", project)
    steps.until(lambda: state_of(app, run) is State.RUNNING, "the worker starts")
    worker = steps.ledger_of(app).get(run.id).worker
    assert worker is not None
    os.kill(worker["pid"], signal.SIGKILL)
    assert steps.ended(studio, "train") == "Failed"
    card = studio.locator("#train-card")
    expect(card).to_contain_text("The worker was killed (SIGKILL).")
    expect(card).to_contain_text(re.compile(r"Probably memory: peak \d+\.\d of \d+\.\d GiB\."))
    expect(card).to_contain_text("Use a smaller batch size or block size")
    expect(studio.locator("#train-start")).to_be_enabled()

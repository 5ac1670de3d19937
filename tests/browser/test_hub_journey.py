"""The whole way with an account: dataset from the Hub, review, publish, a Job that trains, a Job that evaluates.

Whatever the Jobs do is done by the Hub double for real. Afterwards the token that was typed is looked for everywhere.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.conftest import ROOT, App
from tests.browser.steps import Judgement
from tests.browser.test_journey import PAIRS, pairs_like_the_mix
from tests.doubles.hub import HubDouble
from tests.integration.hub.test_evaluate_job import add_truthfulqa
from tests.tiny_model import make_tiny_model

USER, MIX, BASE = "ursula", "mlabonne/orpo-dpo-mix-40k", "makers/tiny-llama"
STORE, DATA, MODEL = f"{USER}/align-studio-runs", f"{USER}/curated", f"{USER}/journey"
REVIEWED = 4
JOB_MS = 300_000  # the engine is built, models are loaded and scored on this machine
RISING = "#spend-status, #status-items"


@pytest.fixture(scope="module")
def app(
    app_server: Callable[..., App], _hub_running: HubDouble, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[App]:
    """A studio that nobody has used before, and a Hub with a dataset, a base model and TruthfulQA."""
    folder, hub = tmp_path_factory.mktemp("hub-journey"), _hub_running
    hub.add_repo("dataset", MIX, {"train.jsonl": pairs_like_the_mix(folder / "mix.jsonl")}, downloads=10_000)
    model = make_tiny_model(folder / "tiny")
    hub.add_repo("model", BASE, {file.name: file for file in model.iterdir()})
    add_truthfulqa(hub)
    fresh = app_server(environment=hub.environment() | {"HF_HUB_OFFLINE": "0", "HF_TOKEN": ""})
    yield fresh
    fresh.end()


def test_the_whole_journey_on_the_hub(app: App, hub: HubDouble, browser: Browser, page: Page) -> None:
    token = hub.add_user(USER)
    addresses: list[str] = []
    page.on("request", lambda request: addresses.append(request.url))
    steps.patient(page).goto(app.url)
    sign_in(page, token)
    load(page)
    review(browser, page)
    publish(page, hub)
    train(app, page, hub)
    evaluate(app, page, hub)
    see_no_token(app, page, hub, token, addresses)


def sign_in(page: Page, token: str) -> None:
    """Type the token once; the bar says who is here."""
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    page.locator("#status-account").click()
    page.locator("#account-token input").fill(token)
    page.locator("#account-sign-in").click()
    expect(page.locator("#account-status")).to_contain_text(f"Signed in as {USER}.")
    page.locator("#account-close").click()
    expect(page.locator("#status-bar")).to_contain_text("Nothing is billing")


def load(page: Page) -> None:
    """Load the default dataset from the Hub."""
    steps.choose_source(page, "Hugging Face Hub")
    expect(page.locator("#dataset-hub-id").get_by_role("textbox")).to_have_value(MIX)
    expect(page.locator("#dataset-hub-about")).to_contain_text(MIX)
    page.locator("#dataset-load").click()
    expect(page.locator("#dataset-facts")).to_contain_text(f"{PAIRS:,} of {PAIRS:,} rows", timeout=60_000)


def review(browser: Browser, page: Page) -> None:
    """Import, and let an annotator say of some pairs which answer is better."""
    steps.start_import(page)
    assert steps.ended(page, "import") == "Finished"
    password = steps.create_annotators(page, ["ida"])["ida"]
    link = page.locator("#review-link").get_by_role("textbox").input_value()
    with steps.window(browser) as other:
        steps.sign_in(other, link, "ida", password)
        for done in range(REVIEWED):
            steps.rate(other, lambda _: Judgement(5, "A"), done, keyboard=True)
    expect(page.locator("#review-card")).to_contain_text(f"{REVIEWED} of {PAIRS} pairs completed")


def publish(page: Page, hub: HubDouble) -> None:
    """Export and push to a private repository."""
    steps.export(page, test_share=0.2)
    page.locator("#publish-repository").get_by_role("textbox").fill(DATA)
    expect(page.locator("#publish-look")).to_be_enabled()
    page.locator("#publish-look").click()
    expect(page.locator("#publish-confirm")).to_contain_text("Private")
    page.locator("#publish-go").click()
    assert steps.ended(page, "publish") == "Finished"
    commit = hub.commits("dataset", DATA)[0].id
    expect(page.locator("#publish-where")).to_contain_text(commit[:12])
    assert hub.repo("dataset", DATA).private
    card = hub.files("dataset", DATA)["README.md"].decode()
    assert MIX in card and hub.commits("dataset", MIX)[0].id in card


def train(app: App, page: Page, hub: HubDouble) -> None:
    """Train on the preselected hardware; the bar tells what is billing, then that nothing is."""
    steps.open_train(page)
    steps.choose(page, "train-base-model", BASE)
    page.locator("#train-where").get_by_label("Hugging Face Job").check()
    expect(page.locator("#train-flavor input:checked")).to_have_value("l40sx1")
    steps.unfold(page, "Learning: rate, batches, passes")
    steps.set_number(page, "train-batch-size", 2)
    steps.set_number(page, "train-gradient-accumulation", 1)
    steps.set_number(page, "train-learning-rate", 0.01)
    steps.unfold(page, "Reports, checkpoints, seed")
    steps.set_number(page, "train-logging-steps", 1)
    page.get_by_label("none (32 bits)").check()
    page.locator("#train-project-name").get_by_role("textbox").fill("journey")
    start = page.locator("#train-start")
    expect(start).to_be_enabled()
    start.click()
    question = page.locator("#train-confirm")
    expect(question).to_contain_text("US$1.80 per hour")
    expect(question).to_contain_text(MODEL)
    steps.set_number(page, "train-budget", 1)  # what is paid for is what was shown, never something else
    page.locator("#train-pay").click()
    expect(page.locator("#train-pay")).to_have_text("Start and pay up to US$0.99")
    assert not [job for job in hub.jobs() if job.namespace == USER]
    page.locator("#train-pay").dblclick()  # one Job, as is seen below
    expect(page.locator("#train-card")).to_contain_text("Train journey")
    bar = page.locator("#status-bar")
    expect(bar).not_to_contain_text("Nothing is billing", timeout=steps.RUN_MS)
    expect(bar).to_contain_text("L40S")
    steps.open_tab(page, "Dataset")  # the bar is there whatever tab is shown
    expect(bar).to_contain_text("L40S")
    steps.open_tab(page, "Train")
    steps.until(lambda: steps.points(page), "the curve's first points", JOB_MS / 1000)
    assert steps.ended(page, "train", JOB_MS) == "Finished"
    (job,) = [job for job in hub.jobs() if job.labels.get("kind") == "train" and job.namespace == USER]
    assert (job.flavor, job.stage, job.secret_names) == ("l40sx1", "COMPLETED", ("HF_TOKEN",))
    files = hub.files("model", MODEL)
    assert {"config.json", "model.safetensors", "tokenizer.json", "README.md"} <= set(files)
    card = files["README.md"].decode()
    for said in (BASE, DATA, hub.commits("dataset", DATA)[0].id, "learning_rate", "loss"):
        assert said in card, card
    assert hub.repo("model", MODEL).private
    project = page.locator("#status-project input").input_value()
    assert (steps.latest(app, "train", project).result or {})["steps"] >= 10
    expect(bar).to_contain_text("Nothing is billing", timeout=steps.RUN_MS)


def evaluate(app: App, page: Page, hub: HubDouble) -> None:
    """Score both models in a Job; the page shows what the Job wrote into the private store."""
    page.locator("#train-evaluate").click()
    expect(page.locator("#evaluate-tuned input")).to_have_value(re.compile("journey"))
    expect(page.locator("#evaluate-base input")).to_have_value(re.compile(BASE))
    page.locator("#evaluate-where").get_by_label("Hugging Face Job").check()
    expect(page.locator("#evaluate-check")).to_contain_text("Costs at most")  # before, the start is of a run here
    start = page.locator("#evaluate-start")
    expect(start).to_be_enabled()
    start.click()
    page.locator("#evaluate-pay").click()
    assert steps.ended(page, "evaluate", JOB_MS) == "Finished"
    steps.see_scores(page, scores_in_the_store(hub))
    expect(page.locator("#status-bar")).to_contain_text("Nothing is billing", timeout=steps.RUN_MS)


def scores_in_the_store(hub: HubDouble) -> dict[tuple[str, str], float]:
    """Return the scores in lighteval's own result files in the run store, by role and metric."""
    assert hub.repo("dataset", STORE).private
    found: dict[tuple[str, str], float] = {}
    for path, content in hub.files("dataset", STORE).items():
        match = re.search(r"/output/(base|tuned)/.*results_[^/]*\.json$", path)
        if match:
            for task, metrics in json.loads(content)["results"].items():
                found |= {(match[1], name): value for name, value in metrics.items() if task != "all"}
    return found


def see_no_token(app: App, page: Page, hub: HubDouble, token: str, addresses: list[str]) -> None:
    """Look for the token wherever it could have been left."""
    needle = token.encode()
    folders = [app.home, app.temporary, Path(app.environment["HF_HOME"]), ROOT / "test-results"]
    read = 0
    for folder in folders:
        for file in folder.rglob("*"):
            if file.is_file() and not file.is_symlink():
                assert needle not in file.read_bytes(), file
                read += 1
    assert read > 50
    for log in app.home.parent.glob("*.log"):
        assert needle not in log.read_bytes(), log
    for kind, name in hub.repositories.all:
        for path, content in hub.files(kind, name).items():
            assert needle not in content, (kind, name, path)
    for job in hub.jobs():
        assert token not in json.dumps([job.command, job.environment, job.labels, [line for _, line in job.lines]])
    assert not [request.path for request in hub.requests if token in request.path]
    assert not [address for address in addresses if token in address]
    assert token not in page.content()
    assert token not in subprocess.run(["ps", "-ww", "axo", "args"], capture_output=True, text=True, check=True).stdout
    for tab in ("Dataset", "Filter", "Export", "Train", "Evaluate"):
        steps.open_tab(page, tab)
        assert token not in page.content()

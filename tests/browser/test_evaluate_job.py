"""Evaluation on a Hugging Face Job in a browser: models found by typing, one question before it costs, scores, card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from pipeline.base.project import Project, Record
from pipeline.export import exported
from pipeline.export.exported import Published
from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.test_train_tab import make_project, open_tab
from tests.doubles.hub import HubDouble
from tests.integration.hub.test_evaluate_job import add_truthfulqa, files
from tests.tiny_model import make_tiny_model

USER = "evelyn"
JOB_MS = 420_000  # the Job builds its engine on this machine, which does other things too


@pytest.fixture
def on_the_hub(hub: HubDouble, app_server: Callable[..., App], tmp_path: Path) -> tuple[App, Project]:
    """A studio whose user has a base model, a private trained one in two revisions, and a published export."""
    token = hub.add_user(USER)
    base = make_tiny_model(tmp_path / "base", chat_template=False)
    hub.add_repo("model", f"{USER}/small-base", files(base), downloads=12)
    tuned = f"{USER}/small-tuned"
    hub.add_repo("model", tuned, files(make_tiny_model(tmp_path / "tuned", seed=1)), private=True)
    hub.add_branch("model", tuned, "v1")
    hub.add_commit("model", tuned, files(make_tiny_model(tmp_path / "later", seed=2)), "Train longer")
    hub.add_repo("model", "somebody/small-secret", files(base), gated="manual")
    add_truthfulqa(hub)
    app = app_server(environment=hub.environment() | {"HF_TOKEN": token, "HF_HUB_OFFLINE": "0"})
    project = make_project(app.home, "judged", tmp_path, pairs=64)
    folder = project.exports / "pairs"
    content = {str(file.relative_to(folder)): file for file in folder.rglob("*") if file.is_file()}
    hub.add_repo("dataset", f"{USER}/pairs", content, private=True)
    commit = hub.commits("dataset", f"{USER}/pairs")[0].id
    exported.remember(project, "pairs", Published(f"{USER}/pairs", commit, "", True, "2026-11-22T00:00:00+00:00", USER))

    def change(record: Record) -> None:
        record.base_model = f"{USER}/small-base"

    project.update(change)
    return app, project


@pytest.mark.matrix
def test_models_of_the_hub_are_scored_on_a_job_and_written_to_the_card(
    page: Page, hub: HubDouble, on_the_hub: tuple[App, Project]
) -> None:
    app, project = on_the_hub
    steps.patient(page)
    open_tab(page, app, project, "Evaluate")
    expect(page.locator("#evaluate-dataset input")).to_have_value("pairs")
    check, start = page.locator("#evaluate-check"), page.locator("#evaluate-start")

    tuned = page.locator("#evaluate-tuned input")
    tuned.click()
    tuned.press_sequentially("small-tun", delay=30)
    found = page.get_by_role("option", name=f"{USER}/small-tuned")
    expect(found).to_contain_text("private")
    found.click()
    expect(check).not_to_contain_text("No trained model is chosen.")
    steps.choose(page, "evaluate-tuned", "somebody/small-secret")
    expect(check).to_contain_text("is given only to those who accepted its terms")
    expect(start).to_be_disabled()
    steps.choose(page, "evaluate-tuned", f"{USER}/small-tuned@v1")
    steps.unfold(page, "More models or revisions")
    steps.choose(page, "evaluate-further", f"{USER}/small-tuned@main")
    steps.unfold(page, "Samples, batches, number format")
    steps.set_number(page, "evaluate-max-samples", 4)

    page.get_by_label("Hugging Face Job").check()
    expect(check).to_contain_text("Costs at most")
    expect(page.locator("#evaluate-prices")).to_contain_text("as the Hub tells them now")
    expect(start).to_be_enabled()
    start.click()
    question = page.locator("#evaluate-confirm-facts")
    expect(question).to_contain_text("US$1.80 per hour")
    expect(question).to_contain_text(f"{USER}/align-studio-runs")
    assert all(job.namespace != USER for job in hub.jobs())
    page.locator("#evaluate-back").click()
    expect(question).to_be_hidden()
    start.click()
    page.locator("#evaluate-pay").dblclick()

    assert steps.ended(page, "evaluate", JOB_MS) == "Finished"
    assert len([job for job in hub.jobs() if job.namespace == USER]) == 1
    table = page.locator("#evaluate-table tbody")
    expect(table.locator("tr")).to_have_count(15)  # five measures of three models
    expect(table).to_contain_text(f"base: {USER}/small-base")
    expect(table).to_contain_text(f"{USER}/small-tuned@main")
    expect(table).to_contain_text("4 of 16")
    link = page.locator("#evaluate-files").get_attribute("href")
    assert link is not None and link.startswith(f"{hub.url}/datasets/{USER}/align-studio-runs/")
    expect(page.locator("#evaluate-history")).to_contain_text("and 1 more")

    before = hub.commits("model", f"{USER}/small-tuned")
    steps.unfold(page, "Write the scores to the model's card")
    page.locator("#evaluate-card-ask").click()
    shown = page.locator("#evaluate-card-shown")
    expect(shown).to_contain_text("preference accuracy, per token (4 of 16 samples)")
    assert hub.commits("model", f"{USER}/small-tuned") == before
    page.locator("#evaluate-card-write").click()
    expect(page.locator("#evaluate-card-written")).to_contain_text("The scores are on the card")
    assert hub.commits("model", f"{USER}/small-tuned")[1:] == before
    card = hub.files("model", f"{USER}/small-tuned")["README.md"].decode()
    assert "model-index:" in card and "## Evaluation" in card

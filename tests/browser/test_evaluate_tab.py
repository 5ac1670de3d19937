"""The Evaluate tab in a browser: recorded results of two models, both answering a prompt."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.test_train_tab import OPEN_MS, RUN_MS, make_project, open_tab
from tests.tiny_model import make_tiny_model


def choose_model(page: Page, path: Path) -> None:
    """Type the folder of the trained model."""
    expect(page.locator("#evaluate-dataset input")).to_have_value("pairs", timeout=OPEN_MS)  # the project is open
    field = page.locator("#evaluate-tuned input")
    field.fill(str(path))
    field.press("Enter")


def test_two_models_are_scored_and_asked(page: Page, studio: App, tmp_path: Path) -> None:
    project = make_project(studio.home, "scored", tmp_path, pairs=64)
    open_tab(page, studio, project, "Evaluate")
    choose_model(page, make_tiny_model(tmp_path / "tiny-tuned", seed=1))
    page.get_by_label("Small bundled sample").check()
    steps.unfold(page, "Samples, batches, number format")
    steps.set_number(page, "evaluate-max-samples", 12)
    expect(page.locator("#evaluate-check")).to_contain_text("12 questions, by each model")
    page.locator("#evaluate-start:not([disabled])").click()
    expect(page.locator("#evaluate-card")).to_contain_text("Evaluate tiny-tuned")
    expect(page.locator("#evaluate-card .state")).to_have_text("Finished", timeout=RUN_MS)

    table = page.locator("#evaluate-table tbody")
    expect(table.locator("tr")).to_have_count(5)  # three measures of the pairs, two of the questions
    expect(table).to_contain_text("Small bundled sample (not TruthfulQA)")
    expect(table).to_contain_text("12 of 14")
    expect(table).to_contain_text("±")
    expect(page.locator("#evaluate-banner")).to_contain_text("Partial: 12 of 14 samples of Reviewed pairs were scored.")
    expect(page.locator("#evaluate-counts")).to_contain_text("Ties: 0 (base), 0 (trained)")
    expect(page.locator("#evaluate-plot svg, #evaluate-plot canvas").first).to_be_visible()
    page.get_by_text("Equivalent command line").click()
    expect(page.locator("#evaluate-commands")).to_contain_text("lighteval accelerate")
    expect(page.locator("#evaluate-history")).to_contain_text("Finished")

    hostile = "<img src=x onerror=alert(1)> Why is the river cold?"
    page.locator("#answer-prompt textarea").fill(hostile)
    steps.unfold(page, "Length and randomness")
    steps.set_number(page, "answer-max-new-tokens", 8)
    page.locator("#answer-ask").click()
    expect(page.locator("#answer-card .state")).to_have_text("Finished", timeout=RUN_MS)
    expect(page.locator("#answer-asked textarea")).to_have_value(hostile)
    for role, name in (("base", "Base model: tiny-base (8 tokens"), ("tuned", "Trained model: tiny-tuned (8 tokens")):
        expect(page.locator(f"#answer-{role}")).to_contain_text(name)
        expect(page.locator(f"#answer-{role} textarea")).not_to_have_value("…")
    expect(page.locator("#answer-run img[src=x]")).to_have_count(0)

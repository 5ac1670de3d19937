"""The Export tab in a browser: counts before anything is written, and the files afterwards."""

from __future__ import annotations

import json
from pathlib import Path

from playwright.sync_api import Page, expect

from pipeline.base.project import Project
from tests.browser.conftest import App
from tests.browser.steps import cells, ended, open_tab, set_number, unfold
from tests.browser.test_filter_tab import OPEN_MS, make_project


def open_export(page: Page, app: App, project: Project) -> None:
    """Open the tab on a project and wait for its counts."""
    page.set_default_timeout(OPEN_MS)
    page.goto(f"{app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    open_tab(page, "Export")
    expect(page.locator("#export-plan")).to_contain_text("Kept by the filter", timeout=OPEN_MS)


def rows(file: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_what_the_counts_promise_is_written(page: Page, studio: App) -> None:
    project = make_project(studio, "written")
    open_export(page, studio, project)
    expect(page.locator("#export-incoming")).to_contain_text("keeps 18 of 20 pairs; 8 of them are reviewed")
    plan = page.locator("#export-plan")
    expect(plan).to_contain_text("15 pairs")  # 18 without two undecided ones and a tie
    page.locator("#export-undecided").get_by_label("Export as they are").check()
    expect(plan).to_contain_text("17 pairs")
    unfold(page, "Split into training and test pairs")
    set_number(page, "export-test-share", 0.9)
    expect(plan).to_contain_text("must be at most 0.5")
    expect(page.locator("#export-start")).to_be_disabled()
    set_number(page, "export-test-share", 0.2)
    expect(plan).to_contain_text("For the test3 (17.6%)")

    page.locator("#export-start").click()
    assert ended(page, "export") == "Finished"
    expect(page.locator("#export-result")).to_contain_text("written-v1")
    expect(page.locator("#export-name").get_by_role("textbox")).to_have_value("written-v2")
    folder = project.exports / "written-v1"
    expect(page.locator("#export-facts")).to_contain_text(str(folder.resolve()))
    files = {row[0]: row[2] for row in cells(page.locator("#export-files"))}
    assert (files["train.jsonl"], files["data/test-00000-of-00001.parquet"]) == ("14", "3")
    written = rows(folder / "train.jsonl") + rows(folder / "test.jsonl")
    assert len(written) == 17
    assert sum(bool(row["swapped"]) for row in written) == 1
    unfold(page, "Dataset card")
    expect(page.locator("#export-card-text textarea")).to_have_value((folder / "README.md").read_text())

    page.locator("#export-name").get_by_role("textbox").fill("written-v1")
    expect(plan).to_contain_text("already")
    expect(page.locator("#export-start")).to_be_disabled()
    page.locator("#export-train").click()
    expect(page.get_by_role("tab", name="Train")).to_have_attribute("aria-selected", "true")

    open_export(page, studio, project)  # opened afresh, the last export is still there
    expect(page.locator("#export-result")).to_contain_text("written-v1")
    assert cells(page.locator("#export-history"))[0][2:] == ["17", "14", "3", "1"]

"""The Train tab in a browser: a changed field, a recorded run, its curves and its model."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from pipeline.base.home import open_home
from pipeline.base.project import Project
from pipeline.runs.spec import spec_of
from tests import projects
from tests.browser import steps
from tests.browser.conftest import App

OPEN_MS = 60_000  # a page opens on a machine that does other things too
RUN_MS = 60_000  # a recorded run, on a machine that does other things too


def make_project(home: Path, name: str, folder: Path, *, pairs: int = 0) -> Project:
    """Make a project whose base model is a tiny one; see `tests.projects`."""
    return projects.make_project(open_home(home), name, folder, pairs=pairs)


def open_tab(page: Page, studio: App, project: Project, tab: str) -> None:
    """Open a project's tab, by its name, and wait until it shows the project."""
    page.goto(f"{studio.url}/?project={project.name}")
    page.get_by_role("tab", name=tab).click()
    expect(page.locator("#status-project input")).to_have_value(project.name, timeout=OPEN_MS)


def set_number(page: Page, name: str, value: str) -> None:
    """Type a number into a field of the Train tab."""
    page.locator(f"#train-{name} input").fill(value)


def test_a_changed_field_is_checked_and_what_stops_a_run_disables_the_start(
    page: Page, studio: App, tmp_path: Path
) -> None:
    open_tab(page, studio, make_project(studio.home, "checked", tmp_path, pairs=64), "Train")
    check, start = page.locator("#train-check"), page.locator("#train-start")
    expect(page.locator("#train-base-model input")).to_have_value(str(tmp_path / "tiny-base"))
    expect(check).to_contain_text("3; pairs per step: 16")
    expect(start).to_be_enabled()
    steps.unfold(page, "Learning: rate, batches, passes")
    set_number(page, "batch-size", "7")
    expect(check).to_contain_text(
        "2; pairs per step: 28; passes over the data: 1; the last step of each pass: 20 pairs"
    )
    steps.unfold(page, "Lengths")
    set_number(page, "block-size", "4096")
    expect(check).to_contain_text("beyond what the base model reads")
    expect(start).to_be_disabled()
    steps.unfold(page, "Adapter (LoRA)")
    page.locator("#train-lora input").uncheck()
    expect(page.locator("#train-lora-r input")).to_be_disabled()


def test_a_training_shows_curves_and_leaves_a_model(page: Page, studio: App, tmp_path: Path) -> None:
    project = make_project(studio.home, "trained", tmp_path, pairs=64)
    open_tab(page, studio, project, "Train")
    expect(page.locator("#train-base-model input")).to_have_value(str(tmp_path / "tiny-base"))
    page.locator("#train-start:not([disabled])").click()
    expect(page.locator("#train-card")).to_contain_text("Train my-autotrain-llm")
    expect(page.locator("#train-project-name").locator("input, textarea")).to_have_value("my-autotrain-llm-2")
    expect(page.locator("#train-start")).to_contain_text("Queue this training")
    expect(page.locator("#train-card .state")).to_have_text("Finished", timeout=RUN_MS)

    for curve in ("loss", "ratio", "accuracy", "margin"):
        expect(page.locator(f"#train-curve-{curve}[data-points] canvas")).to_be_visible()
    model = project.models / "my-autotrain-llm"
    expect(page.locator("#train-facts")).to_contain_text(str(model))
    assert (model / "model.safetensors").is_file()
    expect(page.locator("#train-history")).to_contain_text("Finished")

    page.reload()  # what was shown is on disk, not in the page
    page.get_by_role("tab", name="Train").click()
    expect(page.locator("#train-card .state")).to_have_text("Finished")
    page.locator("#train-evaluate").click()
    expect(page.get_by_role("tab", name="Evaluate")).to_have_attribute("aria-selected", "true")
    expect(page.locator("#evaluate-tuned input")).to_have_value("my-autotrain-llm (trained on pairs)")
    expect(page.locator("#evaluate-base input")).to_have_value(str(tmp_path / "tiny-base"))


def test_what_the_doctor_finds_is_decided_before_the_start(page: Page, studio: App, tmp_path: Path) -> None:
    open_tab(page, studio, projects.defective(open_home(studio.home), tmp_path), "Train")
    doctor, equal = page.locator("#train-doctor"), page.locator("#train-doctor-equal-once-cut")
    expect(doctor).to_contain_text("48 pairs examined", timeout=OPEN_MS)
    expect(equal).to_contain_text("6 of 48 pairs")
    markup = page.locator("#train-doctor-markup")
    markup.locator("summary").click()
    expect(markup).to_contain_text("<img src=x onerror=alert(1)>")
    page.locator("#train-doctor-equal-once-cut-choice").get_by_text("Leave").first.click()
    expect(page.locator("#train-check")).to_contain_text("42")
    page.locator("#train-start:not([disabled])").click()
    expect(page.locator("#train-card .state")).to_have_text("Finished", timeout=RUN_MS)
    spec = spec_of(steps.latest(studio, "train", "defective"))
    assert len(spec["doctor"]["left_out"]["equal_once_cut"]) == 6  # named one by one, none of them trained on

"""The Train tab in a browser: what it says before a run, a run of a tiny model, its curves and its model."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from pipeline.base.home import open_home
from pipeline.base.project import Project, Record
from pipeline.dataset import reading
from pipeline.dataset.project import pairs_of, start_project
from pipeline.export import options as export_options
from pipeline.export import writing
from tests.browser import steps
from tests.browser.conftest import App
from tests.tiny_model import make_tiny_model, write_train_jsonl

OPEN_MS = 60_000  # a page opens while its studio still starts the embedded Argilla beside it
RUN_MS = 300_000  # a run waits for its turn, imports torch, and may have to build its engine first


def make_project(home: Path, name: str, folder: Path, *, pairs: int = 0) -> Project:
    """Make a project whose base model is a tiny one.

    Args:
        home: The studio's home.
        name: Its name.
        folder: Where the model and the source file go.
        pairs: Pairs of its export “pairs”, a quarter of them in the test split; 0 for no export.
    """
    loaded = reading.load_file(write_train_jsonl(folder, max(pairs, 8)))
    project = start_project(open_home(home), loaded, "file", f"{name}.jsonl")
    base = make_tiny_model(folder / "tiny-base")

    def change(record: Record) -> None:
        record.base_model = str(base)

    project.update(change)
    if pairs:
        provenance = export_options.Provenance(
            dataset=name,
            kind="file",
            recipe={},
            settle_policy={},
            annotators=0,
            created="2026-11-22T00:00:00+00:00",
            studio_version="test",
        )
        options = export_options.ExportOptions(name="pairs", test_share=0.25)
        project.exports.mkdir(exist_ok=True)
        writing.write(pairs_of(project), {}, options, project.exports / "pairs", provenance)
    return project


def open_tab(page: Page, studio: App, project: Project, tab: str) -> None:
    """Open a project's tab, by its name, and wait until it shows the project."""
    page.goto(f"{studio.url}/?project={project.name}")
    page.get_by_role("tab", name=tab).click()
    expect(page.locator("#status-project input")).to_have_value(project.name, timeout=OPEN_MS)


def set_number(page: Page, name: str, value: str) -> None:
    """Type a number into a field of the Train tab."""
    page.locator(f"#train-{name} input").fill(value)


def test_without_an_export_the_tab_says_where_to_go(page: Page, studio: App, tmp_path: Path) -> None:
    open_tab(page, studio, make_project(studio.home, "bare", tmp_path), "Train")
    expect(page.locator("#train-empty")).to_contain_text("Nothing to train on yet")
    expect(page.locator("#train-start")).to_be_hidden()
    page.locator("#train-go").click()
    expect(page.get_by_role("tab", name="Export")).to_have_attribute("aria-selected", "true")


def test_the_check_follows_the_form(page: Page, studio: App, tmp_path: Path) -> None:
    project = make_project(studio.home, "checked", tmp_path, pairs=64)
    open_tab(page, studio, project, "Train")
    check, start = page.locator("#train-check"), page.locator("#train-start")
    expect(page.locator("#train-base-model input")).to_have_value(str(tmp_path / "tiny-base"))
    expect(check).to_contain_text("48")  # three quarters of 64
    expect(check).to_contain_text("3; pairs per step: 16")
    expect(start).to_be_enabled()

    steps.unfold(page, "Learning: rate, batches, passes")
    set_number(page, "batch-size", "0")
    expect(check).to_contain_text("“Batch size” must be at least 1; it is 0.")
    expect(start).to_be_disabled()
    set_number(page, "batch-size", "50")
    expect(check).to_contain_text("48 pairs are too few for one training step")
    expect(start).to_be_disabled()
    set_number(page, "batch-size", "8")
    expect(check).to_contain_text("1; pairs per step: 32")
    expect(check).to_contain_text("16 pairs of each pass fill no whole step")
    expect(start).to_be_enabled()

    steps.unfold(page, "Adapter (LoRA)")
    expect(page.locator("#train-lora-r input")).to_be_enabled()
    page.locator("#train-lora input").uncheck()
    expect(page.locator("#train-lora-r input")).to_be_disabled()


def test_a_training_shows_curves_and_leaves_a_model(page: Page, studio: App, tmp_path: Path) -> None:
    project = make_project(studio.home, "trained", tmp_path, pairs=64)
    open_tab(page, studio, project, "Train")
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

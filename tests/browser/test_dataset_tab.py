"""The Dataset tab as a person uses it: load, look, turn pages. The journey imports and lets annotators in."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import App

HOSTILE = "<script>window.hacked = 1</script><img src=x onerror='window.hacked = 1'> **bold** [a](javascript:alert(1))"
LOAD_MS = 60_000  # a load is a run: a process of its own


def rows(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Question {n}?", "chosen": f"Good answer {n}.", "rejected": f"Bad answer {n}.", "source": "web"}
        for n in range(count)
    ]


def write_jsonl(path: Path, lines: list[object]) -> Path:
    path.write_text("".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines))
    return path


def open_form(page: Page, url: str, kind: str) -> None:
    """Open the page, unfold the form where a project is shown, and choose a kind of source."""
    page.goto(url)
    load, upload = page.locator("#dataset-load"), page.locator("#dataset-file")
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    if page.locator("#status-project input").input_value():
        expect(page.locator("#dataset-preview")).to_be_visible()
        page.get_by_role("button", name="Load another dataset").click()
    expect(load.or_(upload).first).to_be_visible()
    page.get_by_label(kind, exact=True).check()


def load_path(page: Page, url: str, path: Path) -> None:
    open_form(page, url, "File on this machine")
    page.locator("#dataset-path textarea, #dataset-path input").fill(str(path))
    page.locator("#dataset-load").click()


def project_shown(page: Page) -> str:
    return page.locator("#status-project input").input_value()


def cell(page: Page, table: str, row: int, column: int) -> Locator:
    return page.locator(f"#{table} [data-testid=cell-{row}-{column}]")


def test_the_sample_is_loaded_and_read(page: Page, studio_url: str) -> None:
    open_form(page, studio_url, "Bundled sample")
    page.locator("#dataset-load").click()
    expect(page.locator("#dataset-facts")).to_contain_text("words (estimate): Prompt")
    expect(page.locator("#dataset-import")).to_be_enabled()

    expect(page.locator("#dataset-pager")).to_contain_text("1 to 10 of")
    page.locator("#dataset-after").click()
    expect(page.locator("#dataset-pager")).to_contain_text("11 to 20 of")
    expect(page.locator("#dataset-pair-head")).to_contain_text("Pair 11")
    prompt = cell(page, "dataset-table", 2, 2).inner_text().strip().rstrip("…")
    cell(page, "dataset-table", 2, 2).click()
    expect(page.locator("#dataset-pair-head")).to_contain_text("Pair 13")
    expect(page.locator("#dataset-pair-prompt")).to_contain_text(prompt)
    expect(page.locator("#dataset-pair-chosen label")).to_contain_text(re.compile(r"Chosen · \d+ words"))

    cells = page.locator("#dataset-table [role=gridcell]")
    head = page.locator("#dataset-table th").filter(has_text="#").first
    head.hover()
    head.get_by_label("Open cell menu").click()
    page.get_by_role("menuitem", name="Sort descending").click()
    expect(cells.first).to_have_text("20")
    cells.nth(6).click()  # the first cell of the second row
    expect(page.locator("#dataset-pair-head")).to_contain_text("Pair 19")

    shown = project_shown(page)
    page.goto(f"{studio_url}?project={shown}")
    expect(page.locator("#dataset-facts")).to_contain_text("Bundled sample")


def test_an_upload_shows_hostile_text_as_text(page: Page, studio: App, studio_url: str, tmp_path: Path) -> None:
    lines: list[object] = [
        *rows(2),
        "this is no JSON\n",
        {"prompt": "Same?", "chosen": "same", "rejected": "same"},
        {
            "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": HOSTILE}],
            "chosen": f"{HOSTILE}\n    indented",
            "rejected": "No.",
            "note": f"see {HOSTILE}",
        },
    ]
    file = write_jsonl(tmp_path / "hostile pairs.jsonl", lines)
    open_form(page, studio_url, "Upload a file")
    expect(page.locator("#dataset-load")).to_be_hidden()
    page.locator("#dataset-file input[type=file]").set_input_files(file)
    expect(page.locator("#dataset-facts")).to_contain_text("3 of 5 rows", timeout=LOAD_MS)
    expect(page.locator("#dataset-pair-prompt")).to_contain_text("Question 0?")  # the first pair is shown last
    cell(page, "dataset-table", 2, 2).click()
    chosen = page.locator("#dataset-pair-chosen .md")
    expect(chosen).to_have_text(f"{HOSTILE}\n    indented", use_inner_text=True)
    expect(page.locator("#dataset-pair-prompt")).to_contain_text(HOSTILE)
    expect(page.locator("#dataset-pair-prompt")).to_contain_text("Be brief.")
    expect(page.locator("#dataset-pair-head")).to_contain_text("**bold**")
    assert page.evaluate("window.hacked") is None
    assert page.locator("#dataset-preview img[src=x], #dataset-preview a[href^=javascript]").count() == 0
    left = [path for folder in (studio.temporary, studio.home / "uploads") for path in folder.rglob("*.jsonl")]
    assert left == []


def test_columns_are_put_together_by_hand(page: Page, studio_url: str, tmp_path: Path) -> None:
    lines: list[object] = [
        {
            "story": f"A snail, {n}.",
            "ask": f"Why {n}?",
            "role_play": "Be a cook.",
            "good": "So.",
            "bad": "No.",
            "by": "Ada",
        }
        for n in range(3)
    ]
    load_path(page, studio_url, write_jsonl(tmp_path / "odd.jsonl", lines))
    expect(page.locator("#dataset-columns-why")).to_contain_text("None of them is known", timeout=LOAD_MS)
    for name, columns in {
        "prompt": ["story", "ask"],
        "chosen": ["good"],
        "rejected": ["bad"],
        "system": ["role_play"],
    }.items():
        for column in columns:
            page.locator(f"#dataset-column-{name} input").click()
            option = page.get_by_role("option", name=column, exact=True)
            expect(option).to_have_count(1)  # the list of the picker before fades away
            option.click()
    page.keyboard.press("Escape")
    page.locator("#dataset-columns-use").click()
    expect(page.locator("#dataset-facts")).to_contain_text("story + ask", timeout=LOAD_MS)
    expect(page.locator("#dataset-facts")).to_contain_text("role_play")
    expect(page.locator("#dataset-facts")).to_contain_text("Text left unused")
    cell(page, "dataset-table", 0, 2).click()
    expect(page.locator("#dataset-pair-prompt")).to_contain_text("Be a cook.")
    expect(page.locator("#dataset-pair-prompt")).to_contain_text("A snail, 0.")


@pytest.mark.parametrize(("width", "language"), [(390, "en-US"), (390, "zh-CN"), (1280, "zh-CN")])
def test_nothing_is_wider_than_the_window(page: Page, studio_url: str, width: int, language: str) -> None:
    browser = page.context.browser
    assert browser is not None
    context = browser.new_context(viewport={"width": width, "height": 844}, locale=language)
    window = context.new_page()
    window.goto(studio_url)
    expect(window.locator("#status-items")).to_contain_text("Argilla")
    if not window.locator("#status-project input").input_value():
        window.locator("#dataset-load").click()
    expect(window.locator("#dataset-facts dl")).to_be_visible()
    assert window.evaluate("document.documentElement.scrollWidth") <= width
    assert "__i18n__" not in window.locator("body").inner_text()
    heading = "偏好对" if language == "zh-CN" else "Pairs"
    expect(window.get_by_role("heading", name=heading, exact=True)).to_be_visible()
    context.close()

"""A dataset from the Hub on the Dataset tab in a browser: searched for while typing, loaded, stopped."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests import mix
from tests.browser.conftest import App
from tests.browser.steps import patient, unfold
from tests.doubles.hub import HubDouble

WORD = "quincunx"  # in the names of this file's datasets and of no others
MIX = f"maker/{WORD}-pairs"
CARD = f"""---
tags: [dpo]
dataset_info:
  splits:
  - {{name: train, num_bytes: 1, num_examples: {400}}}
---
"""


def lines(count: int) -> bytes:
    rows = ({"prompt": f"q{n}", "chosen": f"a{n}", "rejected": f"b{n}"} for n in range(count))
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


@pytest.fixture(scope="module")
def stocked(hub_double: HubDouble, tmp_path_factory: pytest.TempPathFactory) -> HubDouble:
    hub = hub_double
    if not hub.has_repo("dataset", MIX):
        file = mix.write(tmp_path_factory.mktemp("mix") / "train.parquet", 400)
        hub.add_repo("dataset", MIX, {"README.md": CARD.encode(), "train.parquet": file}, downloads=12_000, likes=290)
        hub.add_repo("dataset", f"maker/{WORD}-web", {"train.jsonl": lines(3)}, downloads=900_000)
        hub.add_repo("dataset", f"maker/{WORD}-gated", {"train.jsonl": lines(3)}, gated=True)
        hub.add_repo("dataset", f"maker/{WORD}-several", {"train.jsonl": lines(30)})
    return hub


@pytest.fixture
def form(page: Page, hub_app: App, stocked: HubDouble, hub: HubDouble) -> Iterator[Page]:
    """The page with the Hub chosen as the source."""
    patient(page).goto(hub_app.url)
    if any((hub_app.home / "projects").iterdir()):  # then the latest is shown, and the form is folded away
        expect(page.locator("#dataset-facts")).to_be_visible(timeout=60_000)
        unfold(page, "Load another dataset")
    page.get_by_label("Hugging Face Hub", exact=True).check()
    expect(box(page)).to_be_visible()
    yield page


def box(page: Page) -> Locator:
    return page.locator("#dataset-hub-id input, #dataset-hub-id textarea")


def test_search_choose_and_load(form: Page, hub: HubDouble) -> None:
    asked = len(hub.requests)
    box(form).fill("")
    box(form).press_sequentially(WORD, delay=40)
    hits = form.locator("#dataset-hub-hits label")
    expect(hits).to_have_count(4)
    expect(hits.nth(0)).to_contain_text(f"{MIX} · preferences · downloads 12,000, likes 290")
    expect(hits.nth(1)).to_contain_text("-web")
    searches = [each for each in hub.requests[asked:] if f"search={WORD[:1]}" in each.query]
    assert len(searches) == 1, "one search for a word, not one for every letter"
    hits.nth(0).click()
    expect(form.locator("#dataset-hub-about")).to_contain_text("train: 400 rows")
    expect(form.locator("#dataset-hub-hits")).to_be_hidden()
    expect(form.locator("#dataset-hub-about a")).to_have_attribute("href", f"{hub.url}/datasets/{MIX}")
    expect(form.locator("#dataset-config input")).to_have_value("default")
    expect(form.locator("#dataset-revision input")).to_have_value("main")
    form.locator("#dataset-limit input").fill("250")
    form.locator("#dataset-load").click()
    facts = form.locator("#dataset-facts")
    expect(facts).to_contain_text("250 of 250 rows", timeout=60_000)
    commit = hub.commits("dataset", MIX)[0].id[:12]
    expect(facts).to_contain_text(f"configuration default · split train · commit {commit} · the first 250 rows")
    expect(form.locator("#load-run")).to_be_hidden()


@pytest.mark.matrix
def test_a_load_shows_its_progress_and_is_stopped(form: Page, hub: HubDouble, hub_app: App) -> None:
    box(form).fill(MIX)
    expect(form.locator("#dataset-hub-about")).to_contain_text("train: 400 rows")
    slow = hub.fault("GET", r"train\.parquet|cdn", delay=20, times=None)
    projects = sorted(path.name for path in Path(hub_app.home / "projects").iterdir())
    form.locator("#dataset-load").click()
    expect(form.locator("#load-card")).to_contain_text("0 / 400 rows", timeout=60_000)
    expect(form.locator("#dataset-load")).to_be_disabled()
    hub.until(lambda: slow.hits)
    form.locator("#load-stop").click()  # once, though the Hub does not answer
    expect(form.locator("#load-card")).to_contain_text("Stopped", timeout=15_000)
    expect(form.locator("#dataset-load")).to_be_enabled()
    hub.calm()
    assert sorted(path.name for path in Path(hub_app.home / "projects").iterdir()) == projects

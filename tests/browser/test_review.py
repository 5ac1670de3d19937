"""Two annotators who cannot know which answer is the chosen one; a dispute is settled; the export is what they meant."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import steps
from tests.browser.conftest import App
from tests.browser.steps import Judgement
from tests.doubles import recorded

# By pair: what ada and grace mean. Alpha by Krippendorff's formula, worked out on paper from these:
# preference: coincidences cc 4, rr 2, cr and rc 1 each, tt 2; n_c 5, n_r 3, n_t 2, n 10
#   1 - 9 * 1 / (5*3 + 5*2 + 3*2) = 1 - 9/31 = 0.710
MEANT = [("chosen", "chosen"), ("rejected", "rejected"), ("tie", "tie"), ("chosen", "rejected"), ("chosen", "chosen")]
ALPHA = "0.710"
DISPUTED = 3  # the owner says: rejected
NAMES = ("ada", "grace")
LONG = "one two three four five six seven eight nine ten"  # the default rules keep no short answers


def good(number: int) -> str:
    return f"Good answer of pair {number} <b>x</b> $& {LONG}"


def bad(number: int) -> str:
    return f"Poor answer of pair {number}, alas {LONG}"


@pytest.fixture(scope="module")
def app(app_server: Callable[..., App]) -> Iterator[App]:
    """A studio with an Argilla of its own, where both answers stand side by side."""
    fresh = app_server(environment=recorded.environment())
    yield fresh
    fresh.end()


def answer(page: Page, link: str, name: str, password: str, meant: list[tuple[int, str]]) -> None:
    """Let somebody answer what waits for them."""
    steps.sign_in(page, link, name, password)

    def judge(text: str) -> Judgement:
        number = next(each for each, _ in meant if f"Question {each}?" in text)
        return Judgement(4, steps.place_of(text, good(number), bad(number), dict(meant)[number]))

    for done in range(len(meant)):
        steps.rate(page, judge, done, keyboard=False)


def test_the_export_is_what_they_meant(
    app: App, browser: Browser, page: Page, tmp_path: Path, pictures: Path | None
) -> None:
    rows = [{"prompt": f"Question {n}?", "chosen": good(n), "rejected": bad(n)} for n in range(len(MEANT))]
    file = tmp_path / "drawn.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    steps.patient(page).goto(app.url)
    steps.upload(page, file, len(rows))
    steps.set_number(page, "review-min-submitted", 2)
    steps.start_import(page)
    assert steps.ended(page, "import") == "Finished"
    passwords = steps.create_annotators(page, list(NAMES))
    link = page.locator("#review-link").get_by_role("textbox").input_value()
    see_letter(page, link, NAMES[0], passwords[NAMES[0]], pictures)
    for place, name in enumerate(NAMES):
        with steps.window(browser) as window:
            answer(window, link, name, passwords[name], [(n, meant[place]) for n, meant in enumerate(MEANT)])
            if pictures:
                window.goto(f"{link}?page=1&status=submitted")
                steps.record_text(window)
                window.screenshot(path=pictures / "review-beside.png")
    steps.unfold(page, "Your own sign-in")
    page.locator("#review-reveal").click()
    login = page.locator("#review-login").get_by_role("textbox")
    expect(login).to_have_value(re.compile("argilla\n.+"))
    owner, secret = login.input_value().split("\n")
    see_alpha(page, pictures)
    settle(page, browser, owner, secret)
    name = steps.export(page, test_share=0)
    folder = app.home / "projects" / "drawn" / "exports" / name
    written = [json.loads(line) for line in (folder / "train.jsonl").read_text("utf-8").splitlines()]
    found = {row["prompt"][0]["content"]: (row["chosen"][0]["content"], row["swapped"]) for row in written}
    kept = {0: False, 1: True, DISPUTED: True, 4: False}  # the tie is left out
    assert found == {f"Question {n}?": (bad(n) if turned else good(n), turned) for n, turned in kept.items()}
    assert (
        json.loads((folder / "export.json").read_text("utf-8"))["provenance"]["settle_policy"]["preference"] == "most"
    )


def see_letter(page: Page, link: str, name: str, password: str, pictures: Path | None) -> None:
    """Copy what an annotator is sent, and see that it holds all they need."""
    if pictures:
        page.locator("#review-letters").scroll_into_view_if_needed()
        page.screenshot(path=pictures / "review-letters.png")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#review-letters .letter", has_text=f"Sign in as {name} ").get_by_role("button").click()
    expect(page.locator("#review-letters")).to_contain_text("Copied")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert [part in copied for part in (link, name, password)] == [True] * 3 and len(copied.splitlines()) == 4


def see_alpha(page: Page, pictures: Path | None) -> None:
    """See the agreement on the Filter tab."""
    steps.open_tab(page, "Filter")
    table = page.locator("#filter-agreement table").first
    row = table.locator("tbody tr", has_text="Which answer is better?")
    expect(row.locator("td").nth(2)).to_have_text(ALPHA)
    expect(row.locator("td").nth(3)).to_have_text(str(len(MEANT)))
    expect(page.locator("#filter-agreement")).to_contain_text("Disputed pairs: 1")
    if pictures:
        page.screenshot(path=pictures / "review-agreement.png", full_page=True)


def settle(page: Page, browser: Browser, owner: str, password: str) -> None:
    """Open the disputed pair in Argilla as the owner and decide it."""
    page.locator("#filter-disputes").click()
    link = page.locator("#filter-disputes-link a")
    expect(link).to_contain_text("Open disputed pairs in Argilla (1)")
    with steps.window(browser) as window:
        answer(window, str(link.get_attribute("href")), owner, password, [(DISPUTED, "rejected")])
    page.locator("#filter-read").click()
    expect(page.locator("#filter-agreement")).to_contain_text("Settled: 1")
    expect(page.locator("#filter-agreement table").first.locator("tbody tr").last.locator("td").nth(2)).to_have_text(
        ALPHA
    )

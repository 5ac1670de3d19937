"""A payload in every field that is shown, over all tabs and in Argilla: text, and nothing but text.

A payload that became an element would be seen in four ways: it runs, it opens a dialog, it is in the page by its mark, or
it asks for an address that is none of the studio's.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser import steps
from tests.browser.conftest import App
from tests.tiny_model import make_tiny_model

MARK = "data-hostile"
ELSEWHERE = "127.0.0.1:9"  # nobody listens there
PAYLOADS = {
    "script": f"<script {MARK}>window.hacked=1</script>",
    "image": f"<img {MARK} src=http://{ELSEWHERE}/i onerror='window.hacked=1;alert(1)'>",
    "svg": f"<svg {MARK} onload=window.hacked=1>",
    "frame": f"<iframe {MARK} srcdoc='<script>parent.hacked=1</script>'></iframe>",
    "attribute": f'"\' {MARK} onmouseover=window.hacked=1 autofocus onfocus=window.hacked=1 x="',
    "picture": f"![x](http://{ELSEWHERE}/m) [x](javascript:window.hacked=1)",
    "latex": f"$$\\href{{javascript:window.hacked=1}}{{x}}$$ \\includegraphics{{http://{ELSEWHERE}/l}}",
    "end": f"</textarea></pre></style></title><img {MARK} src=http://{ELSEWHERE}/e>",
    "template": "{{constructor.constructor('window.hacked=1')()}} ${window.hacked=1}",
    "terminal": "\x1b]0;owned\x07\x1b[31m \u202egnp.exe\u202c \x9b31m",
    "style": f"<style {MARK}>*{{background:url(http://{ELSEWHERE}/s)}}</style><link {MARK} rel=stylesheet href=http://{ELSEWHERE}/c>",
    "form": f"<form {MARK} action=http://{ELSEWHERE}/f><button autofocus>x</button></form><base {MARK} href=http://{ELSEWHERE}/>",
}
ALL = " ".join(PAYLOADS.values())
SHORT = PAYLOADS["image"]
NAMED = f"<img {MARK} src=x onerror=window.hacked=1>"  # fits into a name
WATCH = f"""
window.hostile = 0;
new MutationObserver(() => {{ window.hostile += document.querySelectorAll('[{MARK}]').length; }})
  .observe(document, {{childList: true, subtree: true, attributes: true}});
document.addEventListener('securitypolicyviolation', (event) => {{ window.violated = event.blockedURI; }});
"""


class Watched:
    """What a page did that no text does."""

    def __init__(self, page: Page, own: list[str]) -> None:
        self._page, self._own = page, own
        self.did: list[str] = []
        page.add_init_script(WATCH)
        page.on("dialog", self._dialog)
        page.on("request", self._asked)

    def _dialog(self, dialog: object) -> None:
        self.did.append(f"a dialog: {dialog}")
        dialog.dismiss()  # type: ignore[attr-defined]

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((*self._own, "data:", "blob:", "about:")):
            self.did.append(f"asked for {request.url}")

    def nothing(self) -> None:
        """Fail if the page did anything."""
        assert self.did == []
        for frame in self._page.frames:
            assert frame.evaluate("window.hacked") is None, frame.url
            assert frame.evaluate(f"document.querySelectorAll('[{MARK}]').length") == 0, frame.url
        assert self._page.evaluate("window.hostile") == 0


@pytest.fixture
def rows(tmp_path: Path) -> Iterator[Path]:
    """Rows with every payload in every part of them, in a file with one in its name."""
    good = [
        {
            "prompt": f"Question {number} {name}: {payload}",
            "chosen": f"{payload} one two three four five six seven eight nine ten {number}",
            "rejected": f"{payload} eleven twelve thirteen fourteen fifteen sixteen seventeen {number}",
            "source": payload[:120],
            f"column {SHORT}": f"value {payload}",
        }
        for number, (name, payload) in enumerate(PAYLOADS.items())
    ]
    bad = [{"prompt": ALL, "chosen": ALL, "rejected": None, "source": ALL}, {"prompt": 1, ALL: ALL}]
    file = tmp_path / f"rows {NAMED}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in [*good, *bad]), encoding="utf-8")
    yield file


def test_text_of_others_is_shown_as_text_on_every_tab(
    page: Page, studio: App, shared_argilla: dict[str, str], rows: Path, tmp_path: Path
) -> None:
    watched = Watched(page, [studio.url])
    steps.patient(page).goto(studio.url)

    # A file that is not there, a name that is none: what goes wrong is told in a toast.
    steps.choose_source(page, "File on this machine")
    page.locator("#dataset-path").get_by_role("textbox").fill(f"/tmp/{SHORT}")
    page.locator("#dataset-load").click()
    expect(page.get_by_text("cannot be read").first).to_be_visible()
    expect(page.get_by_text("<img data-hostile").first).to_be_visible()
    watched.nothing()

    page.locator("#dataset-path").get_by_role("textbox").fill(str(rows))
    page.locator("#dataset-load").click()
    expect(page.locator("#dataset-facts")).to_contain_text(f"{len(PAYLOADS)} of {len(PAYLOADS) + 2} rows")
    project = page.locator("#status-project input").input_value()
    assert re.fullmatch(r"[a-z0-9-]+", project)
    page.locator("#dataset-bad-rows button").first.click()
    expect(page.locator("#dataset-bad-table [role=gridcell]").first).to_be_visible()
    for number in range(10):
        _read(page, number)
    page.locator("#dataset-after").click()
    expect(page.locator("#dataset-pager")).to_contain_text("11 to")
    expect(page.locator("#dataset-pair-head")).to_contain_text("Pair 11")
    expect(page.locator("#dataset-pair-head")).to_contain_text(f"column {SHORT[:20]}")
    watched.nothing()

    steps.start_import(page)
    assert steps.ended(page, "import") == "Finished"
    letters = steps.create_annotators(page, ["hostileada"])
    link = page.locator("#review-link").get_by_role("textbox").input_value()
    watched.nothing()

    steps.open_tab(page, "Filter")
    expect(page.locator("#filter-count")).to_contain_text("of 12 pairs")
    watched.nothing()
    steps.export(page)
    watched.nothing()

    _train_and_evaluate(page, watched, tmp_path)
    page.goto(f"{studio.url}/?project=%3Cimg%20{MARK}%20src=x%20onerror=alert(1)%3E&run=%3Csvg/onload=alert(1)%3E")
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    watched.nothing()
    _annotate(page, link.replace(studio.url, shared_argilla["ARGILLA_API_URL"].removesuffix("/annotate")), letters)


def _read(page: Page, number: int) -> None:
    """Show one pair of the table; while the table is drawn anew with its counts, a click finds nobody."""
    head = page.locator("#dataset-pair-head")

    def shown() -> bool:
        page.locator(f"#dataset-table [data-testid=cell-{number}-2]").click()
        page.wait_for_timeout(300)
        return f"Pair {number + 1}" in (head.text_content() or "")

    steps.until(shown, f"pair {number + 1} is shown")


def _train_and_evaluate(page: Page, watched: Watched, folder: Path) -> None:
    """Train a model whose folder is a payload, with recorded engines, and ask it one."""
    base = shutil.copytree(make_tiny_model(folder / "tiny"), folder / NAMED)
    steps.fill_training(page, base)
    watched.nothing()
    steps.start_training(page, "hostile")
    assert steps.ended(page, "train") == "Finished"
    expect(page.locator("#train-facts")).to_contain_text("hostile")
    watched.nothing()

    page.locator("#train-evaluate").click()
    expect(page.locator("#evaluate-tuned input")).to_have_value(re.compile("hostile"))
    expect(page.locator("#evaluate-base input")).to_have_value(str(base))
    watched.nothing()
    page.locator("#answer-prompt textarea").fill(ALL)
    page.locator("#answer-ask").click()
    assert steps.ended(page, "answer", 60_000) == "Finished"
    expect(page.locator("#answer-asked textarea")).to_have_value(re.compile("<script"))
    watched.nothing()


def _annotate(page: Page, link: str, letters: dict[str, str]) -> None:
    """Look at records on Argilla's own page."""
    ((name, password),) = letters.items()
    context = page.context.browser.new_context(locale="en-US")  # type: ignore[union-attr]
    seen = steps.patient(context.new_page())
    origin = re.match(r"https?://[^/]+", link)
    assert origin
    fonts = "https://fonts.googleapis.com"  # Argilla's own page asks for them
    watched = Watched(seen, [origin[0], fonts])
    steps.sign_in(seen, link, name, password)
    for number in range(3):
        assert "Question" in steps.record_text(seen)
        watched.nothing()
        if number < 2:
            before = steps.record_text(seen)
            seen.get_by_role("button", name="Next").first.click()
            steps.until(lambda before=before: steps.record_now(seen) not in ("", before), "the next record")  # type: ignore[misc]
    context.close()

"""What a person does on the page and in Argilla, one function per step; each waits until the page shows its outcome."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from playwright.sync_api import Browser, Locator, Page, expect

from pipeline.base.home import Home
from pipeline.runs.ledger import Ledger, Run
from tests.browser.conftest import App
from tests.letters import password_in

T = TypeVar("T")

ENDED = re.compile(r"^(Finished|Failed|Stopped|Lost)$")
ARGILLA_MS = 180_000  # the first start of the embedded server, with others on the machine
PAGE = 10  # pairs on a page of the preview
PATIENCE_MS = 60_000  # what runs beside the page (Argilla, a training) takes the processor from it
SETTLE_MS = 500
RUN_MS = 240_000  # a training or evaluation of the tiny model, its engine's import included


@dataclass(frozen=True)
class Judgement:
    """What an annotator says of a pair.

    Attributes:
        rating: 1 to 5.
        better: A, B or Tie.
    """

    rating: int
    better: str


@contextmanager
def window(browser: Browser) -> Iterator[Page]:
    """A person's own browser window: cookies and sign-ins are not shared with any other."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="en-US")
    yield patient(context.new_page())
    context.close()


def patient(page: Page) -> Page:
    """Wait longer for this page than tests of single tabs do; return it."""
    page.set_default_timeout(PATIENCE_MS)
    expect.set_options(timeout=PATIENCE_MS)
    return page


def ledger_of(app: App) -> Ledger:
    """Return the ledger of an app's home."""
    return Ledger(Home(app.home.resolve()))


def latest(app: App, kind: str, project: str) -> Run:
    """Return the newest run of a kind in a project."""
    run = ledger_of(app).latest(project, kind)
    assert run is not None, f"There is no {kind} run in {project}."
    return run


def until(true: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Wait for something that no page shows.

    Args:
        true: Looks.
        what: Says what is waited for, for the failure.
        seconds: How long at most.
    """
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"Waited {seconds:.0f} s for this: {what}"
        time.sleep(0.1)


def until_some(find: Callable[[], list[T]], what: str, seconds: float = 60.0) -> list[T]:
    """Wait until something is found; return it."""
    until(find, what, seconds)
    return find()


def open_tab(page: Page, name: str) -> None:
    """Go to a tab by its name, without the number."""
    page.get_by_role("tab", name=name).click()


def set_number(page: Page, elem_id: str, value: float) -> None:
    """Type a number and leave the field."""
    field = page.locator(f"#{elem_id} input")
    field.fill(str(value))
    field.blur()
    expect(field).to_have_value(str(value))


def choose(page: Page, elem_id: str, value: str) -> None:
    """Type into a dropdown and take what was typed."""
    field = page.locator(f"#{elem_id} input")
    field.fill(value)
    field.press("Enter")


def unfold(page: Page, title: str) -> None:
    """Open an accordion, and look at it before touching what it holds, as a person does."""
    page.get_by_role("button", name=title).click()
    # Gradio 6.31 shows the fields first and puts their values there after that, over whatever is typed in between; no
    # mark on the page says when it has.
    page.wait_for_timeout(SETTLE_MS)


def cells(table: Locator) -> list[list[str]]:
    """Return the texts of a Gradio table's rows, without its head."""
    rows = table.locator("[role=grid] [role=row]:has([role=gridcell])")
    return [[text.strip() for text in row.locator("[role=gridcell]").all_inner_texts()] for row in rows.all()]


def ended(page: Page, kind: str, timeout: float = RUN_MS) -> str:
    """Wait until the run shown ends; return its state as the page says it."""
    state = page.locator(f"#{kind}-card .state")
    expect(state).to_have_text(ENDED, timeout=timeout)
    return state.inner_text()


def choose_source(page: Page, kind: str) -> None:
    """Choose where a dataset comes from; the form is folded while a project is shown."""
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    if page.locator("#status-project input").input_value():
        unfold(page, "Load another dataset")
    page.get_by_label(kind, exact=True).check()


def upload(page: Page, file: Path, pairs: int) -> None:
    """Load a dataset through the page's file chooser."""
    choose_source(page, "Upload a file")
    with page.expect_file_chooser() as chooser:
        page.locator("#dataset-file button").first.click()
    chooser.value.set_files(file)
    expect(page.locator("#status-project input")).to_have_value(file.stem)
    expect(page.locator("#dataset-facts")).to_contain_text(f"{pairs:,} of {pairs:,} rows", timeout=60_000)


def load_path(page: Page, file: Path, pairs: int) -> None:
    """Load a dataset that is on the studio's machine."""
    choose_source(page, "File on this machine")
    page.locator("#dataset-path").get_by_role("textbox").fill(str(file))
    page.locator("#dataset-load").click()
    expect(page.locator("#status-project input")).to_have_value(file.stem)
    expect(page.locator("#dataset-facts")).to_contain_text(f"{pairs:,} of {pairs:,} rows", timeout=60_000)


def load_sample(page: Page) -> str:
    """Load the bundled sample; return its project's name."""
    choose_source(page, "Bundled sample")
    page.locator("#dataset-load").click()
    expect(page.locator("#dataset-facts")).to_contain_text("Bundled sample")
    return page.locator("#status-project input").input_value()


def watch(page: Page, project: str) -> None:
    """Show another project than the page has opened with, if it is another."""
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    shown, facts = page.locator("#status-project input"), page.locator("#dataset-facts")
    expect(shown).not_to_have_value("")
    if shown.input_value() != project:
        before = facts.text_content() or ""
        choose(page, "status-project", project)
        expect(facts).not_to_have_text(before)  # the name is there as soon as it is typed


def start_import(page: Page) -> None:
    """Press the import's button once Argilla is ready, and see the run appear."""
    button = page.locator("#dataset-import")
    expect(button).to_be_enabled(timeout=ARGILLA_MS)
    button.click()
    expect(page.locator("#import-card .state")).to_be_visible()


def create_annotators(page: Page, names: list[str]) -> dict[str, str]:
    """Create sign-ins; return the passwords as the page shows them, by name."""
    page.locator("#review-names").get_by_role("textbox").fill(", ".join(names))
    page.locator("#review-create").click()
    letters = {name: page.locator(f"#review-letters [data-letter='{name}']") for name in names}
    for letter in letters.values():
        expect(letter).to_be_visible()
    return {name: password_in(letter.inner_text()) for name, letter in letters.items()}


def sign_in(page: Page, link: str, name: str, password: str) -> None:
    """Open the link that annotators get and sign in on Argilla's own page."""
    page.goto(link)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("form", name="Annotation Questions")).to_be_visible()


def search(page: Page, words: str, found: int) -> None:
    """Look for records by words in Argilla's own search box."""
    page.locator("button[data-title=Search]").click()
    page.get_by_placeholder("Introduce a query").fill(words)
    page.keyboard.press("Enter")
    expect(page.get_by_label("Total Records")).to_have_text(f"of {found}")


def record_text(page: Page) -> str:
    """Return the text of the record that Argilla shows: of its frame where both answers stand side by side."""
    record = page.locator(".record")
    expect(record).to_be_visible()
    frame = record.locator(".custom_field_component iframe")
    if not frame.count():
        return record.inner_text()
    shown = record.frame_locator(".custom_field_component iframe").locator("#pair .answers")
    expect(shown).to_be_visible()
    return record.frame_locator(".custom_field_component iframe").locator("#pair").inner_text()


def record_now(page: Page) -> str:
    """Return what `record_text` returns, "" while no record is shown."""
    record = page.locator(".record")
    if not record.is_visible():
        return ""
    frame = ".custom_field_component iframe"
    shown = record.frame_locator(frame).locator("#pair") if record.locator(frame).count() else record
    return "".join(shown.all_inner_texts())


def place_of(text: str, chosen: str, rejected: str, meant: str) -> str:
    """Return what an annotator clicks who means one of two answers, whose order is drawn: A, B or Tie.

    Args:
        text: The record's text.
        chosen: The chosen answer.
        rejected: The other.
        meant: chosen, rejected or tie.
    """
    seen, one, other = (" ".join(each.split()) for each in (text, chosen, rejected))
    assert one in seen and other in seen, f"{one!r} and {other!r} are not both in {seen!r}"
    first = seen.rindex(one) < seen.rindex(other)
    return {"chosen": "A" if first else "B", "rejected": "B" if first else "A", "tie": "Tie"}[meant]


def rate(page: Page, judge: Callable[[str], Judgement], submitted: int, *, keyboard: bool) -> str:
    """Answer the record shown and submit.

    Args:
        page: Argilla in annotation mode.
        judge: Says what to answer to a record's text.
        submitted: Answers this annotator has submitted before.
        keyboard: Whether to answer with keys instead of the mouse.

    Returns:
        The record's text.
    """
    text = record_text(page)
    said = judge(text)
    label = {"A": "A is better", "B": "B is better", "Tie": "Tie"}[said.better]
    questions = page.get_by_role("form", name="Annotation Questions")
    if keyboard:
        questions.locator("#relevance_1").focus()  # after a search the search box has it
        page.keyboard.press(str(said.rating))
        expect(questions.locator(f"#relevance_{said.rating}")).to_be_checked()
        page.keyboard.press({"A": "1", "B": "2", "Tie": "3"}[said.better])
        expect(questions.get_by_label(label, exact=True).locator("input")).to_be_checked()
        page.keyboard.press("Enter")
    else:
        questions.locator(f"label[for=relevance_{said.rating}]").click()
        questions.get_by_text(label, exact=True).click()
        questions.get_by_role("button", name="Submit").click()
    expect(page.locator(".my-progress__share .status-counter__counter")).to_have_text(str(submitted + 1))
    until(lambda: record_now(page) != text, "the next record, or that there is none")
    return text


def export(page: Page, *, test_share: float = 0.1) -> str:
    """Export what the filter keeps; return the export's name."""
    open_tab(page, "Export")
    start = page.locator("#export-start")
    expect(start).to_be_enabled()
    unfold(page, "Split into training and test pairs")
    set_number(page, "export-test-share", test_share)
    name = page.locator("#export-name").get_by_role("textbox").input_value()
    start.click()
    assert ended(page, "export") == "Finished"
    expect(page.locator("#export-result")).to_contain_text(name)
    return name


def open_train(page: Page) -> None:
    """Go to the Train tab, and wait until the project's choices are in its fields: they would replace what is typed."""
    open_tab(page, "Train")
    expect(page.locator("#train-dataset input")).not_to_have_value("")


def fill_training(page: Page, base: Path, **numbers: float) -> None:
    """Fill in the Train tab.

    Args:
        page: The studio.
        base: Folder of the base model.
        **numbers: Values of number fields by name.
    """
    open_train(page)
    choose(page, "train-base-model", str(base))
    if not page.locator("#train-batch-size input").is_visible():
        unfold(page, "Learning: rate, batches, passes")
    page.get_by_label("none (32 bits)").check()  # quicker on most processors than bf16
    if not page.locator("#train-logging-steps input").is_visible():
        unfold(page, "Reports, checkpoints, seed")
    for name, value in numbers.items():
        set_number(page, f"train-{name.replace('_', '-')}", value)


def start_training(page: Page, name: str) -> None:
    """Name the model, start, and see the run on the page."""
    page.locator("#train-project-name").get_by_role("textbox").fill(name)
    start = page.locator("#train-start")
    expect(start).to_be_enabled()
    start.click()
    expect(page.locator("#train-card")).to_contain_text(f"Train {name}")


def points(page: Page) -> set[int]:
    """Return the training steps at which the loss curve on the page has a point."""
    return set(page.evaluate("window.alignStudio.curve('train-curve-loss').step"))


def see_scores(page: Page, written: dict[tuple[str, str], float]) -> None:
    """See that the scores on the page are those written, to the decimals shown, and that the training changed one.

    Args:
        page: The studio, an evaluation of base and tuned on both tasks on its Evaluate tab.
        written: The scores of lighteval's result files by role and metric.
    """
    table = page.locator("#evaluate-table")
    expect(table).to_contain_text("mc2")
    names = {
        "mc1": "truthfulqa_mc1",
        "mc2": "truthfulqa_mc2",
        "per token (": "pref_acc_norm",
        "nats": "pref_margin_norm",
    }
    checked = 0
    for row in table.locator("tbody tr").all():
        _, measure, *shown, _, _, _ = row.locator("td").all_inner_texts()
        metric = next((metric for words, metric in names.items() if words in measure), None)
        if metric is not None:
            for role, text in zip(("base", "tuned"), shown, strict=True):
                value = text.split("±")[0].strip()
                digits = len(value.partition(".")[2])
                assert abs(float(value) - written[role, metric]) <= 0.5 * 10**-digits + 1e-12, (role, metric, text)
                checked += 1
    assert checked == 2 * len(names)
    assert written["base", "pref_margin_norm"] != written["tuned", "pref_margin_norm"], "The training changed nothing."

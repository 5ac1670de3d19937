"""The whole way, as people go it: a file of pairs, two reviewers, a filter, an export, a training, an evaluation."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.runs.spec import spec_of
from tests.browser import steps
from tests.browser.conftest import ROOT, App
from tests.browser.steps import Judgement
from tests.tiny_model import make_tiny_model

PAIRS = 60
MARKED = 12  # pairs whose prompt says "pilot": the reviewers are asked to begin with these
HOSTILE_NUMBER, SHORT_NUMBER = 6, 7
HOSTILE = "It depends. <img src=x onerror=window.__pwned=1> **bold** <script>window.__pwned = 1</script> "
SHORT = "Yes, in most cases, but ask somebody who knows it first."  # 11 words: above the default rule, below 20
ANNOTATORS = ["ada", "grace"]
USUAL = {"ada": Judgement(5, "chosen"), "grace": Judgement(4, "chosen")}
SAID = {
    ("ada", 2): Judgement(2, "chosen"),  # a mean of 1.5: removed by the rule on ratings
    ("grace", 2): Judgement(1, "chosen"),
    ("ada", 3): Judgement(5, "rejected"),  # both prefer the rejected answer: swapped
    ("grace", 3): Judgement(4, "rejected"),
    ("grace", 4): Judgement(4, "rejected"),  # they disagree: left out
    ("ada", 5): Judgement(5, "tie"),  # left out
    ("grace", 5): Judgement(4, "tie"),
}
PWNED = "window.__pwned !== undefined || document.querySelector('img[src=x]') !== null"


def pairs_like_the_mix(file: Path) -> Path:
    """Write pairs in the layout of mlabonne/orpo-dpo-mix-40k: whole conversations in chosen and rejected."""
    lines = (ROOT / "samples" / "preferences.jsonl").read_text(encoding="utf-8").splitlines()
    rows: list[dict[str, Any]] = []
    marked = 0
    for row in map(json.loads, lines):
        (*before, question), (answer,), (worse,) = row["prompt"], row["chosen"], row["rejected"]
        long = len(answer["content"].split()) >= 22 and len(worse["content"].split()) >= 12
        if marked < MARKED and not before and row["language"] == "en" and long:
            marked += 1
            question = question | {"content": f"[pilot {marked}] {question['content']}"}
            special = {HOSTILE_NUMBER: HOSTILE + answer["content"], SHORT_NUMBER: SHORT}
            answer = answer | {"content": special.get(marked, answer["content"])}
        elif len(rows) - marked >= PAIRS - MARKED:
            continue
        shared = [*before, question]
        rows.append(
            {
                "source": row["source"],
                "chosen": [*shared, answer],
                "rejected": [*shared, worse],
                "prompt": question["content"],
                "question": question["content"],
            }
        )
    assert (len(rows), marked) == (PAIRS, MARKED)
    file.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return file


def judge(who: str, answers: dict[int, tuple[str, str]]) -> Callable[[str], Judgement]:
    """Return how an annotator answers a record, by the number in its prompt and where the answers stand."""

    def answer(text: str) -> Judgement:
        found = re.search(r"\[pilot (\d+)\]", text)
        assert found, text
        number = int(found[1])
        meant = SAID.get((who, number), USUAL[who])
        return Judgement(meant.rating, steps.place_of(text, *answers[number], meant.better))

    return answer


def marked(file: Path) -> dict[int, tuple[str, str]]:
    """Return the chosen and the rejected answer of each marked pair by its number."""
    rows = map(json.loads, file.read_text(encoding="utf-8").splitlines())
    found = ((re.match(r"\[pilot (\d+)\]", row["prompt"]), row) for row in rows)
    return {
        int(number[1]): (row["chosen"][-1]["content"], row["rejected"][-1]["content"])
        for number, row in found
        if number
    }


def review(
    browser: Browser, link: str, who: str, password: str, answers: dict[int, tuple[str, str]], *, keyboard: bool
) -> None:
    """Let an annotator answer all marked pairs on Argilla's own page, which shows hostile text as text."""
    with steps.window(browser) as page:
        steps.sign_in(page, link, who, password)
        steps.search(page, "pilot", MARKED)
        seen = []
        for number in range(MARKED):
            text = steps.rate(page, judge(who, answers), number, keyboard=keyboard)
            seen.append(text)
            assert not page.evaluate(PWNED)
        assert len({re.search(r"\[pilot (\d+)\]", text)[1] for text in seen}) == MARKED  # type: ignore[index]
        (shown,) = [text for text in seen if f"[pilot {HOSTILE_NUMBER}]" in text]
        assert HOSTILE.strip() in shown


def submitted(page: Page, who: str) -> str:
    """Return the number of submitted answers that the Dataset tab shows for an annotator."""
    row = page.locator("#review-card tbody tr", has_text=who)
    return row.locator("td").nth(1).inner_text()


@pytest.fixture(scope="module")
def app(app_server: Callable[..., App]) -> Iterator[App]:
    """A studio that nobody has used before."""
    fresh = app_server()
    yield fresh
    fresh.end()


def test_the_whole_journey(app: App, browser: Browser, page: Page, tmp_path: Path) -> None:
    steps.patient(page).goto(app.url)
    file = pairs_like_the_mix(tmp_path / "mix.jsonl")
    steps.upload(page, file, PAIRS)
    prompts = [json.loads(line)["prompt"] for line in file.read_text(encoding="utf-8").splitlines()]
    see_hostile_text_as_text(page, [f"[pilot {HOSTILE_NUMBER}]" in prompt for prompt in prompts].index(True))
    import_and_review(browser, page, marked(file))
    filter_down(page)
    name = steps.export(page, test_share=0.25)
    check_export(app, page, name)
    base = make_tiny_model(tmp_path / "tiny")
    train(app, page, base)
    evaluate(app, page)
    assert not page.evaluate(PWNED)


def see_hostile_text_as_text(page: Page, position: int) -> None:
    """Turn the preview's pages to the hostile pair and read it whole."""
    table = page.locator("#dataset-table")
    for turned in range(position // steps.PAGE + 1):
        if turned:
            page.locator("#dataset-after").click()
        expect(table.get_by_test_id("cell-0-0")).to_have_text(str(turned * steps.PAGE + 1))
    table.get_by_test_id(f"cell-{position % steps.PAGE}-2").click()
    expect(page.locator("#dataset-pair-head")).to_contain_text(f"Pair {position + 1}")
    expect(page.locator("#dataset-pair-chosen")).to_contain_text(HOSTILE.strip())
    assert not page.evaluate(PWNED)


def import_and_review(browser: Browser, page: Page, answers: dict[int, tuple[str, str]]) -> None:
    """Import, create two sign-ins, let both review; the page's progress rises without a click."""
    steps.set_number(page, "review-min-submitted", len(ANNOTATORS))
    steps.start_import(page)
    assert steps.ended(page, "import") == "Finished"
    expect(page.locator("#review-result")).to_contain_text(f"{PAIRS} pairs were added; {PAIRS} are in Argilla now.")
    expect(page.locator("#review-card")).to_contain_text(f"0 of {PAIRS} pairs completed")
    passwords = steps.create_annotators(page, ANNOTATORS)
    link = page.locator("#review-link").get_by_role("textbox").input_value()
    assert "/annotate/dataset/" in link

    review(browser, link, "ada", passwords["ada"], answers, keyboard=False)
    row = page.locator("#review-card tbody tr", has_text="ada").locator("td").nth(1)
    expect(row).to_have_text(str(MARKED))
    expect(page.locator("#review-card")).to_contain_text(f"0 of {PAIRS} pairs completed")
    review(browser, link, "grace", passwords["grace"], answers, keyboard=True)
    expect(page.locator("#review-card")).to_contain_text(f"{MARKED} of {PAIRS} pairs completed")
    assert submitted(page, "grace") == str(MARKED)


def filter_down(page: Page) -> None:
    """Ask for a rating and for length; the counts follow."""
    steps.open_tab(page, "Filter")
    expect(page.locator("#filter-answers")).to_contain_text(f"{2 * MARKED} answers by 2 annotators on {MARKED} pairs")
    count = page.locator("#filter-count")
    expect(count).to_contain_text(re.compile(rf"Kept \d+ of {PAIRS} pairs"))
    steps.set_number(page, "filter-min-relevance", 2)
    expect(count).to_contain_text(f"Kept {MARKED - 1} of {PAIRS} pairs")
    steps.set_number(page, "filter-min-chosen-tokens", 20)
    expect(count).to_contain_text(f"Kept {MARKED - 2} of {PAIRS} pairs")
    page.locator("#filter-save").click()
    expect(page.locator("#export-incoming")).to_contain_text(f"keeps {MARKED - 2} of {PAIRS} pairs")


def check_export(app: App, page: Page, name: str) -> None:
    """Compare what the page says of the export with the files."""
    folder = app.home / "projects" / "mix" / "exports" / name
    rows = {
        split: [json.loads(line) for line in (folder / f"{split}.jsonl").read_text("utf-8").splitlines()]
        for split in ("train", "test")
    }
    shown = {file: number for file, _, number in steps.cells(page.locator("#export-files"))}
    assert [shown["train.jsonl"], shown["test.jsonl"]] == [str(len(rows["train"])), str(len(rows["test"]))]
    numbers = {int(row["prompt"][0]["content"][7:].split("]")[0]): row for row in rows["train"] + rows["test"]}
    assert set(numbers) == set(range(1, MARKED + 1)) - {2, 4, 5, SHORT_NUMBER}  # low, disagreed, tie, short
    assert [number for number, row in numbers.items() if row["swapped"]] == [3]
    assert len(rows["train"]) >= 5 and len(rows["test"]) >= 1


def train(app: App, page: Page, base: Path) -> None:
    """Train with LoRA for at least 20 steps and watch the curve grow."""
    steps.fill_training(
        page, base, batch_size=1, gradient_accumulation=1, epochs=12, logging_steps=1, learning_rate=0.01
    )
    steps.unfold(page, "Adapter (LoRA)")
    expect(page.locator("#train-lora input")).to_be_checked()
    steps.start_training(page, "journey")
    steps.until(lambda: steps.points(page), "the curve's first points", steps.RUN_MS / 1000)
    first = steps.points(page)
    steps.until(lambda: steps.points(page) > first, "the curve grows")
    assert page.locator("#train-card .state").inner_text() == "Running", "The curve was only seen after the end."
    assert steps.ended(page, "train") == "Finished"
    expect(page.locator("#train-result")).to_be_visible()
    run = steps.latest(app, "train", "mix")
    result = run.result
    assert result is not None and result["steps"] >= 20
    steps.until(lambda: steps.points(page) == set(range(1, result["steps"] + 1)), "the whole curve")
    expect(page.locator("#train-facts")).to_contain_text(str(result["model_path"]))


def evaluate(app: App, page: Page) -> None:
    """Score base and trained model on both tasks; what the page shows is what lighteval wrote."""
    page.locator("#train-evaluate").click()
    expect(page.locator("#evaluate-tuned input")).to_have_value(re.compile("journey"))
    page.get_by_label("A file of mine").check()
    with page.expect_file_chooser() as chooser:
        page.locator("#evaluate-upload").click()
    chooser.value.set_files(ROOT / "samples" / "truthful_mini.jsonl")
    expect(page.locator("#evaluate-file").get_by_role("textbox")).to_have_value(re.compile(r"truthful_mini\.jsonl$"))
    start = page.locator("#evaluate-start")
    expect(start).to_be_enabled()
    start.click()
    assert steps.ended(page, "evaluate") == "Finished"
    run = steps.latest(app, "evaluate", "mix")
    steps.see_scores(page, written_by_lighteval(Path(spec_of(run)["output_dir"])))


def written_by_lighteval(folder: Path) -> dict[tuple[str, str], float]:
    """Return the scores in lighteval's own result files, by role and metric."""
    scores: dict[tuple[str, str], float] = {}
    for role in ("base", "tuned"):
        files = sorted((folder / role).rglob("results_*.json"))
        assert files, f"lighteval wrote no results for {role}"
        for file in files:
            for task, metrics in json.loads(file.read_text("utf-8"))["results"].items():
                if task != "all":
                    scores |= {(role, name): value for name, value in metrics.items()}
    return scores

"""The Filter tab on a project with answers: counts follow the rules, removed pairs are shown, what is saved stays."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, expect

from pipeline.base.home import Home
from pipeline.base.pair import Message, Pair, identify
from pipeline.base.project import Project
from pipeline.dataset.project import start_project
from pipeline.dataset.recognise import Loaded, Mapping
from pipeline.filter.project import recipe_of
from pipeline.filter.recipe import Recipe
from pipeline.review import answers
from pipeline.review.answers import Answer, Preference
from tests.browser.conftest import App
from tests.browser.steps import cells, open_tab, set_number, unfold
from tests.tiny_model import make_tiny_model

LONG = "one two three four five six seven eight nine ten eleven twelve"
OPEN_MS = 60_000  # the whole page draws itself before its first tab is done
# By pair: what two annotators say of it. The first eight of twenty pairs are reviewed.
SAID: list[tuple[tuple[float, Preference], ...]] = [
    *[((5, "chosen"), (4, "chosen"))] * 4,
    ((2, "rejected"), (1, "rejected")),
    ((2, "chosen"), (2, "rejected")),
    ((3, "tie"), (3, "tie")),
    ((5, "chosen"), (1, "tie")),
]


def make_project(app: App, name: str, *, reviewed: bool = True) -> Project:
    """Make a project of twenty pairs, the last two with short answers, half of them of each source."""
    said = [
        (
            (Message("user", f"Question {number} of {name}?"),),
            (Message("assistant", f"<b>Good</b> {number} {'' if number >= 18 else LONG}"),),
            (Message("assistant", f"Bad {number} {LONG}"),),
        )
        for number in range(20)
    ]
    pairs = [
        Pair(record_id, *parts, source="wiki" if number % 2 else "forum")
        for number, (record_id, parts) in enumerate(zip(identify(said), said, strict=True))
    ]
    columns = ["prompt", "chosen", "rejected"]
    loaded = Loaded(pairs, [], "made up", Mapping(prompt="prompt", chosen="chosen", rejected="rejected"), columns)
    made = start_project(Home(app.home.resolve()), loaded, "file", f"{name}.jsonl")
    if reviewed:
        now = datetime.now(UTC)
        answers.save(
            [
                Answer(pair.record_id, who, "submitted", rating, better, now)
                for pair, judged in zip(pairs, SAID, strict=False)
                for who, (rating, better) in zip(("anna", "ben"), judged, strict=True)
            ],
            made.answers,
        )
    return made


def open_filter(page: Page, app: App, project: Project) -> None:
    """Open the tab on a project and wait for its counts."""
    page.set_default_timeout(OPEN_MS)
    page.goto(f"{app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    open_tab(page, "Filter")
    expect(page.locator("#filter-count")).to_contain_text("of 20 pairs", timeout=OPEN_MS)


def test_counts_follow_the_rules_and_what_is_saved_stays(page: Page, studio: App) -> None:
    project = make_project(studio, "rules")
    open_filter(page, studio, project)
    expect(page.locator("#filter-answers")).to_contain_text("16 answers by 2 annotators on 8 pairs")
    said = page.locator("#filter-answers")
    for words in ("Chosen is better 4", "Rejected is better 1", "Tie 1", "Undecided 2", "Not reviewed 12"):
        expect(said).to_contain_text(words)
    expect(page.locator("#filter-count")).to_contain_text("Kept 18 of 20")
    expect(page.locator("#filter-saved")).to_contain_text("default rules")

    set_number(page, "filter-min-relevance", 3)
    expect(page.locator("#filter-count")).to_contain_text("Kept 6 of 20")
    expect(page.locator("#filter-saved")).to_contain_text("not saved")
    table = page.locator("#filter-rules")
    expect(table).to_contain_text("mean rating of at least 3")
    assert [row[1:] for row in cells(table)] == [["14", "14"], ["2", "0"], ["0", "0"], ["0", "0"]]

    page.locator("#filter-rules [data-testid=cell-1-0]").click()
    expect(page.locator("#filter-removed-title")).to_contain_text("2 pairs")
    expect(page.locator("#filter-removed-said")).to_contain_text("Nobody has reviewed this pair")
    expect(page.locator("#filter-pair-chosen")).to_contain_text("<b>Good</b> 18")
    page.locator("#filter-removed-which").get_by_label("2", exact=True).check()
    expect(page.locator("#filter-pair-chosen")).to_contain_text("<b>Good</b> 19")

    page.locator("#filter-save").click()
    expect(page.locator("#export-incoming")).to_contain_text("keeps 6 of 20 pairs; 6 of them are reviewed")
    assert recipe_of(project) == Recipe(min_relevance=3)
    open_filter(page, studio, project)
    expect(page.locator("#filter-min-relevance input")).to_have_value("3")
    expect(page.locator("#filter-saved")).to_contain_text("Saved")


def test_without_review_the_other_rules_work(page: Page, studio: App) -> None:
    open_filter(page, studio, make_project(studio, "unreviewed", reviewed=False))
    expect(page.locator("#filter-answers")).to_contain_text("not under review")
    expect(page.locator("#filter-read")).to_be_hidden()
    expect(page.locator("#filter-plot-rating")).to_be_hidden()
    source = page.locator("#filter-sources input")
    source.click()
    page.get_by_role("option", name="wiki · 10").click()
    expect(page.locator("#filter-count")).to_contain_text("Kept 9 of 20")
    page.locator("#filter-contains").get_by_role("textbox").fill("question 7 OF")
    expect(page.locator("#filter-count")).to_contain_text("Kept 1 of 20")

    set_number(page, "filter-max-chosen-tokens", 5)
    expect(page.locator("#filter-problem")).to_contain_text("is shorter than the shortest (10)")
    expect(page.locator("#filter-save")).to_be_disabled()
    set_number(page, "filter-min-chosen-tokens", 0)
    expect(page.locator("#filter-problem")).to_contain_text("No pair is left")
    page.locator("#filter-reset").click()
    expect(page.locator("#filter-count")).to_contain_text("Kept 18 of 20")
    expect(page.locator("#filter-save")).to_be_enabled()


def test_lengths_are_counted_by_the_base_model_that_is_named(page: Page, studio: App, tmp_path: Path) -> None:
    project = make_project(studio, "lengths", reviewed=False)
    model = make_tiny_model(tmp_path / "model")
    open_filter(page, studio, project)
    expect(page.locator("#filter-unit")).to_contain_text("estimated in words")
    expect(page.locator("#filter-rules")).to_contain_text("at least 10 words (estimate)")
    unfold(page, "Count with another model's tokenizer")
    field = page.locator("#filter-model").get_by_role("textbox")
    field.fill(str(tmp_path))
    page.locator("#filter-model-use").click()
    expect(page.locator("#filter-model-problem")).to_contain_text("has no tokenizer.json")
    field.fill(str(model))
    page.locator("#filter-model-use").click()
    expect(page.locator("#filter-unit")).to_contain_text(f"tokens of {model}")
    expect(page.locator("#filter-min-chosen-tokens")).to_contain_text("Shortest chosen answer, tokens")
    expect(page.locator("#filter-rules")).to_contain_text("at least 10 tokens")
    expect(page.locator("#filter-model-problem")).to_be_hidden()
    assert project.read().base_model == str(model)

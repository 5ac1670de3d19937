"""The whole journey in Chinese: at every state, nothing that the page says is English.

What is not ours stays as it is: dataset text, names, paths, addresses, commands, and the words of the trade below.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipeline.base.home import open_home
from pipeline.runs.ledger import Ledger
from tests import projects
from tests.browser import steps
from tests.browser.conftest import ROOT, App
from tests.browser.test_publish import sign_in
from tests.doubles import recorded
from tests.doubles.hub import HubDouble
from tests.projects import evaluated, trained
from tests.tiny_model import make_tiny_model

SPEED = 4.0  # times the engines' pace: a running training can be looked at
# Shows data, code, or what a program printed.
NOT_OURS = (
    "#dataset-table [role=gridcell], #dataset-bad-rows, .pair-chat .bubble-wrap, .pair-head span, pre, code, .cm-editor, .log, "
    "#export-card-text, #answer-run textarea, #review-planned-text dd"  # annotators are spoken to in the data's language
)
TRADE = (
    *("Align Studio", "Hugging Face", "Hub", "Argilla", "AutoTrain", "lighteval", "TruthfulQA", "LoRA", "ORPO", "DPO"),
    *("UltraFeedback", "ShareGPT", "HH-RLHF", "Parquet", "JSON Lines", "JSONL", "JSON", "CSV", "Markdown", "Python"),
    *("token", "tokens", "mc1", "mc2", "nats", "GiB", "MiB", "GB", "MB", "kB", "bf16", "fp16", "int4", "int8", "CPU"),
    *(
        "Job",
        "Space",
        "GPU",
        "Nvidia",
        "Gradio",
        "chosen",
        "rejected",
        "prompt",
        "train",
        "test",
        "API",
        "URL",
        "ID",
        "OAuth",
    ),
)
# Gradio 6.31's own label, and what uv prints while a Job builds its environment, in no other language.
THEIRS = ("Click to upload or drop files", "Creating virtual environment at", "environment at: environment")
WORD = r"[A-Za-z][A-Za-z’']*"
OF_THE_TRADE = re.compile(r"\b(?:" + "|".join(map(re.escape, (*THEIRS, *TRADE))) + r")\b")
SENTENCE = re.compile(rf"{WORD}(?:[ ,;:]+{WORD}){{2,}}")
VISIBLE = """hidden => {
  const style = document.createElement("style");
  style.textContent = `${hidden} { display: none !important; }`;
  document.head.append(style);
  const fields = [...document.querySelectorAll("input, textarea")].filter(each => each.offsetParent !== null);
  const said = fields.filter(each => !each.matches(hidden)).map(each => each.placeholder);
  const labels = [...document.querySelectorAll("[aria-label], [title]")].filter(each => each.offsetParent && !each.closest(hidden));  // no part of a plot
  const names = labels.flatMap(each => [each.getAttribute("aria-label"), each.getAttribute("title")]);
  const text = document.body.innerText;
  style.remove();
  return [text, ...said, ...names.filter(Boolean).map(each => `[${each}]`)].join("\\n");
}"""


def words_of(language: str) -> dict[str, str]:
    """Return the catalogue of a language."""
    files = (ROOT / "ui" / "locale" / language).glob("*.json")
    return {code: text for file in files for code, text in json.loads(file.read_text("utf-8")).items()}


@functools.cache
def phrases() -> dict[str, re.Pattern[str]]:
    """Return our English texts and their parts between values, of two words or more, that Chinese says otherwise."""
    english, chinese = words_of("en"), words_of("zh")
    parts = {
        part.strip(" .,:;()“”\n")
        for code, text in english.items()
        for part in re.split(r"\{[^{}]*\}", text)
        if part.strip() not in chinese[code]
    }
    parts = {part for part in parts if re.search(rf"{WORD} {WORD}", part) and not re.search(r"[/=<`_]", part)}
    ours = {part for part in parts if re.search(WORD, OF_THE_TRADE.sub("", part))}
    return {part: re.compile(rf"\b{re.escape(part)}\b") for part in ours}


def english(text: str) -> list[str]:
    """Return what is English in a page's text and should not be."""
    text = re.sub(r"\S*[/\\=@_.~]\S*|--\S+|\w+-[\w-]+", "·", text)  # paths, addresses, settings, names
    ours = {each for each, pattern in phrases().items() if pattern.search(text)}
    return sorted(ours | {match[0] for match in SENTENCE.finditer(OF_THE_TRADE.sub("·", text))})


def test_what_is_english_is_found() -> None:
    assert english("导出 18 pairs were kept here 次") == ["pairs were kept here"]
    assert english(f"项目 {words_of('en')['status.argilla.starting']} · AutoTrain, LoRA") == ["Argilla is starting"]
    assert english("/tmp/a/b c d · lighteval accelerate · Hugging Face Hub · 批大小 8 × 2 tokens") == []


class Reader:
    """Somebody who reads the page's whole text in Chinese at each state and remembers what is English."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.found: dict[str, list[str]] = {}

    def read(self, state: str) -> None:
        """Unfold everything and read."""
        folds = self.page.locator("button.label-wrap:visible:not(.open)")
        while folds.count():
            folds.first.click()
        self.page.wait_for_timeout(steps.SETTLE_MS)
        text = self.page.evaluate(VISIBLE, NOT_OURS)
        assert re.search("[一-鿿]", text), f"{state}: no Chinese at all"
        if found := english(text):
            self.found[state] = found

    def tab(self, name: str, state: str) -> Locator:
        """Go to a tab by its id and read it."""
        self.page.locator(f"#tab-{name}-button").click()
        self.page.wait_for_timeout(2 * steps.SETTLE_MS)
        self.read(state)
        return self.page.locator(f"#{name}-start")


@pytest.fixture
def reader(browser: Browser) -> Iterator[Reader]:
    """A Chinese browser of a window's usual size."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN")
    yield Reader(steps.patient(context.new_page()))
    context.close()


def test_the_journey_ends_without_an_english_sentence(
    reader: Reader, app_server: Callable[..., App], shared_argilla: dict[str, str], tmp_path: Path
) -> None:
    app, page = app_server(environment=shared_argilla | recorded.environment(SPEED)), reader.page
    page.goto(app.url)
    expect(page.locator("#status-items")).to_contain_text("Argilla")
    for name in ("dataset", "filter", "export", "train", "evaluate"):
        reader.tab(name, f"{name}, empty")
    load_and_review(reader)
    filter_and_export(reader)
    reader.tab("evaluate", "evaluate, blocked: no model")
    train(reader, make_tiny_model(tmp_path / "tiny"))
    evaluate(reader)
    assert reader.found == {}


def load_and_review(reader: Reader) -> None:
    """Fail to load, load the sample, import it."""
    page = reader.page
    page.locator("#tab-dataset-button").click()
    page.locator("#dataset-kind input[value=path]").check()
    page.locator("#dataset-path").get_by_role("textbox").fill("/nowhere/pairs.jsonl")
    page.locator("#dataset-load").click()
    expect(page.locator("#tab-dataset")).to_contain_text("没有这个文件")
    reader.read("dataset, a file that is not there")
    for kind in ("hub", "upload", "sample"):
        page.locator(f"#dataset-kind input[value={kind}]").check()
        reader.read(f"dataset, source {kind}")
    page.locator("#dataset-load").click()
    expect(page.locator("#dataset-import")).to_be_enabled()
    reader.read("dataset, sample loaded, review planned")
    page.locator("#dataset-import").click()
    expect(page.locator("#import-card .state")).to_be_visible()
    reader.read("import running")
    expect(page.locator("#review-card")).to_be_visible()
    reader.read("review section")


def filter_and_export(reader: Reader) -> None:
    """Ask for long answers, look at what is removed, export the rest."""
    page = reader.page
    reader.tab("filter", "filter")
    steps.set_number(page, "filter-min-chosen-tokens", 20)
    expect(page.locator("#filter-rules")).to_contain_text("优选不少于 20")
    page.locator("#filter-rules [data-testid=cell-0-0]").click()
    expect(page.locator("#filter-removed-title")).to_be_visible()
    reader.read("filter with a rule")
    page.locator("#filter-save").click()
    start = reader.tab("export", "export, planned")
    start.click()
    expect(page.locator("#export-result")).to_be_visible()
    reader.read("export written")


def train(reader: Reader, base: Path) -> None:
    """Without a model, with one, while it runs, when it has ended."""
    page = reader.page
    start = reader.tab("train", "train, blocked: no base model")
    steps.choose(page, "train-base-model", str(base))
    expect(start).to_be_enabled()
    reader.read("train, ready")
    start.click()
    steps.until(lambda: steps.points(page), "the curve's first points")
    reader.read("train, running")
    expect(page.locator("#train-result")).to_be_visible()
    reader.read("train, finished")


def evaluate(reader: Reader) -> None:
    """Score both models and ask them something: before, while it runs, and when it has ended."""
    page = reader.page
    page.locator("#train-evaluate").click()
    expect(page.locator("#evaluate-tuned input")).not_to_have_value("")
    page.locator("#evaluate-source input[value=bundled]").check()
    expect(page.locator("#evaluate-start")).to_be_enabled()
    reader.read("evaluate, ready")
    page.locator("#evaluate-start").click()
    expect(page.locator("#evaluate-card .state")).to_have_text("运行中")
    reader.read("evaluate, running")
    expect(page.locator("#evaluate-table tbody tr").first).to_be_visible()
    expect(page.locator("#evaluate-card .state")).to_have_text("已完成")
    page.locator("#answer-prompt textarea").fill("河水为什么冷？")
    page.locator("#answer-ask").click()
    reader.read("evaluate, scores and a question")
    expect(page.locator("#answer-card .state")).to_have_text("已完成")
    reader.read("evaluate, answers")


def test_scores_account_and_a_toast_are_chinese(
    reader: Reader, app_server: Callable[..., App], shared_argilla: dict[str, str], tmp_path: Path
) -> None:
    app, page = app_server(environment=shared_argilla), reader.page
    home = open_home(app.home.resolve())
    project, ledger = projects.make_project(home, "scored", tmp_path, pairs=64), Ledger(home)
    model = trained(ledger, project).result
    assert model is not None
    evaluated(ledger, project, model["model_path"])
    page.goto(f"{app.url}/?run=train-20260101-000000-none")
    expect(page.locator(".toast-body")).to_be_visible()
    reader.read("a toast")
    reader.tab("evaluate", "evaluate, finished")
    expect(page.locator("#evaluate-table tbody tr").first).to_be_visible()
    reader.read("evaluate, scores")
    page.locator("#status-account").click()
    expect(page.locator("#account-token")).to_be_visible()
    reader.read("account panel")
    assert reader.found == {}


def test_a_failed_training_says_so_in_chinese(
    reader: Reader, app_server: Callable[..., App], shared_argilla: dict[str, str], tmp_path: Path
) -> None:
    environment = shared_argilla | recorded.environment(0) | {recorded.FAIL: "step"}
    app, page = app_server(environment=environment), reader.page
    project = projects.make_project(open_home(app.home.resolve()), "failing", tmp_path, pairs=64)
    page.goto(f"{app.url}/?project={project.name}")
    start = reader.tab("train", "train, ready")
    expect(start).to_be_enabled()
    start.click()
    expect(page.locator("#train-card .state")).to_have_text("失败")
    reader.read("train, failed")
    assert reader.found == {}


@pytest.mark.matrix
def test_what_goes_to_the_hub_and_what_is_paid_there_is_chinese(
    reader: Reader, hub_app: App, hub: HubDouble, tmp_path: Path
) -> None:
    page, home = reader.page, open_home(hub_app.home.resolve())
    project = projects.make_project(home, "wen-pairs", tmp_path, pairs=32)
    hub.add_repo("model", "wen/tiny", {file.name: file for file in (tmp_path / "tiny-base").iterdir()})
    project.update(lambda record: setattr(record, "base_model", "wen/tiny"))
    page.goto(f"{hub_app.url}/?project={project.name}")
    expect(page.locator("#status-project input")).to_have_value(project.name)
    reader.tab("export", "export, not signed in")
    sign_in(page, hub.add_user("wen"), "wen")
    page.locator("#status-account").click()
    reader.read("account panel, signed in")
    page.locator("#account-close").click()
    publish(reader)
    job(reader, hub)
    assert reader.found == {}


def publish(reader: Reader) -> None:
    """Compare, publish, and find nothing to change."""
    page = reader.page
    page.locator("#publish-look:not([disabled])").click()
    expect(page.locator("#publish-confirm")).to_be_visible()
    reader.read("publish, asked")
    page.locator("#publish-go").click()
    expect(page.locator("#publish-card .state")).to_be_visible()
    reader.read("publish, running")
    expect(page.locator("#publish-where")).to_contain_text("wen/pairs")
    reader.read("published")
    page.locator("#publish-look").click()
    expect(page.locator("#publish-note")).to_contain_text("无需更改")
    reader.read("publish, nothing to change")


def job(reader: Reader, hub: HubDouble) -> None:
    """Say what a Job costs, start it, look at it while it bills, and stop it."""
    page = reader.page
    start = reader.tab("train", "train, not on a Job yet")
    page.locator("#train-where input[value=job]").check()
    expect(page.locator("#train-prices")).to_be_visible()
    expect(start).to_be_enabled()
    page.locator("#train-unfit summary").click()
    reader.read("hardware")
    page.locator("#train-where input[value=space]").check()
    expect(page.locator("#train-space-note")).to_be_visible()
    expect(start).to_be_enabled()
    start.click()
    expect(page.locator("#train-confirm")).to_contain_text("若未能及时暂停")
    reader.read("a Space's price")
    page.locator("#train-back").click()
    page.locator("#train-where input[value=job]").check()
    expect(page.locator("#train-space-note")).to_be_hidden()
    expect(start).to_be_enabled()
    start.click()
    expect(page.locator("#train-confirm")).to_be_visible()
    reader.read("a Job's price")
    page.locator("#train-pay").click()
    expect(page.locator("#train-card .state")).to_be_visible()
    reader.read("Job asked for")
    steps.until(lambda: any(each.stage == "RUNNING" and each.namespace == "wen" for each in hub.jobs()), "the Job runs")
    expect(page.locator("#train-note")).to_contain_text("L40S")
    expect(page.locator("#spend-item")).to_contain_text("L40S")
    reader.read("Job running")
    page.locator("#spend-stop").click()
    reader.read("everything can be stopped")
    page.locator("#spend-end").click()
    expect(page.locator("#train-card .state")).to_have_text(re.compile("失败|已停止"))
    reader.read("Job ended")
    page.locator("#spend-keep").click()
    reader.tab("evaluate", "evaluate on this machine")
    page.locator("#evaluate-where input[value=job]").check()
    expect(page.locator("#evaluate-prices")).to_be_visible()
    reader.read("evaluate on a Job")

"""The Filter tab: what reviewers said, the rules, what they keep and what each of them removes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipeline.base.errors import StudioError
from pipeline.base.project import Project, find
from pipeline.dataset.project import pairs_of, summary_of
from pipeline.filter.project import recipe_of, save_recipe
from pipeline.filter.recipe import Recipe
from pipeline.review.project import answers_of, refresh_answers, settled_of
from pipeline.studio import Studio
from ui.filter import outcome
from ui.filter import removed as filter_removed
from ui.filter import result as filter_result
from ui.filter import rules as filter_rules
from ui.filter.result import Results
from ui.filter.rules import Rules
from ui.handlers import BUSY, QUIET, changed, handle, look_again
from ui.page import Page
from ui.parts.notice import notice
from ui.text import say, t

VERDICTS = ("chosen", "rejected", "tie", "undecided", None)
# Only the last of several changes counts: nobody waits for the results of what was typed on the way.
LIVE: dict[str, Any] = {**BUSY, "show_progress": "hidden", "trigger_mode": "always_last"}


@dataclass(frozen=True)
class FilterTab:
    """Components of the Filter tab.

    Attributes:
        read: State with when, or why not, answers were read last; a sentence.
        looked: State with the time of the last look at the tab, 0 for none; its change event draws everything.
    """

    empty: gr.HTML
    go: gr.Button
    body: gr.Column
    answers: gr.HTML
    again: gr.Button
    rules: Rules
    results: Results
    read: gr.State
    looked: gr.State


def build(studio: Studio) -> FilterTab:
    """Lay out the Filter tab."""
    empty = gr.HTML(t("filter.empty"), elem_id="filter-empty", elem_classes="empty")
    go = gr.Button(t("filter.go"), variant="primary", elem_id="filter-go")
    with gr.Column(visible=False) as body:
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                answers = gr.HTML(elem_id="filter-answers", padding=False)
            with gr.Column(scale=1, min_width=170):
                again = gr.Button(t("filter.read"), size="sm", elem_id="filter-read")
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                rules = filter_rules.build()
            with gr.Column(scale=7, min_width=320):
                results = filter_result.build()
    return FilterTab(empty, go, body, answers, again, rules, results, gr.State(""), gr.State(0.0))


def wire(tab: FilterTab, studio: Studio, page: Page) -> None:
    """Connect the Filter tab."""
    _wire_project(tab, studio, page)
    _wire_rules(tab, studio, page)
    filter_removed.wire(tab.results.removed, studio, page, tab.results.rules, tab.results.effects)


def _wire_project(tab: FilterTab, studio: Studio, page: Page) -> None:
    def opened(name: str) -> list[Any]:
        return _opened(tab, _project(studio, name))

    def read_quietly(name: str) -> list[Any]:
        return _read_quietly(studio, _project(studio, name))

    def read_again(name: str) -> list[Any]:
        return _read(studio, find(studio.home, name))

    def answers(name: str, read: str) -> list[Any]:
        project = _project(studio, name)
        return _answers(project, read) if project else ["", gr.skip()]

    def use_model(name: str, model: str) -> list[Any]:
        return filter_rules.use_model(find(studio.home, name), model)

    rules = tab.rules
    project_parts = [tab.empty, tab.go, tab.body, *rules.form.inputs, rules.model, tab.results.count, tab.read]
    # In two steps: the tab may be selected while a project is being opened, and what is drawn then must be drawn again.
    fresh = page.project.change(handle(opened), [page.project], project_parts, **QUIET)
    fresh.then(handle(look_again), [tab.looked], [tab.looked], **QUIET)
    select = page.items["filter"].select
    select(time.time, None, [tab.looked], **QUIET)
    select(handle(read_quietly), [page.project], [tab.read, tab.looked], **LIVE)
    tab.again.click(handle(read_again), [page.project], [tab.read, tab.looked], show_progress_on=[tab.answers], **BUSY)
    shown = [tab.answers, tab.again]
    gr.on([tab.looked.change, tab.read.change], handle(answers), [page.project, tab.read], shown, **QUIET)
    apply = {"inputs": [page.project, rules.model], "outputs": [rules.model, rules.problem, tab.looked], **LIVE}
    rules.use_model.click(handle(use_model), **apply)
    rules.model.submit(handle(use_model), **apply)
    tab.go.click(handle(lambda: gr.Tabs(selected="dataset")), None, [page.tabs], **QUIET)


def _wire_rules(tab: FilterTab, studio: Studio, page: Page) -> None:
    results, form = tab.results, tab.rules.form

    def units(name: str, looked: float) -> list[Any]:
        # A state's first value counts as a change in Gradio 6.31, so that this is called for a tab nobody has opened.
        project = _project(studio, name) if looked else None
        return filter_rules.units(project) if project else [gr.skip()] * len(tab.rules.with_unit)

    def compute(name: str, looked: float, part: str, *values: Any) -> list[Any]:
        project = _project(studio, name)
        if project is None or not looked:  # nobody has opened the tab: nothing is counted for it
            return [gr.skip()] * (len(results.outputs) + 2)
        return [*filter_result.draw(results, project, form, part, values), gr.update(visible=False), -1]

    def save(name: str, *values: Any) -> list[Any]:
        project = find(studio.home, name)
        recipe = filter_rules.recipe(form, values)
        save_recipe(project, recipe)
        return [outcome.saved(project, recipe), gr.Tabs(selected="export")]

    def reset() -> list[Any]:
        return [*form.show(Recipe()), time.time()]

    tab.looked.change(handle(units), [page.project, tab.looked], tab.rules.with_unit, **QUIET)
    changes = [changed(component) for component in form.inputs]
    gr.on(
        [tab.looked.change, results.part.input, *changes],
        handle(compute),
        [page.project, tab.looked, results.part, *form.inputs],
        [*results.outputs, results.removed.box, results.removed.row],
        **LIVE,
    )
    results.save.click(handle(save), [page.project, *form.inputs], [results.saved, page.tabs], **LIVE)
    results.reset.click(handle(reset), None, [*form.inputs, tab.looked], **QUIET)


def _project(studio: Studio, name: str) -> Project | None:
    """Return the project of that name, if it has a dataset."""
    project = find(studio.home, name) if name else None
    return project if project and project.read().dataset else None


def _opened(tab: FilterTab, project: Project | None) -> list[Any]:
    """Return updates that put a project's recipe into the form."""
    here, away = gr.update(visible=True), gr.update(visible=False)
    if project is None:
        return [here, here, away, *(gr.skip() for _ in tab.rules.form.inputs), "", "", ""]
    shown = dict(zip(tab.rules.form.components, tab.rules.form.show(recipe_of(project)), strict=True))
    sources = summary_of(project).sources
    choices = [(f"{outcome.source_name(source)} · {count:,}", source) for source, count in sources.items()]
    shown["sources"] = gr.update(choices=choices, value=recipe_of(project).sources, visible=len(choices) > 1)
    counting = f'<div class="run-line">{escape(say("filter.counting"))}</div>'
    model = project.read().base_model
    return [away, away, here, *shown.values(), model, counting, ""]


def _read_at() -> str:
    return say("filter.read.at", time=time.strftime("%H:%M"))


def _read_quietly(studio: Studio, project: Project | None) -> list[Any]:
    """Read answers as the tab opens, if there is a review."""
    review = project.read().review if project else None
    return _read(studio, project) if project and review and review.dataset_id else ["", gr.skip()]


def _read(studio: Studio, project: Project) -> list[Any]:
    """Read answers; where that fails, the answers read before are worked on, and it is said."""
    before = answers_of(project)
    try:
        found = refresh_answers(project, studio.argilla.endpoint())
    except StudioError as error:
        return [say("filter.read.not", why=error.what), gr.skip()]
    return [_read_at(), time.time() if found != before else gr.skip()]


def _answers(project: Project, read: str) -> list[Any]:
    """Return updates that show what reviewers said so far, and the button that reads more where there is a review."""
    review = project.read().review
    waiting = bool(review and review.dataset_id)
    again = gr.update(visible=waiting)
    settled = settled_of(project)
    if not settled:
        said = say("filter.answers.none" if waiting else "filter.answers.no_review")
        return [notice(f"{said} {read}".strip()), again]
    annotators = {answer.annotator for answer in answers_of(project) if answer.status == "submitted"}
    said = say(
        "filter.answers",
        answers=f"{sum(each.answers for each in settled.values()):,}",
        annotators=len(annotators),
        records=f"{len(settled):,}",
    )
    found = Counter(each.preference for each in settled.values())
    counts = {f"filter.verdict.{verdict}": found[verdict] for verdict in VERDICTS}
    counts["filter.verdict.unreviewed"] = len(pairs_of(project)) - len(settled)
    inside = "".join(f"<span>{escape(say(key))} <b>{count:,}</b></span>" for key, count in counts.items() if count)
    when = f' <span class="run-line">{escape(read)}</span>' if read else ""
    return [f'<div><b>{escape(said)}</b>{when}</div><div class="status-items">{inside}</div>', again]

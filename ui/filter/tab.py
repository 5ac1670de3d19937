"""The Filter tab: what reviewers said, the rules, what they keep and what each of them removes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.dataset.project import pairs_of, summary_of
from pipeline.filter.project import recipe_of, save_recipe
from pipeline.filter.recipe import Recipe
from pipeline.review.project import answers_of, refresh_answers, settled_of
from pipeline.review.settle import Verdict
from pipeline.visit import Visit
from ui.filter import opinions as filter_opinions
from ui.filter import outcome
from ui.filter import removed as filter_removed
from ui.filter import result as filter_result
from ui.filter import rules as filter_rules
from ui.filter.opinions import OpinionsPart
from ui.filter.result import Results
from ui.filter.rules import Rules
from ui.handlers import BUSY, CHECK, Given, Update, Wiring, changed, prefixed, under
from ui.page import Page
from ui.parts.notice import line, notice
from ui.parts.shown import drawn_again, loaded, looked, to_dataset
from ui.text import say, t

RESULTS = ("count", "problem", "saved", "save", "rules", "effects", "plots.*", "removed.box", "removed.row")
VERDICTS: tuple[Verdict | None, ...] = ("chosen", "rejected", "tie", "undecided", "too_few", None)


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
    opinions: OpinionsPart
    again: gr.Button
    rules: Rules
    results: Results
    read: gr.State
    looked: gr.State


def build() -> FilterTab:
    """Lay out the Filter tab."""
    empty = gr.HTML(t("filter.empty"), elem_id="filter-empty", elem_classes="empty")
    go = gr.Button(t("filter.go"), variant="primary", elem_id="filter-go")
    with gr.Column(visible=False) as body:
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                answers = gr.HTML(elem_id="filter-answers", padding=False)
            with gr.Column(scale=1, min_width=170):
                again = gr.Button(t("filter.read"), size="sm", elem_id="filter-read")
        opinions = filter_opinions.build()
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=320):
                rules = filter_rules.build()
            with gr.Column(scale=7, min_width=320):
                results = filter_result.build()
    return FilterTab(empty, go, body, answers, opinions, again, rules, results, gr.State(""), gr.State(0.0))


def wire(tab: FilterTab, wiring: Wiring, page: Page) -> None:
    """Connect the Filter tab."""
    wiring_of_tab = wiring.within(_=tab)
    _wire_project(tab, wiring_of_tab, page)
    _wire_rules(tab, wiring_of_tab)
    filter_removed.wire(tab.results.removed, wiring, tab.results.rules, tab.results.effects)


def _wire_project(tab: FilterTab, wiring: Wiring, page: Page) -> None:
    rules = tab.rules
    fresh = ["empty", "go", "body", "rules.form.*", "rules.model", "results.count", "read"]
    # In two steps: the tab may be selected while a project is being opened, and what is drawn then must be drawn again.
    drawn = wiring.on(page.shows(), opened, "page.project", fresh)
    wiring.on(drawn, drawn_again, "looked", "looked")
    select = page.looks("filter")
    wiring.on(select, looked, (), "looked")
    wiring.on(select, read_quietly, "page.project", ["read", "looked"], CHECK)
    wiring.on(tab.again.click, read_again, "page.project", ["read", "looked"], BUSY, show_progress_on=[tab.answers])
    shown = ["answers", "again", *(f"opinions.{name}" for name in filter_opinions.DRAWN)]
    wiring.on([tab.looked.change, tab.read.change], answers, ["page.project", "read"], shown)
    filter_opinions.wire(tab.opinions, wiring)
    named = [rules.use_model.click, rules.model.submit]
    of_model = ["rules.model", "rules.problem", "looked"]
    wiring.on(named, filter_rules.use_model, ["page.project", "rules.model"], of_model, CHECK)
    wiring.on(tab.go.click, to_dataset, (), "page.tabs")


def _wire_rules(tab: FilterTab, wiring: Wiring) -> None:
    results, form = tab.results, tab.rules.form
    lengths = [f"rules.form.{name}" for name in filter_rules.LENGTHS]
    wiring.on(tab.looked.change, units, ["page.project", "looked"], ["rules.unit", *lengths])
    # Only the last of several changes counts: nobody waits for the results of what was typed on the way.
    changes = [tab.looked.change, results.part.input, *(changed(component) for component in form.inputs)]
    known = ["page.project", "looked", "results.part", "rules.form.*"]
    wiring.on(changes, compute, known, [f"results.{name}" for name in RESULTS], CHECK)
    wiring.on(results.save.click, save, ["page.project", "rules.form.*"], ["results.saved", "page.tabs"], CHECK)
    wiring.on(results.reset.click, reset, (), ["rules.form.*", "looked"])


def opened(visit: Visit, given: Given) -> Update:
    """Put a project's recipe into the form."""
    project = loaded(visit, given)
    here, away = gr.update(visible=True), gr.update(visible=False)
    if project is None:
        return {"empty": here, "go": here, "body": away, "rules.model": "", "results.count": "", "read": ""}
    recipe, counted = recipe_of(project), summary_of(project).sources
    choices = [(f"{outcome.source_name(source)} · {count:,}", source) for source, count in counted.items()]
    sources = gr.update(choices=choices, value=recipe.model_dump()["sources"], visible=len(choices) > 1)
    return {
        **{"empty": away, "go": away, "body": here},
        **prefixed("rules.form.", {**filter_rules.shown(recipe), "sources": sources}),
        "rules.model": project.read().base_model,
        "results.count": line(say("filter.counting")),
        "read": "",
    }


def units(visit: Visit, given: Given) -> Update:
    """Say what lengths are counted in."""
    # A state's first value counts as a change in Gradio 6.31, so that this is called for a tab nobody has opened.
    project = loaded(visit, given) if given["looked"] else None
    return prefixed("rules.", filter_rules.units(project)) if project else {}


def compute(visit: Visit, given: Given) -> Update:
    """Show what the rules in the form do."""
    project = loaded(visit, given)
    if project is None or not given["looked"]:  # nobody has opened the tab: nothing is counted for it
        return {}
    try:
        recipe = filter_rules.recipe(under(given, "rules.form."))
    except ValidationError as error:
        return prefixed("results.", filter_result.wrong(error))
    return prefixed("results.", filter_result.draw(project, recipe, given["results.part"]))


def save(visit: Visit, given: Given) -> Update:
    """Make the rules in the form the project's, and go on to the export."""
    project = visit.project(given["page.project"])
    recipe = filter_rules.recipe(under(given, "rules.form."))
    save_recipe(project, recipe)
    return {"results.saved": outcome.saved(project, recipe), "page.tabs": gr.Tabs(selected="export")}


def reset(visit: Visit, given: Given) -> Update:
    """Put the default rules into the form."""
    return {**prefixed("rules.form.", filter_rules.shown(Recipe())), "looked": time.time()}


def read_quietly(visit: Visit, given: Given) -> Update:
    """Read answers as the tab opens, if there is a review."""
    project = loaded(visit, given)
    review = project.read().review if project else None
    return _read(visit, project) if project and review and review.dataset_id else {"read": ""}


def read_again(visit: Visit, given: Given) -> Update:
    """Read answers because somebody asks for it."""
    return _read(visit, visit.project(given["page.project"]))


def _read(visit: Visit, project: Project) -> Update:
    """Read answers; where that fails, the answers read before are worked on, and it is said."""
    before = answers_of(project)
    try:
        found = refresh_answers(project, visit.studio.argilla.endpoint())
    except StudioError as error:
        return {"read": say("filter.read.not", why=error.what)}
    read = {"read": say("filter.read.at", time=time.strftime("%H:%M"))}
    return {**read, "looked": time.time()} if found != before else read


def answers(visit: Visit, given: Given) -> Update:
    """Show what reviewers said so far, and the button that reads more where there is a review."""
    project = loaded(visit, given)
    if project is None:
        return {"answers": "", "opinions.fold": gr.update(visible=False)}
    review = project.read().review
    waiting = bool(review and review.dataset_id)
    settled = settled_of(project)
    if settled:
        shown = _counts(project, given["read"])
    else:
        said = say("filter.answers.none" if waiting else "filter.answers.no_review")
        shown = notice(f"{said} {given['read']}".strip())
    agreement = filter_opinions.draw(visit, project) if settled else {"fold": gr.update(visible=False)}
    return {"answers": shown, "again": gr.update(visible=waiting), **prefixed("opinions.", agreement)}


def _counts(project: Project, read: str) -> Markup:
    """Return how many pairs got which verdict, as HTML."""
    settled = settled_of(project)
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
    item, when = Markup("<span>{} <b>{}</b></span>"), Markup(' <span class="run-line">{}</span>')
    inside = Markup("").join(item.format(say(key), f"{count:,}") for key, count in counts.items() if count)
    head = Markup("<div><b>{}</b>{}</div>").format(said, when.format(read) if read else "")
    return head + Markup('<div class="status-items">{}</div>').format(inside)

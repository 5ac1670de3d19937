"""The Filter tab: what reviewers said, the rules, what they keep and what each of them removes."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline import tokens, workbench
from pipeline.errors import StudioError
from pipeline.filter import PARTS, Recipe
from pipeline.preflight import Notice
from pipeline.project import Project, Record, find
from pipeline.studio import Studio
from ui import outcome, pair_view
from ui.forms import ParameterForm, control
from ui.handlers import BUSY, QUIET, handle
from ui.notice import notice, notices, wrong_values
from ui.outcome import Effect
from ui.page import Page
from ui.pair_view import PairView
from ui.text import say, t

REVIEW = ("only_reviewed", "min_relevance", "preference_agrees")
LENGTHS = tuple(f"{bound}_{part}_tokens" for part in PARTS for bound in ("min", "max"))
OTHERS = ("sources", "contains", "contains_not", "drop_duplicates")
VERDICTS = ("chosen", "rejected", "tie", "undecided", None)
PLOTS = ("rating", "tokens", "source")
# Only the last of several changes counts: nobody waits for the results of what was typed on the way.
LIVE: dict[str, Any] = {**BUSY, "show_progress": "hidden", "trigger_mode": "always_last"}


@dataclass(frozen=True)
class Results:
    """What the rules do.

    Attributes:
        effects: State with label, number and example ids of each rule in the table.
        shown: State with the row of the table whose removed pairs are shown.
    """

    count: gr.HTML
    problem: gr.HTML
    saved: gr.HTML
    save: gr.Button
    reset: gr.Button
    rules: gr.Dataframe
    effects: gr.State
    shown: gr.State
    part: gr.Radio
    plots: dict[str, gr.BarPlot]

    @property
    def outputs(self) -> list[Component]:
        """Components that `_results` returns updates for."""
        return [self.count, self.problem, self.saved, self.save, self.rules, self.effects, *self.plots.values()]


@dataclass(frozen=True)
class Removed:
    """A few of the pairs that one rule removes."""

    box: gr.Column
    title: gr.HTML
    which: gr.Radio
    said: gr.HTML
    pair: PairView
    close: gr.Button


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
    form: ParameterForm
    unit: gr.HTML
    model: gr.Textbox
    use_model: gr.Button
    model_problem: gr.HTML
    results: Results
    removed: Removed
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
                form, unit, model, use_model, model_problem = _form()
            with gr.Column(scale=7, min_width=320):
                results, removed = _result_parts()
    lengths = (unit, model, use_model, model_problem)
    return FilterTab(empty, go, body, answers, again, form, *lengths, results, removed, gr.State(""), gr.State(0.0))


def _form() -> tuple[ParameterForm, gr.HTML, gr.Textbox, gr.Button, gr.HTML]:
    controls: dict[str, Component] = {}
    gr.Markdown(t("filter.group.review"))
    for name in REVIEW:
        controls[name] = control(Recipe, "filter", name)
    gr.Markdown(t("filter.group.lengths"))
    unit = gr.HTML(elem_id="filter-unit", padding=False)
    for part in PARTS:
        with gr.Row(elem_classes="form-row"):
            for name in (f"min_{part}_tokens", f"max_{part}_tokens"):
                controls[name] = _number(name)
    with gr.Accordion(t("filter.model.fold"), open=False, elem_id="filter-model-fold"):
        model = gr.Textbox(label=t("filter.model"), info=t("filter.model.help"), elem_id="filter-model")
        use_model = gr.Button(t("filter.model.use"), size="sm", elem_id="filter-model-use")
        problem = gr.HTML(visible=False, padding=False, elem_id="filter-model-problem")
    gr.Markdown(t("filter.group.text"))
    for name in OTHERS:
        controls[name] = control(Recipe, "filter", name, [] if name == "sources" else None)
    return ParameterForm(Recipe, controls), unit, model, use_model, problem


def _number(name: str) -> gr.Number:
    """Return the control of a length: two stand side by side, so it is narrower than others, and its help is short."""
    return gr.Number(
        value=Recipe.model_fields[name].default,
        precision=0,
        label=t(f"filter.{name}"),
        placeholder=t("filter.any"),
        min_width=130,
        elem_id=f"filter-{name.replace('_', '-')}",
    )


def _result_parts() -> tuple[Results, Removed]:
    count = gr.HTML(elem_id="filter-count", padding=False)
    problem = gr.HTML(elem_id="filter-problem", padding=False, visible=False)
    with gr.Row(equal_height=True):
        save = gr.Button(t("filter.save"), variant="primary", interactive=False, scale=2, elem_id="filter-save")
        reset = gr.Button(t("filter.reset"), scale=1, elem_id="filter-reset")
    saved = gr.HTML(elem_id="filter-saved", padding=False)
    gr.Markdown(t("filter.rules"))
    rules = gr.Dataframe(
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        buttons=[],
        column_widths=["56%", "22%", "22%"],
        elem_id="filter-rules",
    )
    removed = _removed_parts()  # below the table it belongs to: elsewhere nobody would see it appear
    gr.Markdown(t("filter.plots"))
    plots = {"rating": _plot("rating")}
    part = gr.Radio(
        [(t(f"filter.part.{name}"), name) for name in PARTS],
        value="chosen",
        label=t("filter.part"),
        elem_id="filter-part",
    )
    plots |= {"tokens": _plot("tokens"), "source": _plot("source")}
    results = Results(count, problem, saved, save, reset, rules, gr.State([]), gr.State(-1), part, plots)
    return results, removed


def _plot(name: str) -> gr.BarPlot:
    return gr.BarPlot(
        x=name,
        y="pairs",
        color="state",
        color_title=" ",
        x_title=" ",
        y_title=" ",
        label=t(f"filter.plot.{name}"),
        tooltip="all",
        x_label_angle=-30 if name == "tokens" else 0,  # its names are too long for a phone's width
        height=230,
        min_width=300,
        buttons=["fullscreen"],
        elem_id=f"filter-plot-{name}",
    )


def _removed_parts() -> Removed:
    with gr.Column(visible=False, elem_id="filter-removed") as box:
        title = gr.HTML(elem_id="filter-removed-title", padding=False)
        which = gr.Radio([], label=t("filter.removed.which"), elem_id="filter-removed-which")
        said = gr.HTML(elem_id="filter-removed-said", padding=False)
        pair = pair_view.build("filter")
        close = gr.Button(t("filter.removed.close"), size="sm", elem_id="filter-removed-close")
    return Removed(box, title, which, said, pair, close)


def wire(tab: FilterTab, studio: Studio, page: Page) -> None:
    """Connect the Filter tab."""
    _wire_project(tab, studio, page)
    _wire_rules(tab, studio, page)
    _wire_removed(tab, studio, page)


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
        return _use_model(find(studio.home, name), model)

    form = tab.form
    project_parts = [tab.empty, tab.go, tab.body, *form.inputs, tab.model, tab.results.count, tab.read]
    # In two steps: the tab may be selected while a project is being opened, and what is drawn then must be drawn again.
    fresh = page.project.change(handle(opened), [page.project], project_parts, **QUIET)
    fresh.then(handle(look_again), [tab.looked], [tab.looked], **QUIET)
    select = page.items["filter"].select
    select(time.time, None, [tab.looked], **QUIET)
    select(handle(read_quietly), [page.project], [tab.read, tab.looked], **LIVE)
    tab.again.click(handle(read_again), [page.project], [tab.read, tab.looked], show_progress_on=[tab.answers], **BUSY)
    shown = [tab.answers, tab.again]
    gr.on([tab.looked.change, tab.read.change], handle(answers), [page.project, tab.read], shown, **QUIET)
    apply = {"inputs": [page.project, tab.model], "outputs": [tab.model, tab.model_problem, tab.looked], **LIVE}
    tab.use_model.click(handle(use_model), **apply)
    tab.model.submit(handle(use_model), **apply)
    tab.go.click(handle(lambda: gr.Tabs(selected="dataset")), None, [page.tabs], **QUIET)


def _wire_rules(tab: FilterTab, studio: Studio, page: Page) -> None:
    results, form = tab.results, tab.form

    def units(name: str, looked: float) -> list[Any]:
        # A state's first value counts as a change in Gradio 6.31, so that this is called for a tab nobody has opened.
        project = _project(studio, name) if looked else None
        return _units(project) if project else [gr.skip()] * (1 + len(LENGTHS))

    def compute(name: str, looked: float, part: str, *values: Any) -> list[Any]:
        project = _project(studio, name)
        if project is None or not looked:  # nobody has opened the tab: nothing is counted for it
            return [gr.skip()] * (len(results.outputs) + 2)
        return [*_results(project, tab, part, values), gr.update(visible=False), -1]

    def save(name: str, *values: Any) -> list[Any]:
        project = find(studio.home, name)
        recipe = _recipe(form, values)
        workbench.save_recipe(project, recipe)
        return [outcome.saved(project, recipe), gr.Tabs(selected="export")]

    def reset() -> list[Any]:
        return [*form.show(Recipe()), time.time()]

    length_controls = [form.components[name] for name in LENGTHS]
    tab.looked.change(handle(units), [page.project, tab.looked], [tab.unit, *length_controls], **QUIET)
    changes = [changed(component) for component in form.inputs]
    gr.on(
        [tab.looked.change, results.part.input, *changes],
        handle(compute),
        [page.project, tab.looked, results.part, *form.inputs],
        [*results.outputs, tab.removed.box, results.shown],
        **LIVE,
    )
    results.save.click(handle(save), [page.project, *form.inputs], [results.saved, page.tabs], **LIVE)
    results.reset.click(handle(reset), None, [*form.inputs, tab.looked], **QUIET)


def _wire_removed(tab: FilterTab, studio: Studio, page: Page) -> None:
    removed, results = tab.removed, tab.results

    def choose(name: str, effects: list[Effect], event: gr.SelectData) -> list[Any]:
        row = event.index[0]
        if row >= len(effects) or not effects[row][2]:
            return [gr.update(visible=False), *[gr.skip()] * (2 + len(drawn)), -1]
        label, count, examples = effects[row]
        said = say("filter.removed.title", label=label, count=f"{count:,}")
        choices = [(str(number), number) for number in range(1, len(examples) + 1)]
        which = gr.update(choices=choices, value=1, visible=len(choices) > 1)
        first = outcome.example(find(studio.home, name), examples[0])
        return [gr.update(visible=True), f"<h3>{escape(said)}</h3>", which, *first, row]

    def turn(name: str, effects: list[Effect], row: int, number: int | None) -> list[Any]:
        if not number or not 0 <= row < len(effects) or number > len(effects[row][2]):
            return [gr.skip()] * len(drawn)
        return outcome.example(find(studio.home, name), effects[row][2][number - 1])

    drawn = [removed.said, *removed.pair.outputs]
    head = [removed.box, removed.title, removed.which]
    results.rules.select(handle(choose), [page.project, results.effects], [*head, *drawn, results.shown], **QUIET)
    removed.close.click(handle(lambda: gr.update(visible=False)), None, [removed.box], **QUIET)
    inputs = [page.project, results.effects, results.shown, removed.which]
    removed.which.input(handle(turn), inputs, drawn, **QUIET)


def _project(studio: Studio, name: str) -> Project | None:
    """Return the project of that name, if it has a dataset."""
    project = find(studio.home, name) if name else None
    return project if project and project.read().dataset else None


def changed(control: Any) -> Any:
    """Return the event of a person changing a control; the change event also comes when a handler fills it.

    A text that is pasted or put there at once fires change and no input (Textbox of Gradio 6.31).
    """
    return control.change if isinstance(control, gr.Textbox) else control.input


def look_again(looked: float) -> Any:
    """Return the time for a tab that has been looked at before: all of it is to be drawn again."""
    # Never the 0.0 it was given: the tab may have been selected meanwhile, and its time would be lost.
    return time.time() if looked else gr.skip()


def _opened(tab: FilterTab, project: Project | None) -> list[Any]:
    """Return updates that put a project's recipe into the form."""
    here, away = gr.update(visible=True), gr.update(visible=False)
    if project is None:
        return [here, here, away, *(gr.skip() for _ in tab.form.inputs), "", "", ""]
    shown = dict(zip(tab.form.components, tab.form.show(workbench.recipe_of(project)), strict=True))
    sources = workbench.summary_of(project).sources
    choices = [(f"{outcome.source_name(source)} · {count:,}", source) for source, count in sources.items()]
    shown["sources"] = gr.update(choices=choices, value=workbench.recipe_of(project).sources, visible=len(choices) > 1)
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
    before = workbench.answers_of(project)
    try:
        found = workbench.refresh_answers(project, studio.argilla.endpoint())
    except StudioError as error:
        return [say("filter.read.not", why=error.what), gr.skip()]
    return [_read_at(), time.time() if found != before else gr.skip()]


def _answers(project: Project, read: str) -> list[Any]:
    """Return updates that show what reviewers said so far, and the button that reads more where there is a review."""
    review = project.read().review
    waiting = bool(review and review.dataset_id)
    again = gr.update(visible=waiting)
    settled = workbench.settled_of(project)
    if not settled:
        said = say("filter.answers.none" if waiting else "filter.answers.no_review")
        return [notice(f"{said} {read}".strip()), again]
    annotators = {answer.annotator for answer in workbench.answers_of(project) if answer.status == "submitted"}
    said = say(
        "filter.answers",
        answers=f"{sum(each.answers for each in settled.values()):,}",
        annotators=len(annotators),
        records=f"{len(settled):,}",
    )
    found = Counter(each.preference for each in settled.values())
    counts = {f"filter.verdict.{verdict}": found[verdict] for verdict in VERDICTS}
    counts["filter.verdict.unreviewed"] = len(workbench.pairs_of(project)) - len(settled)
    inside = "".join(f"<span>{escape(say(key))} <b>{count:,}</b></span>" for key, count in counts.items() if count)
    when = f' <span class="run-line">{escape(read)}</span>' if read else ""
    return [f'<div><b>{escape(said)}</b>{when}</div><div class="status-items">{inside}</div>', again]


def _use_model(project: Project, model: str) -> list[Any]:
    """Make a model the project's base model; return updates for its control, what is wrong with it, and a new look."""
    try:
        name = tokens.check(model)
    except StudioError as error:
        wrong = notices([Notice(error.what, error.why, error.next)], "filter", bad=True)
        return [gr.skip(), gr.update(value=wrong, visible=True), gr.skip()]

    def change(record: Record) -> None:
        record.base_model = name

    project.update(change)
    return [name, gr.update(visible=False), time.time()]


def _units(project: Project) -> list[Any]:
    """Return updates that say what lengths are counted in."""
    counted = workbench.counts_of(project)
    if counted.unit == "tokens":
        line = f'<div class="run-line">{escape(say("filter.unit.tokens", model=counted.name))}</div>'
    else:
        line = notice(say("filter.unit.words", model=project.read().base_model))
    unit = pair_view.unit_name(counted.unit)
    labels = [gr.update(label=say("filter.with_unit", label=say(f"filter.{name}"), unit=unit)) for name in LENGTHS]
    return [line, *labels]


def _recipe(form: ParameterForm, values: tuple[Any, ...]) -> Recipe:
    """Return the recipe that the form holds; an emptied shortest length is none."""
    given = dict(zip(form.components, values, strict=True))
    given |= {name: 0 for name in LENGTHS if name.startswith("min_") and given[name] is None}
    return Recipe.model_validate(given)


def _results(project: Project, tab: FilterTab, part: str, values: tuple[Any, ...]) -> list[Any]:
    """Return updates for `Results.outputs`: what the rules in the form do."""
    try:
        recipe = _recipe(tab.form, values)
    except ValidationError as error:  # on the way to a number, say: what was shown before stays
        wrong = gr.update(value=wrong_values(error, "filter"), visible=True)
        rest = [gr.skip()] * (len(tab.results.outputs) - 4)
        return [gr.skip(), wrong, gr.skip(), gr.update(interactive=False), *rest]
    found = workbench.filtered(project, recipe)
    unit = workbench.counts_of(project).unit
    table, effects = outcome.rules(found, recipe, unit)
    return [
        outcome.count(found),
        gr.update(value=notice(say("filter.nothing")), visible=not found.kept),
        outcome.saved(project, recipe),
        gr.update(interactive=bool(found.kept)),
        gr.update(value=table),
        effects,
        *outcome.plots(project, found, part, unit),
    ]

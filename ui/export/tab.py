"""The Export tab: what becomes of each verdict, the split, the counts before anything is written, and the files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.preflight import Notice
from pipeline.base.project import Project, find
from pipeline.export import exported, writing
from pipeline.export.exported import Exported
from pipeline.export.options import ExportOptions, ExportPlan
from pipeline.filter.project import filtered
from pipeline.hardware import machine
from pipeline.review.project import settled_of
from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.runs.view import look
from pipeline.studio import Studio
from ui.export import publish
from ui.export.publish import PublishPart
from ui.handlers import BUSY, QUIET, changed, handle, look_again
from ui.page import Page
from ui.parts import run_view
from ui.parts.forms import ParameterForm, control, parameter_form
from ui.parts.notice import facts, notice, notices, wrong_values
from ui.parts.run_view import RunView
from ui.text import say, t

VERDICTS = ("undecided", "ties", "rejected_better")
SPLIT = ("test_share", "seed")
COLUMNS = ("name", "created", "pairs", "train", "test", "swapped")
LIVE: dict[str, Any] = {**BUSY, "show_progress": "hidden", "trigger_mode": "always_last"}


@dataclass(frozen=True)
class Result:
    """A finished export.

    Attributes:
        name: State with its name, "" for none; its change event draws it.
    """

    name: gr.State
    box: gr.Column
    title: gr.Markdown
    facts: gr.HTML
    train: gr.Button
    files: gr.Dataframe
    snippet: gr.Code
    card: gr.Textbox

    @property
    def outputs(self) -> list[Component]:
        """Components that `_result` returns updates for."""
        return [self.box, self.title, self.facts, self.files, self.snippet, self.card]


@dataclass(frozen=True)
class ExportTab:
    """Components of the Export tab.

    Attributes:
        looked: State with the time of the last look at the tab, 0 for none; its change event counts again.
    """

    empty: gr.HTML
    go: gr.Button
    body: gr.Column
    incoming: gr.HTML
    change: gr.Button
    form: ParameterForm
    plan: gr.HTML
    start: gr.Button
    view: RunView
    note: gr.HTML
    result: Result
    publish: PublishPart
    history_box: gr.Column
    history: gr.Dataframe
    looked: gr.State


def build(studio: Studio) -> ExportTab:
    """Lay out the Export tab."""
    empty = gr.HTML(t("export.empty.project"), elem_id="export-empty", elem_classes="empty")
    go = gr.Button(t("export.go"), variant="primary", elem_id="export-go")
    with gr.Column(visible=False) as body:
        with gr.Row(equal_height=False):
            with gr.Column(scale=5, min_width=300):
                incoming = gr.HTML(elem_id="export-incoming", padding=False)
            with gr.Column(scale=1, min_width=170):
                change = gr.Button(t("export.change"), size="sm", elem_id="export-change")
        with gr.Row(equal_height=False):
            with gr.Column(scale=7, min_width=320):
                form = _form()
            with gr.Column(scale=5, min_width=320):
                gr.Markdown(t("export.plan"))
                plan = gr.HTML(elem_id="export-plan", padding=False)
                start = gr.Button(t("export.start"), variant="primary", interactive=False, elem_id="export-start")
    view = run_view.build("export")
    note = gr.HTML(elem_id="export-note", visible=False)
    result = _result_parts()
    published = publish.build()
    with gr.Column(visible=False) as history_box:
        gr.Markdown(t("export.history"))
        history = gr.Dataframe(
            type="array", interactive=False, datatype="str", wrap=True, buttons=[], elem_id="export-history"
        )
    looked = gr.State(0.0)
    return ExportTab(
        *(empty, go, body, incoming, change, form, plan, start, view, note),
        *(result, published, history_box, history, looked),
    )


def _form() -> ParameterForm:
    controls: dict[str, Component] = {"name": control(ExportOptions, "export", "name")}
    gr.Markdown(t("export.options"))
    for name in VERDICTS:
        controls[name] = control(ExportOptions, "export", name)
    with gr.Accordion(t("export.group.split"), open=False, elem_id="export-split"):
        controls |= parameter_form(ExportOptions, "export", only=list(SPLIT)).components
    return ParameterForm(ExportOptions, controls)


def _result_parts() -> Result:
    name = gr.State("")
    with gr.Column(visible=False, elem_id="export-result") as box:
        title = gr.Markdown()
        shown = gr.HTML(elem_id="export-facts", padding=False)
        train = gr.Button(t("export.train"), variant="primary", elem_id="export-train")
        files = gr.Dataframe(
            type="array",
            interactive=False,
            datatype="str",
            wrap=True,
            buttons=[],
            label=t("export.files"),
            elem_id="export-files",
        )
        with gr.Accordion(t("export.snippet"), open=False):
            snippet = gr.Code(
                language="python", interactive=False, show_label=False, buttons=["copy"], elem_id="export-snippet"
            )
        with gr.Accordion(t("export.card"), open=False, elem_id="export-card-fold"):
            # A text box, not Markdown: names in it come from the dataset.
            card = gr.Textbox(
                show_label=False,
                lines=20,
                max_lines=20,
                interactive=False,
                container=False,
                elem_classes="run-log",
                elem_id="export-card-text",
            )
    return Result(name, box, title, shown, train, files, snippet, card)


def wire(tab: ExportTab, studio: Studio, page: Page) -> None:
    """Connect the Export tab."""
    _wire_form(tab, studio, page)
    _wire_run(tab, studio, page)
    publish.wire(tab.publish, studio, page, tab.result.name)


def _wire_form(tab: ExportTab, studio: Studio, page: Page) -> None:
    def opened(name: str) -> list[Any]:
        return _opened(studio, tab, _project(studio, name))

    def planned(name: str, looked: float, shown: str, *values: Any) -> list[Any]:
        project = _project(studio, name)
        if project is None or not looked:  # nobody has opened the tab: nothing is counted for it
            return [gr.skip()] * 3
        running = bool(studio.ledger.list(project=name, kind="export", active=True))
        return [_incoming(project), *_planned(tab.form, project, values, again=bool(shown), running=running)]

    def start(name: str, *values: Any) -> list[Any]:
        project = find(studio.home, name)
        options = _options(tab.form, values)
        if (project.exports / options.name).exists():
            raise StudioError(say("export.used", name=options.name), "", say("export.used.next"))
        spec: dict[str, object] = {"options": options.model_dump(mode="json")}
        run = launch.start(studio.ledger, "export", name, say("export.run", name=options.name), spec)
        return [run.id, "", gr.update(interactive=False)]

    parts = [tab.empty, tab.go, tab.body, *tab.form.inputs, tab.plan, tab.view.run, tab.result.name]
    parts += [tab.history_box, tab.history]
    # In two steps: the tab may be selected while a project is being opened, and what is drawn then must be drawn again.
    fresh = page.project.change(handle(opened), [page.project], parts, **QUIET)
    fresh.then(handle(look_again), [tab.looked], [tab.looked], **QUIET)
    page.items["export"].select(time.time, None, [tab.looked], **QUIET)
    changes = [changed(component) for component in tab.form.inputs]
    gr.on(
        [tab.looked.change, tab.result.name.change, *changes],
        handle(planned),
        [page.project, tab.looked, tab.result.name, *tab.form.inputs],
        [tab.incoming, tab.plan, tab.start],
        **LIVE,
    )
    inputs = [page.project, *tab.form.inputs]
    tab.start.click(handle(start), inputs, [tab.view.run, tab.result.name, tab.start], **LIVE)
    tab.go.click(handle(lambda: gr.Tabs(selected="dataset")), None, [page.tabs], **QUIET)
    tab.change.click(handle(lambda: gr.Tabs(selected="filter")), None, [page.tabs], **QUIET)


def _wire_run(tab: ExportTab, studio: Studio, page: Page) -> None:
    result = tab.result

    def ended(name: str, run_id: str) -> list[Any]:
        return _ended(studio, _project(studio, name), run_id)

    def draw(name: str, shown: str) -> list[Any]:
        project = _project(studio, name)
        return _result(exported.read(project, shown) if project and shown else None)

    def select(event: gr.SelectData) -> str:
        return str(event.row_value[0])

    run_view.wire(tab.view, studio)
    listed = [tab.history_box, tab.history]
    outputs = [tab.note, result.name, tab.form.components["name"], tab.looked, *listed]
    tab.view.ended.change(handle(ended), [page.project, tab.view.ended], outputs, **QUIET)
    # An ended run that is not looked at any more says nothing.
    tab.view.run.change(handle(lambda: gr.update(visible=False)), None, [tab.note], **QUIET)
    result.name.change(handle(draw), [page.project, result.name], result.outputs, **QUIET)
    tab.history.select(handle(select), None, [result.name], **QUIET)
    result.train.click(handle(lambda: gr.Tabs(selected="train")), None, [page.tabs], **QUIET)


def _project(studio: Studio, name: str) -> Project | None:
    """Return the project of that name, if it has a dataset."""
    project = find(studio.home, name) if name else None
    return project if project and project.read().dataset else None


def _opened(studio: Studio, tab: ExportTab, project: Project | None) -> list[Any]:
    """Return updates that show a project: its last run, its exports, and a fresh name for the next."""
    here, away = gr.update(visible=True), gr.update(visible=False)
    if project is None:
        return [here, here, away, *(gr.skip() for _ in tab.form.inputs), "", "", "", *_history(None)]
    defaults = ExportOptions(name=exported.free_name(project))
    latest = studio.ledger.latest(project.name, "export")
    counting = f'<div class="run-line">{escape(say("export.counting"))}</div>'
    return [
        *(away, away, here),
        *tab.form.show(defaults),
        counting,
        latest.id if latest else "",
        next(iter(exported.names(project)), "") if latest is None or not latest.active else "",
        *_history(project),
    ]


def _options(form: ParameterForm, values: tuple[Any, ...]) -> ExportOptions:
    options = form.read(values)
    assert isinstance(options, ExportOptions)
    return options


def _incoming(project: Project) -> str:
    """Return what comes from the filter, as HTML."""
    outcome, settled = filtered(project), settled_of(project)
    reviewed = sum(pair.record_id in settled for pair in outcome.kept)
    said = say("export.incoming", kept=f"{len(outcome.kept):,}", total=f"{outcome.total:,}", reviewed=f"{reviewed:,}")
    unsaved = "" if project.read().recipe is not None else say("export.incoming.default")
    return f'<div>{escape(said)} <span class="run-line">{escape(unsaved)}</span></div>'


def _planned(
    form: ParameterForm, project: Project, values: tuple[Any, ...], *, again: bool, running: bool
) -> list[Any]:
    """Return updates for the plan's counts and the button that starts it.

    Args:
        form: The options.
        project: The project.
        values: What the form holds.
        again: Whether a finished export is shown: going on with it comes first then.
        running: Whether the project's last export is still being written.
    """
    variant = "secondary" if again else "primary"
    label = say("export.start.again" if again else "export.start")
    try:
        options = _options(form, values)
    except ValidationError as error:
        return [wrong_values(error, "export"), gr.update(interactive=False, value=label, variant=variant)]
    plan = writing.plan(filtered(project).kept, settled_of(project), options)
    blocker = None
    if not plan.kept:
        why = "export.nothing.options" if plan.total else "export.nothing.filter"
        blocker = Notice(say("export.nothing"), "", say(why))
    elif (project.exports / options.name).exists() and not running:
        blocker = Notice(say("export.used", name=options.name), "", say("export.used.next"))
    shown = _counts(plan) + (notices([blocker], "export", bad=True) if blocker else "")
    if not blocker and not plan.test:
        shown += notice(say("export.no_test"))
    return [shown, gr.update(interactive=blocker is None and not running, value=label, variant=variant)]


def _counts(plan: ExportPlan) -> str:
    """Return a plan's numbers as HTML."""
    big = f'<div class="big-count">{escape(say("export.big", count=f"{plan.kept:,}"))}</div>'
    return big + facts(_lines(plan))


def _lines(plan: ExportPlan) -> dict[str, str]:
    share = {name: f"{getattr(plan, name) / max(plan.kept, 1):.1%}" for name in ("train", "test")}
    lines = {"total": f"{plan.total:,}"}
    lines |= {name: f"{plan.dropped[name]:,}" for name in VERDICTS}
    lines["swapped"] = f"{plan.swapped:,}"
    for name in ("train", "test"):
        lines[name] = say("export.share", count=f"{getattr(plan, name):,}", share=share[name])
    lines["prompts"] = f"{plan.prompts:,}"
    return {say(f"export.fact.{name}"): value for name, value in lines.items()}


def _ended(studio: Studio, project: Project | None, run_id: str) -> list[Any]:
    """Return updates for the end of a run: its export is shown, and the next one gets a name of its own."""
    seen = look(studio.ledger, run_id) if run_id else None
    if project is None or seen is None or seen.run.project != project.name:
        return [gr.skip()] * 6
    stopped = seen.run.state is State.CANCELLED
    note = gr.update(value=notice(say("export.stopped")), visible=stopped)
    made = str((seen.run.result or {}).get("name", ""))
    there = made in exported.names(project)
    name = exported.free_name(project) if there else gr.skip()
    return [note, made if there else gr.skip(), name, time.time(), *_history(project)]


def _result(found: Exported | None) -> list[Any]:
    """Return updates for `Result.outputs`."""
    if found is None:
        return [gr.update(visible=False), *[gr.skip()] * 5]
    lines = {
        say("export.fact.folder"): str(found.folder),
        say("export.fact.created"): _when(found.created),
        **_lines(found.plan),
    }
    headers = [say(f"export.column.{name}") for name in ("file", "size", "rows")]
    files = [
        [file.path, machine.size(file.bytes), f"{file.rows:,}" if file.rows is not None else "–"]
        for file in found.files
    ]
    return [
        gr.update(visible=True),
        say("export.result", name=found.name),
        facts(lines),
        gr.update(value={"headers": headers, "data": files}),
        exported.snippet(found.folder),
        found.card,
    ]


def _when(created: str) -> str:
    return datetime.fromisoformat(created).astimezone().strftime("%Y-%m-%d %H:%M")


def _history(project: Project | None) -> list[Any]:
    """Return updates for the table of the project's exports, newest first."""
    found = [exported.read(project, name) for name in exported.names(project)] if project else []
    headers = [say(f"export.column.{name}") for name in COLUMNS]
    data = [
        [
            *(each.name, _when(each.created)),
            *(f"{count:,}" for count in (each.plan.kept, each.plan.train, each.plan.test, each.plan.swapped)),
        ]
        for each in found
    ]
    return [gr.update(visible=bool(data)), gr.update(value={"headers": headers, "data": data})]

"""The Export tab: what becomes of each verdict, the split, the counts before anything is written, and the files."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from markupsafe import Markup
from pydantic import ValidationError

from pipeline.base.errors import StudioError
from pipeline.base.message import Message, message
from pipeline.base.project import Project
from pipeline.export import exported, writing
from pipeline.export.options import ExportOptions, ExportPlan
from pipeline.export.places import places_of
from pipeline.filter.project import filtered
from pipeline.review.project import save_settling, settled_of, settling_of
from pipeline.runs import launch
from pipeline.runs.ledger import State
from pipeline.visit import Visit
from ui.export import publish
from ui.export import result as export_result
from ui.export.publish import PublishPart
from ui.export.result import VERDICTS, Result
from ui.export.settling import compare
from ui.handlers import CHECK, Given, Update, Wiring, changed, prefixed, under
from ui.page import Page
from ui.parts import run_view
from ui.parts.forms import ParameterForm, control, parameter_form
from ui.parts.notice import line, notice, notices, wrong_values
from ui.parts.run_view import RunView
from ui.parts.shown import drawn_again, loaded, looked, to_dataset, to_filter, to_train
from ui.text import say, t

SPLIT = ("test_share", "seed")
SETTLING = ("preference_by", "relevance_by", "at_least")
COLUMNS = ("name", "created", "pairs", "train", "test", "swapped")


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
    policies: gr.HTML
    start: gr.Button
    view: RunView
    note: gr.HTML
    result: Result
    publish: PublishPart
    history_box: gr.Column
    history: gr.Dataframe
    looked: gr.State


def build() -> ExportTab:
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
                with gr.Accordion(t("export.compare"), open=False, elem_id="export-compare"):
                    policies = gr.HTML(elem_id="export-compare-table", padding=False)
                start = gr.Button(t("export.start"), variant="primary", interactive=False, elem_id="export-start")
    view = run_view.build("export")
    note = gr.HTML(elem_id="export-note", visible=False)
    result = export_result.build()
    published = publish.build()
    with gr.Column(visible=False) as history_box:
        gr.Markdown(t("export.history"))
        history = gr.Dataframe(
            type="array", interactive=False, datatype="str", wrap=True, buttons=[], elem_id="export-history"
        )
    looked = gr.State(0.0)
    return ExportTab(
        *(empty, go, body, incoming, change, form, plan, policies, start, view, note),
        *(result, published, history_box, history, looked),
    )


def _form() -> ParameterForm:
    controls: dict[str, Component] = {"name": control(ExportOptions, "export", "name")}
    gr.Markdown(t("export.settling"))
    for name in SETTLING:
        controls[name] = control(ExportOptions, "export", name)
    gr.Markdown(t("export.options"))
    for name in VERDICTS:
        controls[name] = control(ExportOptions, "export", name)
    with gr.Accordion(t("export.group.split"), open=False, elem_id="export-split"):
        controls |= parameter_form(ExportOptions, "export", only=list(SPLIT)).components
    return ParameterForm(ExportOptions, controls)


def wire(tab: ExportTab, wiring: Wiring, page: Page) -> None:
    """Connect the Export tab."""
    of_tab = wiring.within(_=tab)
    _wire_form(tab, of_tab, page)
    _wire_run(tab, of_tab)
    publish.wire(tab.publish, wiring, page, tab.result.name)


def _wire_form(tab: ExportTab, wiring: Wiring, page: Page) -> None:
    fresh = ["empty", "go", "body", "form.*", "plan", "view.run", "result.name", "history_box", "history"]
    # In two steps: the tab may be selected while a project is being opened, and what is drawn then must be drawn again.
    drawn = wiring.on(page.shows(), opened, "page.project", fresh)
    wiring.on(drawn, drawn_again, "looked", "looked")
    wiring.on(page.looks("export"), looked, (), "looked")
    changes = [tab.looked.change, tab.result.name.change, *(changed(component) for component in tab.form.inputs)]
    known = ["page.project", "looked", "result.name", "form.*"]
    wiring.on(changes, planned, known, ["incoming", "plan", "policies", "start"], CHECK)
    wiring.on(tab.start.click, start, ["page.project", "form.*"], ["view.run", "result.name", "start"], CHECK)
    wiring.on(tab.go.click, to_dataset, (), "page.tabs")
    wiring.on(tab.change.click, to_filter, (), "page.tabs")


def _wire_run(tab: ExportTab, wiring: Wiring) -> None:
    run_view.wire(tab.view, wiring)
    shown = ["note", "result.name", "form.name", "looked", "history_box", "history"]
    wiring.on(tab.view.ended.change, ended, ["page.project", "view.ended"], shown)
    wiring.on(tab.view.run.change, another_run, (), "note")
    drawn = [f"result.{name}" for name in export_result.DRAWN]
    wiring.on(tab.result.name.change, draw, ["page.project", "result.name"], drawn)
    wiring.on(tab.history.select, select, (), "result.name", event=gr.SelectData)
    wiring.on(tab.result.train.click, to_train, (), "page.tabs")


def opened(visit: Visit, given: Given) -> Update:
    """Show a project: its last run, its exports, and a fresh name for the next."""
    project = loaded(visit, given)
    here, away = gr.update(visible=True), gr.update(visible=False)
    if project is None:
        return {
            **{"empty": here, "go": here, "body": away, "plan": "", "view.run": "", "result.name": ""},
            **_history(None),
        }
    latest = visit.ledger.latest(project.name, "export")
    running = latest is not None and latest.active
    usual = settling_of(project)
    defaults = ExportOptions(
        name=exported.free_name(project),
        preference_by=usual.preference,
        relevance_by=usual.relevance,
        at_least=usual.at_least,
    )
    return {
        **{"empty": away, "go": away, "body": here},
        **prefixed("form.", {name: gr.update(value=value) for name, value in defaults}),
        "plan": line(say("export.counting")),
        "view.run": latest.id if latest else "",
        "result.name": "" if running else next(iter(exported.names(project)), ""),
        **_history(project),
    }


def planned(visit: Visit, given: Given) -> Update:
    """Show what an export would hold, and what stops it."""
    project = loaded(visit, given)
    if project is None or not given["looked"]:  # nobody has opened the tab: nothing is counted for it
        return {}
    # Where a finished export is shown, going on with it comes first.
    again = bool(given["result.name"])
    button: dict[str, Any] = {"variant": "secondary" if again else "primary"}
    button["value"] = say("export.start.again" if again else "export.start")
    incoming = _incoming(project)
    try:
        options = _options(given)
    except ValidationError as error:
        start = gr.update(interactive=False, **button)
        return {"incoming": incoming, "plan": wrong_values(error, "export"), "start": start}
    running = bool(visit.ledger.list(project=project.name, kind="export", active=True))
    settling = options.settling
    kept, places = filtered(project, settling=settling).kept, places_of(project, options.seed)
    plan = writing.plan(kept, settled_of(project, settling), options, places)
    blocker = _blocker(project, plan, options, running=running)
    shown = export_result.counts(plan) + notices([blocker] if blocker else [], bad=True)
    if not blocker and not plan.test:
        shown += notice(say("export.no_test"))
    return {
        "incoming": incoming,
        "plan": shown,
        "policies": compare(project, options),
        "start": gr.update(interactive=blocker is None and not running, **button),
    }


def start(visit: Visit, given: Given) -> Update:
    """Start an export."""
    project, options = visit.project(given["page.project"]), _options(given)
    if _used(project, options):
        raise StudioError("export.used", name=options.name)
    save_settling(project, options.settling)
    spec: dict[str, object] = {"options": options.model_dump(mode="json")}
    run = launch.start(visit.ledger, "export", project.name, message("export.run", name=options.name), spec)
    return {"view.run": run.id, "result.name": "", "start": gr.update(interactive=False)}


def ended(visit: Visit, given: Given) -> Update:
    """Show the export that a run has made, and give the next one a name of its own."""
    project = loaded(visit, given)
    run = visit.run(given["view.ended"]) if given["view.ended"] else None
    if project is None or run is None or run.project != project.name:
        return {}
    note = gr.update(value=notice(say("export.stopped")), visible=run.state is State.CANCELLED)
    updates = {"note": note, "looked": time.time(), **_history(project)}
    made = str((run.result or {}).get("name", ""))
    if made in exported.names(project):
        updates |= {"result.name": made, "form.name": exported.free_name(project)}
    return updates


def another_run(visit: Visit, given: Given) -> Update:
    """Take away what was said of an ended run: one that is not looked at any more says nothing."""
    return {"note": gr.update(visible=False)}


def draw(visit: Visit, given: Given) -> Update:
    """Show a finished export."""
    project, name = loaded(visit, given), given["result.name"]
    if project is None or name not in exported.names(project):
        return {"result.box": gr.update(visible=False)}
    return prefixed("result.", export_result.draw(project.name, exported.read(project, name)))


def select(visit: Visit, given: Given) -> Update:
    """Show the export of a row."""
    return {"result.name": str(given["event"].row_value[0])}


def _options(given: Given) -> ExportOptions:
    return ExportOptions.model_validate(under(given, "form."))


def _used(project: Project, options: ExportOptions) -> bool:
    return (project.exports / options.name).exists()


def _incoming(project: Project) -> Markup:
    """Return what comes from the filter, as HTML."""
    outcome, settled = filtered(project), settled_of(project)
    reviewed = sum(pair.record_id in settled for pair in outcome.kept)
    said = say("export.incoming", kept=f"{len(outcome.kept):,}", total=f"{outcome.total:,}", reviewed=f"{reviewed:,}")
    unsaved = "" if project.read().recipe is not None else say("export.incoming.default")
    return Markup('<div>{} <span class="run-line">{}</span></div>').format(said, unsaved)


def _blocker(project: Project, plan: ExportPlan, options: ExportOptions, *, running: bool) -> Message | None:
    """Return what stops an export; the name of one that is being written is not used yet."""
    if not plan.kept:
        return message("export.all_left_out" if plan.total else "export.none_kept")
    return message("export.used", name=options.name) if _used(project, options) and not running else None


def _history(project: Project | None) -> Update:
    """Return updates for the table of the project's exports, newest first."""
    found = [exported.read(project, name) for name in exported.names(project)] if project else []
    headers = [say(f"export.column.{name}") for name in COLUMNS]
    data = [
        [
            *(each.name, export_result.when(each.created)),
            *(f"{count:,}" for count in (each.plan.kept, each.plan.train, each.plan.test, each.plan.swapped)),
        ]
        for each in found
    ]
    return {
        "history_box": gr.update(visible=bool(data)),
        "history": gr.update(value={"headers": headers, "data": data}),
    }

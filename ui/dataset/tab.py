"""The Dataset tab: where the pairs come from, what they are, and their review in Argilla."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from markupsafe import escape

from pipeline.base.errors import StudioError
from pipeline.base.message import Message
from pipeline.base.project import Project
from pipeline.dataset import loading, sources
from pipeline.dataset.reading import LayoutUnknown, Progress
from pipeline.dataset.recognise import Mapping
from pipeline.dataset.sources import Source
from pipeline.studio import Studio
from pipeline.visit import FILES, Visit
from ui.dataset import columns as dataset_columns
from ui.dataset import hub as hub_dataset
from ui.dataset import preview as dataset_preview
from ui.dataset.columns import ColumnPickers
from ui.dataset.hub import HubForm, LoadView
from ui.dataset.preview import Preview
from ui.handlers import BUSY, Given, Update, Wiring, prefixed, under
from ui.page import Page
from ui.review import section as review
from ui.review.section import ReviewSection
from ui.text import say, t

ROLES = ("prompt", "chosen", "rejected", "source")
PROBLEM = ("form.problem",)
KINDS = ("sample", "upload", "path", "hub")
SUFFIXES = [".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv"]
# What making a project of a source may update, and what watching a load may update besides.
PLACED = ("page.project", "form.problem", *(f"columns.{name}" for name in dataset_columns.ASKED))
LOADED = (*PLACED, "form.load", "form.running.key", "form.running.timer", "form.running.box", "form.running.progress")


@dataclass(frozen=True)
class SourceForm:
    """Where a dataset comes from."""

    fold: gr.Accordion
    kind: gr.Radio
    panels: dict[str, gr.Column]
    file: gr.File
    path: gr.Textbox
    hub: HubForm
    by_hand: gr.Checkbox
    load: gr.Button
    running: LoadView
    problem: gr.HTML


@dataclass(frozen=True)
class DatasetTab:
    """Components of the Dataset tab."""

    empty: gr.Markdown
    form: SourceForm
    columns: ColumnPickers
    preview: Preview
    review: ReviewSection


def build(studio: Studio) -> DatasetTab:
    """Lay out the Dataset tab."""
    empty = gr.Markdown(t("dataset.empty"), elem_id="dataset-empty", elem_classes="empty")
    form = _source_form()
    columns = dataset_columns.build()
    shown = dataset_preview.build()
    return DatasetTab(empty, form, columns, shown, review.build(studio))


def _source_form() -> SourceForm:
    with gr.Accordion(t("dataset.load_one"), open=True, elem_id="dataset-source") as fold:
        kind = gr.Radio(
            [(t(f"dataset.from.{name}"), name) for name in KINDS],
            value="sample",
            label=t("dataset.from"),
            elem_id="dataset-kind",
        )
        panels = {}
        with gr.Column() as panels["sample"]:
            gr.Markdown(t("dataset.sample.about"))
        with gr.Column(visible=False) as panels["upload"]:
            file = gr.File(label=t("dataset.file"), file_types=SUFFIXES, height=150, elem_id="dataset-file")
        with gr.Column(visible=False) as panels["path"]:
            path = gr.Textbox(label=t("dataset.path"), info=t("dataset.path.help"), elem_id="dataset-path")
        with gr.Column(visible=False) as panels["hub"]:
            hub = hub_dataset.build()
        by_hand = gr.Checkbox(label=t("dataset.by_hand"), info=t("dataset.by_hand.help"), elem_id="dataset-by-hand")
        load = gr.Button(t("dataset.load"), variant="primary", elem_id="dataset-load")
        running = hub_dataset.build_load()
        problem = gr.HTML(elem_id="dataset-problem", padding=False, visible=False)
    return SourceForm(fold, kind, panels, file, path, hub, by_hand, load, running, problem)


def wire(tab: DatasetTab, wiring: Wiring, page: Page, studio: Studio) -> None:
    """Connect the tab: loading, choosing columns, preview, review."""
    of_tab = wiring.within(_=tab)
    _wire_form(tab.form, of_tab)
    picked = ["columns.held", *(f"columns.{name}" for name in ROLES)]
    of_tab.on(tab.columns.use.click, use_columns, picked, PLACED, BUSY)
    of_tab.on(tab.columns.cancel.click, cancel, "columns.held", PLACED[1:])
    hub_dataset.wire(tab.form.hub, tab.form.kind, wiring)
    preview = [f"preview.{name}" for name in dataset_preview.DRAWN]
    drawn = of_tab.on(
        page.project.change, draw, "page.project", ["empty", "form.fold", "form.load", *PROBLEM, *preview]
    )
    dataset_preview.wire(tab.preview, wiring, drawn)
    review.wire(tab.review, wiring, page, studio)


def _wire_form(form: SourceForm, wiring: Wiring) -> None:
    wiring.on(form.hub.name.change, calm, (), PROBLEM)  # it was about another one
    wiring.on(form.kind.change, choose, "form.kind", ["form.panels.*", "form.load", *PROBLEM])
    known = ["form.kind", "form.path", "form.by_hand", "form.hub.*"]
    wiring.on([form.load.click, form.path.submit], load, known, LOADED, BUSY)
    wiring.on(form.running.timer.tick, watch, "form.running.key", LOADED)
    wiring.on(form.running.stop.click, stop, "form.running.key", LOADED)
    wiring.on(form.file.upload, upload, ["form.file", "form.by_hand"], [*PLACED, "form.file"], BUSY)


def calm(visit: Visit, given: Given) -> Update:
    """Take the problem away."""
    return no_problem()


def choose(visit: Visit, given: Given) -> Update:
    """Show the panel of a kind of source."""
    kind = given["form.kind"]
    panels = {f"form.panels.{name}": gr.update(visible=name == kind) for name in KINDS}
    return {**panels, "form.load": gr.update(visible=kind != "upload"), **no_problem()}


def load(visit: Visit, given: Given) -> Update:
    """Make a project of the source chosen; one on the Hub is loaded beside the page."""
    kind, by_hand = given["form.kind"], given["form.by_hand"]
    if kind == "hub":
        return _start(visit, under(given, "form.hub."), by_hand)
    if kind == "path":
        return place(visit, lambda: _file(visit, given["form.path"]), by_hand)
    return place(visit, sources.sample, by_hand)


def _file(visit: Visit, path: str) -> Source:
    visit.require(FILES)
    return sources.local_file(path)


def upload(visit: Visit, given: Given) -> Update:
    """Make a project of an uploaded file, of which no copy stays with Gradio."""
    file = given["form.file"]
    if not file:
        return {}
    return {**place(visit, lambda: sources.upload(visit.home, Path(file)), given["form.by_hand"]), "form.file": None}


def watch(visit: Visit, given: Given) -> Update:
    """Show how far a load is, and what came of it; a load that is over is forgotten."""
    key = given["form.running.key"]
    found = loading.find(key)
    if found is None:
        return {**_over(), "form.load": gr.update(interactive=True)}
    state = found.state()
    if not state.over:
        return prefixed("form.running.", hub_dataset.running(key, state))
    loading.drop(key)
    shown: Update = {}
    if state.project is not None:
        shown = _made(state.project, state.notes)
    elif state.source is not None:
        shown = {**no_problem(), **_ask(state.source)}
    elif state.problem is not None:
        said = hub_dataset.problem(state.problem, found.name)
        shown = {"form.problem": gr.update(value=said, visible=True), **_leave()}
    return {**shown, **_over(), "form.load": gr.update(interactive=True)}


def stop(visit: Visit, given: Given) -> Update:
    """Stop a load."""
    if found := loading.find(given["form.running.key"]):
        found.stop()
    return watch(visit, given)


def use_columns(visit: Visit, given: Given) -> Update:
    """Make a project of a source that waited for its columns; where that fails, it goes on waiting."""
    prompt, chosen, rejected, source = (given[f"columns.{name}"] or "" for name in ROLES)
    try:
        if not chosen or not rejected:
            raise StudioError("dataset.columns.missing")
        mapping = Mapping(prompt=prompt, chosen=chosen, rejected=rejected, source=source)
        project, loaded = sources.load(visit.home, sources.held(given["columns.held"]), mapping)
        made = _made(project, loaded.notes)
    except StudioError as error:
        return {"form.problem": notice(error)}
    sources.drop(given["columns.held"])
    return made


def cancel(visit: Visit, given: Given) -> Update:
    """Forget a source that waited for its columns."""
    sources.drop(given["columns.held"])
    return {**no_problem(), **_leave()}


def draw(visit: Visit, given: Given) -> Update:
    """Show a project."""
    of = visit.project_or_none(given["page.project"])
    return {
        "empty": gr.update(visible=of is None),
        "form.fold": gr.update(open=of is None, label=say("dataset.load_other" if of else "dataset.load_one")),
        "form.load": gr.update(variant="secondary" if of else "primary"),
        **no_problem(),
        **prefixed("preview.", dataset_preview.draw(of)),
    }


def _start(visit: Visit, fields: dict[str, Any], by_hand: bool) -> Update:
    """Start loading from the Hub."""

    def read(progress: Progress) -> Source:
        return sources.hub(hub_dataset.chosen_by(fields), progress)

    key = loading.start(visit.home, read, by_hand, str(fields["name"]).strip())
    shown = prefixed("form.running.", hub_dataset.running(key, loading.State("asking")))
    return {**no_problem(), **_leave(), "form.load": gr.update(interactive=False), **shown}


def place(visit: Visit, read: Callable[[], Source], by_hand: bool) -> Update:
    """Make a project of what is read, or ask for its columns, or say why not.

    Args:
        visit: Their home gets the project.
        read: Reads the source.
        by_hand: Whether the columns are asked for in any case.
    """
    try:
        source = read()
        if by_hand:
            return {**no_problem(), **_ask(source)}
        project, loaded = sources.load(visit.home, source)
        return _made(project, loaded.notes)
    except LayoutUnknown:
        return {**no_problem(), **_ask(source)}
    except StudioError as error:
        return {"form.problem": notice(error), **_leave()}


def _made(project: Project, notes: Iterable[Message]) -> Update:
    for note in notes:
        gr.Warning(escape(note.said()))
    return {"page.project": project.name, **no_problem(), **_leave()}


def _ask(source: Source) -> Update:
    return prefixed("columns.", dataset_columns.ask(source))


def _leave() -> Update:
    return prefixed("columns.", dataset_columns.leave())


def _over() -> Update:
    return prefixed("form.running.", hub_dataset.over())


def notice(error: StudioError) -> Any:
    """Return the update that shows an error at its place on the page."""
    return gr.update(value=hub_dataset.problem(error), visible=True)


def no_problem() -> Update:
    """Return the update that takes an error away."""
    return {"form.problem": gr.update(value="", visible=False)}

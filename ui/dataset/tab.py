"""The Dataset tab: where the pairs come from, what they are, and their review in Argilla."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base import project as projects
from pipeline.base.errors import StudioError
from pipeline.base.project import Project
from pipeline.dataset import loading, sources
from pipeline.dataset.reading import LayoutUnknown, Progress
from pipeline.dataset.recognise import Mapping
from pipeline.dataset.sources import Source
from pipeline.studio import Studio
from ui.dataset import columns as dataset_columns
from ui.dataset import hub as hub_dataset
from ui.dataset import preview as dataset_preview
from ui.dataset.columns import ColumnPickers
from ui.dataset.hub import HubForm, LoadView
from ui.dataset.preview import Preview
from ui.handlers import BUSY, QUIET, handle
from ui.page import Page
from ui.parts.topic import HEAR
from ui.review import section as review
from ui.review.section import ReviewSection
from ui.text import say, t

KINDS = ("sample", "upload", "path", "hub")
FILES = [".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv"]


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

    @property
    def placed(self) -> list[Component]:
        """Components, besides the project, that `place` and `use_columns` return updates for."""
        return [self.form.problem, *self.columns.outputs]


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
            file = gr.File(label=t("dataset.file"), file_types=FILES, height=150, elem_id="dataset-file")
        with gr.Column(visible=False) as panels["path"]:
            path = gr.Textbox(label=t("dataset.path"), info=t("dataset.path.help"), elem_id="dataset-path")
        with gr.Column(visible=False) as panels["hub"]:
            hub = hub_dataset.build()
        by_hand = gr.Checkbox(label=t("dataset.by_hand"), info=t("dataset.by_hand.help"), elem_id="dataset-by-hand")
        load = gr.Button(t("dataset.load"), variant="primary", elem_id="dataset-load")
        running = hub_dataset.build_load()
        problem = gr.HTML(elem_id="dataset-problem", padding=False, visible=False)
    return SourceForm(fold, kind, panels, file, path, hub, by_hand, load, running, problem)


def wire(tab: DatasetTab, studio: Studio, page: Page) -> None:
    """Connect the tab: loading, choosing columns, preview, review."""
    _wire_form(tab, studio, page)
    _wire_columns(tab, studio, page)
    hub_dataset.wire(tab.form.hub, tab.form.kind)
    _wire_project(tab, studio, page)
    review.wire(tab.review, studio, page)


def _wire_form(tab: DatasetTab, studio: Studio, page: Page) -> None:
    form, placed = tab.form, [page.project, *tab.placed]

    def choose(kind: str) -> list[Any]:
        return [*(gr.update(visible=name == kind) for name in KINDS), gr.update(visible=kind != "upload"), no_problem()]

    def load(kind: str, path: str, by_hand: bool, shown: str, *hub: Any) -> list[Any]:
        if kind == "hub":
            return _start(studio, by_hand, *hub)
        read = (lambda: sources.local_file(path)) if kind == "path" else sources.sample
        return [*place(studio, read, by_hand, shown), *[gr.skip()] * 4]

    def stop(key: str) -> list[Any]:
        if found := loading.find(key):
            found.stop()
        return _watched(key)

    def upload(file: str | None, by_hand: bool, shown: str) -> list[Any]:
        if not file:
            return [gr.skip()] * (len(placed) + 1)
        return [*place(studio, lambda: sources.upload(studio.home, Path(file)), by_hand, shown), None]

    panels = [form.panels[name] for name in KINDS]
    form.hub.name.change(handle(no_problem), None, [form.problem], **QUIET)  # it was about another one
    form.kind.change(handle(choose), [form.kind], [*panels, form.load, form.problem], **QUIET)
    inputs = [form.kind, form.path, form.by_hand, page.project, *form.hub.inputs]
    outputs = [*placed, form.load, *form.running.outputs]
    form.load.click(handle(load), inputs, outputs, **BUSY)
    form.path.submit(handle(load), inputs, outputs, **BUSY)
    form.running.hear.click(handle(_watched), [form.running.key], outputs, **HEAR)
    form.running.stop.click(handle(stop), [form.running.key], outputs, **QUIET)
    form.file.upload(handle(upload), [form.file, form.by_hand, page.project], [*placed, form.file], **BUSY)


def _wire_columns(tab: DatasetTab, studio: Studio, page: Page) -> None:
    columns = tab.columns

    def use(key: str, prompt: str, chosen: str, rejected: str, source: str, shown: str) -> list[Any]:
        return use_columns(studio, key, (prompt, chosen, rejected, source), shown)

    def cancel(key: str) -> list[Any]:
        sources.drop(key)
        return [no_problem(), *dataset_columns.leave()]

    picked = [columns.held, columns.prompt, columns.chosen, columns.rejected, columns.source, page.project]
    columns.use.click(handle(use), picked, [page.project, *tab.placed], **BUSY)
    columns.cancel.click(handle(cancel), [columns.held], tab.placed, **QUIET)


def _wire_project(tab: DatasetTab, studio: Studio, page: Page) -> None:
    form, shown = tab.form, tab.preview

    def draw(name: str) -> dict[Component, Any]:
        of = projects.find(studio.home, name) if name else None
        return {
            tab.empty: gr.update(visible=of is None),
            form.fold: gr.update(open=of is None, label=say("dataset.load_other" if of else "dataset.load_one")),
            form.load: gr.update(variant="secondary" if of else "primary"),
            form.problem: no_problem(),
            **dataset_preview.draw(shown, of),
        }

    outputs = [tab.empty, form.fold, form.load, form.problem, *shown.drawn]
    drawn = page.project.change(handle(draw), [page.project], outputs, **QUIET)
    dataset_preview.wire(shown, studio, page, drawn)


def _start(studio: Studio, by_hand: bool, *chosen: Any) -> list[Any]:
    """Start loading from the Hub, and return updates for the project, the problem, the columns and the load."""
    name = str(chosen[0]).strip()

    def read(progress: Progress) -> Source:
        return sources.hub(hub_dataset.chosen_by(*chosen), progress)

    key = loading.start(studio.home, read, by_hand, name)
    shown = hub_dataset.running(key, loading.State("asking"))
    return [gr.skip(), no_problem(), *dataset_columns.leave(), gr.update(interactive=False), *shown]


def _watched(key: str) -> list[Any]:
    """Return the updates of `_start` for how far a load is; a load that is over is forgotten."""
    found = loading.find(key)
    state = found.state() if found else loading.State("stopped")
    nothing = [gr.skip()] * 9
    if found is None or not state.over:
        end = hub_dataset.running(key, state) if found else hub_dataset.over()
        return [*nothing, gr.skip() if found else gr.update(interactive=True), *end]
    loading.drop(key)
    shown = nothing
    if state.project is not None:
        shown = _loaded(state.project, state.notes)
    elif state.source is not None:
        shown = [gr.skip(), no_problem(), *dataset_columns.ask(state.source)]
    elif state.problem is not None:
        said = hub_dataset.problem(state.problem, found.name)
        shown = [gr.skip(), gr.update(value=said, visible=True), *dataset_columns.leave()]
    return [*shown, gr.update(interactive=True), *hub_dataset.over()]


def place(studio: Studio, read: Any, by_hand: bool, shown: str) -> list[Any]:
    """Make a project of what is read, or ask for its columns, or say why not.

    Args:
        studio: Its home gets the project.
        read: Reads the source.
        by_hand: Whether the columns are asked for in any case.
        shown: Name of the project on the page, kept where none is made.

    Returns:
        The project to show, an update for the problem, and updates for the column pickers.
    """
    try:
        source = read()
        if by_hand:
            return [shown, no_problem(), *dataset_columns.ask(source)]
        project, loaded = sources.load(studio.home, source)
        return _loaded(project, loaded.notes)
    except LayoutUnknown:
        return [shown, no_problem(), *dataset_columns.ask(source)]
    except StudioError as error:
        return [shown, notice(error), *dataset_columns.leave()]


def use_columns(studio: Studio, key: str, names: tuple[str, str, str, str], shown: str) -> list[Any]:
    """Make a project of a source that waited for its columns; where that fails, it goes on waiting.

    Args:
        studio: Its home gets the project.
        key: See `pipeline.dataset.sources.hold`.
        names: Columns of prompt, chosen, rejected and source.
        shown: Name of the project on the page.
    """
    prompt, chosen, rejected, source = (name or "" for name in names)
    try:
        if not chosen or not rejected:
            raise StudioError(say("dataset.columns.missing"), "", say("dataset.columns.missing.next"))
        mapping = Mapping(prompt=prompt, chosen=chosen, rejected=rejected, source=source)
        project, loaded = sources.load(studio.home, sources.held(key), mapping)
        made = _loaded(project, loaded.notes)
    except StudioError as error:
        return [shown, notice(error), *(gr.skip() for _ in range(7))]
    sources.drop(key)
    return made


def _loaded(project: Project, notes: Iterable[str]) -> list[Any]:
    for note in notes:
        gr.Warning(html.escape(note))
    return [project.name, no_problem(), *dataset_columns.leave()]


def notice(error: StudioError) -> Any:
    """Return the update that shows an error at its place on the page, everything escaped."""
    more = "<br>".join(html.escape(part) for part in (error.why, error.next) if part)
    text = f'<div class="notice bad" role="alert"><b>{html.escape(error.what)}</b><br>{more}</div>'
    return gr.update(value=text, visible=True)


def no_problem() -> Any:
    """Return the update that takes an error away."""
    return gr.update(value="", visible=False)

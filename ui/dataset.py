"""The Dataset tab: where the pairs come from, what they are, and their review in Argilla."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline import project as projects
from pipeline import workbench
from pipeline.dataset import LayoutUnknown, Mapping, Progress, loading, sources
from pipeline.dataset.rows import Rows
from pipeline.dataset.sources import Source
from pipeline.errors import StudioError
from pipeline.project import Project
from pipeline.studio import Studio
from ui import hub_dataset, pair_view, preview, review
from ui.handlers import BUSY, QUIET, handle
from ui.hub_dataset import HubForm, LoadView
from ui.pair_view import PairView
from ui.review import ReviewSection
from ui.text import say, t

KINDS = ("sample", "upload", "path", "hub")
FILES = [".parquet", ".jsonl", ".ndjson", ".json", ".csv", ".tsv"]
RAW_ROWS = 5


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
class ColumnPickers:
    """Which column is what, where a person has to say so."""

    box: gr.Column
    held: gr.State
    raw: gr.Dataframe
    prompt: gr.Dropdown
    chosen: gr.Dropdown
    rejected: gr.Dropdown
    source: gr.Dropdown
    use: gr.Button
    cancel: gr.Button

    @property
    def outputs(self) -> list[Component]:
        """Components that `_picking` returns updates for."""
        return [self.box, self.held, self.raw, self.prompt, self.chosen, self.rejected, self.source]


@dataclass(frozen=True)
class Preview:
    """What a project's dataset holds.

    Attributes:
        page: State with the number of the table's page, from 1.
    """

    box: gr.Column
    facts: gr.HTML
    bad_fold: gr.Accordion
    bad: gr.Dataframe
    page: gr.State
    table: gr.Dataframe
    before: gr.Button
    pager: gr.HTML
    after: gr.Button
    pair: PairView


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
    columns = _column_pickers()
    shown = _preview()
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


def _column_pickers() -> ColumnPickers:
    held = gr.State("")
    with gr.Column(visible=False, elem_id="dataset-columns") as box:
        gr.Markdown(t("dataset.columns.about"))
        raw = _table("dataset-raw", t("dataset.columns.raw"))
        with gr.Row(elem_classes="form-row"):
            pickers = [
                gr.Dropdown(
                    [],
                    label=t(f"dataset.columns.{name}"),
                    info=t(f"dataset.columns.{name}.help"),
                    elem_id=f"dataset-column-{name}",
                    min_width=220,
                )
                for name in ("prompt", "chosen", "rejected", "source")
            ]
        with gr.Row():
            use = gr.Button(t("dataset.columns.use"), variant="primary", elem_id="dataset-columns-use")
            cancel = gr.Button(t("dataset.columns.cancel"), elem_id="dataset-columns-cancel")
    return ColumnPickers(box, held, raw, *pickers, use, cancel)


def _preview() -> Preview:
    with gr.Column(visible=False, elem_id="dataset-preview") as box:
        facts = gr.HTML(elem_id="dataset-facts", padding=False)
        with gr.Accordion(t("dataset.bad"), open=False, elem_id="dataset-bad-rows") as bad_fold:
            bad = _table("dataset-bad-table", None, column_widths=["12%", "88%"])
        page = gr.State(1)
        gr.Markdown(t("dataset.pairs.about"))
        table = _table("dataset-table", None, column_widths=preview.WIDTHS)
        with gr.Row(elem_classes="pager", equal_height=True):
            before = gr.Button(t("dataset.before"), size="sm", min_width=80, elem_id="dataset-before")
            pager = gr.HTML(elem_id="dataset-pager", min_width=120)
            after = gr.Button(t("dataset.after"), size="sm", min_width=80, elem_id="dataset-after")
        pair = pair_view.build("dataset")
    return Preview(box, facts, bad_fold, bad, page, table, before, pager, after, pair)


def _table(elem_id: str, label: Any, column_widths: list[str] | None = None) -> gr.Dataframe:
    return gr.Dataframe(
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        label=label,
        show_label=label is not None,
        column_widths=column_widths,
        max_height=760,
        buttons=[],
        elem_id=elem_id,
    )


def wire(tab: DatasetTab, studio: Studio, page: Any) -> None:
    """Connect the tab: loading, choosing columns, preview, review."""
    _wire_form(tab, studio, page)
    _wire_preview(tab, studio, page)
    review.wire(tab.review, studio, page)


def _wire_form(tab: DatasetTab, studio: Studio, page: Any) -> None:
    form, columns = tab.form, tab.columns
    placed = [page.project, form.problem, *columns.outputs]

    def choose(kind: str) -> list[Any]:
        return [*(gr.update(visible=name == kind) for name in KINDS), gr.update(visible=kind != "upload"), no_problem()]

    def load(kind: str, path: str, by_hand: bool, shown: str, *hub: Any) -> list[Any]:
        if kind == "hub":
            return _start(studio, by_hand, *hub)
        read = (lambda: sources.local_file(path)) if kind == "path" else sources.sample
        return [*place(studio, read, by_hand, shown), *[gr.skip()] * 5]

    def watch(key: str) -> list[Any]:
        return _watched(key)

    def stop(key: str) -> list[Any]:
        if found := loading.find(key):
            found.stop()
        return _watched(key)

    def upload(file: str | None, by_hand: bool, shown: str) -> list[Any]:
        if not file:
            return [gr.skip()] * (len(placed) + 1)
        return [*place(studio, lambda: sources.upload(studio.home, Path(file)), by_hand, shown), None]

    def use(key: str, prompt: str, chosen: str, rejected: str, source: str, shown: str) -> list[Any]:
        return use_columns(studio, key, (prompt, chosen, rejected, source), shown)

    def cancel(key: str) -> list[Any]:
        sources.drop(key)
        return [no_problem(), *_not_picking()]

    panels = [form.panels[name] for name in KINDS]
    form.hub.name.change(handle(no_problem), None, [form.problem], **QUIET)  # it was about another one
    form.kind.change(handle(choose), [form.kind], [*panels, form.load, form.problem], **QUIET)
    inputs = [form.kind, form.path, form.by_hand, page.project, *form.hub.inputs]
    outputs = [*placed, form.load, *form.running.outputs]
    form.load.click(handle(load), inputs, outputs, **BUSY)
    form.path.submit(handle(load), inputs, outputs, **BUSY)
    form.running.timer.tick(handle(watch), [form.running.key], outputs, **QUIET)
    form.running.stop.click(handle(stop), [form.running.key], outputs, **QUIET)
    form.file.upload(handle(upload), [form.file, form.by_hand, page.project], [*placed, form.file], **BUSY)
    picked = [columns.held, columns.prompt, columns.chosen, columns.rejected, columns.source, page.project]
    columns.use.click(handle(use), picked, placed, **BUSY)
    columns.cancel.click(handle(cancel), [columns.held], placed[1:], **QUIET)
    hub_dataset.wire(form.hub, form.kind)


def _start(studio: Studio, by_hand: bool, *chosen: Any) -> list[Any]:
    """Start loading from the Hub, and return updates for the project, the problem, the columns and the load."""
    name = str(chosen[0]).strip()

    def read(progress: Progress) -> Source:
        return sources.hub(hub_dataset.chosen_by(*chosen), progress)

    key = loading.start(studio.home, read, by_hand, name)
    shown = hub_dataset.running(key, loading.State("asking"))
    return [gr.skip(), no_problem(), *_not_picking(), gr.update(interactive=False), *shown]


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
        shown = [gr.skip(), no_problem(), *_picking(state.source)]
    elif state.problem is not None:
        said = hub_dataset.problem(state.problem, found.name)
        shown = [gr.skip(), gr.update(value=said, visible=True), *_not_picking()]
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
            return [shown, no_problem(), *_picking(source)]
        project, loaded = sources.load(studio.home, source)
        return _loaded(project, loaded.notes)
    except LayoutUnknown:
        return [shown, no_problem(), *_picking(source)]
    except StudioError as error:
        return [shown, notice(error), *_not_picking()]


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
    return [project.name, no_problem(), *_not_picking()]


def _picking(source: Source) -> list[Any]:
    rows, proposed = source.rows, sources.guess(source.rows)
    names = list(rows.columns)
    none = [(say("dataset.columns.none"), "")]
    inside = [(say("dataset.columns.inside"), "")]
    return [
        gr.update(visible=True),
        sources.hold(source),
        gr.update(value={"headers": names, "data": _raw(rows)}, column_widths=_even(len(names))),
        gr.update(choices=inside + [(name, name) for name in names], value=proposed.prompt if proposed else ""),
        gr.update(choices=names, value=proposed.chosen if proposed else None),
        gr.update(choices=names, value=proposed.rejected if proposed else None),
        gr.update(choices=none + [(name, name) for name in names], value=proposed.source if proposed else ""),
    ]


def _not_picking() -> list[Any]:
    return [gr.update(visible=False), "", *(gr.skip() for _ in range(5))]


def _even(columns: int) -> list[str]:
    """Return widths that fill the table, or for many columns leave each readable and let it scroll."""
    return [f"{100 / columns:.2f}%" if columns <= 6 else "200px"] * columns


def _raw(rows: Rows) -> list[list[str]]:
    return [[preview.short(str(row.get(name, "")), 100) for name in rows.columns] for row in rows.rows[:RAW_ROWS]]


def notice(error: StudioError) -> Any:
    """Return the update that shows an error at its place on the page, everything escaped."""
    more = "<br>".join(html.escape(part) for part in (error.why, error.next) if part)
    text = f'<div class="notice bad" role="alert"><b>{html.escape(error.what)}</b><br>{more}</div>'
    return gr.update(value=text, visible=True)


def no_problem() -> Any:
    """Return the update that takes an error away."""
    return gr.update(value="", visible=False)


def _wire_preview(tab: DatasetTab, studio: Studio, page: Any) -> None:
    shown = tab.preview

    def draw(name: str) -> dict[Component, Any]:
        of = projects.find(studio.home, name) if name else None
        return {
            tab.empty: gr.update(visible=of is None),
            tab.form.fold: gr.update(open=of is None, label=say("dataset.load_other" if of else "dataset.load_one")),
            tab.form.load: gr.update(variant="secondary" if of else "primary"),
            tab.form.problem: no_problem(),
            **_drawn(shown, of),
        }

    def count(name: str, number: int) -> dict[Component, Any]:
        of = projects.find(studio.home, name) if name else None
        record = of.read().dataset if of else None
        if of is None or record is None:
            return {}
        lengths = preview.lengths(workbench.counts_of(of), workbench.lengths_of(of))
        return {
            shown.facts: preview.facts(record, workbench.summary_of(of), lengths),
            **_page(shown, of, number),
            **_pair(shown, of, (number - 1) * preview.PAGE),
        }

    def turn(name: str, number: int, by: int) -> dict[Component, Any]:
        of = projects.find(studio.home, name)
        last = preview.pages(len(workbench.pairs_of(of)))
        fresh = min(max(number + by, 1), last)
        return {shown.page: fresh, **_page(shown, of, fresh), **_pair(shown, of, (fresh - 1) * preview.PAGE)}

    def back(name: str, number: int) -> dict[Component, Any]:
        return turn(name, number, -1)

    def forth(name: str, number: int) -> dict[Component, Any]:
        return turn(name, number, 1)

    def select(name: str, number: int, event: gr.SelectData) -> dict[Component, Any]:
        of = projects.find(studio.home, name)
        return _pair(shown, of, (number - 1) * preview.PAGE + event.index[0])

    pairs = [shown.page, shown.table, shown.before, shown.pager, shown.after, *shown.pair.outputs]
    parts = [shown.box, shown.facts, shown.bad_fold, shown.bad, *pairs]
    drawn = page.project.change(
        handle(draw), [page.project], [tab.empty, tab.form.fold, tab.form.load, tab.form.problem, *parts], **QUIET
    )
    # Counting tokens can take seconds (a tokenizer from the Hub, many pairs): the preview does not wait for it.
    drawn.then(handle(count), [page.project, shown.page], parts, **QUIET)
    shown.before.click(handle(back), [page.project, shown.page], pairs, **QUIET)
    shown.after.click(handle(forth), [page.project, shown.page], pairs, **QUIET)
    shown.table.select(handle(select), [page.project, shown.page], shown.pair.outputs, **QUIET)


def _drawn(shown: Preview, of: Project | None) -> dict[Component, Any]:
    record = of.read().dataset if of else None
    if of is None or record is None:
        return {shown.box: gr.update(visible=False)}
    bad = workbench.bad_rows_of(of)
    return {
        shown.box: gr.update(visible=True),
        shown.facts: preview.facts(record, workbench.summary_of(of)),
        shown.bad_fold: gr.update(visible=bool(bad), label=say("dataset.bad.count", count=f"{len(bad):,}")),
        shown.bad: gr.update(value=preview.bad_table(bad)),
        shown.page: 1,
        **_page(shown, of, 1, counted=False),
        **_pair(shown, of, 0, counted=False),
    }


def _page(shown: Preview, of: Project, number: int, *, counted: bool = True) -> dict[Component, Any]:
    pairs = workbench.pairs_of(of)
    counts = workbench.counts_of(of) if counted else None
    return {
        shown.table: gr.update(value=preview.pairs_table(pairs, number, counts)),
        shown.before: gr.update(interactive=number > 1),
        shown.after: gr.update(interactive=number < preview.pages(len(pairs))),
        shown.pager: preview.pager(number, len(pairs)),
    }


def _pair(shown: Preview, of: Project, index: int, *, counted: bool = True) -> dict[Component, Any]:
    pairs = workbench.pairs_of(of)
    if index >= len(pairs):
        return {}
    counts = workbench.counts_of(of) if counted else None
    lengths, unit = (counts.counts[index], counts.unit) if counts else (None, "")
    return dict(zip(shown.pair.outputs, pair_view.draw(pairs[index], lengths, unit, index + 1), strict=True))

"""The Dataset tab: where the pairs come from, what they are, and their review in Argilla."""

from __future__ import annotations

from dataclasses import dataclass, replace

import gradio as gr

from pipeline.dataset.files import SUFFIXES
from pipeline.visit import Visit
from ui.dataset import columns as dataset_columns
from ui.dataset import deletion, load
from ui.dataset import hub as hub_dataset
from ui.dataset import preview as dataset_preview
from ui.dataset.deletion import Deletion
from ui.dataset.hub import HubForm
from ui.dataset.load import no_problem
from ui.dataset.preview import Preview
from ui.handlers import BUSY, Given, Update, Wiring
from ui.page import Page, later
from ui.parts import run_view
from ui.parts.run_view import RunView
from ui.review import section as review
from ui.review.section import ReviewSection
from ui.text import say, t

KINDS = ("sample", "upload", "path", "hub")


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
    problem: gr.HTML
    view: RunView


@dataclass(frozen=True)
class DatasetTab:
    """Components of the Dataset tab.

    Attributes:
        held: State with the id of the load that waits for its columns; see `pipeline.dataset.loads.go_on`.
        asking: State that says that the column pickers have been wanted.
    """

    empty: gr.Markdown
    form: SourceForm
    held: gr.State
    asking: gr.State


@dataclass(frozen=True)
class DatasetShown:
    """What the tab shows of a project; built when there is one."""

    preview: Preview
    review: ReviewSection
    delete: Deletion


def build() -> DatasetTab:
    """Lay out the Dataset tab."""
    empty = gr.Markdown(t("dataset.empty"), elem_id="dataset-empty", elem_classes="empty")
    form = _source_form()
    return DatasetTab(empty, form, gr.State(""), gr.State(False))


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
            file = gr.File(label=t("dataset.file"), file_types=list(SUFFIXES), height=150, elem_id="dataset-file")
        with gr.Column(visible=False) as panels["path"]:
            path = gr.Textbox(label=t("dataset.path"), info=t("dataset.path.help"), elem_id="dataset-path")
        with gr.Column(visible=False) as panels["hub"]:
            hub = hub_dataset.build()
        by_hand = gr.Checkbox(label=t("dataset.by_hand"), info=t("dataset.by_hand.help"), elem_id="dataset-by-hand")
        start = gr.Button(t("dataset.load"), variant="primary", elem_id="dataset-load")
        problem = gr.HTML(elem_id="dataset-problem", padding=False, visible=False)
        view = run_view.build("load")
    return SourceForm(fold, kind, panels, file, path, hub, by_hand, start, problem, view)


def wire(tab: DatasetTab, wiring: Wiring, page: Page) -> None:
    """Connect the tab: loading, choosing columns, preview, review."""
    of_tab = wiring.within(_=tab)
    _wire_form(tab.form, of_tab)
    _wire_load(tab, of_tab, page)
    run_view.wire(tab.form.view, wiring)
    hub_dataset.wire(tab.form.hub, tab.form.kind, wiring)
    of_tab.on(page.project.change, draw, "page.project", ["empty", "form.fold", "form.load", "form.problem"])
    later(tab.asking, of_tab, page, _pick)
    _furnish(wiring, page)


def _pick(wiring: Wiring, page: Page) -> None:
    """Build the column pickers, which few need, when a load waits for them."""
    held = wiring.parts["held"]
    columns = dataset_columns.build()
    wiring.within(_=columns).on([held.change, *page.built], dataset_columns.draw, "held", dataset_columns.DRAWN)
    of_both = wiring.within(columns=columns)
    picked = ["held", *(f"columns.{name}" for name in load.ROLES)]
    of_both.on(columns.use.click, load.use_columns, picked, load.STARTED, BUSY)
    of_both.on(columns.cancel.click, load.cancel, (), load.STARTED)


def _furnish(wiring: Wiring, page: Page) -> None:
    """Build what is shown of a project when there is one, with a State of its own that says which."""
    wanted, own = gr.State(False), replace(page, project=gr.State(""))
    passing = wiring.within(own={"project": own.project, "wanted": wanted})
    passing.on(page.project.change, passed, "page.project", ["own.project", "own.wanted"])

    def inside(wiring: Wiring, page: Page) -> None:
        shown = DatasetShown(dataset_preview.build(), review.build(), deletion.build())
        dataset_preview.wire(shown.preview, wiring, page)
        review.wire(shown.review, wiring, page)
        deletion.wire(shown.delete, wiring, page)

    later(wanted, wiring.within(page=own, shown={"project": page.project}), own, inside)


def _wire_form(form: SourceForm, wiring: Wiring) -> None:
    wiring.on(form.hub.name.change, calm, (), "form.problem")  # it was about another one
    wiring.on(form.kind.change, choose, "form.kind", ["form.panels.*", "form.load", "form.problem"])


def _wire_load(tab: DatasetTab, wiring: Wiring, page: Page) -> None:
    form = tab.form
    known = ["form.kind", "form.path", "form.by_hand", "form.hub.*"]
    wiring.on([form.load.click, form.path.submit], load.load, known, ["page.project", *load.STARTED], BUSY)
    wiring.on(form.file.upload, load.upload, ["form.file", "form.by_hand"], [*load.STARTED, "form.file"], BUSY)
    ended = ["page.project", "form.view.run", "form.problem", "form.load", "held", "asking"]
    wiring.on(form.view.ended.change, load.ended, "form.view.ended", ended)
    wiring.on(page.root.load, load.resumed, (), ["form.view.run", "form.load"])


def calm(visit: Visit, given: Given) -> Update:
    """Take the problem away."""
    return no_problem()


def choose(visit: Visit, given: Given) -> Update:
    """Show the panel of a kind of source."""
    kind = given["form.kind"]
    panels = {f"form.panels.{name}": gr.update(visible=name == kind) for name in KINDS}
    return {**panels, "form.load": gr.update(visible=kind != "upload"), **no_problem()}


def draw(visit: Visit, given: Given) -> Update:
    """Show a project."""
    of = visit.project_or_none(given["page.project"])
    return {
        "empty": gr.update(visible=of is None),
        "form.fold": gr.update(open=of is None, label=say("dataset.load_other" if of else "dataset.load_one")),
        "form.load": gr.update(variant="secondary" if of else "primary"),
        **no_problem(),
    }


def passed(visit: Visit, given: Given) -> Update:
    """Pass on which project is shown; the first one has its place built."""
    name = given["page.project"]
    return {"own.project": name, **({"own.wanted": True} if name else {})}

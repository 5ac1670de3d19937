"""The preview of the Dataset tab: facts, the rows that are no pairs, the table of pairs, and one pair to read."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr
from gradio.components import Component
from gradio.events import Dependency

from pipeline.base import project as projects
from pipeline.base.pair import Pair
from pipeline.base.project import Project
from pipeline.dataset.project import Counted, bad_rows_of, counts_of, lengths_of, pairs_of, summary_of
from pipeline.dataset.rows import BadRow
from pipeline.studio import Studio
from ui.dataset import facts as dataset_facts
from ui.dataset.facts import short
from ui.handlers import QUIET, handle
from ui.page import Page
from ui.parts import pair_view
from ui.parts.pair_view import PARTS, PairView
from ui.text import say, t

PAGE = 10  # pairs of one page of the table
WIDTHS = ["6%", "12%", "25%", "25%", "20%", "12%"]
BAD_SHOWN = 500  # rows that are no pairs, in their table


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

    @property
    def paged(self) -> list[Component]:
        """Components that turning a page updates."""
        return [self.page, self.table, self.before, self.pager, self.after, *self.pair.outputs]

    @property
    def drawn(self) -> list[Any]:
        """Components that `draw` may update."""
        return [self.box, self.facts, self.bad_fold, self.bad, *self.paged]


def build() -> Preview:
    """Lay out the preview, hidden until there is a dataset."""
    with gr.Column(visible=False, elem_id="dataset-preview") as box:
        facts = gr.HTML(elem_id="dataset-facts", padding=False)
        with gr.Accordion(t("dataset.bad"), open=False, elem_id="dataset-bad-rows") as bad_fold:
            bad = table("dataset-bad-table", None, column_widths=["12%", "88%"])
        page = gr.State(1)
        gr.Markdown(t("dataset.pairs.about"))
        pairs = table("dataset-table", None, column_widths=WIDTHS)
        with gr.Row(elem_classes="pager", equal_height=True):
            before = gr.Button(t("dataset.before"), size="sm", min_width=80, elem_id="dataset-before")
            pager = gr.HTML(elem_id="dataset-pager", min_width=120)
            after = gr.Button(t("dataset.after"), size="sm", min_width=80, elem_id="dataset-after")
        pair = pair_view.build("dataset")
    return Preview(box, facts, bad_fold, bad, page, pairs, before, pager, after, pair)


def table(elem_id: str, label: Any, column_widths: list[str] | None = None) -> gr.Dataframe:
    """Lay out a table of texts.

    Args:
        elem_id: Its name on the page.
        label: What is written above it, None for nothing.
        column_widths: Width of each column; None leaves them to the values.
    """
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


def wire(shown: Preview, studio: Studio, page: Page, drawn: Dependency) -> None:
    """Connect the preview.

    Args:
        shown: Its components.
        studio: Names the home.
        page: Gives the project.
        drawn: The event that draws a project; what takes longer follows it.
    """

    def count(name: str) -> None:
        of = projects.find(studio.home, name) if name else None
        if of is not None and of.read().dataset is not None:
            counts_of(of)

    def counted(name: str, number: int) -> dict[Component, Any]:
        return _counted(shown, projects.find(studio.home, name) if name else None, number)

    def turn(name: str, number: int, by: int) -> dict[Component, Any]:
        of = projects.find(studio.home, name)
        last = _pages(len(pairs_of(of)))
        fresh = min(max(number + by, 1), last)
        return {shown.page: fresh, **_page(shown, of, fresh), **_pair(shown, of, (fresh - 1) * PAGE)}

    def back(name: str, number: int) -> dict[Component, Any]:
        return turn(name, number, -1)

    def forth(name: str, number: int) -> dict[Component, Any]:
        return turn(name, number, 1)

    def select(name: str, event: gr.SelectData) -> dict[Component, Any]:
        return _pair(shown, projects.find(studio.home, name), int(event.row_value[0].replace(",", "")) - 1)

    # Counting tokens can take seconds (a tokenizer from the Hub, many pairs): the preview does not wait for it. What is
    # drawn then is the project and page that are shown by then.
    counting = drawn.then(handle(count), [page.project], None, **QUIET)
    counting.then(handle(counted), [page.project, shown.page], shown.drawn, **QUIET)
    shown.before.click(handle(back), [page.project, shown.page], shown.paged, **QUIET)
    shown.after.click(handle(forth), [page.project, shown.page], shown.paged, **QUIET)
    shown.table.select(handle(select), [page.project], shown.pair.outputs, **QUIET)


def draw(shown: Preview, of: Project | None) -> dict[Component, Any]:
    """Return updates that show a project's dataset, without what has to be counted.

    Args:
        shown: Components of the preview.
        of: The project, None for none.
    """
    record = of.read().dataset if of else None
    if of is None or record is None:
        return {shown.box: gr.update(visible=False)}
    bad = bad_rows_of(of)
    return {
        shown.box: gr.update(visible=True),
        shown.facts: dataset_facts.facts(record, summary_of(of)),
        shown.bad_fold: gr.update(visible=bool(bad), label=say("dataset.bad.count", count=f"{len(bad):,}")),
        shown.bad: gr.update(value=_bad_table(bad)),
        shown.page: 1,
        **_page(shown, of, 1, counted=False),
        **_pair(shown, of, 0, counted=False),
    }


def _counted(shown: Preview, of: Project | None, number: int) -> dict[Component, Any]:
    """Return updates that put lengths into the facts and a page of the table."""
    record = of.read().dataset if of else None
    if of is None or record is None:
        return {}
    lengths = dataset_facts.lengths(counts_of(of), lengths_of(of))
    return {
        shown.facts: dataset_facts.facts(record, summary_of(of), lengths),
        **_page(shown, of, number),
        **_pair(shown, of, (number - 1) * PAGE),
    }


def _page(shown: Preview, of: Project, number: int, *, counted: bool = True) -> dict[Component, Any]:
    pairs = pairs_of(of)
    counts = counts_of(of) if counted else None
    return {
        shown.table: gr.update(value=_pairs_table(pairs, number, counts)),
        shown.before: gr.update(interactive=number > 1),
        shown.after: gr.update(interactive=number < _pages(len(pairs))),
        shown.pager: _pager(number, len(pairs)),
    }


def _pair(shown: Preview, of: Project, index: int, *, counted: bool = True) -> dict[Component, Any]:
    pairs = pairs_of(of)
    if index >= len(pairs):
        return {}
    counts = counts_of(of) if counted else None
    lengths, unit = (counts.counts[index], counts.unit) if counts else (None, "")
    return dict(zip(shown.pair.outputs, pair_view.draw(pairs[index], lengths, unit, index + 1), strict=True))


def _pages(pairs: int) -> int:
    """Return how many pages the table has."""
    return max(1, -(-pairs // PAGE))


def _pager(number: int, pairs: int) -> str:
    """Return which pairs a page shows, as HTML."""
    first, last = (number - 1) * PAGE + 1, min(number * PAGE, pairs)
    return f'<div class="pager-text">{escape(say("dataset.pager", first=first, last=last, pairs=f"{pairs:,}"))}</div>'


def _pairs_table(pairs: list[Pair], number: int, counted: Counted | None) -> dict[str, Any]:
    """Return one page of the table of pairs.

    Args:
        pairs: All of them.
        number: The page, from 1.
        counted: Their lengths, None while they are being counted.
    """
    begin = (number - 1) * PAGE
    rows = [
        [
            f"{index + 1:,}",
            short(pair.source, 40),
            short(pair.prompt[-1].content, 90),
            short(pair.chosen[0].content, 90),
            short(pair.rejected[0].content, 90),
            " / ".join(f"{getattr(counted.counts[index], part):,}" for part in PARTS) if counted else "…",
        ]
        for index, pair in enumerate(pairs[begin : begin + PAGE], begin)
    ]
    headers = ["#", say("pair.source"), *(say(f"pair.{part}") for part in PARTS), say("dataset.fact.lengths")]
    return {"headers": headers, "data": rows}


def _bad_table(rows: list[BadRow]) -> dict[str, Any]:
    """Return the table of rows that are no pairs, the first of them where there are many."""
    data = [[f"{row.number:,}", row.reason] for row in rows[:BAD_SHOWN]]
    if len(rows) > BAD_SHOWN:
        data.append(["…", say("dataset.fact.more", count=f"{len(rows) - BAD_SHOWN:,}")])
    return {"headers": [say("dataset.bad.number"), say("dataset.bad.reason")], "data": data}

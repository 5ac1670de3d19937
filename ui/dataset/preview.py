"""The preview of the Dataset tab: facts, the rows that are no pairs, the table of pairs, and one pair to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from markupsafe import Markup

from pipeline.base.pair import Pair
from pipeline.base.project import Project
from pipeline.dataset.project import Counted, bad_rows_of, counts_of, lengths_of, pairs_of, summary_of
from pipeline.dataset.rows import BadRow
from pipeline.visit import Visit
from ui.dataset import facts as dataset_facts
from ui.dataset.facts import short
from ui.handlers import Given, Update, Wiring, prefixed
from ui.page import Page
from ui.parts import pair_view
from ui.parts.pair_view import PARTS, PairView
from ui.parts.shown import loaded
from ui.text import say, t

PAGE = 10  # pairs of one page of the table
PAGED = ("page", "table", "before", "pager", "after", "at", "pair.*")  # what turning a page updates
DRAWN = ("box", "facts", "bad_fold", "bad", *PAGED)  # what `draw` may update
WIDTHS: list[str | int] = ["6%", "12%", "25%", "25%", "20%", "12%"]
BAD_SHOWN = 500  # rows that are no pairs, in their table


@dataclass(frozen=True)
class Preview:
    """What a project's dataset holds.

    Attributes:
        page: State with the number of the table's page, from 1.
        at: State with the index of the pair that is shown.
    """

    box: gr.Column
    facts: gr.HTML
    bad_fold: gr.Accordion
    bad: gr.Dataframe
    page: gr.State
    at: gr.State
    table: gr.Dataframe
    before: gr.Button
    pager: gr.HTML
    after: gr.Button
    pair: PairView


def build() -> Preview:
    """Lay out the preview, hidden until there is a dataset."""
    with gr.Column(visible=False, elem_id="dataset-preview") as box:
        facts = gr.HTML(elem_id="dataset-facts", padding=False)
        with gr.Accordion(t("dataset.bad"), open=False, elem_id="dataset-bad-rows") as bad_fold:
            bad = table("dataset-bad-table", None, column_widths=["12%", "88%"])
        page, at = gr.State(1), gr.State(0)
        gr.Markdown(t("dataset.pairs.about"))
        pairs = table("dataset-table", None, column_widths=WIDTHS)
        with gr.Row(elem_classes="pager", equal_height=True):
            before = gr.Button(t("dataset.before"), size="sm", min_width=80, elem_id="dataset-before")
            pager = gr.HTML(elem_id="dataset-pager", min_width=120)
            after = gr.Button(t("dataset.after"), size="sm", min_width=80, elem_id="dataset-after")
        pair = pair_view.build("dataset")
    return Preview(box, facts, bad_fold, bad, page, at, pairs, before, pager, after, pair)


def table(elem_id: str, label: Any, column_widths: list[str | int] | None = None) -> gr.Dataframe:
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


def wire(shown: Preview, wiring: Wiring, page: Page) -> None:
    """Connect the preview."""
    wiring = wiring.within(_=shown)
    drawn = wiring.on(page.shows(), draw, "page.project", DRAWN)
    paged = ["page.project", "page"]
    # Counting tokens can take seconds (a tokenizer from the Hub, many pairs): the preview does not wait for it. What is
    # drawn then is the project and page that are shown by then.
    done = wiring.on(drawn, count, "page.project")
    wiring.on(done, counted, [*paged, "at"], ["facts", *PAGED[1:]])
    wiring.on(shown.before.click, back, paged, PAGED)
    wiring.on(shown.after.click, forth, paged, PAGED)
    wiring.on(shown.table.select, select, "page.project", ["at", "pair.*"], event=gr.SelectData)


def draw(visit: Visit, given: Given) -> Update:
    """Show a project's dataset, without what has to be counted."""
    of = visit.project_or_none(given["page.project"])
    record = of.read().dataset if of else None
    if of is None or record is None:
        return {"box": gr.update(visible=False)}
    bad = bad_rows_of(of)
    return {
        "box": gr.update(visible=True),
        "facts": dataset_facts.facts(record, summary_of(of)),
        "bad_fold": gr.update(visible=bool(bad), label=say("dataset.bad.count", count=f"{len(bad):,}")),
        "bad": gr.update(value=_bad_table(bad)),
        "page": 1,
        **_page(of, 1, counted=False),
        **_pair(of, 0, counted=False),
    }


def count(visit: Visit, given: Given) -> Update:
    """Count the lengths of a project's pairs."""
    if of := loaded(visit, given):
        counts_of(of)
    return {}


def counted(visit: Visit, given: Given) -> Update:
    """Put lengths into the facts and the page of the table that is shown."""
    of = loaded(visit, given)
    record = of.read().dataset if of else None
    if of is None or record is None:
        return {}
    number = min(given["page"], _pages(len(pairs_of(of))))
    lengths = dataset_facts.lengths(counts_of(of), lengths_of(of))
    facts = dataset_facts.facts(record, summary_of(of), lengths)
    return {"facts": facts, **_page(of, number), **_pair(of, given["at"])}  # a row may have been selected meanwhile


def back(visit: Visit, given: Given) -> Update:
    """Turn to the page before."""
    return _turned(visit, given, -1)


def forth(visit: Visit, given: Given) -> Update:
    """Turn to the page after."""
    return _turned(visit, given, 1)


def _turned(visit: Visit, given: Given, by: int) -> Update:
    of = visit.project(given["page.project"])
    number = min(max(given["page"] + by, 1), _pages(len(pairs_of(of))))
    return {"page": number, **_page(of, number), **_pair(of, (number - 1) * PAGE)}


def select(visit: Visit, given: Given) -> Update:
    """Show the pair of a row."""
    number = str(given["event"].row_value[0]).replace(",", "")
    return _pair(visit.project(given["page.project"]), int(number) - 1) if number.isdecimal() else {}


def _page(of: Project, number: int, *, counted: bool = True) -> Update:
    pairs = pairs_of(of)
    counts = counts_of(of) if counted else None
    return {
        "table": gr.update(value=_pairs_table(pairs, number, counts)),
        "before": gr.update(interactive=number > 1),
        "after": gr.update(interactive=number < _pages(len(pairs))),
        "pager": _pager(number, len(pairs)),
    }


def _pair(of: Project, index: int, *, counted: bool = True) -> Update:
    pairs = pairs_of(of)
    if not 0 <= index < len(pairs):
        return {}
    counts = counts_of(of) if counted else None
    lengths, unit = (counts.counts[index], counts.unit) if counts else (None, "")
    return {"at": index, **prefixed("pair.", pair_view.draw(pairs[index], lengths, unit, index + 1))}


def _pages(pairs: int) -> int:
    """Return how many pages the table has."""
    return max(1, -(-pairs // PAGE))


def _pager(number: int, pairs: int) -> Markup:
    """Return which pairs a page shows, as HTML."""
    first, last = (number - 1) * PAGE + 1, min(number * PAGE, pairs)
    said = say("dataset.pager", first=first, last=last, pairs=f"{pairs:,}")
    return Markup('<div class="pager-text">{}</div>').format(said)


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
    data = [[f"{row.number:,}", row.reason.said()] for row in rows[:BAD_SHOWN]]
    if len(rows) > BAD_SHOWN:
        data.append(["…", say("dataset.fact.more", count=f"{len(rows) - BAD_SHOWN:,}")])
    return {"headers": [say("dataset.bad.number"), say("dataset.bad.reason")], "data": data}

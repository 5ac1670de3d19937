"""What one rule of the Filter tab removes: a few of the pairs, one at a time."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from pipeline.base.project import find
from pipeline.studio import Studio
from ui.filter import outcome
from ui.filter.outcome import Effect
from ui.handlers import QUIET, handle
from ui.page import Page
from ui.parts import pair_view
from ui.parts.pair_view import PairView
from ui.text import say, t


@dataclass(frozen=True)
class Removed:
    """A few of the pairs that one rule removes.

    Attributes:
        row: State with the rule's row in the table of rules, -1 for none.
    """

    box: gr.Column
    title: gr.HTML
    which: gr.Radio
    said: gr.HTML
    pair: PairView
    close: gr.Button
    row: gr.State


def build() -> Removed:
    """Lay out a removed pair, hidden until a rule is chosen."""
    with gr.Column(visible=False, elem_id="filter-removed") as box:
        title = gr.HTML(elem_id="filter-removed-title", padding=False)
        which = gr.Radio([], label=t("filter.removed.which"), elem_id="filter-removed-which")
        said = gr.HTML(elem_id="filter-removed-said", padding=False)
        pair = pair_view.build("filter")
        close = gr.Button(t("filter.removed.close"), size="sm", elem_id="filter-removed-close")
    return Removed(box, title, which, said, pair, close, gr.State(-1))


def wire(removed: Removed, studio: Studio, page: Page, rules: gr.Dataframe, effects: gr.State) -> None:
    """Connect a removed pair.

    Args:
        removed: Its components.
        studio: Names the home.
        page: Gives the project.
        rules: The table whose rows are chosen.
        effects: State with what each of its rows stands for.
    """

    def choose(name: str, found: list[Effect], event: gr.SelectData) -> list[Any]:
        row = event.index[0]  # of the table as it was sent: sorting on the page does not alter it
        if row >= len(found) or not found[row][2]:
            return [gr.update(visible=False), *[gr.skip()] * (2 + len(drawn)), -1]
        label, count, examples = found[row]
        said = say("filter.removed.title", label=label, count=f"{count:,}")
        choices = [(str(number), number) for number in range(1, len(examples) + 1)]
        which = gr.update(choices=choices, value=1, visible=len(choices) > 1)
        first = outcome.example(find(studio.home, name), examples[0])
        return [gr.update(visible=True), f"<h3>{escape(said)}</h3>", which, *first, row]

    def turn(name: str, found: list[Effect], row: int, number: int | None) -> list[Any]:
        if not number or not 0 <= row < len(found) or number > len(found[row][2]):
            return [gr.skip()] * len(drawn)
        return outcome.example(find(studio.home, name), found[row][2][number - 1])

    drawn = [removed.said, *removed.pair.outputs]
    head = [removed.box, removed.title, removed.which]
    rules.select(handle(choose), [page.project, effects], [*head, *drawn, removed.row], **QUIET)
    removed.close.click(handle(lambda: gr.update(visible=False)), None, [removed.box], **QUIET)
    inputs = [page.project, effects, removed.row, removed.which]
    removed.which.input(handle(turn), inputs, drawn, **QUIET)

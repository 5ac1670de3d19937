"""What one rule of the Filter tab removes: a few of the pairs, one at a time."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from markupsafe import Markup

from pipeline.visit import Visit
from ui.filter import outcome
from ui.handlers import Given, Update, Wiring
from ui.parts import pair_view
from ui.parts.pair_view import PairView
from ui.text import say, t

DRAWN = ("said", "pair.*")  # what shows one pair


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


def wire(removed: Removed, wiring: Wiring, rules: gr.Dataframe, effects: gr.State) -> None:
    """Connect a removed pair.

    Args:
        removed: Its components.
        wiring: Knows the page.
        rules: The table whose rows are chosen.
        effects: State with what each of its rows stands for.
    """
    wiring = wiring.within(_=removed, rules={"effects": effects})
    shown = ["box", "title", "which", "row", *DRAWN]
    wiring.on(rules.select, choose, ["page.project", "rules.effects"], shown, event=gr.SelectData)
    wiring.on(removed.close.click, close, (), "box")
    wiring.on(removed.which.input, turn, ["page.project", "rules.effects", "row", "which"], DRAWN)


def choose(visit: Visit, given: Given) -> Update:
    """Show the first pair that the rule of a row removes."""
    effects, row = given["rules.effects"], given["event"].index[0]  # as the table was sent: sorting does not alter it
    if row >= len(effects) or not effects[row].examples:
        return {"box": gr.update(visible=False), "row": -1}
    effect = effects[row]
    examples = effect.examples
    choices = [(str(number), number) for number in range(1, len(examples) + 1)]
    return {
        "box": gr.update(visible=True),
        "title": Markup("<h3>{}</h3>").format(
            say("filter.removed.title", label=effect.label, count=f"{effect.alone:,}")
        ),
        "which": gr.update(choices=choices, value=1, visible=len(choices) > 1),
        "row": row,
        **outcome.example(visit.project(given["page.project"]), examples[0]),
    }


def turn(visit: Visit, given: Given) -> Update:
    """Show another pair that the rule removes."""
    effects, row, number = given["rules.effects"], given["row"], given["which"]
    if not number or not 0 <= row < len(effects) or number > len(effects[row].examples):
        return {}
    return outcome.example(visit.project(given["page.project"]), effects[row].examples[number - 1])


def close(visit: Visit, given: Given) -> Update:
    """Take the pair away."""
    return {"box": gr.update(visible=False)}

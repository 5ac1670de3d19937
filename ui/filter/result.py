"""What the rules of the Filter tab do: how many pairs they keep, what each of them removes, and the plots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component
from pydantic import ValidationError

from pipeline.base.project import Project
from pipeline.dataset.project import counts_of
from pipeline.filter.project import filtered
from pipeline.filter.recipe import PARTS
from ui.filter import outcome
from ui.filter import removed as filter_removed
from ui.filter import rules as filter_rules
from ui.filter.removed import Removed
from ui.parts.forms import ParameterForm
from ui.parts.notice import notice, wrong_values
from ui.text import say, t


@dataclass(frozen=True)
class Results:
    """What the rules do.

    Attributes:
        effects: State with label, number and example ids of each rule in the table.
        removed: What the rule chosen in the table removes.
    """

    count: gr.HTML
    problem: gr.HTML
    saved: gr.HTML
    save: gr.Button
    reset: gr.Button
    rules: gr.Dataframe
    effects: gr.State
    removed: Removed
    part: gr.Radio
    plots: dict[str, gr.BarPlot]

    @property
    def outputs(self) -> list[Component]:
        """Components that `draw` returns updates for."""
        return [self.count, self.problem, self.saved, self.save, self.rules, self.effects, *self.plots.values()]


def build() -> Results:
    """Lay out what the rules do."""
    count = gr.HTML(elem_id="filter-count", padding=False)
    problem = gr.HTML(elem_id="filter-problem", padding=False, visible=False)
    with gr.Row(equal_height=True):
        save = gr.Button(t("filter.save"), variant="primary", interactive=False, scale=2, elem_id="filter-save")
        reset = gr.Button(t("filter.reset"), scale=1, elem_id="filter-reset")
    saved = gr.HTML(elem_id="filter-saved", padding=False)
    gr.Markdown(t("filter.rules"))
    rules = gr.Dataframe(
        datatype="str",
        type="array",
        interactive=False,
        wrap=True,
        buttons=[],
        column_widths=["56%", "22%", "22%"],
        elem_id="filter-rules",
    )
    removed = filter_removed.build()  # below the table it belongs to: elsewhere nobody would see it appear
    gr.Markdown(t("filter.plots"))
    plots = {"rating": _plot("rating")}
    part = gr.Radio(
        [(t(f"filter.part.{name}"), name) for name in PARTS],
        value="chosen",
        label=t("filter.part"),
        elem_id="filter-part",
    )
    plots |= {"tokens": _plot("tokens"), "source": _plot("source")}
    return Results(count, problem, saved, save, reset, rules, gr.State([]), removed, part, plots)


def _plot(name: str) -> gr.BarPlot:
    return gr.BarPlot(
        x=name,
        y="pairs",
        color="state",
        color_title=" ",
        x_title=" ",
        y_title=" ",
        label=t(f"filter.plot.{name}"),
        tooltip="all",
        x_label_angle=-30 if name == "tokens" else 0,  # its names are too long for a phone's width
        height=230,
        min_width=300,
        buttons=["fullscreen"],
        elem_id=f"filter-plot-{name}",
    )


def draw(results: Results, project: Project, form: ParameterForm, part: str, values: tuple[Any, ...]) -> list[Any]:
    """Return updates for `Results.outputs`: what the rules in the form do.

    Args:
        results: The components.
        project: Gives pairs and answers.
        form: The form of a recipe.
        part: The part of a pair whose lengths are plotted.
        values: What the form holds.
    """
    try:
        recipe = filter_rules.recipe(form, values)
    except ValidationError as error:  # on the way to a number, say: what was shown before stays
        wrong = gr.update(value=wrong_values(error, "filter"), visible=True)
        rest = [gr.skip()] * (len(results.outputs) - 4)
        return [gr.skip(), wrong, gr.skip(), gr.update(interactive=False), *rest]
    found = filtered(project, recipe)
    unit = counts_of(project).unit
    table, effects = outcome.rules(found, recipe, unit)
    return [
        outcome.count(found),
        gr.update(value=notice(say("filter.nothing")), visible=not found.kept),
        outcome.saved(project, recipe),
        gr.update(interactive=bool(found.kept)),
        gr.update(value=table),
        effects,
        *outcome.plots(project, found, part, unit),
    ]

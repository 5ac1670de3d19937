"""What the rules of the Filter tab do: how many pairs they keep, what each of them removes, and the plots."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr
from pydantic import ValidationError

from pipeline.base.project import Project
from pipeline.dataset.project import counts_of
from pipeline.filter.project import filtered
from pipeline.filter.recipe import PARTS, Recipe
from ui.filter import outcome
from ui.filter import removed as filter_removed
from ui.filter.removed import Removed
from ui.handlers import Update, prefixed
from ui.parts.notice import notice, wrong_values
from ui.text import say, t


@dataclass(frozen=True)
class Results:
    """What the rules do.

    Attributes:
        effects: State with what each row of the table stands for, `ui.filter.outcome.Effect`.
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


def draw(project: Project, recipe: Recipe, part: str) -> Update:
    """Return updates for the parts of `Results`: what a recipe does.

    Args:
        project: Gives pairs and answers.
        recipe: The rules.
        part: The part of a pair whose lengths are plotted.
    """
    found, unit = filtered(project, recipe), counts_of(project).unit
    effects = outcome.effects(found)
    return {
        "count": outcome.count(found),
        "problem": gr.update(value=notice(say("filter.nothing")), visible=not found.kept),
        "saved": outcome.saved(project, recipe),
        "save": gr.update(interactive=bool(found.kept)),
        "rules": gr.update(value=outcome.table(effects)),
        "effects": effects,
        "removed.box": gr.update(visible=False),
        "removed.row": -1,
        **prefixed("plots.", outcome.plots(project, found, part, unit)),
    }


def wrong(error: ValidationError) -> Update:
    """Return updates for rules that are none, on the way to a number, say: what was shown before stays."""
    problem = gr.update(value=wrong_values(error, "filter"), visible=True)
    return {"problem": problem, "save": gr.update(interactive=False)}

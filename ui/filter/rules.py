"""The rules of the Filter tab: the form of a recipe, and the model whose tokenizer counts the lengths in it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from pipeline.base.errors import StudioError
from pipeline.base.project import Project, Record
from pipeline.dataset.project import counts_of
from pipeline.filter.recipe import PARTS, Recipe
from pipeline.models import tokens
from pipeline.visit import Visit
from ui.handlers import Given, Update
from ui.parts import pair_view
from ui.parts.forms import ParameterForm, control
from ui.parts.notice import line, notice, notices
from ui.text import say, t

REVIEW = ("only_reviewed", "min_relevance", "preference_agrees")
LENGTHS = tuple(f"{bound}_{part}_tokens" for part in PARTS for bound in ("min", "max"))
OTHERS = tuple(name for name in Recipe.model_fields if name not in (*REVIEW, *LENGTHS))


@dataclass(frozen=True)
class Rules:
    """The form of a recipe.

    Attributes:
        unit: What lengths are counted in, as HTML.
        model: The base model, whose tokenizer counts them.
        problem: Why a model cannot be used.
    """

    form: ParameterForm
    unit: gr.HTML
    model: gr.Textbox
    use_model: gr.Button
    problem: gr.HTML


def build() -> Rules:
    """Lay out the form."""
    controls: dict[str, Component] = {}
    gr.Markdown(t("filter.group.review"))
    for name in REVIEW:
        controls[name] = control(Recipe, "filter", name)
    gr.Markdown(t("filter.group.lengths"))
    unit = gr.HTML(elem_id="filter-unit", padding=False)
    for part in PARTS:
        with gr.Row(elem_classes="form-row"):
            for name in (f"min_{part}_tokens", f"max_{part}_tokens"):
                controls[name] = _number(name)
    with gr.Accordion(t("filter.model.fold"), open=False, elem_id="filter-model-fold"):
        model = gr.Textbox(label=t("filter.model"), info=t("filter.model.help"), elem_id="filter-model")
        use_model = gr.Button(t("filter.model.use"), size="sm", elem_id="filter-model-use")
        problem = gr.HTML(visible=False, padding=False, elem_id="filter-model-problem")
    gr.Markdown(t("filter.group.text"))
    for name in OTHERS:
        controls[name] = control(Recipe, "filter", name, [] if name == "sources" else None)
    return Rules(ParameterForm(Recipe, controls), unit, model, use_model, problem)


def _number(name: str) -> gr.Number:
    """Return the control of a length: two stand side by side, so it is narrower than others, and its help is short."""
    return gr.Number(
        value=Recipe.model_fields[name].default,
        precision=0,
        label=t(f"filter.{name}"),
        placeholder=t("filter.any"),
        min_width=130,
        elem_id=f"filter-{name.replace('_', '-')}",
    )


def recipe(fields: Mapping[str, Any]) -> Recipe:
    """Return the recipe that a form holds; an emptied shortest length is none.

    Raises:
        ValidationError: A value is out of bounds, or two contradict each other.
    """
    emptied = {name: 0 for name in LENGTHS if name.startswith("min_") and fields[name] is None}
    return Recipe.model_validate({**fields, **emptied})


def shown(rules: Recipe) -> Update:
    """Return updates that put rules into a form, by field."""
    return {name: gr.update(value=getattr(rules, name)) for name in Recipe.model_fields}


def units(project: Project) -> Update:
    """Return updates that say what lengths are counted in."""
    counted = counts_of(project)
    if counted.unit == "tokens":
        said = line(say("filter.unit.tokens", model=counted.name))
    else:
        said = notice(say("filter.unit.words", model=project.read().base_model))
    unit = pair_view.unit_name(counted.unit)
    labels = {name: say("filter.with_unit", label=say(f"filter.{name}"), unit=unit) for name in LENGTHS}
    return {"unit": said, **{f"form.{name}": gr.update(label=label) for name, label in labels.items()}}


def use_model(visit: Visit, given: Given) -> Update:
    """Make the model that is named the project's base model, or say what is wrong with it."""
    project = visit.project(given["page.project"])
    try:
        name = tokens.check(visit.model(given["rules.model"] or ""))
    except StudioError as error:
        wrong = notices([error.message], bad=True)
        return {"rules.problem": gr.update(value=wrong, visible=True)}

    def change(record: Record) -> None:
        record.base_model = name

    project.update(change)
    return {"rules.model": name, "rules.problem": gr.update(visible=False), "looked": time.time()}
